# SPDX-License-Identifier: Apache-2.0
"""Every kind of evidence from the real thing: HAProxy, nginx, a DNS server, scripts, files, and servers that behave badly.

One control process, no data plane: each site has one kind of evidence, and `signpostctl sites` is looked at.
"""
import base64
import hashlib
import os
import socket
import subprocess
import threading
import time

import pytest

from lablib.lab import Lab
from lablib.node import Node
from lablib.peers import Nsd, missing
from lablib.process import wait_until
from lablib.servers import Balancer, Web

ZONE = "$ORIGIN example.com.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.1\n"
ENVOY = """{"cluster_statuses":[{"name":"web","host_statuses":[{"health_status":{"eds_health_status":"%s"},
"stats":[{"name":"rq_active","value":"25"}]}],"circuit_breakers":{"thresholds":[{"priority":"DEFAULT","max_requests":100}]}}]}"""

class Tarpit:
    """Accepts and never says a word."""

    def __init__(self, host, port):
        self.listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(200)
        self.held = []
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            try:
                self.held.append(self.listener.accept())
            except OSError:
                return


class Endless:
    """Sends an endless page as fast as it is taken."""

    def __init__(self, host, port):
        self.listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(50)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def serve(connection):
        with connection:
            try:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
                for _ in range(2000):
                    connection.sendall(b"x" * 10000)
            except OSError:
                pass


