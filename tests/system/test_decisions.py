# SPDX-License-Identifier: Apache-2.0
"""The decision table (tests/data/decisions.txt) over the wire: every row over UDP on the data plane's port, by IPv4 and IPv6, with
no, one and two VLAN tags, and over TCP by IPv4 and IPv6."""
import os
import re
import socket
import struct

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from lablib.dns import Client
from lablib.lab import Lab
from lablib.node import Node
from lablib.process import wait_until

DATA = os.path.join(os.path.dirname(__file__), "../data")
NODE, CLIENT, NODE6, CLIENT6 = "10.78.3.53", "10.78.3.1", "2001:db8:3::53", "2001:db8:3::1"
# By which interface of the client's; the node's kernel knows nothing of VLANs: only the data plane can answer there.
WAYS = {"IPv4": (NODE, "eth0"), "IPv6": (NODE6, "eth0"), "IPv4-802.1Q": (NODE, "eth0.7"), "IPv6-802.1Q": (NODE6, "eth0.7"),
        "IPv4-QinQ": (NODE, "eth0.5.7"), "IPv6-QinQ": (NODE6, "eth0.5.7")}
SETTINGS = """
dns = { nsid = "ams1"; chaos_id = "ams1"; };
sites = (
  { name = "ams"; addresses = ( "192.0.2.10", "2001:db8:1::10" ); },
  { name = "fra"; addresses = ( "198.51.100.10", "2001:db8:2::10" ); },
  { name = "gone"; addresses = ( "192.0.2.10", "192.0.2.11" ); } );
regions = ( { name = "r"; prefixes = ( "203.0.113.0/24", "2001:db8:ffff::/48" ); sites = ( "fra", "ams" ); },
            { name = "neighbour"; prefixes = ( "203.0.112.0/24", "2001:db8:fffe::/48" ); sites = ( "fra", "ams" ); },
            { name = "home"; prefixes = "8.8.8.0/24"; sites = ( "ams", "fra" ); } );
zone_dir = "../zones";
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = ( "ams", "fra" ); policy = ( { stage = "locality"; } ); },
             { name = "down.example.com"; sites = ( "gone" ); },
             { name = "dark.example.com"; sites = ( "gone" ); all_down = "servfail"; },
             { name = "none.example.com"; sites = ( "gone" ); all_down = "nodata"; } );
"""


def rows():
    with open(f"{DATA}/decisions.txt", encoding="utf-8") as table:
        for number, line in enumerate(table, 1):
            row = re.match(r"(?!#|==)(.*?) => (.*?) \| (RFC \d+).* \| .*", line)
            if row:
                yield number, *row.groups()


def value(word, base=10):
    return int(word.split("=")[1], base)


TSIG = (dns.name.from_text("key.example.org").to_wire() + b"\0\xfa\0\xff\0\0\0\0\0\x3d" + b"\x0bhmac-sha256\0"
        + b"\0\0\x65\x53\xf1\0\1\x2c\0\x20" + b"\x11" * 32 + b"\x12\x34\0\0\0\0")


def transports(query):
    """Where a row is sent."""
    words = query.split()
    return {word for word in ("udp", "tcp") if word in words} or {"udp", "tcp"}


