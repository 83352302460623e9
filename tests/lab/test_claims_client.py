# SPDX-License-Identifier: Apache-2.0
"""The client's side: any server takes its next request, and it goes on with the second address by itself."""
import json

import pytest

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
        assert len(failed) <= 1, "more than the one request that was under way"
        mend_it(world)
        visitor.wait_site("ams")
        assert visitor.queries() == visitor.asked_before