class World:
    def __init__(self, lab):
        self.lab = lab
        self.host = lab.add_host("node", ["192.0.2.53/24"])
        folder = lab.directory
        self.webs = [Web(self.host, f"w{n}", f"127.0.0.1:{8080 + n}", "state: good db-one") for n in (1, 2)]
        self.balancer = Balancer(self.host, "lb", ["127.0.0.1:8000"], "127.0.0.1:8404", self.webs)
        self.documents = Web(self.host, "docs", "127.0.0.1:8090", "ok")
        self.document("json", '{"pool": {"status": "up", "servers": 2, "load": 0.5}}')
        self.document("envoy", ENVOY % "HEALTHY")
        self.host.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                      "2", "-subj", "/CN=www.example.com", "-addext", "subjectAltName=DNS:www.example.com", "-keyout",
                      f"{folder}/tls.key", "-out", f"{folder}/tls.crt")
        self.tls = Web(self.host, "tls", f"""127.0.0.1:8443 ssl;
    ssl_certificate {folder}/tls.crt;
    ssl_certificate_key {folder}/tls.key""", "secret")
        self.mutual = Web(self.host, "mutual", f"""127.0.0.1:8444 ssl;
    ssl_certificate {folder}/tls.crt;
    ssl_certificate_key {folder}/tls.key;
    ssl_client_certificate {folder}/tls.crt;
    ssl_verify_client on""", "members only")
        public = subprocess.run(["openssl", "x509", "-in", f"{folder}/tls.crt", "-noout", "-pubkey"], check=True,
                                capture_output=True, text=True).stdout
        self.pin = base64.b64encode(hashlib.sha256(base64.b64decode("".join(public.split("\n")[1:-2]))).digest()).decode()
        zone = lab.write("zones/example.com.zone", ZONE)
        self.nsd = Nsd(self.host, "127.0.0.1", {"example.com": zone})
        self.tarpit, self.endless = Tarpit(self.host, 8500), Endless(self.host, 8501)
        self.script_state = lab.write("script.state", "0")
        self.script = lab.write("check.sh", f'#!/bin/sh\necho "checked $1"\nexit "$(cat {self.script_state})"\n', 0o755)
        self.hang = lab.write("hang.sh", "#!/bin/sh\nsleep 3600 &\nsleep 3600\n", 0o755)
        self.feed = lab.write("feed", "192.0.2.80 up\n")
        self.node = Node(self.host, "node", "csv", "af_packet:eth0", ["192.0.2.53"], self.settings())
        self.node.start_control()
        wait_until(lambda: all(site["state"] != "unknown" for site in self.sites().values()), 15, "all sites are judged")

    def settings(self):
        folder = self.lab.directory
        quick = 'interval = "200ms"; timeout = "150ms"; rise = 1; fall = 1;'
        sites = {
            "csv": f'balancer = {{ type = "haproxy-csv"; url = "http://127.0.0.1:8404/haproxy;csv"; backends = "servers"; {quick} }};',
            "both": f'balancer = {{ type = "haproxy-socket"; socket = "{self.balancer.socket}"; backends = "servers"; need = 2; {quick} }};',
            "monitor": f'balancer = {{ type = "http"; url = "http://127.0.0.1:8000/"; {quick} }};',
            "json": f'balancer = {{ type = "json"; url = "http://127.0.0.1:8090/json"; status_path = "pool.status"; load_path = "pool.load"; {quick} }};',
            "envoy": f'balancer = {{ type = "envoy"; url = "http://127.0.0.1:8090/envoy"; backends = "web"; {quick} }};',
            "agent": f'balancer = {{ type = "agent"; address = "127.0.0.1:9100"; {quick} }};',
            "page": f'database = {{ servers = "127.0.0.1:8081"; keyword = "db-one"; {quick} }};',
            "regex": f'web = {{ servers = "127.0.0.1:8081"; keyword = "^state: (good|fine)"; keyword_match = "regex"; {quick} }};',
            "icmp": f'web = {{ probe = "icmp"; servers = "127.0.0.1"; {quick} }};',
            "icmp6": f'web = {{ probe = "icmp"; servers = "::1"; {quick} }};',
            "dns": f'web = {{ probe = "dns"; servers = "127.0.0.1"; dns = {{ name = "ns.example.com"; type = "A"; expect = "192.0.2.1"; }}; {quick} }};',
            "refused": f'web = {{ probe = "dns"; servers = "127.0.0.1"; dns = {{ name = "example.org"; type = "A"; expect = "REFUSED"; }}; {quick} }};',
            "script": f'web = {{ probe = "script"; command = ( "{self.script}" ); {quick} }};',
            "hang": f'web = {{ probe = "script"; command = ( "{self.hang}" ); {quick} }};',
            "file": f'web = {{ probe = "file"; file = "{self.feed}"; {quick} }};',
            "banner": f'web = {{ probe = "tcp"; servers = "127.0.0.1:8081"; send = "GET / HTTP/1.0\\r\\n\\r\\n"; expect = "200 OK"; {quick} }};',
            "tarpit": f'web = {{ servers = "127.0.0.1:8500"; {quick} }};',
            "endless": f'web = {{ servers = "127.0.0.1:8501"; keyword = "never there"; body_max = "1MB"; interval = "500ms"; timeout = "400ms"; }};',
            "badcert": f'web = {{ probe = "https"; servers = "127.0.0.1:8443"; host = "www.example.com"; {quick} }};',
            "goodcert": f'web = {{ probe = "https"; servers = "127.0.0.1:8443"; host = "www.example.com"; tls = {{ ca_file = "{folder}/tls.crt"; }}; keyword = "secret"; {quick} }};',
            "pinned": f'web = {{ probe = "https"; servers = "127.0.0.1:8443"; tls = {{ verify = false; pin_sha256 = "{self.pin}"; }}; {quick} }};',
            "wrongpin": f'web = {{ probe = "https"; servers = "127.0.0.1:8443"; tls = {{ verify = false; pin_sha256 = "{self.pin[::-1][1:]}="; }}; {quick} }};',
            "member": f'web = {{ probe = "https"; servers = "127.0.0.1:8444"; host = "www.example.com"; keyword = "members"; tls = {{ ca_file = "{folder}/tls.crt"; cert_file = "{folder}/tls.crt"; key_file = "{folder}/tls.key"; }}; {quick} }};',
            "stranger": f'web = {{ probe = "https"; servers = "127.0.0.1:8444"; host = "www.example.com"; status = "200"; tls = {{ ca_file = "{folder}/tls.crt"; }}; {quick} }};',
            "wrongname": f'web = {{ probe = "https"; servers = "127.0.0.1:8443"; host = "other.example.com"; tls = {{ ca_file = "{folder}/tls.crt"; }}; {quick} }};',
        }
        text = "".join(f'{{ name = "{name}"; addresses = "192.0.2.80"; {evidence} }},\n' for name, evidence in sites.items())
        names = ", ".join(f'"{name}"' for name in sites)
        return f"""sites = ( {text.rstrip().rstrip(",")} );
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "www.example.com"; sites = ( {names} ); }} );
"""

    def document(self, name, text):
        self.lab.write(f"nginx-docs/root/{name}", text)

    def sites(self):
        try:
            return {site["name"]: site for site in self.node.ask("sites")["sites"]}
        except RuntimeError:
            return {"none": {"state": "unknown"}}

    def wait(self, state, *names, seconds=6):
        wait_until(lambda: all(self.sites()[name]["state"] == state for name in names), seconds,
                   f"{', '.join(names)}: {state}", pause=0.05)

    def trouble(self, name):
        site = self.sites()[name]
        return site["balancers"][0] if site["balancers"] else site["groups"][0]["servers"][0]


@pytest.fixture(scope="module")
def world():
    if missing(Nsd):
        pytest.skip("not installed: nsd")
    with Lab() as lab:
        yield World(lab)


def test_what_is_good_is_up_and_what_is_bad_is_down(world):
    world.wait("up", "csv", "both", "monitor", "json", "envoy", "agent", "page", "regex", "icmp", "icmp6", "dns", "refused",
               "script", "file", "banner", "goodcert", "pinned", "member")
    world.wait("down", "hang", "tarpit", "endless", "badcert", "wrongname", "wrongpin", "stranger")
    sites = world.sites()
    assert sites["json"]["load"] == 0.5 and sites["envoy"]["load"] == 0.25
    for name in ("badcert", "wrongname", "wrongpin"):
        assert "TLS" in sites[name]["why"], name
    assert "status" in sites["stranger"]["why"], "without a certificate of its own the client is turned away"
    assert "no answer in time" in sites["tarpit"]["why"] and "no answer in time" in sites["hang"]["why"]
    assert world.trouble("script")["detail"] == "checked 192.0.2.80"


