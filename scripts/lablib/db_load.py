# SPDX-License-Identifier: Apache-2.0
"""Loads on a pair of clusters and what came of them: for benchmarks of what keeps the two in step."""
import os
import subprocess
import threading
import time


def until(condition, seconds):
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return True
        time.sleep(0.02)
    return False


def pgbench(cluster, script, clients, more, log=None):
    """Its output. `log`: a prefix for files with the latency of every transaction."""
    path = f"{cluster.folder}-{threading.get_ident()}.sql"
    with open(path, "w", encoding="utf-8") as file:
        file.write(script)
    done = subprocess.run(["taskset", "-c", "1", "pgbench", "-n", "-f", path, "-c", str(clients), "-j", "1", *more,
                           *(["--log", f"--log-prefix={log}"] if log else []), "-h", cluster.folder, "-U", "app", "app"],
                          capture_output=True, text=True, check=False)
    os.unlink(path)
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    return done.stdout


class Load(threading.Thread):
    """pgbench beside what else is done."""

    def __init__(self, cluster, script, clients, more):
        super().__init__(target=pgbench, args=(cluster, script, clients, more))
        self.start()


def latencies_ms(prefix):
    """Of the files that pgbench wrote with `log`; they are removed."""
    found = []
    folder, name = os.path.split(prefix)
    for entry in os.listdir(folder):
        if entry.startswith(name + "."):
            with open(os.path.join(folder, entry), encoding="ascii") as file:
                found += [int(line.split()[2]) / 1000 for line in file]
            os.unlink(os.path.join(folder, entry))
    return sorted(found)


def count(cluster, table):
    return int(cluster.sql(f"select count(*) from {table}"))


def digest(cluster, table):
    return cluster.sql(f"select count(*), md5(string_agg(md5(t::text), '' order by id)) from {table} t")


def equal(pair, table, seconds=120):
    """Whether both sides hold the same rows within this time."""
    start = time.monotonic()
    until(lambda: count(pair.a, table) == count(pair.b, table), seconds)
    left = seconds - (time.monotonic() - start)
    return until(lambda: digest(pair.a, table) == digest(pair.b, table), max(left, 1))


def wrong_rows(pair, table):
    """Rows of either side that the other lacks or has otherwise."""
    a, b = (dict(line.split("\t", 1) for line in c.sql(f"copy (select * from {table}) to stdout").splitlines())
            for c in (pair.a, pair.b))
    return sum(a.get(key) != b.get(key) for key in a.keys() | b.keys())
