# SPDX-License-Identifier: Apache-2.0
"""A small QEMU guest with emulated cards: no root, no KVM, no tap. Frames travel as datagrams of Unix sockets."""
import atexit
import ctypes
import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import frames

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(TOP, "build", "nic")
QEMU = os.environ.get("SIGNPOST_QEMU", "qemu-system-x86_64").split()  # another one may need -L DIRECTORY as well
MODULES = ("virtio_pci vfio_iommu_type1 vfio_pci uio_pci_generic tun vhost_net 8021q "
           "vmxnet3 virtio_net")
DRIVERS = "bus_pci bus_vdev mempool_ring net_e1000 net_vmxnet3 net_virtio net_af_xdp"
WITH_TAP = os.path.join(HERE, "guest", "with_tap")
TAP_QUEUES = 2
BOOT_S, COMMAND_S = 180, 60  # of a guest on a busy machine: far more than it takes


def end_with_parent():
    """In a child: whatever ends the tests ends QEMU."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def missing():
    """Empty, or why there can be no guest here."""
    if not shutil.which(QEMU[0]):
        return f"no {QEMU[0]}"
    offered = subprocess.run([*QEMU, "-netdev", "help"], capture_output=True, text=True, check=False)
    if "dgram" not in offered.stdout:
        return f"{QEMU[0]} has no -netdev dgram (7.2 and later have)"
    done = subprocess.run([os.path.join(HERE, "guest", "fetch"), FOLDER], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return "no kernel for the guest: " + (done.stderr.strip().splitlines() or ["fetch failed"])[-1]
    return ""


def offers(device):
    done = subprocess.run([*QEMU, "-device", f"{device},help"], capture_output=True, text=True, check=False)
    return f"{device} options" in done.stdout


def missing_tap():
    """Empty, or why there can be no TAP interface, which a card with several queues needs."""
    done = subprocess.run([WITH_TAP, "nic0", "2", f"/tmp/signpost-probe-{os.getpid()}", "/nowhere", "true"],
                          capture_output=True, text=True, check=False)
    if os.path.exists(f"/tmp/signpost-probe-{os.getpid()}"):
        os.unlink(f"/tmp/signpost-probe-{os.getpid()}")
    return "" if done.returncode == 0 else (done.stderr.strip() or "with_tap failed")


def pack(programs, files):
    """The initramfs with these programs and files in /app; its path."""
    out = os.path.join(FOLDER, "guest.cpio")
    subprocess.run([os.path.join(HERE, "guest", "pack"), os.path.join(FOLDER, "root"), out, MODULES, DRIVERS,
                    *programs, "--", *files], check=True)
    return out


class Wire:
    """The host's end of a card's cable. A patient one makes a sender wait rather than lose a frame."""

    def __init__(self, folder, name, is_patient):
        self.is_patient = is_patient
        self.near, self.far = os.path.join(folder, f"{name}.card"), os.path.join(folder, f"{name}.host")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(self.far)

    def send(self, frame):
        self.socket.sendto(frame, self.near)

    def receive(self, seconds):
        """The next frame, or None. Where the node's kernel asks for the client's address, the client answers."""
        end = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(end - time.monotonic(), 0))[0]:
            frame = self.socket.recv(65536)
            answer = frames.neighbour_answer(frame)
            if answer is None:
                return frame
            try:
                self.send(answer)
            except BlockingIOError:
                pass  # it asks again
        return None

    def pour(self, burst, seconds):
        """Sends all frames of the burst as fast as the card takes them, and reads what comes back meanwhile.

        (frames sent, frames received); ends early when the card takes nothing for `seconds`.
        """
        sent, received, end = 0, [], time.monotonic() + seconds
        self.socket.setblocking(False)
        try:
            while sent < len(burst) and time.monotonic() < end:
                try:
                    self.send(burst[sent])
                    sent += 1
                    end = time.monotonic() + seconds
                except BlockingIOError:
                    select.select([self.socket], [], [], 0.001)
                while (frame := self.receive(0)) is not None:
                    received.append(frame)
        finally:
            self.socket.setblocking(True)
        return sent, received

    def push(self, burst):
        """Sends without reading, what of the burst the card takes at once."""
        self.socket.setblocking(False)
        try:
            for frame in burst:
                self.send(frame)
        except BlockingIOError:
            time.sleep(0.05)
        finally:
            self.socket.setblocking(True)

    def converse(self, queries, window=16, seconds=30):
        """Sends the queries, never more than `window` ahead of what came back; the frames that came back."""
        received, sent, end = [], 0, time.monotonic() + seconds
        while len(received) < len(queries) and time.monotonic() < end:
            while sent < len(queries) and sent - len(received) < window:
                self.send(queries[sent])
                sent += 1
            frame = self.wait_for(lambda f: f[:6] == frames.CLIENT_MAC, end - time.monotonic())
            if frame is not None:
                received.append(frame)
                end = time.monotonic() + seconds
        return received

    def drain(self, quiet=0.0):
        """All frames until none has come for `quiet` seconds."""
        frames = []
        while (frame := self.receive(quiet)) is not None:
            frames.append(frame)
        return frames

    def wait_for(self, wanted, seconds):
        """The first frame for which wanted(frame) is true; None after `seconds`. Others are passed over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            frame = self.receive(left)
            if frame is not None and wanted(frame):
                return frame
        return None


