# SPDX-License-Identifier: Apache-2.0
"""Two sites' databases kept in step by two real daemons over TLS on the loopback interface.

`Pair` makes an authority, certificates, two SQLite files and two configurations; `proxy=True` puts a cutter between the
daemons, which can cut the link after any number of octets.
"""
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time

from .lab import program
from .process import Process, wait_until

PAIR_SCHEMA = "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL, note);"


def free_port():
    """A port that nobody listens on now. Ports below 30000 are not given to clients by the kernel."""
    for _ in range(200):
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 9000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port on 127.0.0.1")


class Authority:
    """A certificate authority of openssl's command line, in a folder."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = folder, name
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj",
                      f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def issue(self, name, identity=None, dates=None):
        """NAME.pem and NAME.key for the DNS name `identity`. `dates`: (notBefore, notAfter) as YYYYMMDDHHMMSSZ."""
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
                      f"{name}.key", "-out", f"{name}.csr", "-addext", f"subjectAltName=DNS:{identity or name}")
        if not dates:
            self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                          "-CAcreateserial", "-days", "365", "-copy_extensions", "copy", "-out", f"{name}.pem")
            return
        base = f"{self.folder}/{self.name}"
        with open(f"{base}.index", "w", encoding="ascii"), open(f"{base}.serial", "w", encoding="ascii") as serial:
            serial.write("1000\n")
        with open(f"{base}.cnf", "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={base}.index\nserial={base}.serial\nnew_certs_dir={self.folder}\n"
                       "default_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-config", f"{base}.cnf", "-cert", f"{self.name}.pem", "-keyfile", f"{self.name}.key",
                      "-in", f"{name}.csr", "-out", f"{name}.pem", "-startdate", dates[0], "-enddate", dates[1], "-notext")


class Cutter:
    """A TCP proxy on the loopback interface (or at `listener`) to a port or a Unix socket. `cut_every` octets (either way) it
    cuts the connection; `is_open` False refuses."""

    def __init__(self, target, listener=None):
        self.target = target
        self.cut_every, self.is_open, self.cuts, self.octets = 0, True, 0, 0
        self.stopped = False
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _connect(self):
        if isinstance(self.target, int):
            return socket.create_connection(("127.0.0.1", self.target), 5)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        return server

    def _accept(self):
        while not self.stopped:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = self._connect() if self.is_open else None
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            pair = {"sockets": (client, server), "octets": 0, "limit": self.cut_every}
            with self.lock:
                self.pairs.append(pair)
            for one in (client, server):
                one.settimeout(None)
                if one.family == socket.AF_INET:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink, pair), daemon=True).start()

    def _copy(self, source, sink, pair):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                left = pair["limit"] - pair["octets"] if pair["limit"] else len(data)
                sink.sendall(data[:left])
                pair["octets"] += len(data)
                self.octets += len(data)
                if pair["limit"] and pair["octets"] >= pair["limit"]:
                    self.cuts += 1
                    break
        except OSError:
            pass
        self._close(pair)

    def _close(self, pair):
        for one in pair["sockets"]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        with self.lock:
            if pair in self.pairs:
                self.pairs.remove(pair)

    def cut(self):
        """Cuts what is connected and refuses what comes, until `heal`."""
        self.is_open = False
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            self._close(pair)

    def heal(self):
        self.is_open = True

    def stop(self):
        self.stopped = True
        self.cut()
        self.listener.close()


class SyncSite:
    """One site: its database, its configuration, its daemon."""

    def __init__(self, folder, name, number, port, database=None):
        self.folder, self.name, self.number, self.port = folder, name, number, port
        self.file = f"{folder}/{name}.db"
        self.database = database or f"sqlite:{self.file}"
        self.config = f"{folder}/{name}.conf"
        self.metrics_port = free_port()
        self.process = None
        self.extra, self.poll, self.prefix = "", "20ms", ()

    def write_config(self, peer, peer_port, tables, identity=None):
        """`peer_port` None: the peer dials."""
        address = f'address = "127.0.0.1:{peer_port}"; ' if peer_port else ""
        listed = ", ".join('{ name = "%s"; }' % t if isinstance(t, str) else t["text"] for t in tables)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""dbsync = {{
  site = {self.number}; name = "{self.name}"; database = "{self.database}"; listen = "127.0.0.1:{self.port}";
  certificate = "{self.name}.pem"; key = "{self.name}.key"; authority = "ca.pem";
  peers = ( {{ site = {peer.number}; name = "{peer.name}"; {address}identity = "{identity or peer.name}"; }} );
  tables = ( {listed} );
  spool = "{self.name}.spool"; socket = "{self.name}.sock"; metrics = "127.0.0.1:{self.metrics_port}"; poll = "{self.poll}";
  {self.extra}
}};
""")

    def command(self, *arguments, check=True, timeout=60):
        done = subprocess.run([program("signpost-dbsync"), "--config", self.config, *arguments], capture_output=True, text=True,
                              check=False, timeout=timeout)
        assert not check or done.returncode == 0, f"{arguments} at {self.name}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self):
        self.process = Process(f"dbsync-{self.name}", [program("signpost-dbsync"), "--config", self.config, "run"],
                               f"{self.folder}/{self.name}.log", prefix=self.prefix)

    def kill(self):
        self.process.kill()

    def stop(self):
        status = self.process.stop() if self.process else 0
        self.process = None
        return status

    def sql(self, text, values=()):
        """Runs statements as the application would; the rows of the last one."""
        db = sqlite3.connect(self.file, timeout=20, isolation_level=None)
        try:
            if not values and text.rstrip(";").count(";"):
                db.executescript(text)
                return []
            return db.execute(text, values).fetchall()
        finally:
            db.close()

    def rows(self, table="orders"):
        return self.sql(f"SELECT * FROM {table} ORDER BY 1")

    def fill(self, first, count, note_bytes=200):
        """So many rows of `orders` that do not compress, in one transaction."""
        self.sql(f"""WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + count - 1})
                     INSERT INTO orders SELECT i, '{self.name}', i, randomblob({note_bytes}) FROM n""")

    def prepare(self, schema):
        """The application's tables, and ours."""
        if self.database.startswith("sqlite:"):
            self.sql("PRAGMA journal_mode=WAL")
        self.sql(schema)
        self.command("init")
        self.command("add")

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def peer(self):
        return self.status()["peers"][0]

    def is_linked(self):
        done = self.command("status", "--json", check=False)
        return done.returncode == 0 and json.loads(done.stdout)["peers"][0]["link"] == "up"

    def metric(self, name):
        """The sum of a metric over its labels."""
        lines = self.command("metrics").stdout.splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.split(r"[{ ]", line)[0] == f"signpost_dbsync_{name}")

    def log(self):
        with open(f"{self.folder}/{self.name}.log", encoding="utf-8", errors="replace") as file:
            return file.read()


