# SPDX-License-Identifier: Apache-2.0
"""Whole Ethernet frames as bytes, built here and nowhere else, so that replies can be compared byte for byte.

Nothing of the data plane is used: what is expected is computed from the RFCs' pictures.
"""
import socket
import struct

NODE, NODE6, NODE6_LOCAL = "198.18.0.2", "2001:db8:18::2", "fe80::2"
CLIENT, CLIENT6 = "198.18.0.1", "2001:db8:18::1"
CLIENT_MAC = bytes.fromhex("020000000001")
BROADCAST = b"\xff" * 6
ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86dd, 0x8100
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pseudo(source, target, length, protocol):
    if ":" in source:
        return packed(source) + packed(target) + struct.pack("!II", length, protocol)
    return packed(source) + packed(target) + struct.pack("!HH", protocol, length)


def ethernet(target, source, kind, payload, vlan=None):
    tag = struct.pack("!HH", VLAN, vlan) if vlan is not None else b""
    return target + source + tag + struct.pack("!H", kind) + payload


def padded(frame):
    """To the least length of a frame on a wire, without the frame check sequence."""
    return frame + b"\0" * (60 - len(frame))


def ip(source, target, protocol, payload, hops=64, number=0, fragment=0x4000, options=b""):
    """`fragment`: the 16 bits with DF, MF and offset."""
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + packed(source) + packed(target) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), number, fragment,
                       hops, protocol, 0, packed(source), packed(target)) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source, target, source_port, target_port, payload, damage=0):
    """`damage` is XORed to the checksum."""
    head = struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0)
    total = checksum(pseudo(source, target, 8 + len(payload), UDP) + head + payload) or 0xffff
    return head[:6] + struct.pack("!H", total ^ damage) + payload


def kind_of(address):
    return IPV6 if ":" in address else IPV4


def query(mac, message, source=CLIENT, target=NODE, port=5353, vlan=None, damage=0, **more):
    datagram = udp(source, target, port, 53, message, damage)
    return ethernet(mac, CLIENT_MAC, kind_of(source), ip(source, target, UDP, datagram, number=1, **more), vlan)


def reply(mac, message, source=CLIENT, target=NODE, port=5353, vlan=None):
    """What must come back to `query` with the same arguments."""
    datagram = udp(target, source, 53, port, message)
    return ethernet(CLIENT_MAC, mac, kind_of(source), ip(target, source, UDP, datagram), vlan)


def arp_request(address=NODE, vlan=None):
    body = struct.pack("!HHBBH6s4s6s4s", 1, IPV4, 6, 4, 1, CLIENT_MAC, packed(CLIENT), bytes(6), packed(address))
    return ethernet(BROADCAST, CLIENT_MAC, ARP, body, vlan)


def arp_reply(mac, address=NODE, vlan=None):
    body = struct.pack("!HHBBH6s4s6s4s", 1, IPV4, 6, 4, 2, mac, packed(address), CLIENT_MAC, packed(CLIENT))
    return ethernet(CLIENT_MAC, mac, ARP, body, vlan)


def icmp(source, target, kind, rest):
    """An ICMP or ICMPv6 message of type `kind`, code 0."""
    head = bytes([kind, 0, 0, 0])
    prefix = pseudo(source, target, 4 + len(rest), ICMPV6) if ":" in source else b""
    return head[:2] + struct.pack("!H", checksum(prefix + head + rest)) + rest


def echo(mac, number, source=CLIENT, target=NODE, size=56, **more):
    rest = struct.pack("!HH", 7, number) + bytes(range(256))[:size]
    message = icmp(source, target, 128 if ":" in source else 8, rest)
    return ethernet(mac, CLIENT_MAC, kind_of(source), ip(source, target, ICMPV6 if ":" in source else ICMP, message,
                                                         number=1, **more))


def echo_reply_message(number, source=CLIENT, target=NODE, size=56):
    rest = struct.pack("!HH", 7, number) + bytes(range(256))[:size]
    return icmp(target, source, 129 if ":" in source else 0, rest)


def solicitation(address=NODE6):
    group = "ff02::1:ff" + packed(address)[13:].hex()[:2] + ":" + packed(address)[14:].hex()
    message = icmp(CLIENT6, group, 135, bytes(4) + packed(address) + b"\1\1" + CLIENT_MAC)
    return ethernet(b"\x33\x33" + packed(group)[12:], CLIENT_MAC, IPV6, ip(CLIENT6, group, ICMPV6, message, hops=255))


def advertisement(mac, address=NODE6):
    """Of a host: solicited and override flags, target link-layer address."""
    message = icmp(address, CLIENT6, 136, b"\x60\0\0\0" + packed(address) + b"\2\1" + mac)
    return ethernet(CLIENT_MAC, mac, IPV6, ip(address, CLIENT6, ICMPV6, message, hops=255))


def neighbour_answer(frame):
    """The client's own answer to the kernel's ARP request or neighbour solicitation for it; None for other frames."""
    at = 18 if frame[12:14] == b"\x81\0" else 14
    kind = frame[at - 2:at]
    if kind == b"\x08\x06" and frame[at + 7] == 1 and frame[at + 24:at + 28] == packed(CLIENT):
        body = frame[at:at + 6] + b"\0\2" + CLIENT_MAC + packed(CLIENT) + frame[at + 8:at + 18]
        return frame[6:12] + CLIENT_MAC + frame[12:at] + body
    if kind == b"\x86\xdd" and frame[at + 6] == ICMPV6 and frame[at + 40] == 135 and frame[at + 48:at + 64] == packed(CLIENT6):
        asker = socket.inet_ntop(socket.AF_INET6, frame[at + 8:at + 24])
        message = icmp(CLIENT6, asker, 136, b"\x60\0\0\0" + packed(CLIENT6) + b"\2\1" + CLIENT_MAC)
        return frame[6:12] + CLIENT_MAC + frame[12:at] + ip(CLIENT6, asker, ICMPV6, message, hops=255)
    return None


class Packet:
    """A received IP packet, taken apart; `is_right` when every checksum is."""

    def __init__(self, frame):
        at = 14
        kind = struct.unpack_from("!H", frame, 12)[0]
        self.vlan = None
        if kind == VLAN:
            self.vlan, kind = struct.unpack_from("!HH", frame, 14)
            at = 18
        self.kind, self.protocol, self.payload, self.is_right = kind, None, b"", True
        if kind == IPV4:
            length = (frame[at] & 15) * 4
            self.protocol = frame[at + 9]
            self.source, self.target = (socket.inet_ntop(socket.AF_INET, frame[at + i:at + i + 4]) for i in (12, 16))
            self.payload = frame[at + length:at + struct.unpack_from("!H", frame, at + 2)[0]]
            self.is_right = checksum(frame[at:at + length]) == 0
        elif kind == IPV6:
            self.protocol = frame[at + 6]
            self.source, self.target = (socket.inet_ntop(socket.AF_INET6, frame[at + i:at + i + 16]) for i in (8, 24))
            self.payload = frame[at + 40:at + 40 + struct.unpack_from("!H", frame, at + 4)[0]]
        if self.protocol in (TCP, UDP, ICMPV6):
            self.is_right &= checksum(pseudo(self.source, self.target, len(self.payload), self.protocol) + self.payload) == 0
        elif self.protocol == ICMP:
            self.is_right &= checksum(self.payload) == 0
