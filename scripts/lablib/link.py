# SPDX-License-Identifier: Apache-2.0
"""A memif link between two processes, one core each: testpmd replays a capture, and something answers or turns it round.

What such a link carries depends most of all on how far its two CPUs are from each other: every descriptor and every octet
goes from one's cache to the other's. On virtual machines that changes within seconds (60 or 300 ns there and back: a third
of the rate), so that it is measured once a second, and rates are compared only with rates of the same distance.
"""
import collections
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from .bench import helper
from .lab import end_on_signals, program
from .process import Process, wait_until

ADDRESS = "192.0.2.53"
GENERATOR_CORE, SERVER_CORE = 0, 1
MEMIF = "rsize=11,bsize=2048,socket-abstract=no,id=0"
NEAR_NS = 150  # two hyper-threads of a core, or cores with a cache in common: some 60; else 300 and more
PATIENCE_S = 120  # that all measurements of a link together may wait for its CPUs to be near each other, or be made again
# Frames a second; were the CPUs near each other all the time? None: they moved.
Rate = collections.namedtuple("Rate", "value is_near")
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def missing_tools():
    """Why the link cannot be made here, or nothing."""
    if os.cpu_count() < 2:
        return "needs two cores"
    return "" if shutil.which("dpdk-testpmd") else "dpdk-testpmd is not installed"


def alike(pairs):
    """The pairs of rates that may be compared, and the CPUs' distance: with the CPUs near each other if there are any, else
    those with all of them far apart, else whatever there is."""
    for name, wanted in (("near", True), ("far", False)):
        found = [pair for pair in pairs if all(rate.is_near is wanted for rate in pair)]
        if found:
            return found, name
    return pairs, "mixed"


def emit_pairs(report, case, metric, pairs):
    """Ratios of the second rate of each pair to the first; none when the CPUs moved in each pair: it would say nothing."""
    found, cores = alike(pairs)
    if cores == "mixed":
        print(f"{case}: the CPUs moved in each of {len(pairs)} pairs, no ratio", file=sys.stderr, flush=True)
        return
    report.emit(case, metric, [round(second.value / first.value, 3) for first, second in found], "1", cores=cores, pairs=len(pairs))


def emit_rates(report, case, metric, rates):
    found, cores = alike([(rate,) for rate in rates])
    report.emit(case, metric, [rate.value for rate, in found], "1/s", cores=cores)


