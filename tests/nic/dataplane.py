# SPDX-License-Identifier: Apache-2.0
"""A data plane inside the guest, and the exchanges of frames with it."""
import re
import time

import frames
from guest import CommandFailed

READY_S = 40
REPLY_S = 30  # of a guest that the machine gives no time for a while; reached only by what fails
SILENCE_S = 0.3  # within which a reply that must not come would have come


class DataPlane:
    """Runs on `cards`; with `door`, the kernel has the node's addresses on the interface of that name. With `shared`, the
    name of the one card's interface, the card stays the kernel's.
    """

    def __init__(self, guest, cards, options=(), driver="vfio-pci", door="", prefix="", wait=True, shared=""):
        self.guest, self.cards, self.door, self.is_ended = guest, cards, door.split(":")[-1], False
        assert guest.try_run("kill -0 $PID 2>/dev/null")[0] != 0, "another data plane still runs in this guest"
        for card in cards:
            if not shared:
                bind(guest, card, driver)
            guest.wire[card].drain()
        ports = f"--port af_xdp:{shared}" if shared else " ".join(f"--port pci:{guest.address[card]}" for card in cards)
        if door:
            options = (*options, "--kernel-interface", door)
        guest.run("rm -rf /tmp/state /run/signpost; cp -r /app/dataplane /tmp/state; mkdir -p /run/signpost")
        if prefix == "setuser":
            guest.run("chown -R 65534 /tmp/state /run/signpost")
        self.command = (f"{prefix} signpost-dataplane {ports} --state-dir /tmp/state --idle sleep --address {frames.NODE} "
                        f"--address {frames.NODE6} {' '.join(options)} >/tmp/log 2>&1 </dev/null & PID=$!")
        guest.run(self.command)
        if wait:
            self.wait_log("ready:")
        if wait and door:
            self.give_addresses(self.door)

    def give_addresses(self, interface):
        self.guest.run(f"echo 0 >/proc/sys/net/ipv6/conf/{interface}/accept_dad; "
                       f"ip addr add {frames.NODE}/24 dev {interface} && ip addr add {frames.NODE6}/64 dev {interface}")

    def log(self):
        return self.guest.try_run("cat /tmp/log")[1]

    def is_running(self):
        return self.guest.try_run("kill -0 $PID 2>/dev/null")[0] == 0

    def wait_log(self, text, seconds=READY_S):
        """Until the log has the text; the log."""
        status, _ = self.guest.try_run(
            f"n=0; until grep -q -- '{text}' /tmp/log; do kill -0 $PID 2>/dev/null && [ $n -lt {seconds * 20} ] || break; "
            f"n=$((n+1)); usleep 50000; done; grep -q -- '{text}' /tmp/log", seconds + 20)
        log = self.log()
        if status != 0:
            raise CommandFailed(f"the data plane did not say '{text}':\n{log}")
        return log

    def counters(self):
        text = self.guest.run("show_counters /run/signpost/dataplane.sock")
        return {name: int(value) for name, value in re.findall(r"^(\S+) (\d+)$", text, re.MULTILINE)}

    def wait_counter(self, name, least, seconds=REPLY_S):
        return self.wait_counters({name: least}, seconds)

    def wait_counters(self, least, seconds=REPLY_S):
        """Until each named counter has at least its value; all counters."""
        end = time.monotonic() + seconds
        while missing := [f"{name} is {counters[name]}, not {value}"
                          for counters in [self.counters()] for name, value in least.items() if counters[name] < value]:
            assert time.monotonic() < end, f"not within {seconds} s: {', '.join(missing)}"
        return self.counters()

    def wait_carrier(self, is_up, seconds=REPLY_S):
        """Until the kernel's interface has, or has no, carrier: what routing daemons see."""
        self.guest.run(f"n=0; until [ \"$(cat /sys/class/net/{self.door}/carrier)\" = {int(is_up)} ]; do "
                       f"[ $n -lt {seconds * 20} ] || break; n=$((n+1)); usleep 50000; done; "
                       f"[ \"$(cat /sys/class/net/{self.door}/carrier)\" = {int(is_up)} ]", seconds + 20)

    def mac(self, card=None):
        return self.guest.mac[card or self.cards[0]]

    def wire(self, card=None):
        return self.guest.wire[card or self.cards[0]]

    def exchange(self, frame, card=None, seconds=REPLY_S):
        """Sends the frame; the first frame that comes back to our hardware address, or None."""
        wire = self.wire(card)
        wire.drain()
        wire.send(frame)
        return wire.wait_for(lambda f: f[:6] == frames.CLIENT_MAC, seconds)

    def end(self):
        """SIGTERM; the exit status."""
        self.is_ended = True
        text = self.guest.run("kill -TERM $PID; wait $PID; echo status=$?")
        return int(re.search(r"status=(\d+)", text)[1])

    def restart(self):
        self.guest.run(f"kill -TERM $PID; wait $PID; {self.command}")
        self.wait_log("ready:")

    def finish(self):
        if not self.is_ended:
            status = self.end()
            assert status == 0, f"the data plane ended with status {status}:\n{self.log()}"


def bind(guest, card, driver):
    """By hand, as an operator without scripts/nic would."""
    address, device = guest.address[card], f"/sys/bus/pci/devices/{guest.address[card]}"
    guest.run(f"[ \"$(basename $(readlink -f {device}/driver))\" = {driver} ] || {{ "
              f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
              f"echo {driver} >{device}/driver_override; echo {address} >/sys/bus/pci/drivers_probe; "
              f"[ \"$(basename $(readlink -f {device}/driver))\" = {driver} ]; }}")


def is_same(frame, expected):
    """Equal to the last byte; a card may pad a short frame with zeros, never with anything else."""
    return frame in (expected, frames.padded(expected))


def assert_same(frame, expected):
    assert frame is not None, "no frame came back"
    assert is_same(frame, expected), f"\ngot      {frame.hex()}\nexpected {expected.hex()}"
