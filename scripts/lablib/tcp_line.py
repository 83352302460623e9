# SPDX-License-Identifier: Apache-2.0
"""A port on the loopback interface that leads over a long line to a server: two namespaces, joined by a program that keeps
each frame for a while and loses some (line.py). Between them the kernel's own TCP finds out what was lost and sends it
again, so that delay and loss cost a connection what they cost it between sites. Needs root.
"""
import os
import socket
import subprocess
import sys

from .dbsync import Cutter
from .lab import in_namespace, ip, ip_batch
from .network import LINE

NEAR, FAR = "198.51.100.1", "198.51.100.2"


class LongLine(Cutter):
    """`port` leads to `target` (a port or a Unix socket) over a line with this round trip, which loses this part of the
    frames of each direction."""

    def __init__(self, target, round_trip_ms, loss_percent=0):
        self.prefix = f"spline{os.getpid()}-{id(self) & 0xffff:x}"
        self.program = self.far = None
        try:
            self._lay(round_trip_ms / 2, loss_percent)
            self.far = Cutter(target, in_namespace(f"{self.prefix}-b", lambda: socket.create_server((FAR, 0), backlog=16)))
            super().__init__(None)
        except BaseException:
            self._take_up()
            raise

    def _connect(self):
        return in_namespace(f"{self.prefix}-a", lambda: socket.create_connection((FAR, self.far.port), 30))

    def _lay(self, delay_ms, loss_percent):
        for part in ("a", "line", "b"):
            ip("netns", "add", f"{self.prefix}-{part}")
        line = f"{self.prefix}-line"
        for end, address in (("a", NEAR), ("b", FAR)):
            namespace = f"{self.prefix}-{end}"
            ip("link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", end, "netns", line)
            # The line carries frames as they are on a wire: whole packets with their sums.
            subprocess.run(["ip", "netns", "exec", namespace, "ethtool", "-K", "eth0", "tx", "off", "gso", "off", "tso", "off"],
                           check=True, capture_output=True)
            ip_batch(namespace, f"addr add {address}/24 dev eth0", "link set lo up", "link set eth0 up")
            ip_batch(line, f"link set dev {end} up")
        self.program = subprocess.Popen(["ip", "netns", "exec", line, sys.executable, LINE, "a", "b", str(delay_ms),
                                         str(loss_percent)], stdout=subprocess.PIPE, text=True)
        if "ready" not in self.program.stdout.readline():
            raise RuntimeError("the long line does not carry")

    def _take_up(self):
        if self.far:
            self.far.stop()
        if self.program:
            self.program.kill()
            self.program.wait()
            self.program.stdout.close()
        for part in ("a", "line", "b"):
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{part}"], check=False, capture_output=True)

    def stop(self):
        super().stop()
        self._take_up()
