# SPDX-License-Identifier: Apache-2.0
"""Every configuration of the documentation that describes two sites runs as it stands, and does what its first lines say."""
import pytest

from lablib.dns import Client
from lablib.site import example
from lablib.world import World
from steps import becomes


@pytest.fixture(params=["internal", "delegated"], scope="module")
def example_world(request):
    """A world of its own: other addresses, or another zone."""
    with World(request.param) as up:
        up.settle()
        yield up


def resolvers(world):
    return [(kind, Client(world.client, resolver.address, recursion=True))
            for kind, resolver in (("unbound", world.unbound), ("bind", world.bind))]


def reaches(world, name, kind="A"):
    """Both resolvers find the name as the configuration says; caches may turn the order."""
    for kind_of, client in resolvers(world):
        found = client.addresses(name, kind, 5)
        assert found and set(found) == set(world.order("ams", "fra", kind=kind)), f"{kind_of}: {found}"
        client.close()


def fails_over(world):
    world.ams.database.kill()
    becomes(world, "fra")
    world.ams.database.start()
    becomes(world, "ams", "fra", seconds=30)


def test_active_passive_the_second_site_serves_when_the_first_does_not(world):
    for client in (Client(world.client, world.ams.node_address), Client(world.far, world.fra.node_address)):
        assert client.addresses(world.service) == world.order("ams", "fra"), "the same for all clients"
        client.close()
    fails_over(world)
    reaches(world, world.service)


def test_active_active_each_client_gets_the_site_near_it_first(world):
    world.configure(example("active-active"))
    world.settle()
    near, far = (Client(host, world.fra.node_address) for host in (world.client, world.far))
    assert near.addresses(world.service) == world.order("ams", "fra")
    assert far.addresses(world.service) == world.order("fra", "ams")
    world.fra.database.kill()
    far.wait_addresses(world.service, world.order("ams"), 15)
    near.close()
    far.close()


def test_internal_and_delegated_resolve_and_fail_over(example_world):
    world = example_world
    world.settle()
    becomes(world, "ams", "fra")
    reaches(world, world.service)
    reaches(world, world.service, "AAAA")
    page = world.client.run("curl", "-s", f"http://{world.service}/db").stdout
    assert "Database: db-" in page
    fails_over(world)


def test_delegated_the_old_name_leads_to_the_nodes(example_world):
    if example_world.configuration != "delegated":
        return  # only the delegated zone has a zone above it
    reaches(example_world, "www.example.com")
    page = example_world.client.run("curl", "-s", "http://www.example.com/db").stdout
    assert "Database: db-" in page