def add16(data):
    """Sum of the 16-bit words, folded."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return total


def wire_name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def query(number, name, kind=1, edns=True, options=b""):
    """A message as resolvers send it: mixed case, EDNS with 1232 octets and DO every other time."""
    bits = number * 2654435761 >> 7
    mixed = "".join(c.upper() if bits >> (i % 23) & 1 else c for i, c in enumerate(name))
    message = struct.pack(">HHHHHH", number & 0xFFFF, 0, 1, 0, 0, edns) + wire_name(mixed) + struct.pack(">HH", kind, 1)
    opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000 * (number & 1), len(options)) + options
    return message + (opt if edns else b"")


def client(number):
    """One of many addresses."""
    return bytes([198, 18 + (number >> 8 & 1), number & 0xFF, 1 + number % 250])


def frame(message, mac, number):
    """From one of many addresses and ports to the node."""
    addresses = client(number) + bytes(map(int, ADDRESS.split(".")))
    udp = struct.pack(">HHHH", 2000 + number % 60000, 53, len(message) + 8, 0) + message
    checksum = 0xFFFF - add16(addresses + struct.pack(">HH", 17, len(udp)) + udp) or 0xFFFF
    udp = udp[:6] + struct.pack(">H", checksum) + udp[8:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, len(udp) + 20, number & 0xFFFF, 0, 64, 17, 0)
    head = head[:10] + struct.pack(">H", 0xFFFF - add16(head + addresses)) + addresses
    return mac + bytes([2, 0, 0, 0, 0, 2]) + b"\x08\0" + head + udp


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(PCAP_HEADER)
        for data in frames:
            file.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def read_pcap(path, octets=1 << 24):
    """The whole frames among the first octets of the file."""
    with open(path, "rb") as file:
        data = file.read(octets)
    frames, at = [], len(PCAP_HEADER)
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        if at + 16 + length > len(data):
            break
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


class Link:
    """Use as a context manager: everything that was started ends with it."""

    def __init__(self, patience_s=PATIENCE_S):
        self.directory = tempfile.mkdtemp(prefix="signpost-link-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.processes = []
        self.count = 0
        self.patience_s = patience_s
        self.seen = []  # were the CPUs near each other? Each second of the last rate

    def __enter__(self):
        end_on_signals()
        return self

    def __exit__(self, kind, *_):
        if kind not in (None, SystemExit, KeyboardInterrupt):
            for process in self.processes:
                print(f"--- {process.name}", *process.log().splitlines()[-40:], sep="\n", file=sys.stderr, flush=True)
        for process in reversed(self.processes):
            process.stop(5)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, name, command):
        self.count += 1
        process = Process(name, command, self.path(f"{name}{self.count}.log"))
        self.processes.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM):
        process.signal(number)
        process.stop(10)
        self.processes.remove(process)

    def testpmd(self, name, core, devices, *options):
        """testpmd on one core; its main thread shares the core, it has nothing to do."""
        command = [*self.generator_prefix(), "dpdk-testpmd", f"--lcores=0@{core},1@{core}", "--no-huge", "--no-pci",
                   "--no-shconf", "--no-telemetry", "--iova-mode=va", "-m", "256", f"--file-prefix=link{os.getpid()}{name}"]
        for device in devices:
            command.append(f"--vdev={device}")
        return self.start(name, [*command, "--", "--nb-cores=1", "--stats-period=1", "--no-lsc-interrupt",
                                  "--total-num-mbufs=49152", *options])

    def make_images(self, folder, names, services, *words):
        os.makedirs(self.path(folder), exist_ok=True)
        subprocess.run([helper("make_images"), self.path(folder), str(names),
                        str(services), ADDRESS, *words], check=True)

    def generator_prefix(self):
        """Of its command: the network namespace that it runs in, if it has one."""
        return []

    def dataplane_command(self):
        """Its beginning, with the port."""
        return [program("signpost-dataplane"), "--port", f"memif:server:{self.path('memif.sock')}"]

    def generator_device(self):
        return f"net_memif0,role=client,socket={self.path('memif.sock')},{MEMIF}"

    def dataplane(self, folder, *options):
        """Our data plane, answering from the images in `folder`. The process and its port's hardware address."""
        process = self.start("dataplane", [*self.dataplane_command(), "--cores",
                                           str(SERVER_CORE), "--state-dir", self.path(folder), "--socket",
                                           self.path("dataplane.sock"), "--idle", "busy", "--tcp", "off", *options])
        wait_until(lambda: "ready:" in process.log() or not process.is_running(), 30, "the data plane is ready")
        found = re.search(r"queues, ([0-9a-f:]{17}),", process.log())
        if not found:
            raise RuntimeError(process.log())
        return process, bytes.fromhex(found.group(1).replace(":", ""))

    def reflector(self):
        """testpmd that swaps addresses and ports and sends back."""
        if os.path.exists(self.path("memif.sock")):  # of a server that has ended
            os.remove(self.path("memif.sock"))
        process = self.testpmd("reflector", SERVER_CORE, [f"net_memif0,role=server,socket={self.path('memif.sock')},{MEMIF}"],
                               "--forward-mode=5tswap")
        wait_until(lambda: os.path.exists(self.path("memif.sock")), 30, "the reflector is ready")
        time.sleep(0.5)
        return process

    def generator(self, capture, answers=None):
        """Replays the capture without end; the answers are kept in a file or thrown away."""
        pcap = f"net_pcap0,rx_pcap={capture},infinite_rx=1" + (f",tx_pcap={answers}" if answers else "")
        return self.testpmd("generator", GENERATOR_CORE, [pcap, self.generator_device()], "--forward-mode=io", "--rxd=512",
                            "--txd=512")

    def rate(self, capture, seconds):
        """Frames a second that came back over the link: the median of the seconds."""
        process = self.generator(capture)

        def has_counted():
            self.seen.append(self.are_near())
            return len(rates_of(process.log())) >= seconds + 2 or not process.is_running()

        try:
            wait_until(has_counted, seconds + 30, "the generator has counted", pause=1)
        finally:
            self.stop(process, signal.SIGINT)
        rates = rates_of(process.log())[1:seconds + 1]
        if not rates:
            raise RuntimeError(process.log())
        return statistics.median(rates)

    def are_near(self):
        """With everything on the link standing still for some milliseconds: it would be in the way, and lose more time itself."""
        for process in self.processes:
            process.signal(signal.SIGSTOP)
        try:
            done = subprocess.run([helper("core_distance"), str(GENERATOR_CORE), str(SERVER_CORE)], capture_output=True, text=True,
                                  check=False)
        finally:
            for process in self.processes:
                process.signal(signal.SIGCONT)
        return done.returncode == 0 and int(done.stdout) < NEAR_NS  # not within its seconds: something else has the CPUs

    def near(self, measure):
        """The Rate that `measure` finds: begun when the CPUs are near each other, and again if they did not stay so, for as long
        as the patience lasts."""
        while True:
            begun = time.monotonic()
            while not self.are_near() and time.monotonic() - begun < self.patience_s:
                time.sleep(0.5)
            self.patience_s -= time.monotonic() - begun
            begun = time.monotonic()
            self.seen = []
            value = measure()
            took = time.monotonic() - begun
            if all(self.seen) or took > self.patience_s:
                return Rate(value, self.seen[0] if len(set(self.seen)) == 1 else None)
            self.patience_s -= took


class VethLink(Link):
    """The same over veth between two namespaces of a laboratory: ours on AF_XDP, the generator on af_packet."""

    def __init__(self, lab, patience_s=PATIENCE_S):
        super().__init__(patience_s)
        self.server, self.client = lab.add_host("server", [f"{ADDRESS}/24"]), lab.add_host("client", ["192.0.2.1/24"])

    def generator_prefix(self):
        return self.client.prefix()

    def dataplane_command(self):
        return [*self.server.prefix(), program("signpost-dataplane"), "--port", "af_xdp:eth0"]

    def generator_device(self):
        return "net_af_packet0,iface=eth0,qdisc_bypass=1"


def rates_of(log):
    """Received packets a second on the link's port (number 1), one for each period with traffic."""
    return [int(rate) for rate in re.findall(r"NIC statistics for port 1 .*?Rx-pps:\s+(\d+)", log, re.S) if int(rate) > 0]
