# SPDX-License-Identifier: Apache-2.0
"""Private PostgreSQL clusters for tests and benchmarks of dbsync: sockets only, in a temporary folder, always stopped
and removed. fsync is on unless told otherwise."""
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

from .clock import read_from
from .process import children_of, cpu_of, stat_of, wait_until

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
port = 5432
shared_buffers = {shared_buffers}
max_connections = 420
max_prepared_transactions = 10
max_wal_size = 2GB
checkpoint_timeout = 15min
log_min_messages = fatal
autovacuum_naptime = 5s
dynamic_shared_memory_type = mmap
"""


def server_folder():
    """Where Debian keeps the server's programs; None where no server is installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


def as_user():
    """PostgreSQL refuses to run as root. With a System V namespace of its own no shared memory survives a killed one."""
    if os.geteuid() == 0:
        return ["unshare", "--ipc", "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    return ["unshare", "--user", "--ipc", "--map-current-user"]


class Cluster:
    """One server with a database `app`."""

    def __init__(self, folder, cores=None, fsync=True, shared_buffers="128MB", own_clock=False):
        """`own_clock`: the server's time is what the file `<folder>.clock` says (clock.py)."""
        self.folder, self.cores = folder, cores
        self.clock = f"{folder}.clock" if own_clock else None
        self.process = None
        self.bin = server_folder()
        os.makedirs(folder)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        subprocess.run([*as_user(), f"{self.bin}/initdb", "-D", f"{folder}/data", "-U", "app", "-A", "trust", "--no-sync",
                        "--encoding=UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/")
        with open(f"{folder}/data/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(SETTINGS.format(folder=folder, shared_buffers=shared_buffers))
            file.write("" if fsync else "fsync = off\n")
        self.start()
        self.sql("create database app", "postgres")

    def conninfo(self, database="app", user="app"):
        return f"host={self.folder} user={user} dbname={database}"

    def start(self):
        pid_file = f"{self.folder}/data/postmaster.pid"
        if os.path.exists(pid_file):  # after kill -9; its number may be another program's by now
            os.unlink(pid_file)
        clock = read_from(self.clock, at_once=True) if self.clock else []
        if clock and not os.path.exists(self.clock):
            with open(self.clock, "w", encoding="ascii") as file:
                file.write("+0\n")
        command = [*as_user(), *clock, f"{self.bin}/postgres", "-D", f"{self.folder}/data"]
        if self.cores:
            command = ["taskset", "-c", self.cores, *command]
        with open(f"{self.folder}.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/",
                                            start_new_session=True)
        deadline = time.monotonic() + 60
        while self._psql("postgres", "select 1").returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start; see {self.folder}.log")
            time.sleep(0.02)

    def kill(self):
        """kill -9 of the postmaster and all its backends, which have sessions of their own, as a crash would."""
        self.process.send_signal(signal.SIGSTOP)  # it starts no more of them
        children = children_of(self.process.pid)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(map(stat_of, children)), 30, "all backends are gone", pause=0.01)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def _psql(self, database, text, timeout=300):
        return subprocess.run(["psql", self.conninfo(database), "-qAtX", "-v", "ON_ERROR_STOP=1", "-f", "-"], input=text,
                              capture_output=True, text=True, check=False, timeout=timeout)

    def sql(self, text, database="app"):
        done = self._psql(database, text)
        if done.returncode:
            raise RuntimeError(f"{text[:200]}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def cpu_s(self):
        """Processor seconds of the server and all its backends, ended ones included."""
        pid = self.process.pid
        for _ in range(100):  # a backend that ends between the two readings would be in neither
            children = children_of(pid)
            seconds = cpu_of([pid], with_ended_children=True) + cpu_of(children)
            if children_of(pid) == children:
                break
        return seconds


class Pair:
    """Two clusters, `a` and `b`; removed at the end, whatever happened."""

    def __init__(self, **settings):
        self.settings = settings
        self.folder = None
        self.a = self.b = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="sppg", dir="/tmp")
        os.chmod(self.folder, 0o755)
        try:
            self.a = Cluster(f"{self.folder}/a", **self.settings)
            self.b = Cluster(f"{self.folder}/b", **self.settings)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for cluster in (self.a, self.b):
            if cluster:
                cluster.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
