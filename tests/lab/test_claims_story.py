# SPDX-License-Identifier: Apache-2.0
"""All of it together: a day in the life of two sites, with a visitor who never notices (docs/examples/active-active.conf)."""
import signal
import socket

from lablib.dns import Client
from lablib.site import example
from steps import Visitor, becomes, crowd, slow_down, stays, why


class Day:
    """The chapters, in order. Each leaves both sites up and sure."""

    def __init__(self, world):
        self.world, self.ams, self.fra = world, world.ams, world.fra
        self.near, self.south = (Client(host, world.ams.node_address) for host in (world.client, world.far))

    def expect(self, *names, client=None, seconds=8):
        (client or self.near).wait_addresses(self.world.service, self.world.order(*names), seconds)

    def normal_service(self):
        becomes(self.world, "ams", "fra")
        self.expect("fra", "ams", client=self.south)

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
        assert "database" in why(self.ams.node, "ams")
        self.mend()

    def the_balancer_says_so_alone(self):
        """Its administrator takes the servers out; they answer the nodes' own probes as before."""
        for web in self.ams.webs:
            self.say_to_balancer(f"disable server servers/{web.name}")
        becomes(self.world, "fra")
        assert "balancer" in why(self.fra.node, "ams")
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
        self.expect("ams", seconds=2)
        self.mend()

    def the_peer_stands_still(self):
        for process in (self.fra.node.control, self.fra.node.dataplane):
            process.signal(signal.SIGSTOP)
        self.expect("ams", seconds=2)
        self.mend()

    def the_link_is_cut(self):
        self.world.networks["fra"].set_way("cut")
        self.expect("ams", seconds=2)
        self.mend()

    def load_turns_the_order(self):
        with crowd(self.world, self.ams):
            self.expect("fra", "ams", seconds=10)
        self.mend()

    def response_time_turns_the_order(self):
        slow_down(self.ams, 120)
        self.expect("fra", "ams", seconds=20)
        for web in self.ams.webs:
            web.publish()
        self.mend()

    def writes_on_both_sides_reach_the_other(self):
        if not self.ams.dbsync:
            print("    (shown by test_claims_database.py, whose world has the daemons)")
            return
        self.ams.database.sql("update item set stock = 99 where id = 'lamp'")
        self.fra.database.sql("update item set title = 'A good chair' where id = 'chair'")
        for site in self.world.sites:
            site.wait_row("select stock from item where id = 'lamp'", "99")
            site.wait_row("select title from item where id = 'chair'", "A good chair")

    def the_client_goes_on_with_the_second_address(self):
        with Visitor(self.world, "/cart?session=berta&add=lamp", seconds=30) as visitor:
            self.ams.balancer.kill()
            visitor.wait_site("fra")
            assert visitor.queries() == visitor.asked_before
            assert all(status == 200 for _, status, _ in visitor.answers())
        self.mend()

    def mend(self):
        self.world.repair()
        self.expect("ams", "fra", seconds=25)
        self.world.settle()

    def close(self):
        self.near.close()
        self.south.close()


CHAPTERS = [name for name in vars(Day) if not name.startswith("_") and name not in ("expect", "mend", "close", "say_to_balancer")]


def test_claim_54_55_56_all_of_it_together(world):
    assert len(CHAPTERS) == 12
    world.configure(example("active-active"))
    world.settle()
    day = Day(world)
    try:
        for name in CHAPTERS:
            print(f"  {name.replace('_', ' ')}", flush=True)
            getattr(day, name)()
    finally:
        day.close()
