# SPDX-License-Identifier: Apache-2.0
"""Packets that nobody wants: random bytes, broken and foreign DNS messages, to ports 53 and 7053 of one node.

usage: flood.py ADDRESS SECONDS PACKETS_PER_SECOND SEED
"""
import random
import socket
import struct
import sys
import time


def datagrams(chance):
    """Endless: what to send, and to which port."""
    name = b"\x03www\x07example\x03com\0"
    while True:
        kind = chance.randrange(5)
        if kind == 0:
            yield chance.randbytes(chance.randrange(0, 600)), 53
        elif kind == 1:
            yield chance.randbytes(chance.randrange(0, 600)), 7053
        elif kind == 2:  # looks like a heartbeat
            yield b"SPHB\x01\0\0\0" + chance.randbytes(300), 7053
        elif kind == 3:  # a response, which must never be answered
            yield struct.pack("!HHHHHH", chance.randrange(65536), 0x8400, 1, 0, 0, 0) + name + b"\0\x01\0\x01", 53
        else:  # a query with names that point to themselves
            yield struct.pack("!HHHHHH", chance.randrange(65536), 0, 1, 0, 0, 1) + b"\xc0\x0c\0\x01\0\x01", 53


def main():
    address, seconds, rate, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        begin, sent = time.monotonic(), 0
        for data, port in datagrams(random.Random(seed)):
            try:
                door.sendto(data, (address, port))
            except OSError:
                pass  # nobody listens there just now, or the line is cut
            sent += 1
            passed = time.monotonic() - begin
            if passed > seconds:
                break
            if sent > passed * rate:
                time.sleep(0.002)


if __name__ == "__main__":
    main()
