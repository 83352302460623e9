// SPDX-License-Identifier: Apache-2.0
#include "dbsync/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <libconfig.h>

enum kind { KIND_NUMBER, KIND_TEXT, KIND_PATH, KIND_DATABASE, KIND_ENDPOINT, KIND_DURATION, KIND_SIZE, KIND_CHOICE };

struct config_key {
    const char *name;
    enum kind kind;
    size_t at;
    uint64_t min, max;    // NUMBER; DURATION in us; SIZE in bytes; length of TEXT
    const char *standard; // as it would be written; null: none
    bool is_required;
    const char *const *names; // CHOICE: ends with null; the value is the place
    const char *help;
};

#define SECOND    1000000ull
#define DAY       (86400 * SECOND)
#define COUNT(a)  (sizeof(a) / sizeof(a)[0])
#define IN(field) offsetof(struct config, field)

static const char *const granularities[] = {"column", "row", NULL};
static const char *const policies[] = {"park", "null", "suffix", NULL};
static const char *const on_errors[] = {"park", "stop", NULL};

static const struct config_key main_rows[] = {
    {"site", KIND_NUMBER, IN(site), 1, 65535, NULL, true, NULL, "Number of this site, unique in the cluster."},
    {"name", KIND_TEXT, IN(name), 1, DOOR_NAME_MAX - 1, NULL, true, NULL, "Its name, for people."},
    {"database", KIND_DATABASE, IN(database), 1, 4096, NULL, true, NULL,
     "`sqlite:/path/to/file`, or a connection string of libpq: `host=/run/postgresql dbname=app`."},
    {"listen", KIND_ENDPOINT, IN(listen), 0, 0, NULL, false, NULL,
     "Address and port for the peers' connections. Not given: this site only connects."},
    {"identity", KIND_TEXT, IN(identity), 1, 253, NULL, false, NULL,
     "The DNS name in our certificate's subject alternative names. Not given: `name`."},
    {"certificate", KIND_PATH, IN(certificate), 1, PATH_MAX - 1, NULL, true, NULL,
     "Our certificate and its chain, PEM. Read again for each connection."},
    {"key", KIND_PATH, IN(key), 1, PATH_MAX - 1, NULL, true, NULL, "Its private key, PEM."},
    {"authority", KIND_PATH, IN(authority), 1, PATH_MAX - 1, NULL, true, NULL,
     "Certificate of the cluster's authority, PEM. Use one that signs for nothing else."},
    {"spool", KIND_PATH, IN(spool), 1, PATH_MAX - 32, "/var/lib/signpost-dbsync", false, NULL,
     "Directory for batches on their way. Its own for each daemon."},
    {"spool_quota", KIND_SIZE, IN(spool_quota_bytes), 16 << 20, 1ull << 50, "4G", false, NULL,
     "Octets that may lie there, shared evenly by the peers, half for each direction. Batches are cut to fit."},
    {"socket", KIND_PATH, IN(socket), 1, 107, "/run/signpost-dbsync/dbsync.sock", false, NULL,
     "Unix socket on which the daemon takes commands."},
    {"metrics", KIND_ENDPOINT, IN(metrics), 0, 0, NULL, false, NULL,
     "Address and port of `/metrics` for Prometheus. Not given: none."},
    {"control", KIND_PATH, IN(control), 1, 107, NULL, false, NULL,
     "Admin socket of the `signpost-control` that is told the replication lag. Not given: nobody."},
    {"poll", KIND_DURATION, IN(poll_us), 5000, 60 * SECOND, "50ms", false, NULL,
     "How often the database is asked for changes. Batches follow no faster, unless more waits; after a slow one the "
     "pause is longer, by two of these at most."},
    {"batch_rows", KIND_NUMBER, IN(batch_rows), 1, 10000000, "20000", false, NULL,
     "Change rows after which a batch is cut; a transaction is never divided."},
    {"backlog_max", KIND_SIZE, IN(backlog_max_bytes), 1 << 20, 1ull << 50, "8G", false, NULL,
     "Octets of unsent changes beyond which an absent peer is marked for bootstrap and no longer waited for."},
    {"absence_max", KIND_DURATION, IN(absence_max_us), 60 * SECOND, 3650 * DAY, "7d", false, NULL,
     "The same for the age of the oldest unsent change."},
    {"conflict_keep", KIND_DURATION, IN(conflict_keep_us), 60 * SECOND, 36500 * DAY, "30d", false, NULL,
     "How long the losers of conflicts are kept in the list."},
    {"credit", KIND_SIZE, IN(credit_bytes), 1 << 20, 1ull << 40, "64M", false, NULL,
     "Octets that a peer may send before we have stored them."},
    {"compression", KIND_NUMBER, IN(compression_level), 0, 19, "1", false, NULL,
     "Level of zstd; 0 sends octets as they are."},
    {"on_error", KIND_CHOICE, IN(stop_on_error), 0, 0, "park", false, on_errors,
     "A row that the database refuses: `park` keeps it aside and goes on, `stop` stops the stream until it can be "
     "written."},
};

