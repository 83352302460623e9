# SPDX-License-Identifier: Apache-2.0
"""What operators say: of sites, of sites within one service, and of single addresses; on the wire and in every report."""
import time

import pytest

from lablib.dns import Client
from lablib.lab import Lab
from lablib.node import Node, Refused
from lablib.process import wait_until

ZONE = "$ORIGIN example.com.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.53\n"
SETTINGS = """
sites = ( { name = "ams"; addresses = ( "192.0.2.1", "192.0.2.2", "2001:db8::1" ); },
          { name = "fra"; addresses = ( "192.0.2.3", "2001:db8::3" ); } );
zone_dir = "../zones";
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = ( "ams", "fra" ); },
             { name = "api.example.com"; sites = ( "ams", "fra" ); },
             { name = "mail.example.com"; sites = ( { site = "fra"; addresses = "192.0.2.9"; }, { site = "ams"; } ); } );
"""
WWW, API, MAIL = "www.example.com", "api.example.com", "mail.example.com"
BOTH, AMS, FRA = ("192.0.2.1", "192.0.2.2", "192.0.2.3"), ("192.0.2.1", "192.0.2.2"), ("192.0.2.3",)


class World:
    def __init__(self, lab):
        self.host = lab.add_host("node", ["192.0.2.53/24"])
        client = lab.add_host("client", ["192.0.2.100/24"])
        lab.write("zones/example.com.zone", ZONE)
        self.node = Node(self.host, "node", "", "af_packet:eth0", ["192.0.2.53"], SETTINGS)
        self.node.start()
        self.node.wait_ready()
        self.client = Client(client, "192.0.2.53")

    def wait(self, name, addresses, kind="A"):
        wait_until(lambda: self.client.addresses(name, kind) == tuple(addresses), 3, f"{name}: {addresses}")

    def explained(self, name):
        explained = self.node.ask("explain", name)
        assert tuple(explained["a"]) == self.client.addresses(name)
        return explained, {site["name"]: site for site in explained["sites"]}


@pytest.fixture(scope="module")
def only_world():
    with Lab() as lab:
        yield World(lab)


@pytest.fixture
def world(only_world):
    yield only_world
    for kind, name in (("site", "*"), ("service", "*"), ("address", "*")):
        only_world.node.ctl(kind, name, "auto", "--force")
    assert only_world.node.ask("status")["operators"] == []
    for name in (WWW, API):
        only_world.wait(name, BOTH)


def test_a_site_is_drained_within_one_service_only(world):
    world.node.ctl("service", f"{WWW}/ams", "drain", "--reason", "slow there")
    world.wait(WWW, FRA)
    assert world.client.addresses(API) == BOTH
    _, sites = world.explained(WWW)
    assert sites["ams"] == {"name": "ams", "state": "drain", "why": "set by an operator for this service (slow there)"}
    assert world.node.ask("sites")["sites"][0]["state"] == "up", "the site as such is as it was"
    world.node.ctl("service", f"{WWW}/ams", "auto")
    world.wait(WWW, BOTH)


def test_a_word_on_a_service_stands_over_one_on_the_site(world):
    world.node.ctl("site", "ams", "drain")
    world.wait(WWW, FRA)
    world.wait(API, FRA)
    world.node.ctl("service", "API.example.com/ams", "up", "--reason", "only here")
    world.wait(API, BOTH)
    assert world.client.addresses(WWW) == FRA


def test_an_address_is_withdrawn_from_all_services(world):
    world.node.ctl("address", "192.0.2.1", "down", "--reason", "bad card")
    for name in (WWW, API):
        world.wait(name, ("192.0.2.2", "192.0.2.3"))
    world.node.ctl("address", "2001:DB8:0:0::1", "drain")
    world.wait(WWW, ("2001:db8::3",), "AAAA")
    assert world.client.addresses(WWW) == ("192.0.2.2", "192.0.2.3")
    explained, sites = world.explained(WWW)
    assert explained["withdrawn"] == ["192.0.2.1", "2001:db8::1"] and sites["ams"]["state"] == "up"
    assert world.node.ask("sites")["sites"][0]["withdrawn"] == ["192.0.2.1", "2001:db8::1"]
    world.node.ctl("address", "192.0.2.2", "down")
    world.wait(WWW, FRA)
    assert "withdrawn all its addresses" in world.explained(WWW)[1]["ams"]["why"]


