# SPDX-License-Identifier: Apache-2.0
"""Two whole sites and a client network, as Signpost's users have them: routers, lines, and everything from Debian.

    ams: ns .53, lb .80, web1 .81, web2 .82, db .90     192.0.2.0/24     2001:db8:1::/64
    fra: the same                                       198.51.100.0/24  2001:db8:2::/64
    net: client .10, far .210, unbound .20, bind .21, root .30           203.0.113.0/24   2001:db8:4::/64

Addresses are those of the documentation's examples, which are the nodes' configurations here, as they stand. The world
"internal" has private addresses: 10.1.0.0/24, 10.2.0.0/24, 10.4.0.0/24.

The clients' network shares as many first bits with the one site as with the other: clients that sort what they were answered
by RFC 6724 section 6, rule 9 (longest matching prefix; Chromium, and glibc for IPv6) then leave the order as it came.
"""
import re
import time

from .dns import Client
from .lab import Lab
from .network import Core, Network
from .node import Refused
from .postgres import begin_template
from .process import wait_until
from .resolvers import Resolver, start_root
from .servers import page_comes
from .site import Site, example
from .site_sync import issue_certificates, start_both, wait_linked

ADDRESSES = {
    "documentation": {"ams": ("192.0.2", "2001:db8:1::"), "fra": ("198.51.100", "2001:db8:2::"),
                      "net": ("203.0.113", "2001:db8:4::")},
    "internal": {"ams": ("10.1.0", "fd00:1::"), "fra": ("10.2.0", "fd00:2::"), "net": ("10.4.0", "fd00:4::")},
}

# What the servers above say of each configuration's zone.
DELEGATION = """{zone}. IN NS ns-ams.{zone}.
{zone}. IN NS ns-fra.{zone}.
ns-ams.{zone}. IN A {ams}
ns-ams.{zone}. IN AAAA {ams6}
ns-fra.{zone}. IN A {fra}
ns-fra.{zone}. IN AAAA {fra6}
"""
PARENT = """$ORIGIN example.com.
$TTL 1h
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A {root}
www IN CNAME www.gslb
"""
TABLES = ("item", "cart", "guestbook")  # of shop/schema.sql

running = None  # the world of `scripts/lab`, in whose process tests then run


