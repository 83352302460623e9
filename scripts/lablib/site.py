# SPDX-License-Identifier: Apache-2.0
"""A whole site with real parts, each on a host of its own: balancer, two web servers, database, and the Signpost node, where
the daemon is as well that keeps its database in step with the other site's."""
import os
import re
import signal

from .clock import with_clock
from .node import Node
from .postgres import Postgres
from .process import wait_until
from .servers import Balancer
from .shop import SCHEMA, ShopServer

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "examples")
SMALL_DISK = "16m"  # for a node's state, so that it can be filled: some images of half a megabyte, and a journal
KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"


def example(name):
    """The text of a configuration of the documentation, without the sections that differ from node to node."""
    with open(os.path.join(EXAMPLES, f"{name}.conf"), encoding="utf-8") as file:
        text = file.read()
    for section in ("node", "dataplane", "control"):
        text = re.sub(rf"^{section} = {{([^\n]*|.*?^)}};$", "", text, flags=re.MULTILINE | re.DOTALL)
    return text


class Site:
    """`network` is where its hosts are; the last numbers of their addresses are the same at all sites."""

    def __init__(self, network, name, template):
        self.name, self.network, self.lab = name, network, network.lab
        net4, net6 = network.net4, network.net6
        self.address, self.address6 = f"{net4}.80", f"{net6}80"
        self.node_address, self.node_address6 = f"{net4}.53", f"{net6}53"
        self.database_address = f"{net4}.90"
        self.template = template
        self.before = with_clock(self.lab, name) if self.lab.is_rough else []  # starts each program of Signpost
        self.node_host = network.add_host(f"{name}-ns", 53)
        self.balancer_host = network.add_host(f"{name}-lb", 80)
        self.web_hosts = [network.add_host(f"{name}-web{n}", 80 + n) for n in (1, 2)]
        self.database_host = network.add_host(f"{name}-db", 90)
        self.webs, self.balancer, self.database, self.node, self.dbsync = [], None, None, None, None

    def start_servers(self):
        self.webs = [ShopServer(host, f"{self.network.net4}.{80 + number}", self.database_address)
                     for number, host in enumerate(self.web_hosts, 1)]
        self.balancer = Balancer(self.balancer_host, self.name, [f"{self.address}:80", f"[{self.address6}]:80"],
                                 f"{self.address}:8404", self.webs, health="/health", keyword=f"db-{self.name}")
        self.database = Postgres(self.database_host, f"db-{self.name}", self.database_address, self.template,
                                 before=with_clock(self.lab, f"db-{self.name}") if self.lab.is_rough else ())

    def wait_database(self):
        """Waits for PostgreSQL and fills it."""
        self.database.wait_ready()
        self.database.load(SCHEMA)

    def start_node(self, text):
        lab, name = self.lab, f"ns-{self.name}"
        lab.write(f"{name}/heartbeat.key", f"{KEY}\n", mode=0o600)
        for zone in os.listdir(os.path.join(EXAMPLES, "zones")):
            with open(os.path.join(EXAMPLES, "zones", zone), encoding="utf-8") as file:
                lab.write(f"{name}/zones/{zone}", file.read())
        self.node = Node(self.node_host, name, self.name, "af_packet:eth0", [self.node_address, self.node_address6], text)
        self.node.before = self.before
        if lab.is_rough:
            for part in ("control", "dataplane"):
                lab.mount_small(f"{name}/{part}", SMALL_DISK)
        self.node.start()

    def wait_row(self, query, wanted, seconds=15):
        """Until the database answers this to a query for one value."""
        return wait_until(lambda: self.database.sql(query) == [[wanted]], seconds, f"{query} at {self.name} gives {wanted}",
                          pause=0.05)

    def repair(self):
        """Starts whatever does not run, and lets go on what was suspended."""
        for web in self.webs:
            web.resume()
            web.start()
        self.database.signal(signal.SIGCONT)
        for part in (self.balancer, self.database, self.dbsync):
            part.process.signal(signal.SIGCONT)
            if not part.process.is_running():
                part.start()
        for process, start in ((self.node.dataplane, self.node.start_dataplane),
                               (self.node.control, self.node.start_control)):
            process.signal(signal.SIGCONT)
            if not process.is_running():
                start()

    def parts(self):
        """Name and process of everything that runs here, for `status`."""
        found = [(f"{web.name} nginx", web.web.process) for web in self.webs]
        found += [(f"{web.name} php-fpm", web.php) for web in self.webs]
        found += [(f"{self.name}-lb haproxy", self.balancer.process), (f"{self.name}-db postgres", self.database.process),
                  (f"{self.name}-ns dataplane", self.node.dataplane), (f"{self.name}-ns control", self.node.control)]
        return found + [(f"{self.name}-ns dbsync", self.dbsync.process)]
