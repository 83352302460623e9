# SPDX-License-Identifier: Apache-2.0
"""The decision table (tests/data/decisions.txt) over the wire: every row over UDP on the data plane's port, by IPv4 and IPv6, with
no, one and two VLAN tags, and over TCP by IPv4 and IPv6."""
import os
import re
import socket
import struct
import time

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

dns.edns.register_type(dns.edns.GenericOption, dns.edns.OptionType.ECS)  # as it comes: dnspython reads two families only
DATA = os.path.join(os.path.dirname(__file__), "../data")
NODE, CLIENT, NODE6, CLIENT6 = "10.78.3.53", "10.78.3.1", "2001:db8:3::53", "2001:db8:3::1"
Q_VLAN, S_VLAN = 0x8100, 0x88a8
# Tags as EtherType and VLAN. Tagged frames are made and read here: the node's kernel knows nothing of VLANs.
WAYS = {"IPv4": (NODE, []), "IPv6": (NODE6, []), "IPv4-802.1Q": (NODE, [(Q_VLAN, 7)]), "IPv6-802.1Q": (NODE6, [(Q_VLAN, 7)]),
        "IPv4-QinQ": (NODE, [(S_VLAN, 5), (Q_VLAN, 7)]), "IPv6-QinQ": (NODE6, [(S_VLAN, 5), (Q_VLAN, 7)])}
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


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def mac_of(host):
    return bytes.fromhex(host.run("cat", "/sys/class/net/eth0/address").stdout.strip().replace(":", ""))


@pytest.fixture(scope="module")
def setting():
    with Lab() as lab:
        with open(f"{DATA}/decisions.zone", encoding="ascii") as zone:
            lab.write("zones/example.com.zone", zone.read())
        host, client = (lab.add_host("node", [f"{NODE}/24", f"{NODE6}/64"]),
                        lab.add_host("client", [f"{CLIENT}/24", f"{CLIENT6}/64"]))
        node = Node(host, "node", None, "af_packet:eth0", [NODE, NODE6], SETTINGS)
        node.start()
        node.wait_ready()
        asked = Client(client, NODE)
        wait_until(lambda: asked.addresses("www.example.com", seconds=0.3), 10, "the node answers")
        node.ctl("site", "gone", "down", "--force", "--reason", "none of its services has a site")
        wait_until(lambda: dns.rcode.SERVFAIL == asked.query("dark.example.com").rcode(), 5, "site gone is down")
        yield client, [mac_of(client), mac_of(host)]


def ask_udp(client, address, wire, seconds):
    with client.socket(family_of(address), socket.SOCK_DGRAM) as udp:
        udp.settimeout(seconds)
        udp.connect((address, 53))  # only what comes from there is received (RFC 2181 section 4)
        udp.send(wire)
        try:
            return udp.recv(65535)
        except socket.timeout:
            return b""


def ones(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def frame_of(macs, address, tags, wire):
    family = family_of(address)
    ends = (socket.inet_pton(family, CLIENT6 if family == socket.AF_INET6 else CLIENT) + socket.inet_pton(family, address))
    udp = struct.pack("!HHHH", 5353, 53, 8 + len(wire), 0) + wire
    udp = udp[:6] + struct.pack("!H", ones(ends + struct.pack("!IHH", len(udp), 0, 17) + udp) or 0xffff) + udp[8:]
    if family == socket.AF_INET6:
        packet = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + ends + udp
    else:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + ends
        packet = head[:10] + struct.pack("!H", ones(head)) + head[12:] + udp
    return (macs[1] + macs[0] + b"".join(struct.pack("!HH", *tag) for tag in tags)
            + struct.pack("!H", 0x86dd if family == socket.AF_INET6 else 0x0800) + packet)


def taken_apart(frame, extra, family):
    """VLANs and DNS message of a frame with a UDP datagram of this family from port 53 to ours; else None."""
    status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", extra[0][2][:20])
    vlans, at = [tci & 0xfff] if status & 0x10 else [], 12  # the kernel takes the outermost tag out of the frame
    while struct.unpack("!H", frame[at:at + 2])[0] in (Q_VLAN, S_VLAN):
        vlans.append(struct.unpack("!H", frame[at + 2:at + 4])[0] & 0xfff)
        at += 4
    kind, size = (0x86dd, 40) if family == socket.AF_INET6 else (0x0800, 20)
    udp = frame[at + 2 + size:]
    if struct.unpack("!H", frame[at:at + 2])[0] != kind or udp[:4] != struct.pack("!HH", 53, 5353):
        return None
    udp = udp[:struct.unpack("!H", udp[4:6])[0]]
    ends = frame[at + 2 + size - (32 if family == socket.AF_INET6 else 8):at + 2 + size]
    assert ones(ends + struct.pack("!IHH", len(udp), 0, 17) + udp) == 0, "the UDP checksum"
    return vlans, udp[8:]


def ask_tagged(client, macs, way, wire, seconds):
    """In a frame of our own; the reply has to have the same tags."""
    address, tags = WAYS[way]
    with client.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as raw:
        raw.bind(("eth0", 0x0003))
        raw.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
        raw.send(frame_of(macs, address, tags, wire))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            raw.settimeout(max(0.01, end - time.monotonic()))
            try:
                frame, extra, _, _ = raw.recvmsg(4096, 256)
            except socket.timeout:
                return b""
            reply = taken_apart(frame, extra, family_of(address)) if frame[6:12] == macs[1] else None
            if reply:
                assert reply[0] == [vlan for _, vlan in tags], "the reply's tags"
                return reply[1]
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
    client, macs = setting
    address, tags = WAYS[way]
    wrong, sizes, checked = check_rows("udp", lambda wire, seconds: ask_tagged(client, macs, way, wire, seconds) if tags else
                                       ask_udp(client, address, wire, seconds))
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
