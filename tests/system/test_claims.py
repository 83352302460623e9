# SPDX-License-Identifier: Apache-2.0
"""The method this system is built after, claim by claim, on the wire: real web servers behind a real balancer, real nodes.

docs/claims.md says which other tests belong to each. Site ams is the first site, fra the second; the client asks the
first site's node unless a test says otherwise.
"""
import json
import signal
import socket
import threading
import time

import dns.edns
import pytest

from lablib.cluster import SERVICE, Cluster, settings

QUICK = 'interval = "100ms"; timeout = "80ms";'
# Load from a document that each site's web servers serve; the client's locality; response times of the web servers.
LOAD = 'balancer = {{ type = "json"; role = "load-only"; url = "http://{address}/load.json"; load_path = "load"; {quick} }};'
REGIONS = """regions = ( { name = "south"; prefixes = ( "203.0.113.0/24" ); sites = ( "fra", "ams" ); } );"""


def balancers():
    return {"ams": LOAD.format(address="10.77.1.80", quick=QUICK), "fra": LOAD.format(address="10.77.2.80", quick=QUICK)}


@pytest.fixture(scope="module")
def cluster():
    text = settings(**balancers(), service="""policy = ( { stage = "locality"; },
      { stage = "load"; high = "80%"; low = "60%"; spill = false; } ); """, more=REGIONS)
    with Cluster(text=text) as up:
        for site in up.sites:
            set_load(up, site, 0.2)
        yield up


@pytest.fixture(autouse=True)
def both_serve(cluster):
    for client in (cluster.at_ams, cluster.at_fra):
        client.wait_addresses(SERVICE, cluster.order("ams", "fra"), 20)
    time.sleep(1.1)  # a verdict stays for at least a second
    yield
    for site in cluster.sites:
        set_load(cluster, site, 0.2)
        for web in site.webs:
            web.set_page(site.page())
            if not web.process.is_running():
                web.start()


def set_load(cluster, site, share):
    for web in site.webs:
        cluster.write(f"nginx-{web.name}/root/load.json", json.dumps({"load": share}))


def test_claim_01_first_then_second_while_both_serve_and_second_alone_without_the_first(cluster):
    for kind in ("A", "AAAA"):
        assert cluster.at_ams.addresses(SERVICE, kind) == cluster.order("ams", "fra", kind=kind)
    for web in cluster.ams.webs:
        web.stop()
    for client in (cluster.at_ams, cluster.at_fra):
        client.wait_addresses(SERVICE, cluster.order("fra"), 5)


def test_claim_02_03_a_site_is_available_while_one_web_server_answers_messages(cluster):
    cluster.ams.webs[0].stop()
    assert cluster.at_ams.stays(SERVICE, cluster.order("ams", "fra"), 2.5) is None
    cluster.ams.webs[1].stop()
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("fra"), 5)


def test_claim_04_05_06_the_page_must_show_the_name_of_the_database_server(cluster):
    assert "db-ams" in cluster.ams.page()
    for web in cluster.ams.webs:
        web.set_page("<html>The shop is open, but who knows where its data are</html>")
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("fra"), 5)
    why = next(site for site in cluster.ams.node.ask("sites")["sites"] if site["name"] == "ams")["why"]
    assert "keyword" in why


def test_claim_07_08_a_message_in_each_of_the_periods(cluster):
    """The second site's node stands still; its web servers go on. Without messages in three periods the site is gone."""
    node = cluster.fra.node
    start = time.monotonic()
    node.control.signal(signal.SIGSTOP)
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams"), 3)
    took = time.monotonic() - start
    node.control.signal(signal.SIGCONT)
    assert 0.19 < took < 1, f"{took:.3f} s: three periods of 100 ms are looked at"
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 5)


def test_claim_09_first_alone_without_the_second(cluster):
    for web in cluster.fra.webs:
        web.stop()
    for client in (cluster.at_ams, cluster.at_fra):
        client.wait_addresses(SERVICE, cluster.order("ams"), 5)


def test_claim_10_11_load_turns_the_order(cluster):
    set_load(cluster, cluster.ams, 0.95)
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("fra", "ams"), 5)
    set_load(cluster, cluster.ams, 0.7)  # between the watermarks it stays
    assert cluster.at_ams.stays(SERVICE, cluster.order("fra", "ams"), 1.5) is None
    set_load(cluster, cluster.ams, 0.3)
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 5)


def test_claim_10_11_the_clients_locality_turns_the_order(cluster):
    def ask(subnet):
        response = cluster.at_ams.query(SERVICE, options=[dns.edns.ECSOption(subnet, 24)])
        return tuple(record.to_text() for record in response.answer[0])
    assert ask("203.0.113.0") == cluster.order("fra", "ams")
    assert ask("198.51.100.0") == cluster.order("ams", "fra")


