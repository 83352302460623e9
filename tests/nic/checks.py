# SPDX-License-Identifier: Apache-2.0
"""What every card must do, whatever stands behind it."""
import struct
import time

import dns.rcode

import frames
import world
from dataplane import REPLY_S, SILENCE_S, assert_same

ROOT = world.question(".", "NS")
ANSWERED = [  # why, question, expected response, how the frame is made
    ("A, records in their order", world.question(), world.WWW, {}),
    ("a service, sites in their order", world.question("app.example.com."), world.APP, {}),
    ("AAAA", world.question(kind="AAAA"), world.WWW6, {}),
    ("EDNS", world.question(edns=True), world.WWW, {}),
    ("the case of the question is kept", world.question("wWw.ExAmPlE.cOm."), world.WWW, {}),
    ("a VLAN tag is kept", world.question(), world.WWW, {"vlan": 7}),
    ("IPv6", world.question(), world.WWW, {"source": frames.CLIENT6, "target": frames.NODE6}),
    ("IPv6 in a VLAN", world.question(kind="AAAA", edns=True), world.WWW6,
     {"source": frames.CLIENT6, "target": frames.NODE6, "vlan": 4094}),
]


def check_answers(dataplane):
    mac = dataplane.mac()
    for why, asked, records, how in ANSWERED:
        got = dataplane.exchange(frames.query(mac, asked.to_wire(), **how))
        assert got == frames.reply(mac, world.answer(asked, records), **how), why
    # The least query there is: its frame is padded, and the padding must not come back.
    refused = world.answer(ROOT, rcode=dns.rcode.REFUSED, is_authoritative=False)
    assert_same(dataplane.exchange(frames.padded(frames.query(mac, ROOT.to_wire()))), frames.reply(mac, refused))


def check_drops(dataplane):
    """What must not be answered is not, and each has its counter."""
    mac, asked = dataplane.mac(), world.question().to_wire()
    before = dataplane.counters()
    stranger = bytes([2, 0, 0, 0, 0, 0x77])
    for frame in (frames.query(mac, asked, damage=0x5555),
                  frames.query(mac, asked, source=frames.CLIENT6, target=frames.NODE6, damage=0x5555),
                  frames.query(stranger, asked),
                  frames.query(mac, asked[:2] + b"\x84" + asked[3:]),
                  frames.query(mac, asked[:7])):
        dataplane.wire().send(frame)
    after = dataplane.wait_counters({name: before[name] + count for name, count in
                                     (("drop_udp_checksum", 2), ("drop_response", 1), ("drop_short", 1))})
    assert dataplane.wire().wait_for(lambda f: f[:6] == frames.CLIENT_MAC, SILENCE_S) is None
    grown = {name: after[name] - before[name] for name in after if name.startswith("drop_")}
    assert grown["drop_udp_checksum"] == 2 and grown["drop_response"] == 1 and grown["drop_short"] == 1
    assert grown["drop_not_ours"] <= 1, "the card's own filter may have dropped the stranger's frame first"


def settled(dataplane):
    """The counters, when everything on its way between card and kernel is in one: sums of ports come once a second, and
    the kernel sends something of its own now and then.
    """
    end = time.monotonic() + REPLY_S
    while time.monotonic() < end:
        c = dataplane.counters()
        if (c["kernel_packets"] == c["kernel_full"] + c["kernel_taken"] + c["kernel_refused"] and
                c["kernel_given"] == c["kernel_sent"] + c["kernel_send_full"] + c["kernel_lost"]):
            return c
        time.sleep(0.3)
    raise AssertionError(f"frames for the kernel or of it are in no counter: {c}")


def check_burst(dataplane):
    """A burst of several times the rings, a quarter of it for the kernel, sent while the program stands still, and after.

    Afterwards every frame is found in a counter.
    """
    asked, mac = world.question().to_wire(), dataplane.mac()
    queries = [frames.query(mac, struct.pack("!H", i) + asked[2:], port=1024 + i) for i in range(3000)]
    others = [frames.query(mac, bytes(8), port=1024 + i)[:36] + struct.pack("!H", 9) + bytes(14) for i in range(1000)]
    burst = [frame for i in range(1000) for frame in (*queries[3 * i:3 * i + 3], others[i])]
    before = dataplane.counters()
    dataplane.guest.run("kill -STOP $PID")
    stood, received = dataplane.wire().pour(burst, 0.3)
    dataplane.guest.run("kill -CONT $PID")
    sent, more = dataplane.wire().pour(burst[stood:], REPLY_S)
    assert stood + sent == len(burst)
    received += more
    end = time.monotonic() + REPLY_S
    while True:  # the sums of ports come once a second
        received += dataplane.wire().drain(quiet=0.1)
        after = settled(dataplane)
        grown = {name: value - before[name] for name, value in after.items()}
        replies = [frame for frame in received if frames.Packet(frame).payload[:2] == b"\0\x35"]
        is_all = grown["rx_packets"] + grown["port_missed"] >= len(burst) and len(replies) == grown["tx_packets"]
        if is_all or time.monotonic() > end:
            break
    print(f"{dataplane.cards[0]}: {stood} while it stood; {grown['rx_packets']} received, {grown['port_missed']} missed, "
          f"{grown['answers_noerror']} answers, {grown['tx_packets']} sent, {grown['tx_full']} refused")
    assert grown["rx_packets"] + grown["port_missed"] >= len(burst), "received, or counted as missed"
    assert grown["answers_noerror"] == grown["tx_packets"] + grown["tx_full"] >= 500
    assert len(replies) == grown["tx_packets"], "what was handed to the card went out"
    assert len(set(replies)) == len(replies)
    assert all(frames.Packet(frame).is_right for frame in replies)
    assert_same(dataplane.exchange(queries[0]),
                frames.reply(mac, struct.pack("!H", 0) + world.answer(world.question(), world.WWW)[2:], port=1024))