def test_globs_speak_of_many(world):
    assert "done, 3 sites of services" in world.node.ctl("service", "*/ams", "down")
    for name, wanted in ((WWW, FRA), (API, FRA), (MAIL, ("192.0.2.9",))):
        world.wait(name, wanted)
    assert "done, 2 sites of services" in world.node.ctl("service", "[wa]*.example.com/a?s", "auto")
    world.wait(API, BOTH)
    assert world.client.addresses(MAIL) == ("192.0.2.9",)
    world.node.ctl("address", "2001:db8::*", "down")
    world.wait(WWW, (), "AAAA")


def test_no_service_loses_its_last_site_unless_forced(world):
    node = world.node
    with pytest.raises(Refused, match=f"service {WWW} would have no site left"):
        node.ctl("service", WWW, "drain")
    with pytest.raises(Refused, match="no site left"):
        node.ctl("address", "*", "down")
    node.ctl("service", f"{WWW}/ams", "drain")
    world.wait(WWW, FRA)
    for refused in (("site", "fra", "down"), ("service", f"{WWW}/fra", "drain"), ("address", "*.3", "down")):
        node.ctl("address", "2001:db8::3", "down")
        with pytest.raises(Refused, match=f"service {WWW} would have no site left"):
            node.ctl(*refused)
    assert world.client.addresses(WWW) == FRA and world.client.addresses(API) == BOTH
    node.ctl("service", f"{WWW}/fra", "drain", "--force")
    wait_until(lambda: any("no site is available" in alarm for alarm in node.ask("status")["alarms"]), 3, "an alarm")
    world.wait(WWW, BOTH)  # fails open
    node.ctl("service", f"{WWW}/fra", "up")
    with pytest.raises(Refused, match="no site left"):
        node.ctl("service", "*/fra", "down")


def test_what_is_not_there_is_said(world):
    rows = [(("service", "none.example.com", "down"), 1, "no service is called"),
            (("service", f"{WWW}/nyc", "down"), 1, "no service is called"),
            (("address", "192.0.2.77", "down"), 1, "no address is called"),
            (("site", "nyc", "down"), 1, "no site is called"),
            (("site", "asm", "down"), 1, 'did you mean "ams"?'),
            (("service", WWW[:-1], "down"), 1, f'did you mean "{WWW}"?'),
            (("address", "192.0.2.1", "up"), 2, "is said of sites"),
            (("service", WWW, "sideways"), 2, "wanted"),
            (("service", f"{WWW}/ams", "down", "--for", "2y"), 2, "duration"),
            (("address", "192.0.2.1"), 2, "wanted")]
    for arguments, status, text in rows:
        with pytest.raises(Refused, match=text) as refused:
            world.node.ctl(*arguments)
        assert refused.value.status == status, arguments


def test_no_order_after_a_restart_has_a_drained_site(world):
    """Not even the first one, which is on the wire within milliseconds."""
    world.node.ctl("site", "ams", "drain", "--for", "1h")
    world.wait(WWW, FRA)
    world.node.control.kill()
    world.node.start_control()
    world.node.wait_ready()
    history = world.node.ask("history")["history"]
    orders = [entry["to"] for entry in history if entry["kind"] == "order" and entry["name"] == WWW]
    assert orders and not any("ams" in order for order in orders)
    assert not any(entry["to"] == "up" for entry in history if entry["kind"] == "verdict" and entry["name"] == "ams")


def test_a_state_lasts_for_a_time_or_until_it_is_taken_back(world):
    with pytest.raises(Refused):
        world.node.ctl("site", "ams", "drain", "--for", "0s")
    assert world.node.ask("status")["operators"] == []


