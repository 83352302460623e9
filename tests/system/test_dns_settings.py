# SPDX-License-Identifier: Apache-2.0
"""What `dns` in the configuration switches, over the wire: cookie secrets that are rolled over, the rate limit."""
import os
import socket

import dns.edns
import dns.flags
import dns.message
import pytest

from lablib.dns import Client
from lablib.lab import Lab
from lablib.node import Node
from lablib.process import wait_until

NODE, CLIENT = "10.78.4.53", "10.78.4.1"
FIRST, SECOND, THIRD = ("0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899aabbccddeeff")
BURST = 50
SETTINGS = f"""
dns = {{ cookies = {{ secret_file = "../cookie.secret"; }};
        rate_limit = {{ enable = true; per_second = 10; burst = {BURST}; slip = 2; }}; }};
sites = ( {{ name = "a"; addresses = "192.0.2.10"; }} );
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "www.example.com"; sites = ( "a" ); }} );
"""


class Setting:
    def __init__(self, lab):
        self.lab = lab
        lab.write("zones/example.com.zone", "@ 300 SOA ns1 h 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n")
        self.roll(FIRST)
        self.host, self.client = lab.add_host("node", [f"{NODE}/24"]), lab.add_host("client", [f"{CLIENT}/24"])
        self.node = Node(self.host, "node", None, "af_packet:eth0", [NODE], SETTINGS)
        self.node.start()
        self.node.wait_ready()
        self.asked = Client(self.client, NODE)
        wait_until(lambda: self.asked.query_tcp("www.example.com").answer, 10, "the node answers")

    def roll(self, *secrets):
        os.chmod(self.lab.write("cookie.secret", "\n".join(secrets) + "\n"), 0o600)

    def count(self, name):
        return self.node.counters()[name]

    def ask(self, cookie):
        """Asks over TCP with this cookie: the one that comes back, and which counter it went to."""
        names = ("cookie_good", "cookie_bad", "cookie_none")
        before = {name: self.count(name) for name in names}
        reply = self.asked.query_tcp("www.example.com", use_edns=0, options=[dns.edns.GenericOption(10, cookie)])
        given = next(option.to_wire() for option in reply.options if int(option.otype) == 10)
        wait_until(lambda: any(self.count(name) > before[name] for name in names), 3, "it is counted")
        return given, next(name for name in names if self.count(name) > before[name])


@pytest.fixture(scope="module")
def setting():
    with Lab() as lab:
        yield Setting(lab)


def test_cookies_outlive_a_roll_over_of_their_secret_by_one(setting):
    """The file holds the current secret and the previous one; a reload takes them over."""
    cookie, counted = setting.ask(b"client!!")
    assert counted == "cookie_none" and len(cookie) == 24
    assert setting.ask(cookie)[1] == "cookie_good"
    setting.roll(SECOND, FIRST)
    setting.node.ctl("reload")
    wait_until(lambda: setting.ask(b"client!!")[0][16:] != cookie[16:], 3, "cookies come from the new secret")
    newer, counted = setting.ask(cookie)
    assert counted == "cookie_good", "the previous secret is still accepted"
    assert setting.ask(newer)[1] == "cookie_good"
    setting.roll(THIRD, SECOND)
    setting.node.ctl("reload")
    wait_until(lambda: setting.ask(cookie)[1] == "cookie_bad", 3, "the secret before the previous is forgotten")
    assert setting.ask(newer)[1] == "cookie_good"


def test_a_flood_is_limited_and_slips_to_tcp_while_cookies_pass(setting):
    cookie, _ = setting.ask(b"client!!")
    plain = dns.message.make_query("www.example.com", "A").to_wire()
    known = dns.message.make_query("www.example.com", "A", use_edns=0, options=[dns.edns.GenericOption(10, cookie)]).to_wire()

    def flood(wire, count):
        seen = {"full": 0, "truncated": 0, "dropped": 0}
        with setting.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.05)
            for _ in range(count):
                udp.sendto(wire, (NODE, 53))
                try:
                    reply = dns.message.from_wire(udp.recv(4096))
                    seen["truncated" if reply.flags & dns.flags.TC else "full"] += 1
                except socket.timeout:
                    seen["dropped"] += 1
        return seen

    seen = flood(plain, 200)
    print(f"without a cookie: {seen}")
    assert BURST <= seen["full"] <= BURST + 30
    assert seen["truncated"] > 40 and seen["dropped"] > 40 and abs(seen["truncated"] - seen["dropped"]) <= 2
    assert setting.count("drop_rate_limited") == seen["dropped"] and setting.count("rate_slipped") == seen["truncated"]
    assert flood(known, 200) == {"full": 200, "truncated": 0, "dropped": 0}
    assert setting.asked.query_tcp("www.example.com").answer, "who got TC is served over TCP"
