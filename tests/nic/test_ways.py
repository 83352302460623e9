# SPDX-License-Identifier: Apache-2.0
"""Other ways to run on a card: vhost-net, an ordinary user, a link that is not there yet."""
import frames
import world
from checks import check_answers
from dataplane import assert_same, bind
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
