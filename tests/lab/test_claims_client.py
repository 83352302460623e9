# SPDX-License-Identifier: Apache-2.0
"""The client's side: any server takes its next request, and it goes on with the second address by itself."""
import json

import pytest

from lablib.browser import Browser
from lablib.dns import Client
from lablib.process import wait_until
from steps import Visitor

FAULTS = {
    "balancer_dies": (lambda world: world.ams.balancer.kill(), lambda world: world.ams.balancer.start()),
    "line_is_cut": (lambda world: world.networks["ams"].set_way("cut"), lambda world: world.networks["ams"].set_way("open")),
}


def cart(world, server, session, item=None):
    """A request to one web server, past the balancer."""
    add = f"&add={item}" if item else ""
    page = world.client.run("curl", "-sf", f"http://{server.listen}/cart?session={session}{add}").stdout
    return json.loads(page)


def test_claim_22_37_52_any_web_server_takes_the_next_request(world):
    one, two = world.ams.webs
    session = "anna"
    assert cart(world, one, session, "lamp")["cart"] == {"lamp": 1}
    assert cart(world, two, session, "lamp")["cart"] == {"lamp": 2}
    assert cart(world, two, session, "chair")["web"] == "ams-web2"
    one.kill()
    assert cart(world, two, session)["cart"] == {"chair": 1, "lamp": 2}
    one.start()
    two.kill()
    world.client.run("curl", "-sf", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null",
                     f"http://{one.listen}/db")
    assert cart(world, one, session)["cart"] == {"chair": 1, "lamp": 2}, "a program just started knows it all"


@pytest.mark.parametrize("fault", FAULTS)
def test_claim_23_38_53_the_client_uses_the_second_address_without_asking_again(world, fault):
    break_it, mend_it = FAULTS[fault]
    with Visitor(world, "/") as visitor:
        assert all(answer[:2] == ("ams", 200) for answer in visitor.answers()), "the first address is used first"
        break_it(world)
        between = visitor.wait_site("fra")
        assert visitor.queries() == visitor.asked_before, "it asked DNS again"
        failed = [answer for answer in between if answer[1] != 200]
        print(f"{fault}: {len(failed)} requests failed; the slowest took {max(took for *_, took in between):.2f} s")
        visitor.assert_lost_no_more_than_was_under_way(between)
        mend_it(world)
        visitor.wait_site("ams")
        assert visitor.queries() == visitor.asked_before


@pytest.fixture
def browser(world):
    """Chromium with a page of the first site open; its resolver is gone from then on."""
    world.unbound.restart(keep_order=True)
    client = Client(world.client, world.unbound.address, recursion=True)
    world.unbound.wait_ready(client, world.service)
    client.close()
    page = Browser(world.client, f"http://{world.service}/visit")
    try:
        wait_until(lambda: told(page).count("db-ams") > 3, 30, "the page is answered by the first site", pause=0.1)
        world.unbound.process.stop()
        yield page
    finally:
        page.close()
        world.unbound.restart()


def told(page):
    """Which site's database answered the page, from the first to the last time."""
    text = page.evaluate("document.getElementById('told')?.textContent") or ""  # before it is loaded: nothing
    return [line.split()[1] for line in text.splitlines()]


def test_claim_23_38_53_a_browser_uses_the_second_address_when_nobody_is_there_to_be_asked(world, browser):
    assert "db-fra" not in told(browser)
    world.ams.balancer.kill()
    wait_until(lambda: told(browser)[-3:] == ["db-fra"] * 3, 40, "the page is answered by the second site", pause=0.1)
