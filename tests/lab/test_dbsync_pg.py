# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL door at length: every cell of the conflict matrix, every type, every order of commits, and crashes of the
database under load."""
import os
import random
import subprocess
import tempfile
import time

import pytest

from lablib.clock import read_from
from lablib.db_load import count, equal, pgbench, wrong_rows
from lablib.dbsync import PostgresPair
from lablib.lab import BUILD
from lablib.pg_pair import Pair, server_folder
from lablib.process import wait_until
from lablib.products import Ours

PROGRAM = os.path.join(BUILD, "release", "tests", "dbsync_pg")
DAYS = os.environ.get("SIGNPOST_PG_DAYS", "3")
KILLS = int(os.environ.get("SIGNPOST_PG_KILLS", "200"))
pytestmark = pytest.mark.skipif(server_folder() is None, reason="no PostgreSQL server is installed")


def test_matrix_types_and_commit_orders():
    with Pair() as pair:
        env = {**os.environ, "SIGNPOST_PG_A": pair.a.conninfo(), "SIGNPOST_PG_B": pair.b.conninfo()}
        done = subprocess.run([PROGRAM], env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.skipif(not read_from(""), reason="libfaketime is not installed")
def test_simulated_days_on_two_clusters_whose_clocks_go_wrong():
    """The scripts of the simulator (tests/sim) with real servers: partitions, skew of an hour either way, ended sessions."""
    with Pair(fsync=False, own_clock=True) as pair:
        env = {**os.environ, "SIGNPOST_PG_A": pair.a.conninfo(), "SIGNPOST_PG_B": pair.b.conninfo(), "SIGNPOST_PG_DAYS": DAYS,
               "SIGNPOST_PG_CLOCK_A": pair.a.clock, "SIGNPOST_PG_CLOCK_B": pair.b.clock}
        done = subprocess.run([PROGRAM, "--gtest_filter=PgWorld.*"], env=env, capture_output=True, text=True, check=False,
                              timeout=600)
    assert done.returncode == 0 and "[  PASSED  ] 1 test." in done.stdout, done.stdout[-4000:]


def test_simulated_days_on_two_sqlite_files():
    done = subprocess.run([os.path.join(os.path.dirname(PROGRAM), "all_sim_dbsync"), "--gtest_filter=*files"],
                          env={**os.environ, "SIGNPOST_SIM_FILES": "20"}, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0 and "[  PASSED  ] 1 test." in done.stdout, done.stdout[-4000:]


def test_a_link_cut_every_few_hundred_kilobytes_of_a_large_catch_up_costs_what_was_on_its_way():
    with tempfile.TemporaryDirectory(prefix="sppg", dir="/tmp") as folder, \
         PostgresPair(folder, schema="CREATE TABLE orders(id integer PRIMARY KEY, customer text, total float8, note text)",
                      proxy=True) as pair:
        pair.cutter.cut()
        for part in range(10):
            pair.ams.fill(1 + 5000 * part, 5000, 320)  # 16 MB in all, in ten transactions
        pair.cutter.cut_every = 300_000
        pair.cutter.heal()
        took = wait_until(lambda: pair.fra.sql("SELECT count(*) FROM orders") == "50000\n", 120, "all is there", pause=0.1)
        assert pair.are_equal()
        print(f"{pair.cutter.cuts} cuts, {pair.cutter.octets / 1e6:.1f} MB on the wire, {took:.1f} s")
        assert pair.cutter.cuts >= 10
        assert pair.cutter.octets < pair.ams.metric("bytes_plain_sent_total") + pair.cutter.cuts * 300_000
        assert pair.ams.metric("bytes_resumed_total") > 0


def test_300_clients_that_insert_and_update_lose_no_row():
    """A report of 2020 has another product lose rows so: transactions that begin in one moment and end in another order."""
    script = ("\\set a random(1, 1000000000)\n\\set b random(1, 1000000000)\ninsert into t values(:a, 0, 'x') on conflict do "
              "nothing;\nbegin;\nupdate t set n = n + 1 where id = :a;\nupdate t set n = n + 1 where id = :b;\nend;\n"
              "update t set n = n + 1 where id = :a;\n")
    with Pair() as pair:
        for cluster in (pair.a, pair.b):
            cluster.sql("create table t(id int primary key, n bigint not null default 0, x text)")
        with Ours(pair, ["public.t"]):
            pgbench(pair.a, script, 300, ["-T", "12", "-M", "prepared"])
            rows = count(pair.a, "t")
            assert rows > 300
            assert equal(pair, "t", 120), f"{wrong_rows(pair, 't')} of {rows} rows are wrong"
            print(f"{rows} rows")


def start_load(cluster, first, folder):
    """Each transaction counts in its own site's rows, so a lost or doubled one shows; and fights over shared rows."""
    path = f"{folder}/load{first}.sql"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"\\set id random(1, 50)\nbegin;\nupdate t set n = n + 1 where id = :id + {first};\n"
                   f"update t set x = md5(random()::text) where id = :id;\ninsert into committed values({first}, :id);\nend;\n")
    return subprocess.Popen(["pgbench", "-n", "-f", path, "-c", "3", "-T", "3600", "-R", "150", "-h", cluster.folder, "-U",
                             "app", "app"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def same_rows(pair):
    text = "select count(*), md5(string_agg(t::text, '|' order by id)), sum(n) from t"
    return pair.a.sql(text) == pair.b.sql(text)


def kill_and_start(victim):
    victim.kill()
    victim.start()


def test_kills_of_either_database_or_daemon_lose_and_double_nothing():
    """kill -9 at random points under pgbench on both sides; then both hold the same rows, and each counter counted every
    transaction that was committed at its site once."""
    seed = int(os.environ.get("SIGNPOST_SEED", random.randrange(1 << 30)))
    print(f"SIGNPOST_SEED={seed}")
    rng = random.Random(seed)
    with Pair() as pair:
        for cluster in (pair.a, pair.b):
            cluster.sql("create table t(id int primary key, n bigint not null default 0, x text);"
                        "create table committed(site int, id int)")  # not synchronised: what was really committed
        with Ours(pair, ["public.t"]) as sync:
            pair.a.sql("insert into t(id) select g from generate_series(1, 50) g")
            for cluster, first in ((pair.a, 1000), (pair.b, 2000)):
                cluster.sql(f"insert into t(id) select g from generate_series({first + 1}, {first + 50}) g")
            victims = [pair.a, pair.b, *sync.sites]
            for kill in range(KILLS):
                loads = [start_load(c, first, pair.folder) for c, first in ((pair.a, 1000), (pair.b, 2000))]
                time.sleep(rng.uniform(0.2, 0.8))
                kill_and_start(victims[kill % 4])
                for load in loads:
                    load.terminate()
                    load.wait()
                for site in sync.sites:
                    assert site.process.is_running(), f"a daemon ended after kill {kill}: {site.log()[-2000:]}"
            wait_until(lambda: same_rows(pair), 60, "both sites hold the same rows", pause=0.2)
            written = sum(int(c.sql("select count(*) from committed")) for c in (pair.a, pair.b))
            assert int(pair.a.sql("select sum(n) from t where id > 1000")) == written > KILLS
            assert pair.a.sql("select count(*) from t") == "150"
            print(f"{KILLS} kills, {written} transactions")
