# SPDX-License-Identifier: Apache-2.0
"""One TCP connection made of frames: just enough to carry a DNS message each way to a kernel that behaves."""
import struct

import frames

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Connection:
    """`exchange(wanted)` and `send(frame)` are those of a wire; segments come back checked."""

    def __init__(self, wire, mac, source=frames.CLIENT, target=frames.NODE, port=40000, vlan=None):
        self.wire, self.mac, self.source, self.target, self.port, self.vlan = wire, mac, source, target, port, vlan
        self.sequence, self.acknowledged, self.received = 1000, 0, b""

    def send(self, flags, data=b""):
        options = struct.pack("!BBH", 2, 4, 1400) if flags & SYN else b""
        head = struct.pack("!HHIIBBHHH", self.port, 53, self.sequence, self.acknowledged, (20 + len(options)) // 4 << 4,
                           flags, 65535, 0, 0) + options
        total = frames.checksum(frames.pseudo(self.source, self.target, len(head) + len(data), frames.TCP) + head + data)
        segment = head[:16] + struct.pack("!H", total) + head[18:] + data
        packet = frames.ip(self.source, self.target, frames.TCP, segment, number=1)
        self.wire.send(frames.ethernet(self.mac, frames.CLIENT_MAC, frames.kind_of(self.source), packet, self.vlan))
        self.sequence += len(data) + bool(flags & (SYN | FIN))

    def segment(self, seconds):
        """(flags, sequence, data) of the next segment to us; None when none comes. Its checksums are right."""

        def is_ours(frame):
            packet = frames.Packet(frame)
            return packet.protocol == frames.TCP and packet.payload[:4] == struct.pack("!HH", 53, self.port)

        frame = self.wire.wait_for(is_ours, seconds)
        if frame is None:
            return None
        packet = frames.Packet(frame)
        assert packet.is_right and packet.vlan == self.vlan, frame.hex()
        sequence, flags = struct.unpack_from("!I", packet.payload, 4)[0], packet.payload[13]
        return flags, sequence, packet.payload[(packet.payload[12] >> 4) * 4:]

    def open(self, seconds=30):
        self.send(SYN)
        got = self.segment(seconds)
        assert got and got[0] & (SYN | ACK) == SYN | ACK, f"no SYN-ACK: {got}"
        self.acknowledged = got[1] + 1
        self.send(ACK)

    def ask(self, message, seconds=30):
        """Sends a DNS message; the whole response, without its length."""
        self.send(PSH | ACK, struct.pack("!H", len(message)) + message)
        while len(self.received) < 2 or len(self.received) < 2 + struct.unpack_from("!H", self.received)[0]:
            got = self.segment(seconds)
            assert got and not got[0] & RST, f"no answer over TCP: {got}"
            if got[1] == self.acknowledged and got[2]:
                self.received += got[2]
                self.acknowledged += len(got[2])
                self.send(ACK)
        length = struct.unpack_from("!H", self.received)[0]
        response, self.received = self.received[2:2 + length], self.received[2 + length:]
        return response

    def close(self, seconds=30):
        self.send(FIN | ACK)
        while (got := self.segment(seconds)) is not None:
            if got[0] & FIN:
                self.acknowledged = got[1] + 1 + len(got[2])
                self.send(ACK)
                return
        raise AssertionError("the other end did not close")