def test_a_balancer_that_loses_servers(world):
    """One of two: still enough for `csv`, not for `both`; none: down for all who ask the balancer."""
    world.webs[1].stop()
    world.wait("down", "both")
    assert world.sites()["csv"]["state"] == "up"
    assert "1 of 2 servers up" in world.trouble("both")["detail"]
    world.webs[0].stop()
    world.wait("down", "csv", "monitor", "page", "regex", "banner")
    assert "0 of 2 servers up" in world.trouble("csv")["detail"]
    for web in world.webs:
        web.start()
    world.wait("up", "csv", "both", "monitor", "page", "regex", "banner", seconds=10)


def test_an_unreadable_balancer_is_unknown_not_down(world):
    world.balancer.stop()
    time.sleep(1.5)
    sites = world.sites()
    assert sites["csv"]["state"] == "up" and sites["both"]["state"] == "up" and sites["monitor"]["state"] == "up"
    assert world.trouble("csv")["trouble"] is not None
    wait_until(lambda: "too old" in world.sites()["csv"]["why"], 8, "the indication grows old")
    assert world.sites()["csv"]["state"] == "up" and world.sites()["csv"]["in_doubt"]
    world.balancer.start()
    wait_until(lambda: not world.sites()["csv"]["in_doubt"], 8, "it is read again")


def test_documents(world):
    world.document("json", '{"pool": {"status": "maintenance", "servers": 2, "load": 0.5}}')
    world.document("envoy", ENVOY % "UNHEALTHY")
    world.wait("down", "json", "envoy")
    assert "0 of 1 hosts healthy" in world.trouble("envoy")["detail"]
    world.document("json", "{ this is no JSON")
    wait_until(lambda: world.trouble("json")["trouble"] is not None, 3, "the document is said to be unreadable")
    world.document("json", '{"pool": {"status": "up", "servers": 2, "load": 0.5}}')
    world.document("envoy", ENVOY % "HEALTHY")
    world.wait("up", "json", "envoy")


def test_the_page_must_show_the_database(world):
    for web in world.webs:
        web.set_page("state: good, no database")
    world.wait("down", "page")
    assert "does not contain the keyword" in world.sites()["page"]["why"]
    assert world.sites()["regex"]["state"] == "up"
    for web in world.webs:
        web.set_page("state: good db-one")
    world.wait("up", "page")


def test_a_script_says_it_by_its_exit_status(world):
    world.lab.write("script.state", "3")
    world.wait("down", "script")
    assert "exit status 3: checked 192.0.2.80" in world.trouble("script")["detail"]
    world.lab.write("script.state", "0")
    world.wait("up", "script")


def test_hanging_scripts_are_killed_with_all_they_started(world):
    def sleeping():
        return world.host.run("pgrep", "-f", "sleep 3600", check=False).stdout.split()
    assert len(sleeping()) <= 4, "hanging scripts pile up"


def test_a_file_is_followed(world):
    world.lab.write("feed", "192.0.2.80 down works\n")
    world.wait("down", "file")
    os.unlink(world.feed)
    time.sleep(1)
    assert world.sites()["file"]["state"] == "down" and world.trouble("file")["trouble"] is not None
    world.lab.write("feed", "* up 40%\n")
    world.wait("up", "file")


def test_an_operators_drain_reaches_the_balancer_by_the_agent_check(world):
    """The agent tells what an operator says of the own site (csv), and nothing of verdicts from evidence."""
    world.node.ctl("site", "csv", "drain")
    world.wait("down", "agent")
    assert world.trouble("agent")["detail"] == "drain"
    world.node.ctl("site", "csv", "auto")
    world.wait("up", "agent")


def test_nobody_is_delayed_by_those_who_hang(world):
    """Results of good servers are fresh although a tarpit, endless pages and hanging scripts are probed as often."""
    for _ in range(10):
        sites = world.sites()
        for name in ("icmp", "dns", "page", "banner", "goodcert"):
            assert sites[name]["groups"][0]["servers"][0]["age"] < 0.8, name
        time.sleep(0.1)


def test_nothing_is_leaked_by_all_this(world):
    pid = world.node.control.popen.pid
    def descriptors():
        return len(os.listdir(f"/proc/{pid}/fd"))
    before = descriptors()
    time.sleep(3)
    assert descriptors() <= before + 10
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        rss_kb = int(next(line for line in status if line.startswith("VmRSS")).split()[1])
    assert rss_kb < 100 * 1024
