# SPDX-License-Identifier: Apache-2.0
"""Two real daemons keep two SQLite files in step over TLS: what the claims ask of the sites' databases."""
import sqlite3
import subprocess

import pytest

from lablib.dbsync import Pair
from lablib.lab import program
from lablib.process import Process, wait_until

SCHEMA = """
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL, note);
CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE);
"""


@pytest.fixture(name="pair", scope="module")
def running_pair(tmp_path_factory):
    with Pair(tmp_path_factory.mktemp("dbsync"), schema=SCHEMA, tables=("orders", "users")) as pair:
        yield pair


@pytest.fixture(autouse=True)
def emptied(pair):
    """Each test starts with empty, equal tables and both daemons linked and running."""
    for site in pair.sites:
        if site.peer()["state"] == "paused":
            site.command("resume")
    pair.wait_equal()
    pair.ams.sql("DELETE FROM orders; DELETE FROM users;")
    pair.wait_equal()


def change_rows(site, table="orders"):
    """The change table as an application's connection sees it."""
    number = site.sql("SELECT id FROM dbsync_table WHERE name = ?", (table,))[0][0]
    db = sqlite3.connect(site.file)
    db.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in db.execute(f"SELECT * FROM dbsync_c_{number} ORDER BY seq")]
    finally:
        db.close()


def pause(pair):
    for site in pair.sites:
        site.command("pause")
        wait_until(lambda s=site: s.peer()["state"] == "paused", 10, f"{site.name} is paused")


def resume(pair):
    for site in pair.sites:
        site.command("resume")


def test_claim_12_13_the_sites_databases_are_kept_in_step(pair):
    pair.ams.sql("INSERT INTO orders VALUES(1, 'anna', 10.5, 'from ams')")
    pair.fra.sql("INSERT INTO orders VALUES(2, 'bert', 20.25, x'00ff')")
    took = pair.wait_equal()
    print(f"equal after {took * 1000:.0f} ms")
    assert pair.ams.rows() == [(1, "anna", 10.5, "from ams"), (2, "bert", 20.25, b"\x00\xff")]


def test_claim_14_own_changes_are_sent_and_the_others_are_replicated_in_each_direction_and_both_at_once(pair):
    pair.ams.sql("INSERT INTO orders VALUES(1, 'a', 1, NULL)")
    pair.ams.command("wait", "fra", "--timeout", "10s")
    assert pair.fra.rows() == [(1, "a", 1.0, None)], "wait returns only when the row is there"
    pair.fra.sql("UPDATE orders SET note = 'seen' WHERE id = 1")
    pair.fra.command("wait", "--timeout", "10s")
    assert pair.ams.rows() == [(1, "a", 1.0, "seen")]
    for i in range(20):
        pair.ams.sql(f"INSERT INTO orders VALUES({100 + i}, 'a', {i}, NULL)")
        pair.fra.sql(f"INSERT INTO orders VALUES({200 + i}, 'f', {i}, NULL)")
    pair.wait_equal()
    assert len(pair.ams.rows()) == 41


@pytest.mark.parametrize("origin", ["ams", "fra"])
def test_claim_15_a_change_is_an_addition_a_modification_or_a_deletion(pair, origin):
    here, there = (pair.ams, pair.fra) if origin == "ams" else (pair.fra, pair.ams)
    for text, rows in (("INSERT INTO orders VALUES(7, 'x', 1, 'n')", [(7, "x", 1.0, "n")]),
                       ("UPDATE orders SET total = 2 WHERE id = 7", [(7, "x", 2.0, "n")]),
                       ("UPDATE orders SET id = 8 WHERE id = 7", [(8, "x", 2.0, "n")]),
                       ("DELETE FROM orders WHERE id = 8", [])):
        here.sql(text)
        wait_until(lambda want=rows: there.rows() == want, 10, text)


