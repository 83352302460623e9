# SPDX-License-Identifier: Apache-2.0
"""Several cards in one process, full rings and a stuck card, the kernel by vhost-net: what happens, and how it ends."""
import time

import pytest

import frames
import world
from checks import check_answers, check_burst
from dataplane import DataPlane, assert_same, bind
from tcp import Connection


@pytest.fixture(scope="module")
def pair(vfio_guest):
    """Two ports of different drivers in one process, each with its own interface of the kernel."""
    up = DataPlane(vfio_guest, ["second_half", "first_half"], door="tap:dns0")
    yield up
    up.finish()


def check_query(dataplane, card):
    asked, mac = world.question(), dataplane.mac(card)
    assert_same(dataplane.exchange(frames.query(mac, asked.to_wire()), card),
                frames.reply(mac, world.answer(asked, world.WWW)))


def test_each_port_answers_and_has_its_own_way_to_the_kernel(pair):
    for card in pair.cards:
        check_query(pair, card)
    pair.guest.run("ip addr add 198.18.1.2/24 dev dns0-1")
    got = pair.exchange(frames.arp_request("198.18.1.2"), "first_half")
    assert_same(got, frames.arp_reply(pair.mac("first_half"), "198.18.1.2"))


def test_a_burst_larger_than_the_rings_is_accounted_for(pair):
    check_burst(pair)


def test_a_peer_that_takes_nothing_fills_the_ring_until_the_card_is_reset(pair):
    """The host stops reading: the ring fills, answers are dropped, counted and told; after ten seconds the card is reset.
    Then the host reads again, and all is as before.
    """
    wire, mac, asked = pair.wire(), pair.mac(), world.question().to_wire()
    before = pair.counters()
    burst = [frames.query(mac, asked, port=3000 + i) for i in range(40)]
    end = time.monotonic() + 40
    told = 0
    while time.monotonic() < end and not told:
        wire.push(burst)
        told = "resetting it" in pair.log()
    assert told, pair.log()
    log = pair.wait_log("reset$", 20)
    assert "transmit ring was full" in log
    assert log.count("transmit ring was full") <= 2, "told once a minute"
    check_query(pair, "first_half")
    wire.drain(quiet=0.5)
    check_query(pair, "second_half")
    after = pair.wait_counter("port_resets", before["port_resets"] + 1)
    assert after["tx_full"] > before["tx_full"]
    assert after["port_resets"] == before["port_resets"] + 1
    check_answers(pair)


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
    check_query(dataplane, "e1000e")
