# SPDX-License-Identifier: Apache-2.0
"""A site's database: one PostgreSQL cluster, from Debian, whose name (`cluster_name`) is the database server's name."""
import glob
import os
import shutil
import signal
import subprocess

from .lab import OWN_SHM
from .process import wait_until

# PostgreSQL does not run as root: in a user namespace of its own it is another user, and its files stay ours. With a
# System V namespace of its own no shared memory survives it.
# Two servers on one folder would then not see each other: kill() waits until the last process of the old one is gone.
AS_USER = ["unshare", "--user", "--ipc", "--map-user=1000", "--map-group=1000"]
SETTINGS = """
listen_addresses = '{address}'
port = 5432
unix_socket_directories = '{folder}'
cluster_name = '{name}'
dynamic_shared_memory_type = mmap
shared_buffers = 32MB
max_connections = 60
max_wal_size = 256MB
authentication_timeout = 5s
autovacuum_naptime = 60s
log_min_messages = warning
max_prepared_transactions = 10
"""


def server_folder():
    """Where Debian keeps the server's programs; the newest version."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found:
        raise RuntimeError("no PostgreSQL here: scripts/install-deps installs it")
    return os.path.dirname(found[-1])


def begin_template(lab):
    """Starts initdb, of which each server takes a copy, in the background: it takes a second."""
    return lab.start("initdb", [*AS_USER, f"{server_folder()}/initdb", "-D", lab.path("postgres-template", "x")[:-2], "-U",
                                "shop", "-A", "trust", "--no-sync", "--encoding=UTF8", "--no-locale"],
                     prefix=["unshare", "--mount", *OWN_SHM])


class Postgres:
    """`template` is what begin_template returned; `before` starts the server (see clock.py)."""

    def __init__(self, host, name, address, template, is_sync=False, before=()):
        self.host, self.name, self.address, self.before = host, name, address, before
        self.folder = os.path.join(host.lab.directory, name)
        if template.popen.wait() != 0:
            raise RuntimeError("initdb failed; see initdb.log in the laboratory's log folder")
        shutil.copytree(host.lab.path("postgres-template"), f"{self.folder}/data", symlinks=True)
        settings = SETTINGS.format(address=address, folder=self.folder, name=name)
        with open(f"{self.folder}/data/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(settings + ("" if is_sync else "fsync = off\n"))
        with open(f"{self.folder}/data/pg_hba.conf", "a", encoding="utf-8") as file:
            file.write("host all all all trust\n")
        os.chmod(f"{self.folder}/data", 0o700)
        self.process = None
        self.start()

    def start(self):
        pid_file = f"{self.folder}/data/postmaster.pid"
        if os.path.exists(pid_file):  # after kill -9; its number may be another program's by now
            os.unlink(pid_file)
        self.process = self.host.start("postgres", [*AS_USER, *self.before, f"{server_folder()}/postgres", "-D",
                                                    f"{self.folder}/data"], stop_signal=signal.SIGINT)

    def wait_ready(self, seconds=20):
        return wait_until(self.is_ready, seconds, f"PostgreSQL {self.name} answers", pause=0.05)

    def is_ready(self):
        return self._psql("shop", "select 1").returncode == 0 or self._psql("postgres", "select 1").returncode == 0

    def stop(self):
        self.process.stop()

    def pids(self):
        """Of the server's processes, which are no group: all that work in its folder."""
        found = []
        for entry in glob.glob("/proc/[0-9]*/cwd"):
            try:
                if os.readlink(entry) == f"{self.folder}/data":
                    found.append(int(entry.split("/")[2]))
            except OSError:
                pass  # ended meanwhile
        return found

    def signal(self, number):
        """To all of the server's processes."""
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """All of it at once, as a crash of the machine would (but for what the kernel has not written yet)."""
        self.process.kill()
        wait_until(lambda: self.signal(signal.SIGKILL) or not self.pids(), 10, f"PostgreSQL {self.name} is gone", pause=0.01)

    def _psql(self, database, text):
        return subprocess.run(["psql", "-h", self.folder, "-U", "shop", "-d", database, "-qAtX", "-v", "ON_ERROR_STOP=1",
                               "-f", "-"], input=text, capture_output=True, text=True, check=False, timeout=30,
                              env={**os.environ, "PGCONNECT_TIMEOUT": "2"})

    def sql(self, text, database="shop"):
        """Runs statements; rows as lists of texts."""
        done = self._psql(database, text)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()}")
        return [line.split("|") for line in done.stdout.splitlines()]

    def load(self, path):
        """Makes the database `shop` from a file of statements."""
        self.sql("create database shop", "postgres")
        with open(path, encoding="utf-8") as file:
            self.sql(file.read())