#define PEER(field) offsetof(struct config_peer, field)
static const struct config_key peer_rows[] = {
    {"site", KIND_NUMBER, PEER(site), 1, 65535, NULL, true, NULL, "The peer's number."},
    {"name", KIND_TEXT, PEER(name), 1, DOOR_NAME_MAX - 1, NULL, true, NULL, "Its name, for people and commands."},
    {"address", KIND_ENDPOINT, PEER(address), 0, 0, NULL, false, NULL,
     "Where it listens. Not given: it connects to us."},
    {"identity", KIND_TEXT, PEER(identity), 1, 253, NULL, false, NULL,
     "The DNS name that its certificate must hold. Not given: `name`."},
};

#define TABLE(field) offsetof(struct config_table, field)
static const struct config_key table_rows[] = {
    {"name", KIND_TEXT, TABLE(name), 1, SCHEMA_NAME_MAX - 1, NULL, true, NULL,
     "Table, `schema.table` in PostgreSQL. `add` without arguments adds all of this list."},
    {"granularity", KIND_CHOICE, TABLE(options.granularity), 0, 0, "column", false, granularities,
     "What conflicts: `column` merges writes of different columns, `row` keeps one site's whole row."},
    {"unique", KIND_CHOICE, TABLE(options.unique), 0, 0, "park", false, policies,
     "What becomes of the loser of a unique key: `park` keeps the row aside, `null` empties the key, `suffix` renames "
     "it."},
};

struct load {
    const char *path;
    char directory[PATH_MAX];
    FILE *errors;
    int error_count;
};

// ---- values ----

static bool take_number(const char **p, uint64_t *n)
{
    const char *from = *p;
    for (*n = 0; isdigit((unsigned char)**p); (*p)++)
        if (__builtin_mul_overflow(*n, 10, n) || __builtin_add_overflow(*n, (uint64_t)(**p - '0'), n))
            return false;
    return *p > from;
}

int config_duration(const char *text, uint64_t *us)
{
    static const struct {
        const char *name;
        uint64_t us;
    } unit[] = {{"us", 1}, {"ms", 1000}, {"s", SECOND}, {"m", 60 * SECOND}, {"h", 3600 * SECOND}, {"d", DAY}};
    uint64_t sum = 0;
    if (!*text)
        return -EINVAL;
    for (const char *p = text; *p;) {
        uint64_t n, part = 0;
        unsigned u = 0;
        if (!take_number(&p, &n))
            return -EINVAL;
        size_t len = strspn(p, "usmhd");
        while (u < COUNT(unit) && (strlen(unit[u].name) != len || strncmp(unit[u].name, p, len) != 0))
            u++;
        p += len;
        if (u == COUNT(unit) || __builtin_mul_overflow(n, unit[u].us, &part) || __builtin_add_overflow(sum, part, &sum))
            return -EINVAL;
    }
    *us = sum;
    return 0;
}

