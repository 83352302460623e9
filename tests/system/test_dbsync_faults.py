# SPDX-License-Identifier: Apache-2.0
"""What the synchronisation survives: cut links, killed daemons, foreign certificates, differing tables, restored files."""
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from lablib.dbsync import PAIR_SCHEMA, Authority, Pair
from lablib.lab import program
from lablib.process import Process, wait_until

KILLS = int(os.environ.get("SIGNPOST_DBSYNC_KILLS", "6"))


def test_a_link_that_is_cut_again_and_again_in_a_large_catch_up_goes_on_where_it_was(tmp_path):
    with Pair(tmp_path, proxy=True) as pair:
        pair.cutter.cut()
        pair.ams.fill(1, 20000)  # 4 MB that do not compress
        size = 20000 * 200
        pair.cutter.cut_every = 400_000
        pair.cutter.heal()
        took = pair.wait_equal(60)
        cuts, octets = pair.cutter.cuts, pair.cutter.octets
        print(f"{cuts} cuts, {octets / 1e6:.1f} MB for {size / 1e6:.1f} MB of values, {took:.1f} s")
        assert cuts >= 8, "the link was cut during the catch-up"
        assert octets < size * 1.35 + cuts * 140_000, "a cut costs what was on its way, not the batch"
        text = pair.ams.command("metrics").stdout
        resumed = [line for line in text.splitlines() if line.startswith("signpost_dbsync_bytes_resumed_total")]
        assert float(resumed[0].split()[-1]) > 0


def test_daemons_killed_at_random_points_lose_and_double_nothing(tmp_path):
    seed = int(os.environ.get("SIGNPOST_SEED", random.randrange(1 << 30)))
    print(f"SIGNPOST_SEED={seed}")
    dice = random.Random(seed)
    with Pair(tmp_path) as pair:
        pair.ams.sql("INSERT INTO orders VALUES(1, 'counter', 0, NULL)")
        pair.wait_equal()
        ids = {"ams": 1000, "fra": 2000}
        written = added = 0
        for _ in range(KILLS):
            for _ in range(dice.randrange(1, 6)):
                site = dice.choice(pair.sites)
                count = dice.randrange(1, 40)
                site.fill(ids[site.name], count)
                ids[site.name] += 2040
                pair.ams.sql("UPDATE orders SET total = total + 1 WHERE id = 1")
                written, added = written + count, added + 1
            time.sleep(dice.random() * 0.15)  # anywhere from its start to the middle of an exchange
            victim = dice.choice(pair.sites)
            victim.kill()
            victim.start()
        for site in pair.sites:
            wait_until(lambda s=site: s.command("status", check=False).returncode == 0, 10, f"{site.name} is back")
        pair.wait_equal(30)
        assert dict((row[0], row) for row in pair.fra.rows())[1][2] == added, "the counter counts each change once"
        assert len(pair.fra.rows()) == written + 1
        print(f"{KILLS} kills, {written} rows")
        for site in pair.sites:
            assert site.sql("PRAGMA integrity_check") == [("ok",)]


def test_a_daemon_ends_at_once_when_it_is_asked_to_and_goes_on_later(tmp_path):
    with Pair(tmp_path) as pair:
        pair.ams.fill(1, 500)
        assert pair.fra.stop() == 0
        pair.ams.fill(1000, 10)
        wait_until(lambda: pair.ams.peer()["link"] == "down", 10, "ams notices")
        pair.fra.start()
        pair.wait_equal()


def test_wrong_expired_and_foreign_certificates_are_refused_by_running_daemons(tmp_path):
    with Pair(tmp_path, proxy=True) as pair:
        good = {kind: (tmp_path / f"ams.{kind}").read_bytes() for kind in ("pem", "key")}
        other = tmp_path / "other"
        other.mkdir()
        Authority(str(other)).issue("ams")
        for name, issue in (("expired", lambda: pair.authority.issue("ams", dates=("20200101000000Z", "20210101000000Z"))),
                            ("of another site", lambda: pair.authority.issue("ams", identity="lon")),
                            ("foreign", None)):
            before = pair.fra.status()["refused_certificates"]
            if issue:
                issue()
                certificate, key = tmp_path / "ams.pem", tmp_path / "ams.key"
            else:
                certificate, key = other / "ams.pem", other / "ams.key"
            done = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{pair.fra.port}", "-tls1_3", "-cert", str(certificate), "-key",
                 str(key), "-CAfile", str(tmp_path / "ca.pem"), "-verify_quiet"], input=b"", capture_output=True, timeout=20,
                check=False)
            wait_until(lambda b=before: pair.fra.status()["refused_certificates"] > b, 5, f"a certificate {name} is refused")
            assert b"HELLO" not in done.stdout
            for kind, content in good.items():
                (tmp_path / f"ams.{kind}").write_bytes(content)
        with socket.create_connection(("127.0.0.1", pair.fra.port)) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert pair.fra.peer()["link"] == "up", "none of this touched the peer's own link"
        pair.ams.fill(1, 10)
        pair.wait_equal()


