# SPDX-License-Identifier: Apache-2.0
"""A node on a memif port with a kernel interface, and a load of queries and other packets whose every frame is counted.

memif is a ring between two processes: nothing of the kernel stands before the data plane, so that what is lost was lost by
one of the two ends, and each of them says so.
"""
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys

from .bench import helper
from .link import add16, frame, query, write_pcap
from .node import Node
from .process import Timeout, wait_until

ADDRESS, DOOR = "192.0.2.53", "dns0"  # frame() sends to this address
NAMES = 512
LOADER_CORE, WORKER_CORE = 0, 1
RT_RUNTIME = "/proc/sys/kernel/sched_rt_runtime_us"
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


@contextlib.contextmanager
def whole_cpus():
    """Linux takes a twentieth of each second from real-time tasks, for 50 ms at a time: rings would fill meanwhile. Not here;
    as before afterwards. An ordinary user cannot have it so."""
    try:
        with open(RT_RUNTIME, encoding="ascii") as file:
            before = file.read()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that it is put back
        with open(RT_RUNTIME, "w", encoding="ascii") as file:
            file.write("-1")
    except OSError as problem:
        print(f"{RT_RUNTIME}: {problem.strerror}; the worker stands still for 50 ms in each second", file=sys.stderr)
        yield
        return
    try:
        yield
    finally:
        with open(RT_RUNTIME, "w", encoding="ascii") as file:
            file.write(before)


def put_first(pid):
    """Nothing ordinary takes its CPU from the worker, as on a machine where `isolcpus` keeps others off it."""
    for task in map(int, os.listdir(f"/proc/{pid}/task")):
        if os.sched_getaffinity(task) == {WORKER_CORE}:
            os.sched_setscheduler(task, os.SCHED_FIFO, os.sched_param(1))


class MemifNode:
    """The node in a namespace of the laboratory; its worker has a CPU of its own when `is_pinned`."""

    def __init__(self, lab, is_pinned):
        self.lab, self.is_pinned, self.pcaps, self.reflectors = lab, is_pinned, (), 0
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
            put_first(self.node.dataplane.popen.pid)
        mac = bytes.fromhex(self.door("address").replace(":", ""))
        self.pcaps = self.lab.path("queries.pcap"), self.lab.path("others.pcap")
        write_pcap(self.pcaps[0], [frame(query(n, f"h{n % NAMES}.example.com"), mac, n) for n in range(4096)])
        write_pcap(self.pcaps[1], [no_query(mac, n) for n in range(4096)])

    def door(self, what):
        """What the kernel says of its interface."""
        return self.host.run("cat", f"/sys/class/net/{DOOR}/{what}").stdout.strip()

    def stop(self):
        self.node.control.stop()
        self.node.dataplane.stop()
        if os.path.exists(self.socket):
            os.remove(self.socket)

    @contextlib.contextmanager
    def running_load(self, seconds, queries, others, client=None):
        """`exception_load`, see there, which has just begun; the function that waits for its figures. With `client`, a host and the
        name of a TAP interface there, that host's own traffic shares the link. Afterwards the node is of no more use: net_memif of
        DPDK 22.11 may crash when its peer goes while a worker polls."""
        core = LOADER_CORE if self.is_pinned else f"(0-{os.cpu_count() - 1})"
        command = [helper("exception_load"), f"--lcores=0@{core}", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
                   "--iova-mode=va", "-m", "128", f"--file-prefix={self.lab.prefix}load", "--log-level=*:error", "--",
                   self.socket, str(seconds), str(queries), str(others), *self.pcaps, *([client[1]] if client else [])]
        host = client[0] if client else self.host
        with subprocess.Popen([*host.prefix(), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loader:

            def figures():
                line = loader.stdout.readline()
                if not line.startswith("{"):
                    raise RuntimeError(f"exception_load: {line}{loader.stdout.read()}")
                return json.loads(line)

            yield figures
            loader.stdin.close()

    @contextlib.contextmanager
    def load(self, seconds, queries, others):
        """What `exception_load` counted."""
        with self.running_load(seconds, queries, others) as figures:
            yield figures()

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

        try:
            wait_until(is_settled, 30, "the counters of the kernel's door add up", pause=1.1)  # read once a second
        except Timeout as problem:
            raise Timeout(f"{problem}: {seen[-3:]}") from None
        return seen[-1]

    @contextlib.contextmanager
    def reflector(self):
        """In the place of the node: testpmd, which swaps addresses and ports of every frame and sends it back. For one load: it
        does not survive that the peer goes."""
        command = ["dpdk-testpmd", f"--lcores=0@{LOADER_CORE},1@{WORKER_CORE}", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
                   "--iova-mode=va", "-m", "256", f"--file-prefix={self.lab.prefix}pmd",
                   f"--vdev=net_memif0,role=server,socket={self.socket},rsize=11,bsize=2048,socket-abstract=no,id=0", "--",
                   "--nb-cores=1", "--stats-period=1", "--no-lsc-interrupt", "--total-num-mbufs=49152", "--forward-mode=5tswap"]
        self.reflectors += 1
        process = self.host.start(f"testpmd{self.reflectors}", command)
        wait_until(lambda: "Port statistics" in process.log(), 30, "the reflector has started")  # before, it refuses a peer
        put_first(process.popen.pid)
        try:
            yield
        finally:
            process.stop()
            if os.path.exists(self.socket):
                os.remove(self.socket)
