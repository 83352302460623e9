# SPDX-License-Identifier: Apache-2.0
"""A reload under load: no answer is lost, what is removed is forgotten, what is unchanged keeps its verdict. And what a late
or suspended control process does, and how many lines it logs about many changes.
"""
import os
import signal
import time

import dns.edns
import pytest

from lablib.dns import Client, Dnsperf
from lablib.lab import Lab
from lablib.node import Node, Refused
from lablib.process import wait_until
from lablib.servers import Web, page_comes

ZONE = "$ORIGIN example.com.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.53\nstatic IN A 192.0.2.9\n"
QUICK = 'interval = "100ms"; timeout = "80ms"; rise = 1; fall = 2;'
WWW, MANY = "www.example.com", 150


def settings(ams, fra, more_services="", regions=""):
    """Two sites judged by one web server each, at a path of its own."""
    many = "".join(f', {{ name = "s{n}.example.com"; sites = ( "ams", "fra" ); }}' for n in range(MANY))
    return f"""
sites = ( {{ name = "ams"; addresses = "192.0.2.1"; {ams} }}, {{ name = "fra"; addresses = "192.0.2.2"; {fra} }} );
{regions}
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "{WWW}"; sites = ( "ams", "fra" ); policy = ( {{ stage = "locality"; }} ); }}{many}{more_services} );
"""


def web(path, more=""):
    return f'web = {{ servers = "127.0.0.1:8080"; path = "/{path}"; {QUICK} {more} }};'


FIRST = settings(web("ams"), web("fra"))


class World:
    def __init__(self, lab):
        self.lab = lab
        self.host = lab.add_host("node", ["192.0.2.53/24"])
        self.client_host = lab.add_host("client", ["192.0.2.100/24"])
        self.web = Web(self.host, "web", "127.0.0.1:8080", "good")
        for name in ("ams", "fra", "fra2"):
            self.page(name, True)
        page_comes(self.host, "http://127.0.0.1:8080/ams")
        lab.write("zones/example.com.zone", ZONE)
        self.node = Node(self.host, "node", "", "af_packet:eth0", ["192.0.2.53"], FIRST)
        self.node.start()
        self.node.wait_ready()
        self.client = Client(self.client_host, "192.0.2.53")

    def page(self, name, is_there):
        path = self.lab.path("nginx-web", "root", name)
        if is_there:
            self.lab.write(f"nginx-web/root/{name}", "good")
        elif os.path.exists(path):
            os.unlink(path)

    def reload(self, text):
        self.node.write_config(text)
        self.node.ctl("reload")

    def site(self, name):
        return next(site for site in self.node.ask("sites")["sites"] if site["name"] == name)

    def wait(self, *addresses):
        self.client.wait_addresses(WWW, addresses, 5)

    def at(self, subnet):
        response = self.client.query(WWW, options=[dns.edns.ECSOption(subnet, 32)])
        return tuple(record.to_text() for record in response.answer[0])


@pytest.fixture(scope="module")
def only_world():
    with Lab() as lab:
        yield World(lab)


@pytest.fixture
def world(only_world):
    for name in ("ams", "fra", "fra2"):
        only_world.page(name, True)
    only_world.reload(FIRST)
    only_world.wait("192.0.2.1", "192.0.2.2")
    time.sleep(1.1)  # a verdict stays for at least a second
    return only_world


def test_a_reload_under_load_loses_no_answer_forgets_what_was_removed_and_keeps_what_was_not(world):
    """Changed probes, regions and services, again and again under 5,000 queries a second."""
    world.page("fra", False)
    world.wait("192.0.2.1")
    before = world.site("ams")
    assert before["since"] > 1
    load = Dnsperf(world.client_host, "192.0.2.53", [(WWW, "A"), ("static.example.com", "A"), ("s7.example.com", "A")], 5000, 8)
    # The probe of fra is another one now, of a page that is there: the bad results of the old one count no more.
    south = 'regions = ( { name = "south"; prefixes = "203.0.113.0/24"; sites = ( "fra", "ams" ); } );'
    world.reload(settings(web("ams"), web("fra2"), ', { name = "new.example.com"; sites = ( "fra", "ams" ); }', south))
    world.wait("192.0.2.1", "192.0.2.2")
    assert world.client.addresses("new.example.com") == ("192.0.2.2", "192.0.2.1")
    assert world.at("203.0.113.0") == ("192.0.2.2", "192.0.2.1") and world.at("198.51.100.0") == ("192.0.2.1", "192.0.2.2")
    now = world.site("ams")
    assert now["since"] > before["since"] + 0.1 and now["state"] == "up", "an unchanged site keeps its verdict and its age"
    names = [server["name"] for server in world.site("fra")["groups"][0]["servers"]]
    probes = world.node.ask("stats")["probes"]["configured"]
    for _ in range(4):
        world.reload(settings(web("ams"), web("fra2", 'host = "other.example.com";')))
        world.reload(settings(web("ams"), web("fra2"), "", south))
    assert world.node.ask("stats")["probes"]["configured"] == probes, "removed probes are gone"
    assert [server["name"] for server in world.site("fra")["groups"][0]["servers"]] == names
    assert world.site("ams")["since"] > now["since"], "through all of that"
    with pytest.raises(Refused):
        world.reload(FIRST.replace("192.0.2.2", "not an address"))
    result = load.result()
    changes = [entry for entry in world.node.ask("history", "--max", "100")["history"]
               if entry["kind"] == "verdict" and entry["name"] == "ams"]
    print(f"{result['sent']} queries through 10 reloads, {result['lost']} lost")
    assert result["lost"] == 0 and result["sent"] > 20000
    assert all(entry["to"] == "up" for entry in changes)


