# SPDX-License-Identifier: Apache-2.0
"""All of it together: a day in the life of two sites, with a visitor who never notices (docs/examples/active-active.conf)."""
import json
import signal
import socket

from lablib.dns import Client
from lablib.process import wait_until
from lablib.site import example
from steps import Visitor, becomes, blames, crowd, finds, slow_down, stays, turned_by


class Day:
    """The chapters, in order. Each leaves both sites up and sure."""

    def __init__(self, world):
        self.world, self.ams, self.fra = world, world.ams, world.fra
        self.near, self.south = (Client(host, world.ams.node_address) for host in (world.client, world.far))

    def expect(self, *names, client=None, seconds=8):
        (client or self.near).wait_addresses(self.world.service, self.world.order(*names), seconds)

    def normal_service(self):
        becomes(self.world, "ams", "fra")

    def a_web_server_dies(self):
        self.ams.webs[0].kill()
        stays(self.world, "ams", "fra", seconds=2)

    def the_web_tier_dies(self):
        self.ams.webs[1].kill()
        becomes(self.world, "fra")
        self.mend()

    def the_database_dies_while_pages_come(self):
        self.ams.database.kill()
        becomes(self.world, "fra")
        finds(self.ams.node, "ams", "database")
        self.mend()

    def the_balancer_says_so_alone(self):
        """Its administrator takes the servers out; they answer the nodes' own probes as before."""
        for web in self.ams.webs:
            self.say_to_balancer(f"disable server servers/{web.name}")
        becomes(self.world, "fra")
        blames(self.fra.node, "ams", "balancer")
        for web in self.ams.webs:
            self.say_to_balancer(f"enable server servers/{web.name}")
        self.mend()

    def say_to_balancer(self, command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.connect(self.ams.balancer.socket)
            door.sendall(f"{command}\n".encode())
            door.recv(1000)

    def the_peer_is_killed(self):
        self.fra.node.kill()
        self.expect("ams", seconds=10)
        self.mend()

    def the_peer_stands_still(self):
        for process in (self.fra.node.control, self.fra.node.dataplane):
            process.signal(signal.SIGSTOP)
        self.expect("ams", seconds=10)
        self.mend()

    def the_link_is_cut(self):
        self.world.networks["fra"].set_way("cut")
        self.expect("ams", seconds=10)
        self.mend()

    def locality_turns_the_order(self):
        self.expect("fra", "ams", client=self.south)
        assert turned_by(self.world, self.ams, "203.0.113.210") == ["locality"]

    def load_turns_the_order(self):
        with crowd(self.world, self.ams):
            self.expect("fra", "ams", seconds=20)
        self.mend()

    def response_time_turns_the_order(self):
        slow_down(self.ams, 120)
        self.expect("fra", "ams", seconds=20)
        for web in self.ams.webs:
            web.publish()
        self.mend()

    def writes_on_both_sides_reach_the_other(self):
        """Through the sites' pages, and past them; both at once, and to one and the same row."""
        for site in self.world.sites:
            self.page(site, f"/cart?session=day&add={'lamp' if site is self.ams else 'chair'}")
        self.ams.database.sql("update item set stock = 99 where id = 'lamp'")
        self.fra.database.sql("update item set title = 'A good lamp' where id = 'lamp'")
        for site in self.world.sites:
            site.wait_row("select title || stock from item where id = 'lamp'", "A good lamp99")
            wait_until(lambda at=site: self.page(at, "/cart?session=day")["cart"] == {"lamp": 1, "chair": 1}, 15,
                       f"both sites' items are in the cart at {site.name}", pause=0.1)
        wait_until(lambda: not self.world.databases_differ(), 15, "both databases are equal", pause=0.1)

    def page(self, site, path):
        return json.loads(self.world.client.run("curl", "-sf", f"http://{site.address}{path}").stdout)

    def the_client_goes_on_with_the_second_address(self):
        """Each request puts one lamp into its cart: at the second site it finds what it left at the first."""
        with Visitor(self.world, "/cart?session=berta&add=lamp", seconds=30) as visitor:
            wait_until(lambda: self.lamps(self.fra) > 0, 10, "its cart is known at the second site", pause=0.1)
            assert all(site == "ams" for site, *_ in visitor.answers())
            self.ams.balancer.kill()
            visitor.wait_site("fra")
            assert visitor.queries() == visitor.asked_before, "it asked DNS again"
            visitor.assert_lost_no_more_than_was_under_way()
        lamps, answers = self.lamps(self.fra), visitor.answers()
        by_fra = sum(site == "fra" for site, *_ in answers)
        print(f"    {len(answers)} requests, {by_fra} of them at the second site, {lamps} lamps in the cart", flush=True)
        assert lamps > by_fra, "at the second site it began anew"
        self.mend()

    def lamps(self, site):
        return self.page(site, "/cart?session=berta")["cart"].get("lamp", 0)

    def mend(self):
        self.world.repair()
        self.expect("ams", "fra", seconds=25)
        self.world.settle()

    def close(self):
        self.near.close()
        self.south.close()


HELPERS = ("expect", "mend", "close", "say_to_balancer", "page", "lamps")
CHAPTERS = [name for name in vars(Day) if not name.startswith("_") and name not in HELPERS]


def test_claim_54_55_56_all_of_it_together(world):
    assert len(CHAPTERS) == 13
    world.configure(example("active-active"))
    world.settle()
    day = Day(world)
    try:
        for name in CHAPTERS:
            print(f"  {name.replace('_', ' ')}", flush=True)
            getattr(day, name)()
    finally:
        day.close()