class LongWay:
    """What a long line does to a site: connections to `address` port 80 are taken up, and passed on to port 81, later."""

    def __init__(self, host, address, seconds):
        self.host, self.address, self.seconds = host, address, seconds
        self.listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 80))
        self.listener.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        time.sleep(self.seconds)
        with near, self.host.socket(socket.AF_INET, socket.SOCK_STREAM) as far:
            try:
                far.connect((self.address, 81))
                far.sendall(near.recv(65536))
                while data := far.recv(65536):
                    near.sendall(data)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def move_balancer(balancer, address, port_from, port_to):
    with open(balancer.config, encoding="utf-8") as file:
        text = file.read().replace(f"bind {address}:{port_from}\n", f"bind {address}:{port_to}\n")
    with open(balancer.config, "w", encoding="utf-8") as file:
        file.write(text)
    balancer.kill()
    balancer.start()


def test_claim_10_11_response_times_turn_the_order():
    text = settings(service="""policy = ( { stage = "response_time"; tolerance = "20ms"; half_life = "500ms"; } ); """)
    with Cluster(text=text) as up:
        up.at_fra.wait_addresses(SERVICE, up.order("ams", "fra"), 15)
        move_balancer(up.ams.balancer, up.ams.address, 80, 81)
        way = LongWay(up.ams.host, up.ams.address, 0.06)
        up.at_fra.wait_addresses(SERVICE, up.order("fra", "ams"), 15)
        way.close()
        move_balancer(up.ams.balancer, up.ams.address, 81, 80)
        up.at_fra.wait_addresses(SERVICE, up.order("ams", "fra"), 20)


BALANCERS_ONLY = """
heartbeat = {{ key_file = "../heartbeat.key"; }};
sites = (
  {{ name = "ams"; addresses = ( "10.77.1.80", "fd77:1::80" ); nodes = ( {{ name = "ns-ams"; address = "10.77.1.53"; }} );
     balancer = {{ type = "haproxy-csv"; url = "http://10.77.1.80:8404/haproxy;csv"; backends = "servers"; {quick} }}; }},
  {{ name = "fra"; addresses = ( "10.77.2.80", "fd77:2::80" ); nodes = ( {{ name = "ns-fra"; address = "10.77.2.53"; }} );
     balancer = {{ type = "haproxy-csv"; url = "http://10.77.2.80:8404/haproxy;csv"; backends = "servers"; {quick} }}; }} );
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "www.example.com"; sites = ( "ams", "fra" ); }} );
"""


def test_claim_02_03_04_05_06_the_balancers_word_alone():
    """Nobody but HAProxy probes the web servers and their page; the nodes read its statistics."""
    with Cluster(text=BALANCERS_ONLY.format(quick=QUICK)) as up:
        for site in up.sites:
            with open(site.balancer.config, encoding="utf-8") as file:
                text = file.read().replace("bind 127.0.0.1:8404", f"bind {site.address}:8404")
            with open(site.balancer.config, "w", encoding="utf-8") as file:
                file.write(text.replace("balance roundrobin", "balance roundrobin\n  option httpchk GET /\n"
                                        f"  http-check expect string db-{site.name}"))
            site.balancer.kill()
            site.balancer.start()
        both, other = up.order("ams", "fra"), up.order("fra")
        up.at_fra.wait_addresses(SERVICE, both, 15)
        time.sleep(1.1)
        up.ams.webs[0].stop()
        assert up.at_fra.stays(SERVICE, both, 1.5) is None, "one of two web servers is enough"
        up.ams.webs[1].stop()
        for client in (up.at_ams, up.at_fra):
            client.wait_addresses(SERVICE, other, 5)
        for web in up.ams.webs:
            web.start()
        up.at_fra.wait_addresses(SERVICE, both, 10)
        time.sleep(1.1)
        for web in up.ams.webs:
            web.set_page("<html>The shop is open, but who knows where its data are</html>")
        up.at_fra.wait_addresses(SERVICE, other, 5)
        why = next(site for site in up.fra.node.ask("sites")["sites"] if site["name"] == "ams")["why"]
        assert "balancer" in why


def test_claim_23_the_client_goes_on_with_the_second_address(cluster):
    """A real client holds both addresses and asks no DNS again when the first fails."""
    first, second = cluster.at_ams.addresses(SERVICE)
    fetch = ["curl", "-sf", "-m", "15", "--resolve", f"{SERVICE}:80:{first},{second}",
             f"http://{SERVICE}/"]
    assert "db-ams" in cluster.client.run(*fetch).stdout
    cluster.ams.host.set_link(False)
    try:
        assert "db-fra" in cluster.client.run(*fetch).stdout
    finally:
        cluster.ams.host.set_link(True)