int config_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    const char *p = text, *unit;
    uint64_t n;
    if (!take_number(&p, &n))
        return -EINVAL;
    if (*p && (unit = strchr(units, *p))) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (n > UINT64_MAX >> shift)
            return -EINVAL;
        n <<= shift;
        p++;
        p += strcmp(p, "iB") == 0 ? 2 : strcmp(p, "B") == 0;
    }
    if (*p)
        return -EINVAL;
    *bytes = n;
    return 0;
}

int config_endpoint(const char *text, char host[64], uint16_t *port)
{
    uint8_t address[16];
    bool is_ipv6 = *text == '[';
    const char *end = is_ipv6 ? strchr(text, ']') : strchr(text, ':');
    size_t len = end ? (size_t)(end - text) - is_ipv6 : 0;
    uint64_t n;
    if (!end || len == 0 || len > 63 || (is_ipv6 && end[1] != ':'))
        return -EINVAL;
    memcpy(host, text + is_ipv6, len);
    host[len] = 0;
    const char *p = end + 1 + is_ipv6;
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, host, address) != 1 || !take_number(&p, &n) || *p || n == 0 ||
        n > 65535)
        return -EINVAL;
    *port = (uint16_t)n;
    return 0;
}

// ---- messages ----

static void report(struct load *l, const config_setting_t *at, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void report(struct load *l, const config_setting_t *at, const char *key, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    unsigned line = at ? config_setting_source_line(at) : 0;
    l->error_count++;
    if (line)
        fprintf(l->errors, "%s:%u: error: %s: %s\n", l->path, line, key, text);
    else
        fprintf(l->errors, "%s: error: %s: %s\n", l->path, key, text);
}

static const char *accepts(const struct config_key *row, char out[256])
{
    static const char *const forms[] = {
        [KIND_NUMBER] = "a whole number",
        [KIND_TEXT] = "a text in double quotes",
        [KIND_PATH] = "a path in double quotes",
        [KIND_DATABASE] = "\"sqlite:/path/to/file\", \"postgresql://host/name\" or \"host=... dbname=...\"",
        [KIND_ENDPOINT] = "\"192.0.2.1:7054\" or \"[2001:db8::1]:7054\"",
        [KIND_DURATION] = "a duration such as \"50ms\", \"30s\", \"7d\"",
        [KIND_SIZE] = "a size such as \"64M\" or \"4G\"",
        [KIND_CHOICE] = "one of"};
    int n = snprintf(out, 256, "%s", forms[row->kind]);
    if (row->kind == KIND_NUMBER)
        snprintf(out + n, 256 - (size_t)n, ", %llu to %llu", (unsigned long long)row->min,
                 (unsigned long long)row->max);
    if (row->kind == KIND_DURATION)
        snprintf(out + n, 256 - (size_t)n, ", %gs to %gd", (double)row->min / SECOND, (double)row->max / DAY);
    if (row->kind == KIND_SIZE)
        snprintf(out + n, 256 - (size_t)n, ", %lluM to %lluG", (unsigned long long)(row->min >> 20),
                 (unsigned long long)(row->max >> 30));
    if (row->kind == KIND_TEXT || row->kind == KIND_PATH)
        snprintf(out + n, 256 - (size_t)n, ", at most %llu octets", (unsigned long long)row->max);
    for (unsigned i = 0; row->kind == KIND_CHOICE && row->names[i]; i++)
        n += snprintf(out + n, 256 - (size_t)n, "%s \"%s\"", i ? "," : "", row->names[i]);
    return out;
}

// Letters to change, add or drop between two words; enough for a hint.
static unsigned distance(const char *a, const char *b)
{
    enum { LEN = 31 };
    unsigned row[LEN + 1], n = (unsigned)strnlen(b, LEN);
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] && i <= LEN; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            row[j] = change < row[j] + 1 ? change : row[j] + 1;
            row[j] = row[j] < row[j - 1] + 1 ? row[j] : row[j - 1] + 1;
        }
    }
    return row[n];
}

