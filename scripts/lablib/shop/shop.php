<?php
// SPDX-License-Identifier: Apache-2.0
// The shop's one program, stateless: all it remembers is in the database, so that any web server of any site can take the
// next request of a customer.
//   /       a page for people, with the database server's name
//   /db     the page by which a site is judged: asks the database for its name
//   /cart?session=S[&add=ITEM][&remove=ITEM]   a customer's cart
header('Cache-Control: no-store');
header('X-Web-Server: ' . $_SERVER['WEB_NAME']);
$database = @pg_connect("host={$_SERVER['DATABASE']} port=5432 dbname=shop user=shop connect_timeout=2");

function rows($database, string $statement, array $values = []): array
{
    $result = $database ? @pg_query_params($database, $statement, $values) : false;
    if ($result === false) {
        http_response_code(503);
        exit("<html><p>The shop is open ({$_SERVER['WEB_NAME']}), but its database does not answer.</p></html>\n");
    }
    return pg_fetch_all($result, PGSQL_ASSOC);
}

$name = rows($database, "select current_setting('cluster_name') as name")[0]['name'];
if ($_SERVER['DOCUMENT_URI'] === '/db') {
    exit("<html><p>Database: $name</p></html>\n");
}
if ($_SERVER['DOCUMENT_URI'] === '/cart') {
    header('Content-Type: application/json');
    $session = $_GET['session'] ?? '';
    if (isset($_GET['add'])) {
        rows($database, 'insert into cart values ($1, $2, 1) on conflict (session, item)
                         do update set pieces = cart.pieces + 1', [$session, $_GET['add']]);
    }
    if (isset($_GET['remove'])) {
        rows($database, 'delete from cart where session = $1 and item = $2', [$session, $_GET['remove']]);
    }
    $cart = rows($database, 'select item, pieces from cart where session = $1 order by item', [$session]);
    exit(json_encode(['web' => $_SERVER['WEB_NAME'], 'database' => $name,
                      'cart' => (object) array_map('intval', array_column($cart, 'pieces', 'item'))]) . "\n");
}
$items = rows($database, 'select title, stock from item order by id');
echo "<html><head><title>The shop</title></head><body><h1>The shop</h1><p>Web server: {$_SERVER['WEB_NAME']}</p>\n";
echo "<p>Database: $name</p><ul>\n";
foreach ($items as $item) {
    echo '<li>' . htmlspecialchars($item['title']) . ", {$item['stock']} pieces</li>\n";
}
echo "</ul></body></html>\n";
