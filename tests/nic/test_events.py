# SPDX-License-Identifier: Apache-2.0
"""Several cards in one process, full rings and a stuck card: what happens, and how it ends."""
import time

import pytest

import frames
import world
from checks import check_answers, check_burst
from dataplane import DataPlane, assert_same


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
    end = time.monotonic() + 90
    told = 0
    while time.monotonic() < end and not told:
        wire.push(burst)
        told = "resetting it" in pair.log()
    assert told, pair.log()
    log = pair.wait_log("reset$")
    assert "transmit ring was full" in log
    assert log.count("transmit ring was full") <= 2, "told once a minute"
    check_query(pair, "first_half")
    wire.drain(quiet=0.5)
    check_query(pair, "second_half")
    after = pair.wait_counter("port_resets", before["port_resets"] + 1)
    assert after["tx_full"] > before["tx_full"]
    assert after["port_resets"] == before["port_resets"] + 1
    check_answers(pair)