static const struct config_key *find_row(const struct config_key *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static void unknown_key(struct load *l, const config_setting_t *s, const char *path, const char *const *known)
{
    const char *name = config_setting_name(s), *best = NULL;
    unsigned least = (unsigned)strlen(name) / 2 + 1;
    for (; *known; known++) {
        unsigned d = distance(name, *known);
        if (d < least) {
            least = d;
            best = *known;
        }
    }
    char key[256];
    snprintf(key, sizeof key, "%s.%s", path, name);
    if (best)
        report(l, s, key, "unknown key; is \"%s\" meant?", best);
    else
        report(l, s, key, "unknown key");
}

// ---- reading ----

static char *join_path(const struct load *l, const char *path)
{
    char joined[2 * PATH_MAX];
    if (*path == '/' || !l->directory[0])
        return memory_text(path);
    snprintf(joined, sizeof joined, "%s/%s", l->directory, path);
    return memory_text(joined);
}

static bool is_database(const char *text)
{
    return strncmp(text, "sqlite:", 7) == 0 ? text[7] != 0
                                            : strncmp(text, "postgres", 8) == 0 || strchr(text, '=') != NULL;
}

static bool read_choice(const struct config_key *row, const char *text, void *field)
{
    for (unsigned i = 0; row->names[i]; i++) {
        if (strcmp(row->names[i], text) != 0)
            continue;
        if (row->names == on_errors)
            *(bool *)field = i;
        else
            *(int *)field = (int)i;
        return true;
    }
    return false;
}

static bool read_text(const struct load *l, const struct config_key *row, const char *text, void *field)
{
    char host[64];
    uint16_t port;
    uint64_t n = 0;
    bool is_good = true;
    switch (row->kind) {
    case KIND_NUMBER:
        n = strtoull(text, NULL, 10); // a standard value of the table
        *(uint64_t *)field = n;
        return true;
    case KIND_DURATION:
    case KIND_SIZE:
        is_good = row->kind == KIND_SIZE ? config_size(text, &n) == 0 : config_duration(text, &n) == 0;
        if (is_good && n >= row->min && n <= row->max)
            *(uint64_t *)field = n;
        return is_good && n >= row->min && n <= row->max;
    case KIND_CHOICE:
        return read_choice(row, text, field);
    case KIND_ENDPOINT:
        is_good = config_endpoint(text, host, &port) == 0;
        break;
    case KIND_DATABASE:
        is_good = is_database(text);
        break;
    case KIND_TEXT:
    case KIND_PATH:
        is_good = strlen(text) >= row->min && strlen(text) <= row->max;
        break;
    }
    if (!is_good)
        return false;
    if (row->kind == KIND_PATH)
        *(char **)field = join_path(l, text);
    else if (row->kind == KIND_DATABASE && strncmp(text, "sqlite:", 7) == 0) {
        char *path = join_path(l, text + 7);
        size_t len = strlen(path) + 8;
        char *url = memory_take(len);
        snprintf(url, len, "sqlite:%s", path);
        free(path);
        *(char **)field = url;
    } else {
        *(char **)field = memory_text(text);
    }
    return true;
}

static void read_value(struct load *l, const struct config_key *row, const config_setting_t *s, void *base,
                       const char *path)
{
    char key[256], form[256];
    void *field = (char *)base + row->at;
    int type = config_setting_type(s);
    snprintf(key, sizeof key, "%s.%s", path, row->name);
    if (row->kind == KIND_NUMBER) {
        bool is_number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
        long long n = type == CONFIG_TYPE_INT ? config_setting_get_int(s) : is_number ? config_setting_get_int64(s) : 0;
        if (!is_number || n < (long long)row->min || n > (long long)row->max)
            report(l, s, key, "allowed: %s", accepts(row, form));
        else if (strcmp(row->name, "site") == 0)
            *(uint16_t *)field = (uint16_t)n;
        else
            *(uint64_t *)field = (uint64_t)n;
        return;
    }
    const char *text = type == CONFIG_TYPE_STRING ? config_setting_get_string(s) : NULL;
    if (!text || !read_text(l, row, text, field))
        report(l, s, key, text ? "\"%.200s\" is not allowed here; allowed: %s" : "%.0sallowed: %s", text ? text : "",
               accepts(row, form));
}

static void read_group(struct load *l, const struct config_key *rows, size_t count, const config_setting_t *group,
                       void *base, const char *path, const char *const *more)
{
    const char *known[32] = {0};
    size_t known_count = 0;
    for (size_t i = 0; i < count; i++)
        known[known_count++] = rows[i].name;
    for (size_t i = 0; more && more[i]; i++)
        known[known_count++] = more[i];
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        const struct config_key *row = find_row(rows, count, config_setting_name(s));
        bool is_more = false;
        for (size_t m = 0; more && more[m]; m++)
            is_more |= strcmp(more[m], config_setting_name(s)) == 0;
        if (row)
            read_value(l, row, s, base, path);
        else if (!is_more)
            unknown_key(l, s, path, known);
    }
    for (size_t i = 0; i < count; i++) {
        if (config_setting_get_member(group, rows[i].name))
            continue;
        char key[256], form[256];
        snprintf(key, sizeof key, "%s.%s", path, rows[i].name);
        if (rows[i].is_required)
            report(l, group, key, "is missing; allowed: %s", accepts(&rows[i], form));
        else if (rows[i].standard)
            read_text(l, &rows[i], rows[i].standard, (char *)base + rows[i].at);
    }
}

