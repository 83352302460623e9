# SPDX-License-Identifier: Apache-2.0
"""The data plane on emulated cards: frames in, the expected frames out, byte for byte."""
import pytest

import frames
import world


@pytest.fixture(params=["e1000e", "vmxnet3", "virtio"])
def card(request):
    return request.param


def test_a_query_is_answered(vfio_guest, start, card):
    dataplane = start(vfio_guest, [card])
    mac = dataplane.mac()
    asked = world.question()
    assert dataplane.exchange(frames.query(mac, asked.to_wire())) == frames.reply(mac, world.answer(asked, world.WWW))
