# SPDX-License-Identifier: Apache-2.0
"""scripts/nic and scripts/hugepages on the guest's own cards, and what the data plane says when a card is not to be had."""
import os
import re
import subprocess

import pytest

from dataplane import DataPlane
from guest import TOP


def refusal(guest, arguments, prefix=""):
    """Exit status and message of a data plane that cannot start."""
    status, text = guest.try_run(f"{prefix} signpost-dataplane {arguments} --state-dir /tmp/none --socket /tmp/none.sock "
                                 "</dev/null 2>&1")
    return status, text


@pytest.mark.parametrize("script", ["nic", "hugepages"])
def test_wrong_usage_is_told_with_the_right_one(script):
    path = os.path.join(TOP, "scripts", script)
    for words in ([], ["no-such-command"], ["--no-such-option"]):
        done = subprocess.run([path, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and f"usage: {script}" in done.stderr, words
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    assert f"usage: {script}" in done.stdout


@pytest.mark.parametrize("way", ["environment", "link", "hidden", "mapped"])
def test_an_ssh_session_over_ipv6_keeps_its_card(tmp_path, way):
    """On a machine of files. `hidden`: sudo has taken SSH_CONNECTION away; `mapped`: IPv4 on a socket of IPv6."""
    card = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    (card / "net/eth7").mkdir(parents=True)
    for name in ("vfio-pci", "ixgbe"):
        (tmp_path / "sys/bus/pci/drivers" / name).mkdir(parents=True)
    (card / "class").write_text("0x020000")
    (card / "driver").symlink_to("../../drivers/ixgbe")
    (tmp_path / "sys/class/net/eth7").mkdir(parents=True)
    (tmp_path / "proc/net").mkdir(parents=True)
    local = "B80D0120000000000000000001000000" if way == "hidden" else "0000000000000000FFFF00000100007F"
    if way in ("hidden", "mapped"):
        (tmp_path / "proc/net/tcp6").write_text(f"head\n0: {local}:0016 {local}:C350 01\n")
    (tmp_path / "proc/net/if_inet6").write_text("20010db8000000000000000000000001 02 40 00 80 eth7\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "ip").write_text("#!/bin/sh\necho '1: eth7 inet 127.0.0.1/8 scope host eth7'\n"
                              "echo '2: eth7 inet6 2001:db8::1/64 scope global'\n")
    (tools / "ip").chmod(0o755)
    sessions = {"environment": "2001:db8::2 5000 2001:db8::1 22", "link": "fe80::2%eth7 5000 fe80::1%eth7 22"}
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "SIGNPOST_SYS": str(tmp_path / "sys"),
                   "SIGNPOST_PROC": str(tmp_path / "proc"), "SIGNPOST_NIC_STATE": str(tmp_path / "state"),
                   "SSH_CONNECTION": sessions.get(way, "")}
    done = subprocess.run([os.path.join(TOP, "scripts/nic"), "bind", "0000:01:00.0"], env=environment, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1 and "an SSH session comes in by eth7" in done.stderr, done


def test_a_card_goes_to_vfio_and_back_ten_times(vfio_guest):
    card = vfio_guest.address["vmxnet3"]
    vfio_guest.try_run(f"nic unbind {card}")
    name = vfio_guest.run(f"ls /sys/bus/pci/devices/{card}/net").strip()
    for _ in range(10):
        assert f"{card}: vmxnet3 ({name}) -> vfio-pci" in vfio_guest.run(f"nic bind {name}")
        assert f"{card}: vfio-pci -> vmxnet3" in vfio_guest.run(f"nic unbind {card}")
        name = vfio_guest.run(f"ls /sys/bus/pci/devices/{card}/net").strip()
        assert vfio_guest.try_run(f"[ -e /var/lib/signpost/nic/{card} ]")[0] == 1, "nothing is remembered any more"
    assert "already" in vfio_guest.run(f"nic unbind {card}")
    vfio_guest.run(f"nic bind {card}")
    said = vfio_guest.run(f"nic status {card}")
    assert f'dataplane.ports = "pci:{card}"' in said and "unbind gives it back to vmxnet3" in said
    vfio_guest.run(f"nic unbind {card}")


def test_the_card_of_the_default_route_is_refused_unless_forced(vfio_guest):
    card = vfio_guest.address["vmxnet3"]
    vfio_guest.try_run(f"nic unbind {card}")
    name = vfio_guest.run(f"ls /sys/bus/pci/devices/{card}/net").strip()
    vfio_guest.run(f"ip addr add 203.0.113.2/24 dev {name}; ip link set {name} up; ip route add default via 203.0.113.1")
    status, text = vfio_guest.try_run(f"nic bind {name} 2>&1")
    assert status == 1 and f"{name} has the default route" in text and "--force" in text
    vfio_guest.run("ip route del default")
    status, text = vfio_guest.try_run(f"SSH_CONNECTION='203.0.113.1 5000 203.0.113.2 22' nic bind {name} 2>&1")
    assert status == 1 and f"an SSH session comes in by {name}" in text
    assert f"keep it: an SSH session comes in by {name}" in vfio_guest.run(
        f"SSH_CONNECTION='203.0.113.1 5000 203.0.113.2 22' nic status {card}")
    vfio_guest.run(f"ip link add link {name} name over.5 type vlan id 5; ip addr add 203.0.114.2/24 dev over.5; "
                   "ip link set over.5 up; ip route add default via 203.0.114.1")
    status, text = vfio_guest.try_run(f"nic bind {name} 2>&1")
    assert status == 1 and "over.5 has the default route" in text, "also by a VLAN over it"
    assert "forced, although over.5 has the default route" in vfio_guest.run(f"nic bind --force {name}")
    vfio_guest.run(f"nic unbind {card}")


def test_a_card_in_use_is_refused_with_the_process(vfio_guest, start):
    """The kernel would wait for it, and the script with it."""
    dataplane = start(vfio_guest, ["e1000e"])
    status, text = vfio_guest.try_run(f"nic unbind {vfio_guest.address['e1000e']} 2>&1")
    assert status == 1 and "in use by process" in text and "signpost" in text
    assert dataplane.is_running()


def test_what_is_no_card_is_told(vfio_guest):
    for words, said in (("bind nothing0", "no such interface"), ("bind lo", "without a card"),
                        ("bind 0000:00:1e.0", "no such PCI device"), ("bind 0000:00:00.0", "no network card")):
        status, text = vfio_guest.try_run(f"nic {words} 2>&1")
        assert status == 1 and said in text, text


def test_vfio_without_an_iommu_is_refused_with_the_remedy(uio_guest):
    status, text = uio_guest.try_run(f"nic bind {uio_guest.address['e1000e']} 2>&1")
    assert status == 1 and "intel_iommu=on" in text and "uio_pci_generic" in text


def test_a_card_of_the_kernel_is_refused_with_the_remedy(vfio_guest):
    card = vfio_guest.address["vmxnet3"]
    vfio_guest.try_run(f"nic unbind {card}")
    status, text = refusal(vfio_guest, f"--port pci:{card}")
    assert status == 1 and "the kernel's driver vmxnet3 has it" in text and f"scripts/nic bind {card}" in text
    status, text = refusal(vfio_guest, "--port pci:0000:00:1e.0")
    assert status == 1 and "no such PCI device" in text


def test_a_group_that_is_not_viable_is_refused_with_the_member_in_use(vfio_guest):
    first, second = vfio_guest.address["bridged_one"], vfio_guest.address["bridged_two"]
    said = vfio_guest.run(f"nic bind {first}")
    assert f"not viable until these are bound as well: {second} (vmxnet3)" in said
    status, text = refusal(vfio_guest, f"--port pci:{first}")
    assert status == 1 and "not viable" in text and second in text and "vmxnet3" in text
    vfio_guest.run(f"nic unbind {first}")


def test_short_huge_pages_are_told_with_the_command_that_helps(uio_guest):
    """uio cannot do without; the command that the message names then helps."""
    card = uio_guest.address["e1000e"]
    uio_guest.run(f"nic bind --driver uio_pci_generic {card}")
    uio_guest.run("hugepages release")
    status, text = refusal(uio_guest, f"--port pci:{card}")
    needed = re.search(r"`scripts/(hugepages reserve \d+)`", text)
    assert status == 1 and "huge pages are needed and 0 MB are free" in text and needed
    assert "free" in uio_guest.run(needed[1])
    dataplane = DataPlane(uio_guest, ["e1000e"], driver="uio_pci_generic")
    assert "with huge pages" in dataplane.log()
    dataplane.finish()
    status, text = uio_guest.try_run("hugepages reserve 100000 2>&1")
    assert status == 1 and "could be had" in text
    assert "2 MB pages" in uio_guest.run("hugepages status")


def test_short_locked_memory_is_told_with_the_limit_to_raise(vfio_guest):
    card = vfio_guest.address["e1000e"]
    vfio_guest.run(f"nic bind {card}")
    group = vfio_guest.run(f"basename $(readlink /sys/bus/pci/devices/{card}/iommu_group)").strip()
    vfio_guest.run(f"chmod 666 /dev/vfio/{group} /dev/vfio/vfio")
    status, text = refusal(vfio_guest, f"--port pci:{card} --huge off", prefix="ulimit -l 64; setuser")
    assert status != 0 and "LimitMEMLOCK=infinity" in text, text
    vfio_guest.run(f"chmod 600 /dev/vfio/{group}")
    status, text = refusal(vfio_guest, f"--port pci:{card} --huge off", prefix="setuser")
    assert status == 1 and f"/dev/vfio/{group}" in text and "chown" in text