def test_claim_16_17_18_changes_are_stored_with_row_identifier_portion_or_entire_row_and_time_stamp(pair):
    pair.ams.sql("INSERT INTO orders VALUES(1, 'anna', 1, 'n')")
    pair.wait_equal()
    pause(pair)
    pair.ams.sql("UPDATE orders SET total = 5 WHERE id = 1")
    pair.ams.sql("INSERT INTO orders VALUES(2, 'bert', 2, NULL)")
    pair.ams.sql("DELETE FROM orders WHERE id = 1")
    update, insert, delete = change_rows(pair.ams)[-3:]
    assert (update["op"], update["v_id"], update["v_total"], update["v_customer"]) == ("U", 1, 5, "anna"), "the entire row"
    assert update["mask0"] == 0b0100, "and which portion of it changed"
    assert (insert["op"], insert["v_id"], insert["v_note"]) == ("I", 2, None)
    assert (delete["op"], delete["v_id"], delete["v_total"]) == ("D", 1, 5), "the old row"
    assert 0 < update["hlc"] < insert["hlc"] < delete["hlc"], "each has its time stamp"
    resume(pair)
    pair.wait_equal()


def test_claim_19_20_changes_of_a_row_are_consolidated_before_they_are_sent(pair):
    pair.ams.sql("INSERT INTO orders VALUES(1, 'anna', 0, 'n')")
    pair.wait_equal()
    pause(pair)
    before = pair.ams.peer()["rows_sent"]
    for i in range(1, 101):
        pair.ams.sql("UPDATE orders SET total = ? WHERE id = 1", (i,))  # common entries: the last one counts
    pair.ams.sql("UPDATE orders SET customer = 'berta' WHERE id = 1")  # a different entry: combined
    resume(pair)
    pair.wait_equal()
    assert pair.fra.rows() == [(1, "berta", 100.0, "n")]
    sent = pair.ams.peer()["rows_sent"] - before
    print(f"101 changes were sent as {sent} row")
    assert sent == 1


def test_claim_21_of_conflicting_changes_one_is_deleted_and_both_sites_agree(pair):
    pair.ams.sql("INSERT INTO orders VALUES(1, 'anna', 1, 'n'), (2, 'bert', 1, 'n'), (3, 'carl', 1, 'n')")
    pair.wait_equal()
    pause(pair)
    pair.ams.sql("UPDATE orders SET total = 10 WHERE id = 1")
    pair.fra.sql("UPDATE orders SET total = 20 WHERE id = 1")  # later: wins
    pair.fra.sql("UPDATE orders SET note = 'fra' WHERE id = 2")
    pair.ams.sql("UPDATE orders SET customer = 'berta' WHERE id = 2")  # another column: both are kept
    pair.fra.sql("UPDATE orders SET note = 'still there' WHERE id = 3")
    pair.ams.sql("DELETE FROM orders WHERE id = 3")  # later: wins
    resume(pair)
    pair.wait_equal()
    assert pair.ams.rows() == [(1, "anna", 20.0, "n"), (2, "berta", 1.0, "fra")]
    listed = [line for site in pair.sites for line in site.command("conflicts", "--json").stdout.splitlines()]
    assert any("update_update" in line or "update-update" in line for line in listed), listed


def test_a_unique_key_taken_at_both_sites_is_repaired_alike(pair):
    pause(pair)
    pair.ams.sql("INSERT INTO users VALUES(1, 'same@example.com')")
    pair.fra.sql("INSERT INTO users VALUES(2, 'same@example.com')")
    resume(pair)
    pair.wait_equal()
    assert len(pair.ams.rows("users")) == 1
    parked = [line for site in pair.sites for line in site.command("parked", "--json").stdout.splitlines()]
    assert parked, "the loser is not lost"


def test_status_metrics_and_the_lag_tell_what_goes_on(pair):
    import urllib.request
    pair.ams.sql("INSERT INTO orders VALUES(1, 'a', 1, NULL)")
    pair.wait_equal()
    status = pair.fra.status()
    peer = status["peers"][0]
    assert peer["link"] == "up" and peer["state"] == "running" and peer["tls"].startswith("TLSv1.3")
    assert 0 <= peer["lag"] < 5 and abs(peer["skew"]) < 0.5
    with urllib.request.urlopen(f"http://127.0.0.1:{pair.fra.metrics_port}/metrics", timeout=5) as page:
        text = page.read().decode()
    for line in ('signpost_dbsync_link_up{peer="ams"} 1', 'signpost_dbsync_lag_seconds{peer="ams"}',
                 'signpost_dbsync_commit_to_applied_seconds_bucket{peer="ams",le="+Inf"}'):
        assert line in text
    assert "link" in pair.ams.command("status").stdout


