# SPDX-License-Identifier: Apache-2.0
"""Each card without a kernel interface, and with nothing asked of the card: all is done in software."""
import frames
import world
from checks import check_answers, check_drops
from dataplane import SILENCE_S, assert_same

def test_queries_are_answered_without_offloads(alone):
    check_answers(alone)
    check_drops(alone)


def test_alone_it_answers_arp_neighbour_discovery_and_echo_itself(alone):
    mac = alone.mac()
    assert_same(alone.exchange(frames.padded(frames.arp_request())), frames.arp_reply(mac))
    assert_same(alone.exchange(frames.arp_request(vlan=7)), frames.arp_reply(mac, vlan=7))
    assert_same(alone.exchange(frames.solicitation()), frames.advertisement(mac))
    for how in ({}, {"source": frames.CLIENT6, "target": frames.NODE6}):
        got = frames.Packet(alone.exchange(frames.echo(mac, 3, **how)))
        assert got.is_right and got.payload == frames.echo_reply_message(3, **how)


def test_alone_fragments_are_dropped_and_counted(alone):
    mac, asked = alone.mac(), world.question().to_wire()
    alone.wire().send(frames.query(mac, asked, fragment=0x2000))
    alone.wait_counter("drop_fragment", 1)
    assert alone.wire().wait_for(lambda f: f[:6] == frames.CLIENT_MAC, SILENCE_S) is None
