# SPDX-License-Identifier: Apache-2.0
"""A card shared with the kernel: what the XDP program takes and what it leaves, and a standby that makes restarts silent.

SIGNPOST_KILLS (1) says how often the data plane is restarted and killed under load; `make test-lab` does more.
"""
import os
import signal
import socket
import struct
import time

import dns.message
import pytest

from lablib.dns import Client, Dnsperf
from lablib.lab import Lab
from lablib.node import Node
from lablib.process import wait_until

pytestmark = pytest.mark.alone

KILLS = int(os.environ.get("SIGNPOST_KILLS", "1"))
SO_RCVBUFFORCE = 33
BURST, DEATHS = 200, 6 * KILLS  # queries in a ring of 2,048; deaths while they are answered
NODE, NODE6, OTHER, CLIENT, CLIENT6 = "10.79.0.53", "fd79::53", "10.79.0.54", "10.79.0.1", "fd79::1"
NAME = "static.example.com"
ZONE = f"""$ORIGIN example.com.
$TTL 300
@       IN SOA ns hostmaster 2026010101 3600 600 86400 60
        IN NS  ns
ns      IN A {NODE}
static  IN A 10.79.0.99
""" + "".join(f"chain{n} IN CNAME chain{n + 1}\n" for n in range(8)) + "chain8 IN A 10.79.0.99\n"
SETTINGS = """
sites = ( { name = "ams"; addresses = "10.79.0.80"; nodes = ( { name = "ns1"; address = "10.79.0.53"; } ); } );
zone_dir = "../zones";
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = "ams"; } );
"""


class Shared(Lab):
    """One node on AF_XDP with a standby, and a client beside it."""

    def come_up(self):
        self.write("zones/example.com.zone", ZONE)
        self.server = self.add_host("node", [f"{NODE}/24", f"{NODE6}/64", f"{OTHER}/24"])
        self.client = self.add_host("client", [f"{CLIENT}/24", f"{CLIENT6}/64"])
        # Without this a veth starts and stops its polling, and empties its ring, whenever an XDP program comes or goes.
        self.server.run("ethtool", "-K", "eth0", "gro", "on")
        self.node = Node(self.server, "ns1", "ams", "af_xdp:eth0", [NODE, NODE6], SETTINGS, standby=True)
        self.node.start()
        self.node.wait_ready()
        wait_until(lambda: self.node.ask("status")["standby"]["order"]["published"] > 0, 30, "the standby has its tables")

    def filter(self):
        """What the XDP program did so far, once the counters have settled."""
        time.sleep(1.1)  # they are read once a second
        return self.node.counters()["filter"]


@pytest.fixture(scope="module")
def shared():
    with Shared() as up:
        yield up


def mac_of(host):
    return bytes.fromhex(host.run("cat", "/sys/class/net/eth0/address").stdout.strip().replace(":", ""))


def ones(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def ipv4(destination, payload, options=b"", fragment=0, protocol=17, number=1):
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), number, fragment, 64,
                       protocol, 0, socket.inet_aton(CLIENT), socket.inet_aton(destination)) + options
    return head[:10] + struct.pack("!H", ones(head)) + head[12:] + payload


def ipv6(destination, payload, protocol=17):
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return head + socket.inet_pton(socket.AF_INET6, CLIENT6) + socket.inet_pton(socket.AF_INET6, destination) + payload


def udp(port=53):
    question = dns.message.make_query(NAME, "A").to_wire()
    return struct.pack("!HHHH", 5353, port, 8 + len(question), 0) + question


