# SPDX-License-Identifier: Apache-2.0
"""A card that stays the kernel's, and programs of others on it: xdp-filter beside ours, in either order of coming and going."""
import shutil

import pytest

import frames
import world
from checks import ANSWERED
from dataplane import REPLY_S, SILENCE_S, DataPlane, bind

CARD, UNWANTED = "second_half", 5300
OBJECTS = "LIBXDP_OBJECT_PATH=/app/bpf"  # where the guest has what libxdp loads
OURS, FILTER = "xsk_def_prog", "xdpfilt"

pytestmark = pytest.mark.skipif(not shutil.which("xdp-filter"), reason="xdp-filter is not installed (package xdp-tools)")


@pytest.fixture
def interface(vfio_guest):
    """The name of the card's interface, which has the node's addresses."""
    bind(vfio_guest, CARD, "virtio-pci")
    name = vfio_guest.run(f"basename /sys/bus/pci/devices/{vfio_guest.address[CARD]}/virtio*/net/*").strip()
    vfio_guest.run(f"ip link set {name} up; echo 0 >/proc/sys/net/ipv6/conf/{name}/accept_dad; "
                   f"ip addr add {frames.NODE}/24 dev {name} && ip addr add {frames.NODE6}/64 dev {name}")
    yield name
    vfio_guest.run(f"ip link set {name} down; ip addr flush dev {name}")


@pytest.fixture
def bpffs(vfio_guest):
    vfio_guest.run("mount -t bpf bpf /sys/fs/bpf")
    yield
    vfio_guest.run("umount /sys/fs/bpf")


@pytest.fixture
def share(vfio_guest, interface):
    """share(): a data plane on the shared card; all are ended, and the card is empty, after the test."""
    running = []

    def make(**more):
        running.append(DataPlane(vfio_guest, [CARD], ("--huge off --tcp off",), prefix=OBJECTS, shared=interface, **more))
        return running[-1]

    yield make
    for dataplane in running:
        dataplane.finish()
    vfio_guest.run(f"xdp-loader unload {interface} --all 2>/dev/null; true")


def check_queries(dataplane):
    """As on every card, but for VLANs, which are a test of their own."""
    mac = dataplane.mac()
    for why, asked, records, how in ANSWERED:
        if "vlan" not in how:
            got = dataplane.exchange(frames.query(mac, asked.to_wire(), **how))
            assert got == frames.reply(mac, world.answer(asked, records), **how), why


def test_a_query_in_a_vlan_is_answered_once_the_kernel_has_an_interface_for_it(vfio_guest, interface, share):
    """The card's filter drops the others; without one nobody could find out the node's hardware address in that VLAN either."""
    dataplane = share()
    tagged = [(asked, records, how) for _, asked, records, how in ANSWERED if "vlan" in how]
    mac = dataplane.mac()
    for asked, _, how in tagged:
        assert dataplane.exchange(frames.query(mac, asked.to_wire(), **how), seconds=SILENCE_S) is None
    ids = {how["vlan"] for _, _, how in tagged}
    vfio_guest.run(" && ".join(f"ip link add link {interface} name {interface}.{n} type vlan id {n}" for n in ids))
    try:
        for asked, records, how in tagged:
            got = dataplane.exchange(frames.query(mac, asked.to_wire(), **how))
            assert got == frames.reply(mac, world.answer(asked, records), **how), how
        assert "takes VLAN tags off" not in dataplane.log()
    finally:
        vfio_guest.run("; ".join(f"ip link del {interface}.{n}" for n in ids))


def test_a_card_that_takes_tags_off_is_named_at_the_start_when_it_has_vlans(vfio_guest, start):
    """vmxnet3 of the kernel does; no XDP program sees such a tag."""
    bind(vfio_guest, "vmxnet3", "vmxnet3")
    name = vfio_guest.run(f"basename /sys/bus/pci/devices/{vfio_guest.address['vmxnet3']}/net/*").strip()
    vfio_guest.run(f"ip link set {name} up; ip addr add {frames.NODE}/24 dev {name}; ip link add link {name} name {name}.7 type vlan id 7")
    try:
        dataplane = start(vfio_guest, ["vmxnet3"], "--huge off --tcp off", prefix=OBJECTS, shared=name)
        assert f"ethtool -K {name} rxvlan off" in dataplane.log()
    finally:
        vfio_guest.run(f"ip link del {name}.7; ip link set {name} down; ip addr flush dev {name}")


def filter_on(guest, interface):
    """xdp-filter drops what goes to the unwanted port."""
    guest.run(f"{OBJECTS} xdp-filter load {interface} 2>&1 && {OBJECTS} xdp-filter port {UNWANTED} -m dst 2>&1")


def programs(guest, interface):
    """Which of the two are on the interface."""
    text = guest.run(f"{OBJECTS} xdp-loader status {interface} 2>/dev/null")
    return {name for name in (OURS, FILTER) if name in text}


def check_both(guest, dataplane):
    """Queries are answered, and what xdp-filter is to drop does not reach the kernel, which answers other ports."""
    check_queries(dataplane)
    mac = dataplane.mac()
    for port, is_answered in ((UNWANTED + 1, True), (UNWANTED, False)):
        packet = frames.ip(frames.CLIENT, frames.NODE, frames.UDP, frames.udp(frames.CLIENT, frames.NODE, 4000, port, bytes(8)))
        dataplane.wire().drain()
        dataplane.wire().send(frames.ethernet(mac, frames.CLIENT_MAC, frames.IPV4, packet))
        unreachable = dataplane.wire().wait_for(lambda f: f[:6] == frames.CLIENT_MAC and frames.Packet(f).protocol == 1,
                                                REPLY_S if is_answered else SILENCE_S)
        assert (unreachable is not None) == is_answered, port