def nearest(database):
    """Sites in Amsterdam and New York, no region; clients' places come from the database."""
    text = settings(web("ams"), web("fra")).replace('addresses = "192.0.2.1";', 'addresses = "192.0.2.1"; coordinates = ( 52.37, 4.89 );')
    text = text.replace('addresses = "192.0.2.2";', 'addresses = "192.0.2.2"; coordinates = ( 40.71, -74.0 );')
    return f'geoip = {{ file = "{database}"; }};\n{text}'


def test_clients_go_to_the_site_nearest_to_where_a_city_database_says_they_are(world):
    folder = os.path.join(os.environ.get("SIGNPOST_TEST_DATA", "../shared/data"), "maxmind")
    city = os.path.abspath(os.path.join(folder, "GeoIP2-City-Test.mmdb"))
    if not os.path.exists(city):
        pytest.skip(f"{city} is not there")
    washington, london = "216.160.83.56", "81.2.69.142"
    assert world.at(washington) == ("192.0.2.1", "192.0.2.2"), "as configured"
    world.reload(nearest(city))
    wait_until(lambda: world.at(washington) == ("192.0.2.2", "192.0.2.1"), 5, "the west goes to New York")
    assert world.at(london) == ("192.0.2.1", "192.0.2.2")
    stage = world.node.ask("explain", WWW, "--client", washington)
    assert "nearest:fra,ams" in str(stage) and "distance" in str(stage)
    damaged = world.lab.path("damaged.mmdb")
    with open(city, "rb") as file, open(damaged, "wb") as out:
        out.write(file.read()[:-200])
    with pytest.raises(Refused):
        world.reload(nearest(damaged))
    assert world.at(washington) == ("192.0.2.2", "192.0.2.1"), "what was good stays"


def test_no_probe_of_a_removed_group_goes_on(world):
    """The server's own log says who still asks."""
    log = world.lab.path("log", "access.log")
    config = open(world.web.config, encoding="utf-8").read()
    world.lab.write("nginx-web.conf", config.replace("access_log off;", f"access_log {log};"))
    world.web.process.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(log) and "GET /fra " in open(log, encoding="utf-8").read(), 5, "probes are logged")
    world.reload(settings(web("ams"), ""))
    time.sleep(0.3)  # what was under way
    open(log, "w", encoding="utf-8").close()
    wait_until(lambda: open(log, encoding="utf-8").read().count("GET /ams ") > 10, 5, "probes of ams go on")
    assert "GET /fra" not in open(log, encoding="utf-8").read()


def test_a_suspended_control_process_fails_nobody_and_says_so(world):
    """Evidence grows old while it stands still; that is nobody's fault but its own."""
    before = {name: world.site(name)["since"] for name in ("ams", "fra")}
    world.node.control.signal(signal.SIGSTOP)
    assert world.client.stays(WWW, ("192.0.2.1", "192.0.2.2"), 6) is None, "longer than the age limit of evidence"
    world.node.control.signal(signal.SIGCONT)
    assert world.client.stays(WWW, ("192.0.2.1", "192.0.2.2"), 2) is None
    for name, since in before.items():
        assert world.site(name)["state"] == "up" and world.site(name)["since"] > since + 6
    assert "this process was late by" in world.node.control.log()
    assert world.node.ask("stats")["control"]["stalls"] >= 1


def test_a_change_of_very_many_services_is_told_in_few_lines(world):
    before = world.node.control.log().count("\n")
    world.page("fra", False)
    world.wait("192.0.2.1")
    wait_until(lambda: world.client.addresses(f"s{MANY - 1}.example.com") == ("192.0.2.1",), 3, "all services follow")
    time.sleep(1.2)
    world.page("fra", True)
    world.wait("192.0.2.1", "192.0.2.2")
    log = world.node.control.log().split("\n", before)[-1]
    assert "more changes were not logged one by one" in log
    assert log.count("service ") <= 2 * 50, "at most 50 lines a second"
    orders = [entry for entry in world.node.ask("history", "--max", "1000")["history"] if entry["kind"] == "order"]
    assert len(orders) > MANY, "the history has them all"
