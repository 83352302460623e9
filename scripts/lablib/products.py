# SPDX-License-Identifier: Apache-2.0
"""What keeps two clusters in step, for side-by-side runs: Debian's Bucardo with its fair settings, ours, or nothing."""
import os
import subprocess
import time

from .dbsync import Authority, SyncSite, free_port
from .process import cpu_of, wait_until


class Nothing:
    name = "none"

    def __init__(self, pair, tables, through=None):
        """`through` gets what to connect to on b's side, a port or a Unix socket, and returns the port that leads there."""
        self.pair, self.tables, self.through = pair, tables, through

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def stop_daemon(self):
        """The triggers stay."""

    def cpu_s(self):
        return 0.0


class Ours(Nothing):
    """A real daemon beside each database, over TLS on the loopback interface."""
    name = "dbsync"

    def __enter__(self):
        folder = f"{self.pair.folder}/sync"
        os.makedirs(folder)
        authority = Authority(folder)
        a, b = (SyncSite(folder, name, number, free_port(), cluster.conninfo())
                for name, number, cluster in (("a", 1, self.pair.a), ("b", 2, self.pair.b)))
        self.sites = (a, b)
        port = self.through(b.port) if self.through else b.port
        for site, peer, peer_port in ((a, b, port), (b, a, None if self.through else a.port)):
            site.poll, site.prefix = "50ms", ("taskset", "-c", "1")  # the default
            authority.issue(site.name)
            site.write_config(peer, peer_port, self.tables)
            site.command("init")
            site.command("add")
        for site in self.sites:
            site.start()
        wait_until(lambda: all(s.is_linked() for s in self.sites), 30, "both daemons are linked")
        return self

    def stop_daemon(self):
        for site in self.sites:
            if site.process:
                site.stop()

    def __exit__(self, *_):
        self.stop_daemon()

    def cpu_s(self):
        return cpu_of([site.process.pid for site in self.sites])

    def count(self, metric):
        """A counter of both daemons together."""
        return sum(site.metric(metric) for site in self.sites)


class Bucardo(Nothing):
    name = "bucardo"

    def _run(self, *words, check=True):
        folder = self.folder
        done = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={folder}",
                               "perl", "/usr/bin/bucardo", "--no-bucardorc", f"--dbhost={self.pair.a.folder}",
                               "--dbport=5432", "--dbuser=bucardo", "--dbname=bucardo", "--batch", "--quiet", *words],
                              capture_output=True, text=True, check=False, cwd=folder, timeout=120)
        if check and done.returncode:
            raise RuntimeError(f"bucardo {' '.join(words)}: {done.stdout} {done.stderr}")
        return done

    def __enter__(self):
        self.folder = f"{self.pair.a.folder}/bucardo"
        os.makedirs(self.folder, exist_ok=True)
        subprocess.run(["chown", "nobody:nogroup", self.folder], check=True)
        for cluster in (self.pair.a, self.pair.b):
            cluster.sql("create role bucardo superuser login; create database bucardo owner bucardo", "postgres")
            cluster.sql("create extension if not exists plperlu", "bucardo")
        self._run("install", f"--pid-dir={self.folder}", f"--piddir={self.folder}")
        to_b = (f"dbhost={self.pair.b.folder}", "dbport=5432")
        if self.through:
            to_b = ("dbhost=127.0.0.1", f"dbport={self.through(self.pair.b.folder + '/.s.PGSQL.5432')}")
        for name, where in (("a", (f"dbhost={self.pair.a.folder}", "dbport=5432")), ("b", to_b)):
            self._run("add", "db", name, "dbname=app", *where, "dbuser=bucardo")
        self._run("add", "table", *self.tables, "db=a", "relgroup=g")
        self._run("add", "sync", "s", "relgroup=g", "dbs=a:source,b:source", "conflict_strategy=bucardo_latest",
                  "autokick=1")
        for setting in ("log_level=terse", "kid_sleep=0.1", "ctl_sleep=0.1", f"reason_file={self.folder}/reason",
                        f"piddir={self.folder}", f"warning_file={self.folder}/warning",
                        f"log_conflict_file={self.folder}/conflict"):
            self._run("set", setting)
        self.daemon = subprocess.Popen(["taskset", "-c", "1", "setpriv", "--reuid=nobody", "--regid=nogroup",
                                        "--clear-groups", "env", f"HOME={self.folder}", "perl", "/usr/bin/bucardo",
                                        "--no-bucardorc", f"--dbhost={self.pair.a.folder}", "--dbport=5432",
                                        "--dbuser=bucardo", "--dbname=bucardo", f"--log-destination={self.folder}", "--quiet",
                                        "--batch", "start"], cwd=self.folder, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        self.daemon.wait(60)
        deadline = time.monotonic() + 60
        while not any("Kid" in title for title in self._titles()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"bucardo did not start: {self._titles()} {os.listdir(self.folder)}")
            time.sleep(0.2)
        return self

    def _titles(self):
        done = subprocess.run(["pgrep", "-a", "-u", "nobody", "-f", "Bucardo"], capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    def _pids(self):
        done = subprocess.run(["pgrep", "-u", "nobody", "-f", "Bucardo"], capture_output=True, text=True, check=False)
        return [int(p) for p in done.stdout.split()]

    def cpu_s(self):
        return cpu_of(self._pids(), with_ended_children=True)

    def stop_daemon(self):
        self._run("stop", check=False)
        deadline = time.monotonic() + 15
        while self._pids() and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in self._pids():  # its own processes, started as `nobody` by us
            try:
                os.kill(pid, 9)
            except OSError:
                pass

    def __exit__(self, *_):
        self.stop_daemon()