def test_states_survive_a_sudden_end_and_end_when_their_time_is_over(world):
    world.node.ctl("service", f"{WWW}/ams", "drain", "--reason", "new disks", "--for", "1h")
    world.node.ctl("address", "192.0.2.1", "down", "--reason", "bad card", "--for", "4s")
    world.node.ctl("site", "fra", "up")
    world.wait(API, ("192.0.2.2", "192.0.2.3"))
    world.node.control.kill()
    world.node.start_control()
    world.node.wait_ready()
    said = {entry["name"]: entry for entry in world.node.ask("status")["operators"]}
    assert said[f"{WWW}/ams"]["reason"] == "new disks" and said[f"{WWW}/ams"]["kind"] == "service"
    assert 3500 < said[f"{WWW}/ams"]["until"] - time.time() < 3601
    assert said["fra"]["state"] == "up" and said["192.0.2.1"]["reason"] == "bad card"
    assert world.client.addresses(API) == ("192.0.2.2", "192.0.2.3")
    world.wait(WWW, FRA)
    wait_until(lambda: world.client.addresses(API) == BOTH, 8, "the address comes back by itself")
    assert world.client.addresses(WWW) == FRA
    last = [entry for entry in world.node.ask("history")["history"] if entry["kind"] == "operator"][-1]
    assert (last["name"], last["to"], last["why"]) == ("address 192.0.2.1", "auto", "its time is over")


def test_states_survive_a_reload_that_reorders_everything(world):
    world.node.ctl("service", f"{API}/ams", "drain")
    world.wait(API, FRA)
    services = SETTINGS.split("services = ")[0] + f"""services = (
        {{ name = "new.example.com"; sites = ( "fra", "ams" ); }}, {{ name = "{API}"; sites = ( "fra", "ams" ); }},
        {{ name = "{WWW}"; sites = ( "ams", "fra" ); }}, {{ name = "{MAIL}"; sites = ( "fra" ); }} );"""
    world.node.write_config(services)
    world.node.ctl("reload")
    world.wait("new.example.com", ("192.0.2.3", "192.0.2.1", "192.0.2.2"))
    assert world.client.addresses(API) == FRA and world.client.addresses(WWW) == BOTH
    world.node.write_config(SETTINGS)
    world.node.ctl("reload")
    world.wait("new.example.com", ())
    assert world.client.addresses(API) == FRA


def test_a_drained_site_that_leaves_the_configuration_is_drained_when_it_comes_back(world):
    world.node.ctl("site", "ams", "drain")
    world.wait(WWW, FRA)
    without = SETTINGS.replace('{ name = "ams"; addresses = ( "192.0.2.1", "192.0.2.2", "2001:db8::1" ); },', "")
    world.node.write_config(without.replace('"ams", "fra"', '"fra"').replace(', { site = "ams"; }', ""))
    world.node.ctl("reload")
    wait_until(lambda: len(world.node.ask("sites")["sites"]) == 1, 5, "ams is gone")
    world.node.write_config(SETTINGS)
    world.node.ctl("reload")
    wait_until(lambda: len(world.node.ask("sites")["sites"]) == 2, 5, "ams is back")
    world.wait(WWW, FRA)
    history = world.node.ask("history", "--max", "1000")["history"]
    left = max(entry["number"] for entry in history if entry["kind"] == "operator")
    after = [entry for entry in history if entry["number"] > left]
    assert {entry["to"] for entry in after if entry["kind"] == "verdict" and entry["name"] == "ams"} == {"drain"}
    assert not any("ams" in entry["to"] for entry in after if entry["kind"] == "order")


def test_every_report_shows_it(world):
    world.node.ctl("service", f"{WWW}/ams", "drain", "--reason", "slow there", "--for", "1h")
    world.node.ctl("address", "192.0.2.3", "down", "--force")
    status = world.node.ctl("status")
    assert f"operator: service {WWW}/ams is kept drain until " in status and "slow there" in status
    assert "operator: address 192.0.2.3 is kept down: -" in status
    assert "an operator has a say" in world.node.ctl("services")
    assert "withdrawn by an operator: 192.0.2.3" in world.node.ctl("sites")
    explained = world.node.ctl("explain", WWW)
    assert "set by an operator for this service (slow there)" in explained and "withdrawn by an operator: 192.0.2.3" in explained
    services = {service["name"]: service for service in world.node.ask("services")["services"]}
    assert [(entry["kind"], entry["state"]) for entry in services[WWW]["operators"]] == [("service", "drain"), ("address", "down")]
    assert f"service {WWW}/ams: " in world.node.ctl("history") and "slow there" in world.node.ctl("history")
    metrics = world.node.ctl("metrics")
    assert 'signpost_operator_states{kind="service"} 1' in metrics
    assert f'signpost_operator_state{{kind="service",name="{WWW}/ams",state="drain"}} 1' in metrics
    assert f"operator: service {WWW}/ams: drain: slow there" in world.node.control.log()