V4, V6, VLAN = 0x0800, 0x86dd, struct.pack("!HH", 7, 0x0800)
# what, EtherType, what follows, is it for another station, what the program does
RULES = [
    ("a query over IPv4", V4, ipv4(NODE, udp()), False, "taken"),
    ("a query over IPv6", V6, ipv6(NODE6, udp()), False, "taken"),
    ("a query in a VLAN", 0x8100, VLAN + ipv4(NODE, udp()), False, "taken"),
    ("a query in two VLANs", 0x88a8, struct.pack("!HH", 5, 0x8100) + VLAN + ipv4(NODE, udp()), False, "taken"),
    # The kernel carries the outermost tag beside the frame, so that the program sees one less than the wire.
    ("a query in four VLANs", 0x88a8, struct.pack("!HHHHHH", 5, 0x8100, 6, 0x8100, 7, 0x8100) + VLAN + ipv4(NODE, udp()),
     False, "other"),
    ("a query to another address", V4, ipv4(OTHER, udp()), False, "not_ours"),
    ("a query for another station", V4, ipv4(NODE, udp()), True, "not_ours"),
    ("another port", V4, ipv4(NODE, udp(5353)), False, "other"),
    ("TCP", V4, ipv4(NODE, bytes(20), protocol=6), False, "other"),
    ("a first fragment", V4, ipv4(NODE, udp(), fragment=0x2000), False, "other"),
    ("a later fragment", V4, ipv4(NODE, udp(), fragment=5), False, "other"),
    ("IP options", V4, ipv4(NODE, udp(), options=b"\x01\x01\x01\x00"), False, "other"),
    ("an IPv6 fragment", V6, ipv6(NODE6, struct.pack("!BBHI", 17, 0, 1, 9) + udp(), protocol=44), False, "other"),
    ("a cut IPv4 header", V4, ipv4(NODE, udp())[:19], False, None),  # the bridge may drop it
    ("a cut UDP header", V4, ipv4(NODE, udp())[:27], False, None),
    ("no IP at all", 0x88b5, b"signpost", False, "other"),
]


def test_what_the_program_takes_and_what_it_leaves(shared):
    """Each kind of frame 100 times; the count of what was done with it rises by as many, the others do not."""
    ours, theirs = mac_of(shared.server), mac_of(shared.client)
    with shared.client.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind(("eth0", 0))
        before = shared.filter()
        for what, kind, rest, is_foreign, action in RULES:
            target = b"\x02\x00\x00\x00\x00\x77" if is_foreign else ours
            for _ in range(100):
                raw.send(target + theirs + struct.pack("!H", kind) + rest)
            names = ("taken", "not_ours", "no_queue", "shut")
            wanted = {name: before[name] + (100 if name == action else 0) for name in names}
            end = time.monotonic() + 20
            after = shared.filter()
            while {name: after[name] for name in names} != wanted:
                after = shared.filter()
                assert time.monotonic() < end, (what, wanted, after)
            if action == "other":  # among strays of the kernels, such as ARP and neighbour discovery
                assert after["other"] - before["other"] >= 100, what
            before = after


def test_the_kernel_keeps_the_rest_and_the_standby_serves_tcp(shared):
    """Echo, TCP to other programs, and DNS over TCP on the same address, beside queries that the workers answer."""
    shared.server.start("echo", ["/usr/bin/python3", "-m", "http.server", "8022", "--bind", NODE])
    asked = Client(shared.client, NODE)
    assert asked.addresses(NAME) == ("10.79.0.99",)
    assert asked.query_tcp(NAME).answer
    wait_until(lambda: shared.client.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                         f"http://{NODE}:8022/", check=False).stdout == "200", 30, "TCP is the kernel's")
    for server in (NODE, NODE6):
        assert " 0% packet loss" in shared.client.run("ping", "-c", "2", "-i", "0.1", "-W", "2", server).stdout
    assert shared.node.ask("status")["dataplane"]["answering"]


def test_the_standby_answers_as_the_data_plane_does(shared):
    """The same bytes, but for the message's identifier, for a handful of questions."""
    questions = [(NAME, "A"), (NAME, "AAAA"), ("www.example.com", "A"), ("none.example.com", "A"), ("example.org", "A"),
                 ("example.com", "SOA"), ("example.com", "ANY")]
    for server in (NODE, NODE6):
        asked = Client(shared.client, server)
        by_workers = [asked.query(*q, use_edns=0).to_text().split("\n")[1:] for q in questions]
        before = shared.filter()
        shared.node.dataplane.kill()
        by_standby = [asked.query(*q, use_edns=0).to_text().split("\n")[1:] for q in questions]
        shared.node.start_dataplane()
        wait_until(lambda: shared.node.ask("status")["dataplane"]["connected"], 30, "the data plane is back")
        assert by_standby == by_workers
        assert before["taken"] > 0


