# SPDX-License-Identifier: Apache-2.0
"""A node on a memif port with a kernel interface, and a load of queries and other packets whose every frame is counted.

memif is a ring between two processes: nothing of the kernel stands before the data plane, so that what is lost was lost by
one of the two ends, and each of them says so.
"""
import json
import os
import struct
import subprocess

from .lab import BUILD, program
from .link import add16, frame, query, write_pcap
from .node import Node
from .process import wait_until

ADDRESS, DOOR = "192.0.2.53", "dns0"  # frame() sends to this address
NAMES = 512
LOADER_CORE, WORKER_CORE = 0, 1
LOADER = os.path.join(BUILD, os.environ.get("FLAVOUR", "release"), "tests/bench/exception_load")
SETTINGS = """
sites = ( { name = "a"; addresses = "192.0.2.99"; } );
zone_dir = "../zones";
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = ( "a" ); } );
"""


def no_query(mac, number):
    """A UDP packet to a port where nobody listens, from one of many addresses and ports."""
    source = bytes([198, 18, number & 0xFF, 1 + number % 250])
    addresses = source + bytes(map(int, ADDRESS.split(".")))
    udp = struct.pack(">HHHH", 2000 + number % 60000, 9, 26, 0) + bytes(18)
    head = struct.pack(">BBHHHBBH", 0x45, 0, len(udp) + 20, number & 0xFFFF, 0, 64, 17, 0)
    head = head[:10] + struct.pack(">H", 0xFFFF - add16(head + addresses)) + addresses
    return mac + bytes([2, 0, 0, 0, 0, 2]) + b"\x08\0" + head + udp


class MemifNode:
    """The node in a namespace of the laboratory; its worker has a CPU of its own when `is_pinned`."""

    def __init__(self, lab, is_pinned):
        self.lab, self.is_pinned, self.pcaps = lab, is_pinned, ()
        self.socket = lab.path("memif.sock")
        self.host = lab.add_host("node")
        hosts = "".join(f"h{n} IN A 192.0.2.{n % 250 + 1}\n" for n in range(NAMES))
        lab.write("zones/example.com.zone", f"$ORIGIN example.com.\n$TTL 300\n@ IN SOA ns1 h 1 2 3 4 5\n@ IN NS ns1\n"
                                            f"ns1 IN A 192.0.2.1\n{hosts}")
        self.node = Node(self.host, "node", None, f"memif:server:{self.socket}", [ADDRESS], SETTINGS)
        more = f'kernel_interface = "{DOOR}"; ' + (f'cores = "{WORKER_CORE}"; idle = "busy"; ' if is_pinned else "")
        with open(self.node.config, encoding="utf-8") as file:
            text = file.read().replace("dataplane = {", f"dataplane = {{ {more}", 1)
        lab.write("node/signpost.conf", text)

    def start(self):
        self.node.start()
        self.node.wait_ready(60)
        self.host.ip("addr", "add", f"{ADDRESS}/32", "dev", DOOR)
        if self.is_pinned:
            self.put_worker_first()
        mac = bytes.fromhex(self.door("address").replace(":", ""))
        self.pcaps = self.lab.path("queries.pcap"), self.lab.path("others.pcap")
        write_pcap(self.pcaps[0], [frame(query(n, f"h{n % NAMES}.example.com"), mac, n) for n in range(4096)])
        write_pcap(self.pcaps[1], [no_query(mac, n) for n in range(4096)])

    def put_worker_first(self):
        """Nothing ordinary takes its CPU from the worker, as on a machine where `isolcpus` keeps others off it."""
        pid = self.node.dataplane.popen.pid
        for task in map(int, os.listdir(f"/proc/{pid}/task")):
            if os.sched_getaffinity(task) == {WORKER_CORE}:
                os.sched_setscheduler(task, os.SCHED_FIFO, os.sched_param(1))

    def door(self, what):
        """What the kernel says of its interface."""
        return self.host.run("cat", f"/sys/class/net/{DOOR}/{what}").stdout.strip()

    def stop(self):
        self.node.control.stop()
        self.node.dataplane.stop()
        if os.path.exists(self.socket):
            os.remove(self.socket)

    def load(self, seconds, queries, others):
        """What `exception_load` counted; see there."""
        core = LOADER_CORE if self.is_pinned else f"(0-{os.cpu_count() - 1})"
        command = [LOADER, f"--lcores=0@{core}", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--iova-mode=va", "-m",
                   "128", f"--file-prefix={self.lab.prefix}load", "--log-level=*:error", "--", self.socket, str(seconds), str(queries),
                   str(others), *self.pcaps]
        done = subprocess.run([*self.host.prefix(), *command], capture_output=True, text=True, check=False, timeout=seconds + 60)
        if done.returncode != 0:
            raise RuntimeError(f"exception_load: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def counters(self):
        """Sums over workers, and of the ports, once all that was passed to the kernel is through."""
        names = ("rx_packets", "tx_packets", "tx_full", "kernel_packets", "kernel_full", "kernel_taken", "kernel_refused",
                 "kernel_lost", "busy_cycles")
        seen = []

        def is_settled():
            found = self.node.counters()
            if "rx_packets" not in found:
                return False  # the control process is about to connect again
            seen.append({name: found[name] for name in names})
            last = seen[-1]
            return last["kernel_packets"] == last["kernel_full"] + last["kernel_taken"] + last["kernel_refused"] and \
                len(seen) > 1 and {**last, "busy_cycles": 0} == {**seen[-2], "busy_cycles": 0}

        wait_until(is_settled, 30, "the counters of the kernel's door add up", pause=1.1)  # read once a second
        return seen[-1]

    def reflector(self):
        """In the place of the node: testpmd, which swaps addresses and ports of every frame and sends it back."""
        command = ["dpdk-testpmd", f"--lcores=0@{LOADER_CORE},1@{WORKER_CORE}", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
                   "--iova-mode=va", "-m", "256", f"--file-prefix={self.lab.prefix}pmd",
                   f"--vdev=net_memif0,role=server,socket={self.socket},rsize=11,bsize=2048,socket-abstract=no,id=0", "--",
                   "--nb-cores=1", "--stats-period=1", "--no-lsc-interrupt", "--total-num-mbufs=49152", "--forward-mode=5tswap"]
        process = self.host.start("testpmd", command)
        wait_until(lambda: os.path.exists(self.socket), 30, "the reflector is ready")
        return process
