# SPDX-License-Identifier: Apache-2.0
"""Each card with the kernel behind it: queries are ours, everything else is the kernel's, and no frame is lost silently."""
import pytest

import frames
import guest as guests
import world
from checks import check_answers, check_burst, check_drops
from conftest import CARDS, MULTI_QUEUE
from dataplane import REPLY_S, assert_same
from tcp import Connection

def test_queries_are_answered_beside_the_kernel(beside_kernel):
    card = CARDS[beside_kernel.cards[0]]
    assert card[1] in beside_kernel.log()
    check_answers(beside_kernel)


def test_bad_frames_are_dropped_and_counted_beside_the_kernel(beside_kernel):
    check_drops(beside_kernel)


def test_the_kernel_answers_arp_neighbour_discovery_and_echo(beside_kernel):
    mac = beside_kernel.mac()
    assert_same(beside_kernel.exchange(frames.arp_request()), frames.arp_reply(mac))
    assert_same(beside_kernel.exchange(frames.solicitation()), frames.advertisement(mac))
    for number, how in enumerate(({}, {"size": 1472}, {"source": frames.CLIENT6, "target": frames.NODE6},
                                  {"source": frames.CLIENT6, "target": frames.NODE6, "size": 1452},
                                  {"options": b"\x01\x01\x01\x00"})):
        where = {key: how[key] for key in ("source", "target") if key in how}
        got = frames.Packet(beside_kernel.exchange(frames.echo(mac, number, **how)))
        size = {key: how[key] for key in ("size",) if key in how}
        assert got.is_right and got.payload == frames.echo_reply_message(number, **where, **size), how


def test_fragments_are_put_together_by_the_kernel(beside_kernel):
    mac = beside_kernel.mac()
    message = frames.Packet(frames.echo(mac, 9, size=200)).payload
    for part, place in ((message[:104], 0x2000), (message[104:], 104 // 8)):
        packet = frames.ip(frames.CLIENT, frames.NODE, frames.ICMP, part, number=77, fragment=place)
        beside_kernel.wire().send(frames.ethernet(mac, frames.CLIENT_MAC, frames.IPV4, packet))
    frame = beside_kernel.wire().wait_for(lambda f: frames.Packet(f).protocol == frames.ICMP, REPLY_S)
    assert frames.Packet(frame).payload == frames.echo_reply_message(9, size=200)


@pytest.mark.parametrize("how", [{}, {"source": frames.CLIENT6, "target": frames.NODE6}], ids=["IPv4", "IPv6"])
def test_tcp_is_served_on_the_same_address(beside_kernel, how):
    asked = world.question()
    connection = Connection(beside_kernel.wire(), beside_kernel.mac(), port=41000 + len(how), **how)
    connection.open()
    for _ in range(2):
        assert connection.ask(asked.to_wire()) == world.answer(asked, world.WWW)
    connection.close()


def test_the_kernel_reaches_a_vlan_of_the_card(beside_kernel):
    """A VLAN interface on the kernel's interface: tags pass both ways."""
    run, door = beside_kernel.guest.run, beside_kernel.door
    run(f"ip link add link {door} name {door}.7 type vlan id 7 && ip addr add 198.18.7.2/24 dev {door}.7 && "
        f"ip link set {door}.7 up")
    got = beside_kernel.exchange(frames.arp_request("198.18.7.2", vlan=7))
    assert_same(got, frames.arp_reply(beside_kernel.mac(), "198.18.7.2", vlan=7))
    run(f"ip link del {door}.7")


def test_every_frame_is_accounted_for(beside_kernel):
    if beside_kernel.wire().is_patient:  # TAP interfaces lose frames by themselves; test_events has that card without one
        check_burst(beside_kernel)


def test_all_workers_have_a_share(beside_kernel):
    """Receive-side scaling by the ports of UDP, on the cards that have it; alone, a worker has all."""
    if beside_kernel.cards[0] in MULTI_QUEUE and beside_kernel.workers == 1:
        pytest.skip(f"one queue only: {guests.missing_tap()}")
    mac, asked = beside_kernel.mac(), world.question().to_wire()
    before = beside_kernel.counters()
    replies = beside_kernel.wire().converse([frames.query(mac, asked, port=2000 + i) for i in range(400)])
    assert len(replies) == 400
    after = beside_kernel.counters()
    shares = [after[f"rx_packets[{i}]"] - before[f"rx_packets[{i}]"] for i in range(beside_kernel.workers)]
    assert sum(shares) >= 400 and min(shares) > 400 / beside_kernel.workers / 2, shares


def test_a_link_that_goes_and_comes_back(beside_kernel):
    guest, card = beside_kernel.guest, beside_kernel.cards[0]
    before = beside_kernel.counters()
    guest.set_link(card, False)
    beside_kernel.wait_log("link down")
    beside_kernel.wait_carrier(False)
    beside_kernel.wait_counter("ports_down", 1)
    guest.set_link(card, True)
    beside_kernel.wait_counter("port_link_changes", before["port_link_changes"] + 2)
    beside_kernel.wait_carrier(True)
    asked = world.question()
    assert_same(beside_kernel.exchange(frames.query(beside_kernel.mac(), asked.to_wire())),
                frames.reply(beside_kernel.mac(), world.answer(asked, world.WWW)))