// A list of groups; the memory of the entries, each `size` octets, and how many there are.
static void *read_list(struct load *l, const config_setting_t *root, const char *name, const struct config_key *rows,
                       size_t row_count, size_t size, unsigned max, unsigned *count)
{
    const config_setting_t *list = config_setting_get_member(root, name);
    char path[64];
    snprintf(path, sizeof path, "dbsync.%s", name);
    *count = 0;
    if (!list)
        return NULL;
    int n = config_setting_is_list(list) ? config_setting_length(list) : -1;
    if (n < 0 || (unsigned)n > max) {
        report(l, list, path, "allowed: a list ( { ... }, ... ) of at most %u groups", max);
        return NULL;
    }
    char *all = memory_take(size * (size_t)(n ? n : 1));
    for (int i = 0; i < n; i++) {
        const config_setting_t *entry = config_setting_get_elem(list, (unsigned)i);
        snprintf(path, sizeof path, "dbsync.%s[%d]", name, i);
        if (config_setting_is_group(entry))
            read_group(l, rows, row_count, entry, all + size * (size_t)i, path, NULL);
        else
            report(l, entry, path, "a group { ... } belongs here");
    }
    *count = (unsigned)n;
    return all;
}

// ---- what one key alone cannot show ----

static void check_peers(struct load *l, const config_setting_t *group, struct config *c)
{
    const config_setting_t *list = config_setting_get_member(group, "peers");
    if (!list)
        report(l, group, "dbsync.peers",
               "is missing; allowed: a list ( { site = 2; name = \"fra\"; address = \"...\"; } )");
    for (unsigned i = 0; i < c->peer_count; i++) {
        struct config_peer *p = &c->peer[i];
        const config_setting_t *at = config_setting_get_elem(list, i);
        char key[64];
        snprintf(key, sizeof key, "dbsync.peers[%u]", i);
        if (!p->identity && p->name)
            p->identity = memory_text(p->name);
        if (p->site && p->site == c->site)
            report(l, at, key, "site %u is this site's own number; every site has another", p->site);
        for (unsigned j = 0; j < i; j++) {
            if (p->site && c->peer[j].site == p->site)
                report(l, at, key, "site %u is already peers[%u]", p->site, j);
            if (p->name && c->peer[j].name && strcmp(c->peer[j].name, p->name) == 0)
                report(l, at, key, "the name \"%s\" is already that of peers[%u]", p->name, j);
            if (p->identity && c->peer[j].identity && strcmp(c->peer[j].identity, p->identity) == 0)
                report(l, at, key, "the identity \"%s\" is already that of peers[%u]", p->identity, j);
        }
        if (!p->address && !c->listen)
            report(l, at, key, "neither side can connect: give the peer an `address`, or this site `listen`");
    }
}