class CommandFailed(AssertionError):
    pass


class Guest:
    """`cards`: QEMU's device strings by name; the i-th sits at 0000:00:(8+i).0, one after a multifunction one beside it.

    The card `on_tap` has TAP_QUEUES queues. Cards whose names begin with "bridged" sit behind one bridge to conventional
    PCI, and so in one IOMMU group.
    """

    def __init__(self, initramfs, cards, has_iommu, on_tap=None, cpus=4, memory_mb=640):
        self.on_tap = on_tap
        self.folder = tempfile.mkdtemp(prefix="signpost-nic-")
        self.initramfs, self.has_iommu, self.cpus, self.memory_mb = initramfs, has_iommu, cpus, memory_mb
        self.cards, self.address, slot, function = cards, {}, 7, 0
        for name, device in cards.items():
            if name.startswith("bridged"):
                self.address[name] = f"0000:01:{1 + sum(n.startswith('bridged') for n in self.address):02x}.0"
                continue
            slot, function = (slot, 1) if function == -1 else (slot + 1, 0)
            self.address[name] = f"0000:00:{slot:02x}.{function}"
            function = -1 if "multifunction" in device else 0
        self.mac = {name: bytes([0x52, 0x54, 0, 0x12, 0x34, 0x50 + i]) for i, name in enumerate(cards)}
        self.wire, self.log, self.unread, self.qemu, self.monitor = {}, "", "", None, None

    def open(self):
        atexit.register(self.close)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        kernel = glob.glob(os.path.join(FOLDER, "root", "boot", "vmlinuz-*"))[0]
        monitor = os.path.join(self.folder, "monitor")
        command = [*QEMU, "-accel", os.environ.get("SIGNPOST_QEMU_ACCEL", "tcg"), "-machine", "q35", "-cpu", "max", "-smp",
                   str(self.cpus), "-m", str(self.memory_mb), "-nodefaults", "-no-user-config", "-display", "none",
                   "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", self.initramfs, "-qmp",
                   f"unix:{monitor},server=on,wait=off", "-append",
                   "console=ttyS0 loglevel=1 panic=-1 " + ("intel_iommu=on" if self.has_iommu else "")]
        if self.has_iommu:
            command += ["-device", "intel-iommu,intremap=on"]
        command += ["-device", "pcie-pci-bridge,id=bridge,addr=1c.0"]
        for name, device in self.cards.items():
            wire = self.wire[name] = Wire(self.folder, name, is_patient=name != self.on_tap)
            if name == self.on_tap:
                command = [WITH_TAP, "nic0", str(TAP_QUEUES), wire.near, wire.far, *command, "-netdev",
                           f"tap,id={name},ifname=nic0,queues={TAP_QUEUES},script=no,downscript=no,vnet_hdr=off"]
            else:
                command += ["-netdev", f"dgram,id={name},local.type=unix,local.path={wire.near},remote.type=unix,"
                            f"remote.path={wire.far}"]
            command += ["-device", f"{device},netdev={name},mac={self.mac[name].hex(':')},addr={self.address[name][8:]}"
                        + (",bus=bridge" if name.startswith("bridged") else "")]
        self.qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     bufsize=0, start_new_session=True, preexec_fn=end_with_parent)
        self.wait_text("GUEST-READY", BOOT_S)
        self.monitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.monitor.settimeout(COMMAND_S)
        self.monitor.connect(monitor)
        self.monitor_lines = self.monitor.makefile("r")
        self.monitor_lines.readline()
        self.ask_monitor("qmp_capabilities")

    def ask_monitor(self, command, **arguments):
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.monitor_lines.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def set_link(self, card, is_up):
        self.ask_monitor("set_link", name=card, up=is_up)

    def wait_text(self, pattern, seconds):
        """Waits for the pattern on the console; what came before it."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.unread)
            if found:
                before, self.unread = self.unread[:found.start()], self.unread[found.end():]
                return before, found
            left = end - time.monotonic()
            if left <= 0 or self.qemu.poll() is not None:
                raise CommandFailed(f"not within {seconds} s on the guest's console: {pattern}\n{self.log[-3000:]}")
            if select.select([self.qemu.stdout], [], [], min(left, 0.2))[0]:
                text = os.read(self.qemu.stdout.fileno(), 65536).decode("latin1").replace("\r", "")
                self.log += text
                self.unread += text

    def try_run(self, command, seconds=COMMAND_S):
        """Runs one line of shell in the guest; (status, output)."""
        assert "\n" not in command
        self.qemu.stdin.write(command.encode() + b"\n")
        before, found = self.wait_text(r"GUEST-DONE (\d+)\n", seconds)
        return int(found[1]), before

    def run(self, command, seconds=COMMAND_S):
        status, text = self.try_run(command, seconds)
        if status != 0:
            raise CommandFailed(f"in the guest: {command}: status {status}\n{text}")
        return text

    def close(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        if self.qemu:
            self.qemu.stdin.close()
            self.qemu.stdout.close()
        for wire in self.wire.values():
            wire.socket.close()
        if self.monitor:
            self.monitor.close()
        shutil.rmtree(self.folder, ignore_errors=True)
