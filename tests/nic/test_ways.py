# SPDX-License-Identifier: Apache-2.0
"""Other ways to run on a card: vhost-net, an ordinary user, a link that is not there yet, a standby, a restart."""
import threading
import time

import pytest

import frames
import world
from checks import check_answers
from dataplane import REPLY_S, assert_same, bind
from tcp import Connection


def test_the_kernel_is_reached_by_vhost_net(vfio_guest, start):
    dataplane = start(vfio_guest, ["e1000e"], door="vhost:dns0")
    assert "dns0 (vhost-net, MTU 1500)" in dataplane.log()
    mac, asked = dataplane.mac(), world.question()
    assert_same(dataplane.exchange(frames.arp_request()), frames.arp_reply(mac))
    for size in (56, 1472):
        got = frames.Packet(dataplane.exchange(frames.echo(mac, size, size=size)))
        assert got.is_right and got.payload == frames.echo_reply_message(size, size=size)
    for how in ({}, {"source": frames.CLIENT6, "target": frames.NODE6}):
        connection = Connection(dataplane.wire(), mac, port=42000 + len(how), **how)
        connection.open()
        assert connection.ask(asked.to_wire()) == world.answer(asked, world.WWW)
        connection.close()
    check_answers(dataplane)


def test_it_runs_as_an_ordinary_user_without_huge_pages(vfio_guest, start):
    """The group's file and the limit on locked memory are all that it needs."""
    bind(vfio_guest, "e1000e", "vfio-pci")
    group = vfio_guest.run(f"basename $(readlink /sys/bus/pci/devices/{vfio_guest.address['e1000e']}/iommu_group)").strip()
    vfio_guest.run(f"chmod 666 /dev/vfio/vfio; "
                   f"chown 65534 /dev/vfio/{group}; ulimit -l unlimited")
    dataplane = start(vfio_guest, ["e1000e"], "--huge off --tcp off", prefix="setuser")
    assert "without huge pages" in dataplane.log()
    check_answers(dataplane)


def test_a_link_that_comes_after_the_start_is_told_and_carried(vfio_guest, start):
    """Until then the kernel's interface has no carrier; and what happens within the first second is told as well."""
    vfio_guest.set_link("e1000e", False)
    try:
        dataplane = start(vfio_guest, ["e1000e"], door="tap:dns0")
        assert "not all links are up yet" in dataplane.log() and "link down" in dataplane.log()
        dataplane.wait_carrier(False)
    finally:
        vfio_guest.set_link("e1000e", True)
    dataplane.wait_log("link up")
    dataplane.wait_carrier(True)
    check_answers(dataplane)


def test_a_standby_serves_what_is_the_kernels_on_a_card_of_its_own(vfio_guest, start):
    """Fragmented queries, and queries with IP options, that workers do not serve."""
    dataplane = start(vfio_guest, ["e1000e"], "--tcp off", door="tap:dns0")
    vfio_guest.run(f"rm -rf /tmp/standby; cp -r /app/dataplane /tmp/standby; signpost-standby --address {frames.NODE} "
                   f"--address {frames.NODE6} --socket /tmp/standby.sock --state-dir /tmp/standby >/tmp/standby.log 2>&1 "
                   "</dev/null & STANDBY=$!")
    try:
        vfio_guest.run("n=0; until grep -q ready: /tmp/standby.log || [ $n -gt 600 ]; do n=$((n+1)); usleep 50000; done")
        mac, asked = dataplane.mac(), world.question()
        expected = world.answer(asked, world.WWW)
        before = dataplane.counters()
        datagram = frames.udp(frames.CLIENT, frames.NODE, 5353, 53, asked.to_wire())
        whole = frames.ip(frames.CLIENT, frames.NODE, frames.UDP, datagram, options=b"\1\1\1\0")
        parts = [frames.ip(frames.CLIENT, frames.NODE, frames.UDP, part, number=78, fragment=place)
                 for part, place in ((datagram[:24], 0x2000), (datagram[24:], 24 // 8))]
        for packets in ([whole], parts):
            for packet in packets:
                dataplane.wire().send(frames.ethernet(mac, frames.CLIENT_MAC, frames.IPV4, packet))
            got = dataplane.wire().wait_for(lambda f: frames.Packet(f).protocol == frames.UDP, REPLY_S)
            assert got and frames.Packet(got).is_right and frames.Packet(got).payload[8:] == expected
        assert dataplane.counters()["answers_noerror"] == before["answers_noerror"], "not the workers"
        check_answers(dataplane)
    finally:
        vfio_guest.run("kill -TERM $STANDBY; wait $STANDBY")


class Stream(threading.Thread):
    """A query every few milliseconds until it is ended; when replies came."""

    def __init__(self, wire, frame):
        super().__init__()
        self.wire, self.frame, self.times, self.is_over = wire, frame, [], False

    def run(self):
        self.wire.socket.setblocking(False)
        while not self.is_over:
            try:
                self.wire.send(self.frame)
            except BlockingIOError:
                pass  # nobody takes them just now
            if self.wire.wait_for(lambda f: f[:6] == frames.CLIENT_MAC, 0.005) is not None:
                self.times.append(time.monotonic())
        self.wire.socket.setblocking(True)


@pytest.mark.parametrize("card", ["e1000e", "vmxnet3", "virtio"])
def test_a_restart_on_a_card_of_its_own_is_silent_while_it_starts(vfio_guest, start, card):
    """No hand-over there: the gap is what an operator has to plan for, and it is printed."""
    dataplane = start(vfio_guest, [card])
    stream = Stream(dataplane.wire(), frames.query(dataplane.mac(), world.question().to_wire()))
    stream.start()
    try:
        end = time.monotonic() + REPLY_S
        while not stream.times and time.monotonic() < end:
            time.sleep(0.01)
        began = time.monotonic()
        dataplane.restart()
        ready = time.monotonic()
        while stream.times[-1] < ready and time.monotonic() < ready + REPLY_S:
            time.sleep(0.01)
    finally:
        stream.is_over = True
        stream.join()
    times = [t for t in stream.times if t >= began - 1]
    gap = max(later - earlier for earlier, later in zip(times, times[1:]))
    print(f"{card}: {gap:.2f} s without an answer; ready {ready - began:.2f} s after SIGTERM")
    assert stream.times[-1] > ready, "no answer after the restart"
    dataplane.wire().drain(quiet=0.1)
    check_answers(dataplane)