def test_the_standby_answers_queries_in_fragments_and_with_options(shared):
    """They are the kernel's, which puts them together and hands them to the standby. Stray fragments have other numbers."""
    ours, theirs, query = mac_of(shared.server), mac_of(shared.client), udp()
    head = struct.pack("!BBH", 17, 0, 1)
    ways = {"options": [(V4, ipv4(NODE, query, options=b"\1\1\1\0"))],
            "IPv4 fragments": [(V4, ipv4(NODE, query[:24], fragment=0x2000, number=8)),
                               (V4, ipv4(NODE, query[24:], fragment=3, number=8))],
            "IPv6 fragments": [(V6, ipv6(NODE6, head + struct.pack("!I", 8) + query[:24], protocol=44)),
                               (V6, ipv6(NODE6, struct.pack("!BBHI", 17, 0, 24, 8) + query[24:], protocol=44))]}
    for way, packets in ways.items():
        family, address = (socket.AF_INET6, CLIENT6) if "6" in way else (socket.AF_INET, CLIENT)
        if family == socket.AF_INET6:  # whose checksum is a must
            body = b"".join(packet[48:] for _, packet in packets)
            pseudo = socket.inet_pton(family, CLIENT6) + socket.inet_pton(family, NODE6) + struct.pack("!II", len(body), 17)
            first = body[:6] + struct.pack("!H", ones(pseudo + body)) + body[8:24]
            packets[0] = (V6, ipv6(NODE6, head + struct.pack("!I", 8) + first, protocol=44))
        with shared.client.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw, \
                shared.client.socket(family, socket.SOCK_DGRAM, 0) as answers:
            raw.bind(("eth0", 0))
            answers.bind((address, 5353))
            answers.settimeout(20)
            for kind, packet in packets:
                raw.send(ours + theirs + struct.pack("!H", kind) + packet)
            assert dns.message.from_wire(answers.recv(512)).answer, way


def restart(node, is_sudden):
    if is_sudden:
        node.dataplane.kill()
    else:
        assert node.dataplane.stop() == 0
    node.start_dataplane()
    wait_until(lambda: node.ask("status")["dataplane"]["answering"] and node.ask("status")["dataplane"]["connected"], 30,
               "the data plane is back")


class Load:
    """10,000 queries a second; through restarts, and once without for comparison."""
    seconds = 2 + 2 * KILLS

    def __init__(self, shared):
        self.shared = shared
        self.quiet = self.run(lambda: None)

    def least(self, disturb):
        """Of up to three runs: a busy machine that stands still for 0.1 s loses queries by itself, restarts or not."""
        lost = [self.run(disturb)]
        while lost[-1] > self.quiet and len(lost) < 3:
            lost.append(self.run(disturb))
        return min(lost)

    def run(self, disturb):
        """Queries lost."""
        load = Dnsperf(self.shared.client, NODE, [(NAME, "A"), ("www.example.com", "A")], 10000, self.seconds,
                       ("-q", "20000", "-c", "32"))
        time.sleep(0.7)
        for _ in range(KILLS):
            disturb()
            time.sleep(0.3)
        result = load.result()
        print(f"{result['lost']} of {result['sent']} queries lost")
        assert result["sent"] > 5000 * self.seconds
        return result["lost"]


@pytest.fixture(scope="module")
def load(shared):
    return Load(shared)


def test_a_restart_of_the_data_plane_loses_no_query(shared, load):
    """No more is lost than the same run loses without a restart."""
    assert load.least(lambda: restart(shared.node, False)) <= load.quiet


def test_a_sudden_death_of_the_data_plane_loses_no_query(shared, load):
    """Nor does `kill -9`."""
    assert load.least(lambda: restart(shared.node, True)) <= load.quiet