class World(Lab):
    """Context manager; after entering it both sites serve, and their databases are kept in step. `configuration` is the
    name of one of the documentation's."""

    def __init__(self, configuration="active-passive", keep=False, say=lambda text: None, is_rough=False):
        super().__init__(keep)
        self.is_rough = is_rough  # small disks for the nodes' state, and clocks that can be stepped
        self.configuration, self.say = configuration, say
        self.zone = {"internal": "shop.internal", "delegated": "gslb.example.com"}.get(configuration, "example.com")
        self.service = f"www.{self.zone}"
        self.addresses = ADDRESSES["internal" if configuration == "internal" else "documentation"]
        self.text = example(configuration)
        self.shown = 2  # addresses in an answer
        self.started_at = time.monotonic()

    def add_switch(self, namespace):
        if namespace != self.bridge:  # every network brings its own
            super().add_switch(namespace)

    def come_up(self):
        self.say("networks, routers and lines")
        template = begin_template(self)
        core = Core(self)
        self.networks = {name: Network(self, core, name, number, *nets)
                         for number, (name, nets) in enumerate(self.addresses.items(), 1)}
        self.ams, self.fra = (Site(self.networks[name], name, template) for name in ("ams", "fra"))
        self.sites = (self.ams, self.fra)
        self._add_clients()
        self.say("PostgreSQL, nginx, php-fpm, HAProxy, resolvers")
        for site in self.sites:
            site.start_servers()
        self._start_resolvers()
        issue_certificates(self, [site.name for site in self.sites])
        for site in self.sites:
            site.wait_database()
        start_both(self.sites)
        for site in self.sites:
            page_comes(site.balancer_host, f"http://{site.address}/db")
        self.say("Signpost")
        for site in self.sites:
            site.start_node(self.text)
        for site in self.sites:
            site.node.wait_ready()
        self.at_ams, self.at_fra = (Client(self.client, site.node_address) for site in self.sites)
        self.settle()
        wait_linked(self.sites)

    def _add_clients(self):
        net = self.networks["net"]
        self.client, self.far = net.add_host("client", 10), net.add_host("far", 210)
        self.unbound_host, self.bind_host = net.add_host("unbound", 20), net.add_host("bind", 21)
        self.root_host = net.add_host("root", 30)
        for host in (self.client, self.far):
            host.resolv_conf = self.write(f"resolv-{host.name}.conf", f"nameserver {net.net4}.20\noptions timeout:1\n")

    def _start_resolvers(self):
        net4 = self.networks["net"].net4
        nodes = {"ams": self.ams.node_address, "ams6": self.ams.node_address6, "fra": self.fra.node_address,
                 "fra6": self.fra.node_address6}
        text = DELEGATION.format(zone=self.zone, **nodes)
        zones = []
        if self.configuration == "delegated":
            zones = [("example.com", PARENT.format(root=f"{net4}.30") + text)]
            text = f"example.com. IN NS ns.example.com.\nns.example.com. IN A {net4}.30\n"
        self.root = start_root(self.root_host, f"{net4}.30", text, zones)
        self.unbound = Resolver(self.unbound_host, "unbound", f"{net4}.20", f"{net4}.30")
        self.bind = Resolver(self.bind_host, "bind", f"{net4}.21", f"{net4}.30")

    def clients(self):
        return (self.at_ams, self.at_fra)

    def site(self, name):
        return {"ams": self.ams, "fra": self.fra}[name]

    def order(self, *names, kind="A"):
        """Addresses of the named sites in this order."""
        return tuple(self.site(name).address6 if kind == "AAAA" else self.site(name).address for name in names)

    def settle(self, seconds=30):
        """Waits until both nodes answer with both sites, in order (or the first, if the configuration wants one), and are sure of
        it; a verdict stays for a second."""
        def is_calm():
            for client, site in zip(self.clients(), self.sites):
                if client.addresses(self.service, seconds=0.3) != self.order("ams", "fra")[:self.shown]:
                    return False
                if any(known["state"] != "up" or known["in_doubt"] or known["since"] < 1.05
                       for known in site.node.ask("sites")["sites"]):
                    return False
            return True
        return wait_until(is_calm, seconds, "both sites are up, without a doubt, at both nodes", pause=0.05)

    def configure(self, text=None):
        """Gives both nodes another configuration (their own again without `text`) while they run."""
        text = text or self.text
        limit = re.search(r"answer_max = (\d+);", text)
        self.shown = int(limit.group(1)) if limit else 2
        for site in self.sites:
            site.node.write_config(text)
            wait_until(lambda at=site: self._reload(at), 30, f"{site.node.name} reads its configuration", pause=0.2)

    @staticmethod
    def _reload(site):
        """False while an earlier one is still running."""
        try:
            site.node.ctl("reload")
        except Refused as problem:
            if "running already" not in problem.text:
                raise
            return False
        return True

    def repair(self):
        """Everything runs, all lines are open."""
        for network in self.networks.values():
            if network.way != "open" or network.delay_ms:
                network.delay_ms = 0
                network.set_way("open")
        for site in self.sites:
            site.repair()

    def databases_differ(self):
        """Which tables of the shop are not the same at both sites, as texts."""
        found = []
        for table in TABLES:
            here, there = (site.database.sql(f"select t::text from {table} t order by 1") for site in self.sites)
            if here != there:
                found.append(f"table {table}: {len(here)} rows at ams, {len(there)} at fra, not the same")
        return found

    def parts(self):
        found = [(f"{name}", resolver.process) for name, resolver in (("unbound", self.unbound), ("bind", self.bind),
                                                                      ("root nsd", self.root))]
        return [part for site in self.sites for part in site.parts()] + found
