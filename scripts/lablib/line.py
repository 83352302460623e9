# SPDX-License-Identifier: Apache-2.0
"""A long line: carries frames between two interfaces, each after a delay, and loses a part of them.

usage: line.py A B MILLISECONDS [LOSS_PERCENT]

Runs in the namespace of a network's line. It says "ready" when it carries; after SIGTERM it takes nothing new, and ends when
the last frame is over. Frames keep their order. At most `HELD_MAX` frames are on the line at once; the rest is lost, as in
any queue.
"""
import collections
import os
import random
import select
import signal
import socket
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
HELD_MAX = 20000


def open_port(name):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    port.bind((name, 0))
    port.setblocking(False)
    return port


def take(port, other, held, due, loss):
    """Everything that has arrived at one end."""
    for _ in range(1000):
        try:
            frame, address = port.recvfrom(65536)
        except BlockingIOError:
            return
        if address[2] != PACKET_OUTGOING and len(held) < HELD_MAX and not (loss and random.random() < loss):
            held.append((due, other, frame))


def main():
    a, b = open_port(sys.argv[1]), open_port(sys.argv[2])
    delay, loss = float(sys.argv[3]) / 1000, float(sys.argv[4]) / 100 if len(sys.argv) > 4 else 0
    held, ports = collections.deque(), [a, b]
    told, end = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.close(end))
    print("ready", flush=True)
    while held or ports:
        wait = max(held[0][0] - time.monotonic(), 0) if held else None
        ready, _, _ = select.select([*ports, told] if ports else [], [], [], wait)
        if told in ready:
            ports, ready = [], []
        now = time.monotonic()
        for port in ready:
            take(port, b if port is a else a, held, now + delay, loss)
        while held and held[0][0] <= now:
            try:
                held[0][1].send(held[0][2])
            except OSError:
                pass  # the other end is down or full: lost
            held.popleft()


if __name__ == "__main__":
    main()