def test_a_filter_that_was_there_before_stays_and_works(vfio_guest, interface, bpffs, share):
    vfio_guest.run("echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
    filter_on(vfio_guest, interface)
    dataplane = share()
    assert "shares the card through libxdp's dispatcher" in dataplane.log()
    assert programs(vfio_guest, interface) == {OURS, FILTER}
    check_both(vfio_guest, dataplane)
    assert dataplane.end() == 0
    assert programs(vfio_guest, interface) == {FILTER}


def test_a_filter_may_come_and_go_beside_a_running_data_plane(vfio_guest, interface, bpffs, share):
    dataplane = share()
    check_queries(dataplane)
    filter_on(vfio_guest, interface)
    check_both(vfio_guest, dataplane)
    vfio_guest.run(f"{OBJECTS} xdp-filter unload {interface} 2>&1")
    assert programs(vfio_guest, interface) == {OURS}
    check_queries(dataplane)


def test_what_a_killed_data_plane_left_is_taken_off_and_the_filter_is_not(vfio_guest, interface, bpffs, share):
    filter_on(vfio_guest, interface)
    killed = share()
    vfio_guest.run("kill -KILL $PID; wait $PID; true")
    killed.is_ended = True
    assert programs(vfio_guest, interface) == {OURS, FILTER}
    dataplane = share()
    assert "earlier data plane left" in dataplane.log()
    check_both(vfio_guest, dataplane)
    assert dataplane.end() == 0
    assert programs(vfio_guest, interface) == {FILTER}


@pytest.mark.parametrize("options,reason", [("", "bpffs"), ("-o ro", "pin")])
def test_without_a_bpf_file_system_to_write_to_ours_has_the_card_alone_and_says_why(vfio_guest, interface, share, options, reason):
    if options:
        vfio_guest.run(f"mount -t bpf {options} bpf /sys/fs/bpf")
    try:
        dataplane = share()
        assert "has the card alone" in dataplane.log() and reason in dataplane.log()
        check_queries(dataplane)
        assert dataplane.end() == 0
        assert programs(vfio_guest, interface) == set()
    finally:
        if options:
            vfio_guest.run("umount /sys/fs/bpf")


QUEUED, QUERIES = "virtio", 200  # of 200, each of its two queues gets some


@pytest.fixture
def queued(vfio_guest):
    """The interface of a card with two queues, which has the node's addresses."""
    if not vfio_guest.on_tap:
        pytest.skip("no TAP interface here, which a card with several queues needs")
    bind(vfio_guest, QUEUED, "virtio-pci")
    name = vfio_guest.run(f"basename /sys/bus/pci/devices/{vfio_guest.address[QUEUED]}/virtio*/net/*").strip()
    vfio_guest.run(f"ip link set {name} up; ip addr add {frames.NODE}/24 dev {name}")
    yield name
    vfio_guest.run(f"ip link set {name} down; ip addr flush dev {name}")


@pytest.mark.parametrize("huge", ["off", "on"])
def test_queries_in_the_rings_of_two_queues_are_given_to_the_standby(vfio_guest, queued, start, huge):
    """They pile up while the data plane stands still; it is killed, and the guardian hands all of them to the kernel."""
    dataplane = start(vfio_guest, [QUEUED], f"--huge {huge} --tcp off --cores 0-1", prefix=OBJECTS, shared=queued)
    wire, mac = dataplane.wire(), dataplane.mac()
    asked = [world.question(number=number) for number in range(QUERIES)]
    burst = [frames.query(mac, asked[number].to_wire(), port=10000 + 7 * number) for number in range(QUERIES)]
    vfio_guest.run(f"rm -rf /tmp/standby; cp -r /app/dataplane /tmp/standby; signpost-standby --address {frames.NODE} "
                   "--socket /tmp/standby.sock --state-dir /tmp/standby >/tmp/standby.log 2>&1 </dev/null & STANDBY=$!")
    try:
        vfio_guest.run("n=0; until grep -q ready: /tmp/standby.log || [ $n -gt 600 ]; do n=$((n+1)); usleep 50000; done")
        assert numbers(wire.converse(burst)) == set(range(QUERIES))
        counted = dataplane.wait_counter("answers_noerror", QUERIES)
        assert counted["rx_packets[0]"] and counted["rx_packets[1]"], "each queue gets some"
        arrived = f"/sys/class/net/{queued}/statistics/rx_packets"
        vfio_guest.run(f"kill -STOP $PID; BEFORE=$(cat {arrived})")
        _, early = wire.pour(burst, 5)
        vfio_guest.run(f"n=0; until [ $(($(cat {arrived}) - BEFORE)) -ge {QUERIES} ] || [ $n -gt 600 ]; do n=$((n+1)); usleep 50000; done; "
                       "usleep 100000")
        vfio_guest.run("kill -KILL $PID; wait $PID; true")
        dataplane.is_ended = True
        late = wire.drain(quiet=3)
        assert not numbers(early), "nobody answers while it stands still"
        assert numbers(late) == set(range(QUERIES))
    finally:
        vfio_guest.run("kill -TERM $STANDBY; wait $STANDBY; true")


def numbers(received):
    """Of the queries that these frames answer."""
    return {int.from_bytes(frames.Packet(frame).payload[8:10], "big") for frame in received
            if frame[:6] == frames.CLIENT_MAC and frames.Packet(frame).protocol == frames.UDP}