def test_queries_in_the_rings_of_a_killed_data_plane_are_answered(shared):
    """They pile up while it stands still; when it is dead, the guardian gives them back and the standby answers all."""
    data_plane, question = shared.node.dataplane.popen, udp()[8:]
    with shared.client.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) as asking:
        asking.connect((NODE, 53))
        asking.settimeout(20)
        taken, end = 0, time.monotonic() + 30
        while not taken:  # the data plane's, not the kernel's
            assert time.monotonic() < end, "the gate did not open"
            asking.send(question)
            assert asking.recv(512)
            taken = shared.filter()["taken"]
        data_plane.send_signal(signal.SIGSTOP)
        for number in range(200):
            asking.send(struct.pack("!H", number) + question[2:])
        data_plane.kill()
        missing = set(range(200))
        while missing:
            missing.discard(struct.unpack_from("!H", asking.recv(512))[0])
    data_plane.wait()
    shared.node.start_dataplane()
    wait_until(lambda: shared.node.ask("status")["dataplane"]["connected"], 20, "the data plane is back")


def die_amid_a_burst(shared, moment):
    """200 queries that take long wait in the ring; the data plane is killed `moment` seconds after it has begun with them. How many
    are lost."""
    data_plane, question = shared.node.dataplane.popen, dns.message.make_query("chain0.example.com", "A").to_wire()
    with shared.client.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) as asking:
        asking.connect((NODE, 53))
        asking.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)  # all answers at once
        asking.settimeout(20)
        data_plane.send_signal(signal.SIGSTOP)
        for number in range(BURST):
            asking.send(struct.pack("!H", number) + question[2:])
        data_plane.send_signal(signal.SIGCONT)
        end = time.perf_counter() + moment
        while time.perf_counter() < end:
            pass
        data_plane.send_signal(signal.SIGKILL)
        missing = set(range(BURST))
        try:
            while missing:
                missing.discard(struct.unpack_from("!H", asking.recv(512))[0])
                asking.settimeout(20 if len(missing) > 1 else 3)
        except TimeoutError:
            print("lost:", sorted(missing))
    shared.node.dataplane.kill()
    shared.node.start_dataplane()
    wait_until(lambda: shared.node.ask("status")["dataplane"]["answering"] and shared.node.ask("status")["dataplane"]["connected"],
               30, "the data plane is back")
    return len(missing)


def test_a_death_amid_a_burst_loses_no_more_than_the_query_in_work(shared):
    """At any moment between the first of 200 queries and the last: what is answered and not sent yet is sent by the guardian."""
    for step in range(DEATHS):
        moment = 1e-3 * step / DEATHS
        assert die_amid_a_burst(shared, moment) <= 1, f"{moment * 1e6:.0f} us after the beginning"


def test_peers_hear_the_node_while_only_the_standby_answers(shared):
    """The node counts as alive: heartbeats go on, and status says who answers."""
    shared.node.dataplane.kill()
    wait_until(lambda: any("the standby answers" in alarm for alarm in shared.node.ask("status")["alarms"]), 30,
               "status says it")
    assert shared.node.ask("status")["dataplane"]["answering"]
    assert "signpost_standby_alive 1" in shared.node.ctl("metrics")
    shared.node.start_dataplane()
    wait_until(lambda: not shared.node.ask("status")["alarms"], 30, "no alarm is left")
    shared.node.standby.kill()
    wait_until(lambda: any("the standby is not connected" in a for a in shared.node.ask("status")["alarms"]), 30,
               "its absence is an alarm")
    assert Client(shared.client, NODE).addresses(NAME) == ("10.79.0.99",)
    shared.node.start_standby()
    wait_until(lambda: not shared.node.ask("status")["alarms"], 30, "the standby is back")


def test_nothing_is_left_on_the_card(shared):
    assert shared.node.dataplane.stop() == 0
    assert "xdp" not in shared.server.run("ip", "link", "show", "eth0").stdout
    shared.node.start_dataplane()
