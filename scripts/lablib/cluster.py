# SPDX-License-Identifier: Apache-2.0
"""Two sites, each with a node and two web servers behind a balancer, and a client; one bridge joins them."""
from .dns import Client
from .lab import Lab
from .node import Node
from .servers import Balancer, Web, page_comes

SERVICE = "www.example.com"
KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

ZONE = """$ORIGIN example.com.
$TTL 300
@       IN SOA ns-ams hostmaster 2026010101 3600 600 86400 60
        IN NS  ns-ams
        IN NS  ns-fra
        IN MX  10 mail
        IN TXT "v=spf1 -all"
        IN CAA 0 issue "ca.example.net"
ns-ams  IN A 10.77.1.53
        IN AAAA fd77:1::53
ns-fra  IN A 10.77.2.53
        IN AAAA fd77:2::53
mail    IN A 10.77.1.25
static  IN A 10.77.1.99
alias   IN CNAME www
_web._tcp IN SRV 10 5 80 static
"""

SETTINGS = """
heartbeat = {{ key_file = "../heartbeat.key"; }};
sites = (
  {{ name = "ams";
     addresses = ( "10.77.1.80", "fd77:1::80" );
     nodes = ( {{ name = "ns-ams"; address = "10.77.1.53"; }} );
     web = {{ probe = "http"; port = 80; servers = "10.77.1.80"; host = "www.example.com"; keyword = "db-ams"; }};
{ams}  }},
  {{ name = "fra";
     addresses = ( "10.77.2.80", "fd77:2::80" );
     nodes = ( {{ name = "ns-fra"; address = "10.77.2.53"; }} );
     web = {{ probe = "http"; port = 80; servers = "10.77.2.80"; host = "www.example.com"; keyword = "db-fra"; }};
{fra}  }}
);
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "www.example.com"; sites = ( "ams", "fra" ); debug_names = true; {service} }} );
{more}
"""


def settings(ams="", fra="", service="", more=""):
    """The configuration of a cluster; the arguments are put into the sites, the service, and the end of the file."""
    return SETTINGS.format(ams=ams, fra=fra, service=service, more=more)


class Site:
    """One site: a host with a node, a balancer and two web servers."""

    def __init__(self, lab, name, number, port):
        self.name = name
        self.node_address, self.node_address6 = f"10.77.{number}.53", f"fd77:{number}::53"
        self.address, self.address6 = f"10.77.{number}.80", f"fd77:{number}::80"
        self.host = lab.add_host(name, [f"{self.node_address}/16", f"{self.address}/16", f"{self.node_address6}/16",
                                        f"{self.address6}/16"])
        self.port = port
        self.webs, self.balancer, self.node = [], None, None

    def page(self):
        return f"<html>The shop, served by {self.name}. Database: db-{self.name}</html>\n"

    def start_web(self):
        self.webs = [Web(self.host, f"{self.name}{i}", f"127.0.0.1:{8080 + i}", self.page()) for i in (1, 2)]
        self.balancer = Balancer(self.host, self.name, [f"{self.address}:80", f"[{self.address6}]:80"],
                                 "127.0.0.1:8404", self.webs)

    def start_node(self, text):
        self.node = Node(self.host, f"ns-{self.name}", self.name, self.port, [self.node_address, self.node_address6],
                         text)
        self.node.start()


class Cluster(Lab):
    """Context manager; after entering it both sites serve and the client can ask."""

    def __init__(self, keep=False, port="af_packet:eth0", text=None, zone=ZONE, web=True):
        super().__init__(keep)
        self.port, self.text, self.zone, self.has_web = port, text or settings(), zone, web

    def come_up(self):
        self.write("zones/example.com.zone", self.zone)
        self.write("heartbeat.key", f"{KEY}\n", mode=0o600)
        self.ams, self.fra = Site(self, "ams", 1, self.port), Site(self, "fra", 2, self.port)
        self.sites = (self.ams, self.fra)
        self.client = self.add_host("client", ["10.77.9.1/16", "fd77:9::1/16"])
        for site in self.sites:
            if self.has_web:
                site.start_web()
        for site in self.sites:
            if self.has_web:
                page_comes(site.host, f"http://{site.address}/")
            site.start_node(self.text)
        for site in self.sites:
            site.node.wait_ready()
        self.at_ams, self.at_fra = Client(self.client, self.ams.node_address), Client(self.client,
                                                                                     self.fra.node_address)

    def order(self, *names, kind="A"):
        """Addresses of the named sites in this order."""
        site = {"ams": self.ams, "fra": self.fra}
        return tuple(site[name].address6 if kind == "AAAA" else site[name].address for name in names)