static void check_tables(struct load *l, const config_setting_t *group, struct config *c)
{
    const config_setting_t *list = config_setting_get_member(group, "tables");
    for (unsigned i = 0; i < c->table_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (c->table[i].name && c->table[j].name && strcmp(c->table[i].name, c->table[j].name) == 0)
                report(l, config_setting_get_elem(list, i), "dbsync.tables", "\"%s\" is already tables[%u]",
                       c->table[i].name, j);
}

static void read_all(struct load *l, const config_t *file, struct config *c)
{
    static const char *const more[] = {"peers", "tables", NULL};
    const config_setting_t *root = config_root_setting(file), *group = config_setting_get_member(root, "dbsync");
    if (!group || !config_setting_is_group(group)) {
        report(l, group, "dbsync", "the section `dbsync = { ... };` is missing");
        return;
    }
    read_group(l, main_rows, COUNT(main_rows), group, c, "dbsync", more);
    c->peer =
        read_list(l, group, "peers", peer_rows, COUNT(peer_rows), sizeof *c->peer, CONFIG_PEER_MAX, &c->peer_count);
    c->table = read_list(l, group, "tables", table_rows, COUNT(table_rows), sizeof *c->table, SCHEMA_TABLE_MAX,
                         &c->table_count);
    if (!c->identity && c->name)
        c->identity = memory_text(c->name);
    check_peers(l, group, c);
    check_tables(l, group, c);
}

int config_load(const char *path, struct config **config, FILE *errors)
{
    struct load l = {.path = path, .errors = errors};
    const char *slash = strrchr(path, '/');
    if (slash && slash - path < PATH_MAX)
        memcpy(l.directory, path, (size_t)(slash - path));
    config_t file;
    config_init(&file);
    struct config *c = memory_take(sizeof *c);
    FILE *in = fopen(path, "re");
    if (!in) {
        fprintf(errors, "%s: error: cannot be read: %s\n", path, strerror(errno));
        l.error_count = 1;
    } else if (config_read(&file, in) != CONFIG_TRUE) {
        fprintf(errors, "%s:%d: error: %s\n", path, config_error_line(&file), config_error_text(&file));
        l.error_count = 1;
    } else {
        read_all(&l, &file, c);
    }
    if (in)
        fclose(in);
    config_destroy(&file);
    if (l.error_count)
        config_free(c);
    else
        *config = c;
    return l.error_count;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < COUNT(main_rows); i++)
        if (main_rows[i].kind == KIND_TEXT || main_rows[i].kind == KIND_PATH || main_rows[i].kind == KIND_DATABASE ||
            main_rows[i].kind == KIND_ENDPOINT)
            free(*(char **)((char *)c + main_rows[i].at));
    for (unsigned i = 0; i < c->peer_count; i++) {
        free(c->peer[i].name);
        free(c->peer[i].address);
        free(c->peer[i].identity);
    }
    for (unsigned i = 0; i < c->table_count; i++)
        free(c->table[i].name);
    free(c->peer);
    free(c->table);
    free(c);
}

static void print_rows(FILE *out, const char *heading, const struct config_key *rows, size_t count)
{
    fprintf(out, "\n%s\n\n| key | allowed | default | |\n|---|---|---|---|\n", heading);
    for (size_t i = 0; i < count; i++) {
        char form[256];
        fprintf(out, "| `%s` | %s | %s | %s |\n", rows[i].name, accepts(&rows[i], form),
                rows[i].standard      ? rows[i].standard
                : rows[i].is_required ? "required"
                                      : "none",
                rows[i].help);
    }
}

void config_manual(FILE *out)
{
    print_rows(out, "In `dbsync = { ... }`:", main_rows, COUNT(main_rows));
    print_rows(out, "In each entry of `peers = ( { ... } )`:", peer_rows, COUNT(peer_rows));
    print_rows(out, "In each entry of `tables = ( { ... } )`:", table_rows, COUNT(table_rows));
}