def test_commands_refuse_what_is_wrong_with_a_sentence_and_the_documented_status(pair, tmp_path):
    for arguments, status, word in ((("frobnicate",), 2, "no command"), ((), 2, "Usage"), (("wait", "nobody"), 2, "no peer"),
                                    (("resolve", "x", "keep"), 2, "no id"), (("remove",), 2, "wanted"),
                                    (("add", "missing"), 1, "missing"), (("resync",), 1, "--force")):
        done = pair.ams.command(*arguments, check=False)
        assert done.returncode == status and word in done.stderr, (arguments, done)
    wrong = tmp_path / "wrong.conf"
    wrong.write_text('dbsync = {\n  site = 1;\n  nmae = "x";\n};\n')
    other = type(pair.ams)(str(tmp_path), "x", 9, 1)
    other.config = str(wrong)
    done = other.command("check", check=False)
    assert done.returncode == 2 and f'{wrong}:3: error: dbsync.nmae: unknown key; is "name" meant?' in done.stderr
    pair.fra.command("pause")
    pair.ams.sql("INSERT INTO orders VALUES(1, 'a', 1, NULL)")
    assert pair.ams.command("wait", "--timeout", "300ms", check=False).returncode == 4
    pair.fra.command("resume")
    pair.ams.command("wait", "--timeout", "10s")


def test_hostile_requests_on_the_admin_socket_are_answered_or_closed(pair):
    import json
    import socket
    for request in (b"\n", b"{}\n", b"[" * 5000, b'{"command":"status","x":1}\n', b'{"command":"nope"}\n', b"\xff\xfe\n"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(f"{pair.folder}/ams.sock")
            s.sendall(request)
            try:
                answer = s.recv(65536)
            except ConnectionResetError:
                answer = b""
            assert not answer or json.loads(answer)["ok"] is False
    assert pair.ams.peer()["link"] == "up"


CONTROL = """node = { name = "ns-ams"; site = "ams"; };
control = { socket = "control.sock"; state_dir = "state"; };
dataplane = { socket = "dataplane.sock"; addresses = ( "127.0.0.1" ); };
heartbeat = { key_file = "heartbeat.key"; };
sites = ( { name = "ams"; addresses = ( "192.0.2.80" ); nodes = ( { name = "ns-ams"; address = "127.0.0.1"; } ); },
          { name = "fra"; addresses = ( "198.51.100.80" ); nodes = ( { name = "ns-fra"; address = "127.0.0.2"; } ); } );
"""


def test_the_replication_lag_is_told_to_signpost_control(tmp_path):
    (tmp_path / "heartbeat.key").write_text("ab" * 32)
    (tmp_path / "heartbeat.key").chmod(0o600)
    (tmp_path / "node.conf").write_text(CONTROL)
    control = Process("control", [program("signpost-control"), "--config", str(tmp_path / "node.conf")], tmp_path / "control.log")
    try:
        wait_until((tmp_path / "control.sock").exists, 10, f"signpost-control is there: {control.log()}")
        with Pair(tmp_path, extra=f'control = "{tmp_path}/control.sock";') as pair:
            wait_until(lambda: "is told the replication lag" in pair.ams.log(), 10, f"the lag is told: {pair.ams.log()}")
            ask = [program("signpostctl"), "--socket", str(tmp_path / "control.sock"), "--json", "sites"]
            wait_until(lambda: '"lag": 0.' in subprocess.run(ask, capture_output=True, text=True, check=False).stdout, 10,
                       "our own site's verdict has it")
            control.stop()
            wait_until(lambda: "cannot be told the replication lag" in pair.ams.log(), 10, "and its end is noticed")
    finally:
        control.stop()