class Pair:
    """Sites `ams` (1) and `fra` (2). A context manager: daemons and proxies end with it."""

    def __init__(self, folder, schema=PAIR_SCHEMA, tables=("orders",), proxy=False, start=True, extra=""):
        self.folder = str(folder)
        self.authority = Authority(self.folder)
        self.ams, self.fra = self.make_site("ams", 1), self.make_site("fra", 2)
        self.tables = tables
        self.cutter = Cutter(self.fra.port) if proxy else None
        for site in self.sites:
            site.extra = extra
            self.authority.issue(site.name)
        # ams, the lower number, dials; fra only listens when there is a proxy, so that every octet passes it.
        self.ams.write_config(self.fra, self.cutter.port if proxy else self.fra.port, tables)
        self.fra.write_config(self.ams, None if proxy else self.ams.port, tables)
        for site in self.sites:
            site.prepare(schema)
        if start:
            self.start()

    def make_site(self, name, number):
        return SyncSite(self.folder, name, number, free_port())

    @property
    def sites(self):
        return (self.ams, self.fra)

    def start(self):
        for site in self.sites:
            site.start()
        self.wait_up()

    def wait_up(self, seconds=20):
        return wait_until(self.is_up, seconds, "both daemons are linked", pause=0.05)

    def is_up(self):
        return all(site.is_linked() for site in self.sites)

    def are_equal(self):
        return all(self.ams.rows(table) == self.fra.rows(table) for table in self.table_names)

    @property
    def table_names(self):
        return [t if isinstance(t, str) else t["name"] for t in self.tables]

    def wait_equal(self, seconds=20):
        """Until both sites hold the same rows; how long that took."""
        try:
            return wait_until(self.are_equal, seconds, "both sites hold the same rows", pause=0.02)
        except AssertionError:
            self.show()
            raise

    def show(self):
        for site in self.sites:
            print(f"--- {site.name}\n{site.log()[-4000:]}\n{site.command('status', check=False).stdout}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for site in self.sites:
            if site.process:
                site.stop()
        if self.cutter:
            self.cutter.stop()


class PostgresSite(SyncSite):
    """A site whose database is a PostgreSQL cluster of its own."""

    def __init__(self, folder, name, number, port):
        from .pg_pair import Cluster
        os.chmod(folder, 0o711)  # the servers run as another user and must reach their own folders
        self.cluster = Cluster(f"{folder}/pg-{name}")
        super().__init__(folder, name, number, port, database=self.cluster.conninfo())

    def sql(self, text, values=()):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.database, "-c", text], capture_output=True,
                              text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{text}: {done.stderr}"
        return done.stdout

    def rows(self, table="orders"):
        text = self.sql(f"SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM {table} ORDER BY 1) t")
        return [tuple(row.values()) for row in json.loads(text)]

    def fill(self, first, count, note_bytes=200):
        self.sql(f"""INSERT INTO orders SELECT i, '{self.name}', i, (SELECT string_agg(md5(i::text || k::text), '') FROM
                     generate_series(1, {max(1, note_bytes // 32)}) k) FROM generate_series({first}, {first + count - 1}) i""")


class PostgresPair(Pair):
    """The same with two PostgreSQL clusters."""

    def make_site(self, name, number):
        return PostgresSite(self.folder, name, number, free_port())

    def __exit__(self, *what):
        super().__exit__(*what)
        for site in self.sites:
            site.cluster.stop()
