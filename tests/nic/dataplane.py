# SPDX-License-Identifier: Apache-2.0
"""A data plane inside the guest, and the exchanges of frames with it."""
import re

import frames
from guest import CommandFailed

READY_S = 40
REPLY_S = 5  # of a guest that the machine gives no time for a while


class DataPlane:
    def __init__(self, guest, cards, options=(), driver="vfio-pci", wait=True):
        self.guest, self.cards, self.is_ended = guest, cards, False
        for card in cards:
            guest.run(bind_command(guest.address[card], driver))
            guest.wire[card].drain()
        ports = " ".join(f"--port pci:{guest.address[card]}" for card in cards)
        guest.run("rm -rf /tmp/state; cp -r /app/dataplane /tmp/state; mkdir -p /run/signpost")
        guest.run(f"signpost-dataplane {ports} --state-dir /tmp/state --idle sleep --address {frames.NODE} "
                  f"--address {frames.NODE6} {' '.join(options)} >/tmp/log 2>&1 </dev/null & PID=$!")
        if wait:
            self.wait_log("ready:")

    def log(self):
        return self.guest.try_run("cat /tmp/log")[1]

    def wait_log(self, text, seconds=READY_S):
        """Until the log has the text; the log."""
        status, _ = self.guest.try_run(
            f"n=0; until grep -q -- '{text}' /tmp/log; do kill -0 $PID 2>/dev/null && [ $n -lt {seconds * 10} ] || "
            f"{{ grep -q -- '{text}' /tmp/log; break; }}; n=$((n+1)); usleep 100000; done; grep -q -- '{text}' /tmp/log",
            seconds + 20)
        log = self.log()
        if status != 0:
            raise CommandFailed(f"the data plane did not say '{text}':\n{log}")
        return log

    def counters(self):
        text = self.guest.run("show_counters /run/signpost/dataplane.sock")
        return {name: int(value) for name, value in re.findall(r"^(\S+) (\d+)$", text, re.MULTILINE)}

    def mac(self, card=None):
        return self.guest.mac[card or self.cards[0]]

    def wire(self, card=None):
        return self.guest.wire[card or self.cards[0]]

    def exchange(self, frame, card=None, seconds=REPLY_S):
        """Sends the frame; the first frame that comes back to our hardware address, or None."""
        wire = self.wire(card)
        wire.send(frame)
        return wire.wait_for(lambda f: f[:6] == frames.CLIENT_MAC, seconds)

    def end(self):
        """SIGTERM; the exit status."""
        self.is_ended = True
        text = self.guest.run("kill -TERM $PID; wait $PID; echo status=$?")
        return int(re.search(r"status=(\d+)", text)[1])

    def finish(self):
        if not self.is_ended:
            status = self.end()
            assert status == 0, f"the data plane ended with status {status}:\n{self.log()}"


def bind_command(address, driver):
    device = f"/sys/bus/pci/devices/{address}"
    return (f"[ \"$(basename $(readlink -f {device}/driver))\" = {driver} ] || {{ "
            f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
            f"echo {driver} >{device}/driver_override; echo {address} >/sys/bus/pci/drivers_probe; "
            f"[ \"$(basename $(readlink -f {device}/driver))\" = {driver} ]; }}")
