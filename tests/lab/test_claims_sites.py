# SPDX-License-Identifier: Apache-2.0
"""When the sites are available, and what is answered then: on two whole sites, with the documentation's configurations.

The claims come three times, as a method, as logic on a medium, and as a machine: 1, 24 and 39 are the same, and so on.
"""
import signal
import time

import pytest

from lablib.process import wait_until
from lablib.site import example
from steps import becomes, blames, finds, stays

# The documentation's configuration "internal" with the addresses of this world: the balancer's indication alone.
BALANCER_ALONE = (example("internal").replace("10.1.0.", "192.0.2.").replace("10.2.0.", "198.51.100.")
                  .replace("fd00:1::", "2001:db8:1::").replace("fd00:2::", "2001:db8:2::")
                  .replace("shop.internal", "example.com"))


@pytest.fixture
def balancers_judge(world):
    """Nobody but the sites' balancers says whether their servers and databases are there."""
    assert "web =" not in BALANCER_ALONE and "database =" not in BALANCER_ALONE
    world.configure(BALANCER_ALONE)
    world.settle()


def test_claim_01_24_39_first_then_second_while_both_serve_and_second_without_the_first(world):
    becomes(world, "ams", "fra")
    world.ams.webs[0].kill()
    world.ams.webs[1].kill()
    becomes(world, "fra")
    world.repair()
    becomes(world, "ams", "fra", seconds=20)


def test_claim_09_31_46_first_alone_without_the_second(world):
    world.fra.webs[0].kill()
    world.fra.webs[1].kill()
    becomes(world, "ams")


def test_claim_02_03_a_site_is_available_while_one_web_server_answers_messages(world):
    world.ams.webs[0].kill()
    stays(world, "ams", "fra")
    world.ams.webs[1].kill()
    becomes(world, "fra")
    blames(world.ams.node, "ams", "group web", "group database")
    world.ams.webs[0].start()
    becomes(world, "ams", "fra", seconds=20)


def test_claim_03_a_web_server_that_hangs_does_not_answer(world):
    for web in world.ams.webs:
        web.suspend()
    becomes(world, "fra")
    for web in world.ams.webs:
        web.resume()
    becomes(world, "ams", "fra", seconds=20)


def test_claim_25_26_40_41_the_balancer_says_whether_a_web_server_answers_it(world, balancers_judge):
    world.ams.webs[0].kill()
    stays(world, "ams", "fra")
    world.ams.webs[1].kill()
    becomes(world, "fra")
    blames(world.fra.node, "ams", "balancer")
    world.ams.webs[1].start()
    becomes(world, "ams", "fra", seconds=20)


def test_claim_04_05_06_the_site_goes_with_its_database_while_the_web_servers_stay(world):
    page = world.client.run("curl", "-s", f"http://{world.ams.address}/db").stdout
    assert "Database: db-ams" in page, "the page is executed, and shows the name of the database server"
    world.ams.database.kill()
    becomes(world, "fra")
    health = world.client.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://192.0.2.81:8080/health").stdout
    assert health == "200", "the web servers serve all the while"
    finds(world.ams.node, "ams", "database")
    world.ams.database.start()
    becomes(world, "ams", "fra", seconds=30)


def test_claim_05_a_page_from_another_database_is_not_enough(world):
    """A release that asks the wrong server: status 200, but not the expected keyword."""
    for web in world.ams.webs:
        web.publish(lambda text: text.replace("{$_SERVER['DATABASE']}", world.fra.database_address))
    becomes(world, "fra")
    page = world.client.run("curl", "-s", "http://192.0.2.81:8080/db").stdout
    assert "Database: db-fra" in page
    finds(world.ams.node, "ams", "database", "keyword")
    for web in world.ams.webs:
        web.publish()
    becomes(world, "ams", "fra", seconds=20)


def test_claim_27_28_42_43_the_balancer_executes_the_page_and_says_so(world, balancers_judge):
    world.fra.database.kill()
    becomes(world, "ams")
    blames(world.ams.node, "fra", "balancer")
    status = world.client.run("curl", "-s", "http://198.51.100.80:8404/haproxy;csv").stdout
    backends = {line.split(",")[0]: line.split(",")[17] for line in status.splitlines() if ",BACKEND," in line}
    assert backends == {"servers": "UP", "database": "DOWN"}, "the balancer tells the two apart"
    world.fra.database.start()
    becomes(world, "ams", "fra", seconds=30)


def lost(world, seconds=10):
    start = time.monotonic()
    world.at_ams.wait_addresses(world.service, world.order("ams"), seconds)
    print(f"second site out of the answer after {(time.monotonic() - start) * 1000:.0f} ms")


def test_claim_07_08_29_30_44_45_messages_stop_with_the_node(world):
    """The second site's web servers and database go on: it is the messages alone."""
    world.fra.node.kill()
    lost(world)
    blames(world.ams.node, "fra", "messages")
    world.fra.node.start()
    becomes(world, "ams", "fra", seconds=20)


@pytest.mark.parametrize("part", ["control", "dataplane"])
def test_claim_07_08_messages_stop_when_a_program_stands_still(world, part):
    """Also the data plane: "alive" means "answering"."""
    process = getattr(world.fra.node, part)
    process.signal(signal.SIGSTOP)
    lost(world)
    blames(world.ams.node, "fra", "messages")
    process.signal(signal.SIGCONT)
    becomes(world, "ams", "fra", seconds=20)


@pytest.mark.parametrize("way", ["cut", "no-out"])
def test_claim_07_08_messages_stop_with_the_line(world, way):
    world.networks["fra"].set_way(way)
    lost(world)
    world.networks["fra"].set_way("open")
    becomes(world, "ams", "fra", seconds=30)


def test_claim_08_a_long_line_is_no_failure(world):
    """60 ms each way: messages come later, but one in each period."""
    world.networks["fra"].set_delay(60)
    wait_until(lambda: world.at_ams.stays(world.service, world.order("ams", "fra"), 3) is None, 20,
               "the answer stays for three seconds on the long line")


def test_claim_08_a_lossy_line_is_no_failure_while_a_message_comes_in_each_period(world):
    """One frame in ten is lost: of two messages a period, and three periods looked at, enough come."""
    world.networks["fra"].set_delay(5, loss_percent=10)
    node = world.ams.node
    counted = node.ask("stats")["heartbeats"]["received"]["good"]
    wait_until(lambda: node.ask("stats")["heartbeats"]["received"]["good"] > counted + 60, 10, "messages come", pause=0.1)
    heard = next(known for known in node.ask("sites")["sites"] if known["name"] == "fra")
    assert "messages" not in heard["why"]
