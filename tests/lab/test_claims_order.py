# SPDX-License-Identifier: Apache-2.0
"""Load, response time and locality turn the order: on two whole sites that both serve (docs/examples/active-active.conf).

The client `client` is in the region north, near site ams; `far` in south, near fra.
"""
import dns.edns
import pytest

from lablib.dns import Client
from lablib.process import wait_until
from lablib.site import example
from steps import crowd, slow_down, turned_by

ACTIVE_ACTIVE = example("active-active")


@pytest.fixture
def both(world):
    """The world with that configuration; the clients ask the first site's node."""
    world.configure(ACTIVE_ACTIVE)
    world.settle()
    world.near, world.south = Client(world.client, world.ams.node_address), Client(world.far, world.ams.node_address)
    yield world
    world.near.close()
    world.south.close()


def test_claim_10_11_32_33_47_48_load_turns_the_order_and_turns_it_back(both):
    both.near.wait_addresses(both.service, both.order("ams", "fra"), 20)
    with crowd(both, both.ams):
        for client in (both.near, both.at_fra):
            client.wait_addresses(both.service, both.order("fra", "ams"), 20)
        assert turned_by(both, both.ams, "203.0.113.10") == ["load"]
    both.near.wait_addresses(both.service, both.order("ams", "fra"), 15)


def test_claim_10_11_32_33_47_48_response_time_turns_the_order_and_turns_it_back(both):
    both.near.wait_addresses(both.service, both.order("ams", "fra"), 20)
    slow_down(both.ams, 120)
    for client in (both.near, both.at_fra):
        client.wait_addresses(both.service, both.order("fra", "ams"), 20)
    assert turned_by(both, both.ams, "203.0.113.10") == ["response_time"]
    for web in both.ams.webs:
        web.publish()
    both.near.wait_addresses(both.service, both.order("ams", "fra"), 20)


def test_claim_10_11_32_33_47_48_locality_turns_the_order(both):
    both.near.wait_addresses(both.service, both.order("ams", "fra"), 20)
    both.south.wait_addresses(both.service, both.order("fra", "ams"), 20)
    assert turned_by(both, both.ams, "203.0.113.210") == ["locality"]
    for subnet, names in (("203.0.113.0", ("ams", "fra")), ("203.0.113.128", ("fra", "ams"))):
        response = both.near.query(both.service, options=[dns.edns.ECSOption(subnet, 25)])
        assert tuple(record.to_text() for record in response.answer[0]) == both.order(*names)


def test_claim_10_11_32_33_47_48_all_three_together(both):
    """Load weighs more than response time, and that more than locality."""
    both.south.wait_addresses(both.service, both.order("fra", "ams"), 20)
    slow_down(both.fra, 120)
    both.south.wait_addresses(both.service, both.order("ams", "fra"), 20)
    assert turned_by(both, both.ams, "203.0.113.210") == ["locality", "response_time"]
    with crowd(both, both.ams):
        for client in (both.near, both.south):
            client.wait_addresses(both.service, both.order("fra", "ams"), 20)
        assert turned_by(both, both.ams, "203.0.113.210") == ["locality", "response_time", "load"]
    for web in both.fra.webs:
        web.publish()
    both.near.wait_addresses(both.service, both.order("ams", "fra"), 20)
    both.south.wait_addresses(both.service, both.order("fra", "ams"), 20)


def test_claim_11_33_48_an_unavailable_site_is_not_answered_however_near(both):
    both.south.wait_addresses(both.service, both.order("fra", "ams"), 20)
    both.fra.database.kill()
    both.south.wait_addresses(both.service, both.order("ams"), 15)
    wait_until(lambda: both.near.addresses(both.service) == both.order("ams"), 3, "for all clients")