def test_tables_that_differ_stop_the_stream_with_both_definitions_and_go_on_when_they_are_alike(tmp_path):
    with Pair(tmp_path) as pair:
        pair.ams.fill(1, 10)
        pair.wait_equal()
        pair.ams.sql("ALTER TABLE orders ADD COLUMN extra TEXT NOT NULL DEFAULT 'x'")
        pair.ams.command("add")
        pair.ams.sql("INSERT INTO orders VALUES(100, 'a', 1, NULL, 'y')")
        wait_until(lambda: any(s.peer()["state"] == "drift" for s in pair.sites), 15, "the drift is found")
        wait_until(lambda: any("extra" in str(s.peer().get("drift", "")) for s in pair.sites), 10, "and shown")
        pair.fra.sql("ALTER TABLE orders ADD COLUMN extra TEXT NOT NULL DEFAULT 'x'")
        pair.fra.command("add")
        pair.wait_equal(30)


def test_a_copied_database_is_not_taken_for_another_site(tmp_path):
    with Pair(tmp_path) as pair:
        pair.ams.fill(1, 10)
        pair.wait_equal()
        backup = str(tmp_path / "backup.db")
        pair.ams.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        pair.ams.sql(f"VACUUM INTO '{backup}'")
        pair.ams.fill(1000, 10)
        pair.wait_equal()
        pair.ams.stop()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(pair.ams.file + suffix):
                os.unlink(pair.ams.file + suffix)
        shutil.copy(backup, pair.ams.file)  # ams goes back in time
        pair.ams.start()
        wait_until(lambda: any(s.command("status", "--json", check=False).returncode == 0 and s.peer()["state"] == "foreign"
                               for s in pair.sites), 15, "the restored database is found out")
        assert len(pair.fra.rows()) == 20, "nothing was taken from it"


def uncaptured(site, text):
    """A change that the triggers do not see: as made before `add`, or by somebody who switched them off."""
    site.command("remove", "orders", "--force")
    site.sql(text)
    site.command("add")


def test_existing_rows_are_bootstrapped_while_both_sites_write(tmp_path):
    with Pair(tmp_path) as pair:
        uncaptured(pair.ams, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) "
                             "INSERT INTO orders SELECT i, 'old', i, randomblob(50) FROM n")
        pair.wait_up()
        pair.fra.sql("INSERT INTO orders VALUES(50000, 'new at fra', 1, NULL)")
        pair.ams.sql("UPDATE orders SET total = -1 WHERE id = 77")
        pair.ams.command("bootstrap", "fra")
        for i in range(20):
            pair.ams.sql(f"UPDATE orders SET note = 'changed meanwhile' WHERE id = {1 + 600 * i}")
            pair.fra.sql(f"INSERT INTO orders VALUES({60000 + i}, 'meanwhile', {i}, NULL)")
        took = pair.wait_equal(40)
        print(f"12,000 rows bootstrapped in {took:.1f} s")
        assert len(pair.fra.rows()) == 12021
        wait_until(lambda: pair.ams.peer()["bootstrap"] is None, 10, "the bootstrap is over")


def test_verify_finds_a_row_that_differs(tmp_path):
    with Pair(tmp_path) as pair:
        pair.ams.fill(1, 3000, 40)
        pair.wait_equal()
        pair.wait_up()
        pair.ams.command("verify", "fra")
        wait_until(lambda: pair.fra.peer()["verified"]["ranges"] >= 3, 15, "all ranges are compared")
        assert pair.fra.peer()["verified"]["differ"] == 0
        wait_until(lambda: pair.ams.peer()["verified_there"]["ranges"] >= 3, 10, "the site that asked is told")
        uncaptured(pair.fra, "UPDATE orders SET total = 0 WHERE id = 1500")
        pair.wait_up()
        pair.ams.command("verify", "fra")
        wait_until(lambda: pair.fra.peer()["verified"]["differ"] > 0, 15, "the difference is found")
        wait_until(lambda: pair.ams.peer()["verified_there"]["differ"] > 0, 10, "and told")


