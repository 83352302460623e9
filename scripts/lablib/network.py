# SPDX-License-Identifier: Apache-2.0
"""Networks of a world: each has a router with the switch of its hosts, and a line to the core that joins them all.

    hosts -- [ br0  NAME-gw  wan ] -- [ a  NAME-line  b ] -- [ to-NAME  core ]

The line is where things happen to a site: it can be cut, in one direction or in both, and it can be long. This kernel may
have no queue that delays (netem), so a long line is a small program that keeps each frame for a while (line.py).
"""
import os
import sys

from .lab import ip, ip_batch, run_in
from .process import wait_until

LINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "line.py")


class Core:
    """The router in the middle, which no test does anything to."""

    def __init__(self, lab):
        self.lab, self.namespace = lab, f"{lab.prefix}-core"
        ip("netns", "add", self.namespace)
        lab.namespaces.append(self.namespace)
        make_router(self.namespace)
        ip_batch(self.namespace, "link set lo up")


def make_router(namespace):
    """Forwarding, for both families; one-way cuts must not be made two-way by the filter on reverse paths."""
    run_in(namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
           "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.default.accept_dad=0",
           "net.ipv4.icmp_ratelimit=0")


class Network:
    """`net4` is three numbers of a /24, `net6` a /64 up to `::`; the router is .1 and ::1."""

    def __init__(self, lab, core, name, number, net4, net6):
        self.lab, self.core, self.name, self.net4, self.net6 = lab, core, name, net4, net6
        self.gateway, self.line = f"{lab.prefix}-{name}-gw", f"{lab.prefix}-{name}-line"
        self.near4, self.far4 = f"100.64.{number}.2", f"100.64.{number}.1"  # the router's end and the core's
        self.near6, self.far6 = f"fd64:{number}::2", f"fd64:{number}::1"
        self.relay = None
        self.way = "open"  # or "cut", "no-in", "no-out"
        self.delay_ms = 0
        lab.add_switch(self.gateway)
        lab.add_switch(self.line)
        make_router(self.gateway)
        ip("link", "add", "wan", "netns", self.gateway, "type", "veth", "peer", "name", "a", "netns", self.line)
        ip("link", "add", f"to-{name}", "netns", core.namespace, "type", "veth", "peer", "name", "b", "netns", self.line)
        ip_batch(self.line, "link set dev a master br0 up", "link set dev b master br0 up")
        ip_batch(self.gateway, f"addr add {net4}.1/24 dev br0", f"addr add {net6}1/64 dev br0 nodad", "link set wan up",
                 f"addr add {self.near4}/30 dev wan", f"addr add {self.near6}/64 dev wan nodad",
                 f"route add default via {self.far4}", f"route add default via {self.far6}")
        ip_batch(core.namespace, f"link set to-{name} up", f"addr add {self.far4}/30 dev to-{name}",
                 f"addr add {self.far6}/64 dev to-{name} nodad", f"route add {net4}.0/24 via {self.near4}",
                 f"route add {net6}/64 via {self.near6}")

    def add_host(self, name, last):
        """A host whose addresses end in `last`, decimal digits, in both families."""
        host = self.lab.add_host(name, [f"{self.net4}.{last}/24", f"{self.net6}{last}/64"], switch=self.gateway)
        ip_batch(host.namespace, f"route add default via {self.net4}.1", f"route add default via {self.net6}1")
        return host

    def set_way(self, way):
        """"open"; "cut": silence in both directions, no carrier lost; "no-in", "no-out": one direction is lost."""
        assert way in ("open", "cut", "no-in", "no-out")
        self.way = way
        is_in, is_out = way != "no-in", way != "no-out"
        for net, near in ((f"{self.net4}.0/24", self.near4), (f"{self.net6}/64", self.near6)):
            ip_batch(self.core.namespace, f"route replace {net} via {near}" if is_in else f"route replace blackhole {net}")
        for everything, far in (("0.0.0.0/0", self.far4), ("::/0", self.far6)):
            ip_batch(self.gateway, f"route replace {everything} via {far}" if is_out else
                     f"route replace blackhole {everything}")
        self._plug()

    def set_delay(self, milliseconds, loss_percent=0):
        """Each direction takes this long; 0 takes the long line away."""
        self.delay_ms, self.loss_percent = milliseconds, loss_percent
        self._plug()

    def _plug(self):
        """The new line carries before the old one is taken away, so that a change loses nothing (frames may come twice)."""
        old, self.relay = self.relay, None
        if self.delay_ms and self.way != "cut":
            self.relay = self.lab.start(f"{self.name}-line", [sys.executable, LINE, "a", "b", str(self.delay_ms),
                                                              str(self.loss_percent)],
                                        prefix=["ip", "netns", "exec", self.line])
            wait_until(lambda: "ready" in self.relay.log(), 20, f"the long line of {self.name} carries")
        is_straight = self.way != "cut" and not self.relay
        ip_batch(self.line, *(f"link set dev {end} {'master br0' if is_straight else 'nomaster'}" for end in "ab"))
        if old:
            old.kill() if self.way == "cut" else old.stop(2)
            self.lab.processes.remove(old)