def wire_of(text):
    """A message as a row says."""
    name, kind, *words = text.split()
    name = ".".join(re.sub(r"^(\d+)([a-z])$", lambda run: run.group(2) * int(run.group(1)), label) for label in name.split("."))
    flags, klass, opt_ttl, size, options, has_opt = 0, 1, 0, 1232, b"", False
    for word in words:
        key = word.split("=")[0]
        if key == "flags":
            flags = value(word, 16)
        elif key == "opcode":
            flags |= value(word) << 11
        elif key == "class":
            klass = value(word)
        elif key == "edns":
            has_opt, opt_ttl = True, opt_ttl | (value(word) << 16 if "=" in word else 0)
        elif key == "do":
            opt_ttl |= 0x8000
        elif key == "ednsflags":
            opt_ttl |= value(word, 16)
        elif key == "size":
            size = value(word)
        elif key == "option":
            code, data = word[len("option="):].split(":")
            options += struct.pack("!HH", int(code), len(data) // 2) + bytes.fromhex(data)
    question = dns.name.from_text(name).to_wire() + struct.pack("!HH", dns.rdatatype.from_text(kind), klass)
    opt = b"\0" + struct.pack("!HHIH", 41, size, opt_ttl, len(options)) + options if has_opt else b""
    counts = {"qd": 1, "an": 0, "ns": 0, "ar": 1 if has_opt else 0}
    if "two-opts" in words:
        opt, counts["ar"] = opt * 2, 2
    if "opt-owner" in words:
        opt = b"\1x\0" + opt[1:]
    if "opt-overrun" in words:
        opt = opt[:-2] + struct.pack("!HHH", 4, 3, 9)
    if "opt-early" in words:
        counts["an"], counts["ar"] = 1, 0
    if "tsig" in words:
        opt, counts["ar"] = TSIG, 1
    if "no-question" in words:
        question, counts["qd"] = b"", 0
    if "pointer" in words:
        question = b"\xc0\x0c\0\1\0\1"
    counts.update({word[:2]: value(word) for word in words if re.match(r"(qd|an|ns|ar)=", word)})
    message = struct.pack("!6H", 0x1234, flags, *counts.values()) + question + opt
    message += b"\0" if "trailing" in words else b""
    cut = next((value(word) for word in words if word.startswith("cut=")), len(message))
    return message[:cut]


def option_text(option):
    data = option.to_wire()
    return f"option={int(option.otype)}" + {8: lambda: f"/{data[3]}", 15: lambda: f"/{struct.unpack('!H', data[:2])[0]}"}.get(
        int(option.otype), lambda: "")()


def described(wire, query):
    """A reply in the table's words; what must hold of every reply is asserted."""
    m = dns.message.from_wire(wire[:2] + bytes([wire[2] & 0x87]) + wire[3:])  # not every opcode is known to dnspython
    words = [dns.rcode.to_text(m.rcode()).replace("BADSIG", "BADVERS")]
    names = (("aa", dns.flags.AA), ("tc", dns.flags.TC), ("rd", dns.flags.RD), ("cd", dns.flags.CD), ("ad", dns.flags.AD),
             ("z", 0x40), ("ra", dns.flags.RA))
    words += [name for name, bit in names if m.flags & bit]
    words += ["opt"] if m.edns >= 0 else []
    words += ["q"] if m.question else []
    if m.question:
        end = 16 + len(m.question[0].name.to_wire())
        assert wire[12:end] == query[12:end], "the question is echoed octet by octet"
    assert wire[:2] == query[:2] and wire[2] & 0x80
    assert all(rrset.ttl == 300 for rrset in m.authority if rrset.rdtype == dns.rdatatype.SOA), "the negative TTL"
    words.append("/".join(str(sum(len(rrset) for rrset in section)) for section in (m.answer, m.authority, m.additional)))
    return " ".join(words + sorted(map(option_text, m.options), key=lambda text: int(re.search(r"\d+", text).group())))


def add_vlans(client, node_mac):
    """eth0.7 has one tag, eth0.5.7 two. Nobody there answers ARP or neighbour discovery: the node's address is told."""
    client.run("ip", "link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7")
    client.run("ip", "link", "add", "link", "eth0", "name", "eth0.5", "type", "vlan", "proto", "802.1ad", "id", "5")
    client.run("ip", "link", "set", "eth0.5", "up")
    client.run("ip", "link", "add", "link", "eth0.5", "name", "eth0.5.7", "type", "vlan", "id", "7")
    for number, link in ((7, "eth0.7"), (8, "eth0.5.7")):
        client.run("ip", "addr", "add", f"10.78.{number}.1/24", "dev", link)
        client.run("ip", "addr", "add", f"2001:db8:{number}::1/64", "dev", link, "nodad")
        client.run("ip", "link", "set", link, "up")
        for address in (NODE, NODE6):
            client.run("ip", "route", "add", address, "dev", link, "metric", "9000")
            client.run("ip", "neigh", "replace", address, "lladdr", node_mac, "dev", link, "nud", "permanent")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.fixture(scope="module")
def setting():
    with Lab() as lab:
        with open(f"{DATA}/decisions.zone", encoding="ascii") as zone:
            lab.write("zones/example.com.zone", zone.read())
        host, client = (lab.add_host("node", [f"{NODE}/24", f"{NODE6}/64"]),
                        lab.add_host("client", [f"{CLIENT}/24", f"{CLIENT6}/64"]))
        add_vlans(client, host.run("cat", "/sys/class/net/eth0/address").stdout.strip())
        node = Node(host, "node", None, "af_packet:eth0", [NODE, NODE6], SETTINGS)
        node.start()
        node.wait_ready()
        asked = Client(client, NODE)
        wait_until(lambda: asked.addresses("www.example.com", seconds=0.3), 10, "the node answers")
        node.ctl("site", "gone", "down", "--force", "--reason", "none of its services has a site")
        wait_until(lambda: dns.rcode.SERVFAIL == asked.query("dark.example.com").rcode(), 5, "site gone is down")
        yield client, node


def ask_udp(client, way, wire, seconds):
    address, link = WAYS[way]
    with client.socket(family_of(address), socket.SOCK_DGRAM) as udp:
        udp.settimeout(seconds)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        udp.connect((address, 53))  # only what comes from there is received (RFC 2181 section 4)
        udp.send(wire)
        try:
            return udp.recv(65535)
        except socket.timeout:
            return b""


def ask_tcp(client, address, wire, seconds):
    with client.socket(family_of(address), socket.SOCK_STREAM) as tcp:
        tcp.settimeout(5)
        tcp.connect((address, 53))
        tcp.settimeout(seconds)
        tcp.sendall(struct.pack("!H", len(wire)) + wire)
        data = b""
        try:
            while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
                more = tcp.recv(65536)
                if not more:
                    return b""
                data += more
        except (socket.timeout, ConnectionResetError):
            return b""
        return data[2:]


def check_rows(transport, ask):
    """The rows that are not answered as they say; of the others the sizes by rcode; how many rows of which RFC there were."""
    wrong, sizes, rfcs = [], {}, {}
    for number, query, reply, source in rows():
        if transport not in transports(query) or (transport == "tcp" and " tc " in reply):
            continue
        wire = wire_of(query)
        got = ask(wire, 0.4 if reply == "silence" else 5)
        seen = described(got, wire) if got else "silence"
        rfcs[source] = rfcs.get(source, 0) + 1
        if seen != reply:
            wrong.append(f"decisions.txt:{number}: {query}: {seen}, not {reply}")
        if got:
            sizes.setdefault(reply.split()[0], []).append((len(got) / len(wire), query))
    print(f"{sum(rfcs.values())} rows over {transport}: " + ", ".join(f"{rfc} {count}" for rfc, count in sorted(rfcs.items())))
    return wrong, sizes, sum(rfcs.values())


@pytest.mark.parametrize("way", WAYS)
def test_every_row_over_udp(setting, way):
    client, _ = setting
    wrong, sizes, checked = check_rows("udp", lambda wire, seconds: ask_udp(client, way, wire, seconds))
    for rcode, ratios in sorted(sizes.items()):
        largest = max(ratios)
        print(f"{rcode}: reply at most {largest[0]:.2f} times the query ({largest[1]})")
    assert not wrong and checked > 170, "\n".join(wrong)
    for rcode in set(sizes) - {"NOERROR", "NXDOMAIN", "YXDOMAIN", "silence"}:
        assert max(ratio for ratio, _ in sizes[rcode]) <= 1, f"{rcode}: larger than its query"
    assert max(ratio for ratio, _ in sizes["NXDOMAIN"]) < 4
    unsigned = [ratio for ratio, query in sizes["NOERROR"] if re.match(r"(?i)(www|plain)\.example\.com (A|AAAA)\b", query)]
    assert max(unsigned) < 3


@pytest.mark.parametrize("address", (NODE, NODE6))
def test_every_row_over_tcp(setting, address):
    """The same code answers; only what depends on the transport differs: nothing is cut, and keepalive is told."""
    client, _ = setting
    wrong, _, checked = check_rows("tcp", lambda wire, seconds: ask_tcp(client, address, wire, seconds))
    assert not wrong and checked > 170, "\n".join(wrong)