def test_the_daemon_says_when_it_is_ready_and_why_it_does_not_start(tmp_path):
    with Pair(tmp_path, start=False) as pair:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(tmp_path / "notify"))
            notify.settimeout(10)
            env = dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "notify"))
            first = Process("first", [program("signpost-dbsync"), "--config", pair.ams.config, "run"], tmp_path / "first.log",
                            env=env)
            try:
                assert notify.recv(100) == b"READY=1"
                done = pair.ams.command("run", check=False)
                assert done.returncode == 1 and "another daemon" in done.stderr
            finally:
                assert first.stop() == 0
            assert notify.recv(100) == b"STOPPING=1"
        config = (tmp_path / "ams.conf").read_text(encoding="utf-8")
        for what, instead, word in (("ams.db", "empty.db", "init"), ("site = 1;", "site = 7;", "site 1"),
                                    ("ams.pem", "fra.pem", "ams.key: no usable"), ("ams.spool", "no/where", "no/where"),
                                    (f'listen = "127.0.0.1:{pair.ams.port}"', 'listen = "192.0.2.1:7054"', "192.0.2.1")):
            (tmp_path / "empty.db").touch()
            (tmp_path / "ams.conf").write_text(config.replace(what, instead), encoding="utf-8")
            done = pair.ams.command("run", check=False)
            assert done.returncode == 1 and word in done.stderr, (what, done)


def test_a_new_certificate_is_used_from_the_next_connection_on(tmp_path):
    with Pair(tmp_path) as pair:
        pair.authority.issue("ams")
        before = pair.fra.peer()["connects"]
        pair.ams.process.signal(signal.SIGHUP)
        wait_until(lambda: pair.fra.peer()["connects"] > before and pair.is_up(), 15, "the link is made anew")
        assert "certificates were read again" in pair.ams.log()
        pair.ams.fill(1, 10)
        pair.wait_equal()


def test_a_backlog_larger_than_the_spool_is_sent_in_batches_that_fit(tmp_path):
    with Pair(tmp_path, extra='spool_quota = "16M";', proxy=True) as pair:
        pair.cutter.cut()
        wait_until(lambda: pair.ams.peer()["link"] == "down", 10, "the link is cut")
        for part in range(12):  # 15 MB in all; each direction may hold 8
            pair.ams.fill(1 + 2000 * part, 1500, 850)
            wait_until(lambda n=1500 * (part + 1): pair.ams.peer()["backlog_rows"] >= n, 10, "the daemon has seen it")
        assert pair.ams.peer()["backlog_bytes"] > 10_000_000
        pair.cutter.heal()
        pair.wait_equal(60)
        assert pair.ams.metric("batches_sent_total") >= 4


def test_a_row_that_cannot_be_written_stops_the_stream_if_it_shall_and_goes_on_when_it_can(tmp_path):
    with Pair(tmp_path, extra='on_error = "stop";') as pair:
        pair.fra.sql("DROP TABLE orders")
        pair.fra.sql(PAIR_SCHEMA.replace("note)", "note CHECK (note <> 'bad'))"))
        pair.fra.command("add")
        wait_until(lambda: all(s.peer()["state"] == "running" for s in pair.sites), 15, "the tables are alike for us")
        pair.ams.sql("INSERT INTO orders VALUES(1, 'a', 1, 'good')")
        pair.wait_equal()
        pair.ams.sql("INSERT INTO orders VALUES(7, 'a', 1, 'bad')")
        wait_until(lambda: pair.fra.peer()["state"] == "held" and 'row {"id": 7}' in pair.fra.peer()["reason"], 15, "it stops")
        wait_until(lambda: "on_error" in pair.ams.peer()["peer_says"], 10, "and says so at the other site")
        pair.ams.sql("INSERT INTO orders VALUES(8, 'a', 1, 'good')")
        assert pair.fra.command("parked").stdout == ""
        pair.fra.sql("DROP TABLE orders")
        pair.fra.sql(PAIR_SCHEMA + "INSERT INTO orders VALUES(1, 'a', 1, 'good');")
        pair.fra.command("add")
        pair.wait_equal(30)


def test_a_batch_that_the_spool_has_no_room_for_is_told_and_costs_nothing(tmp_path):
    with Pair(tmp_path, extra='spool_quota = "16M";') as pair:
        pair.ams.fill(1, 100)
        pair.wait_equal()
        pair.ams.fill(1000, 15000, 700)  # 10 MB in one transaction; each direction may hold 8
        wait_until(lambda: "spool_quota" in pair.ams.peer()["problem"] + pair.fra.peer()["problem"], 15, "it is told")
        assert pair.is_up()
        pair.ams.sql("INSERT INTO orders VALUES(900, 'x', 1, NULL)")  # the application does not wait
        for site in pair.sites:
            with open(site.config, encoding="utf-8") as file:
                text = file.read().replace("16M", "64M")
            with open(site.config, "w", encoding="utf-8") as file:
                file.write(text)
            site.stop()
            site.start()
        pair.wait_equal(40)
