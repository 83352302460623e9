# SPDX-License-Identifier: Apache-2.0
"""Fixtures: two guests (with an IOMMU for vfio, without for uio) that all tests share, and data planes in them."""
import glob
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import guest as guests  # noqa: E402
from dataplane import DataPlane  # noqa: E402
from world import BIN, make_tables  # noqa: E402

MULTI_QUEUE = ["virtio", "igb"]
HUGE_PAGES = 96  # of 2 MB
CARDS = {  # QEMU's device, DPDK's driver, workers that get a share of the queries
    "e1000e": ("e1000e", "net_e1000_em", 1),
    "vmxnet3": ("vmxnet3", "net_vmxnet3", 1),
    "virtio": ("virtio-net-pci,mq=on,vectors=10,rss=on,hash=on,iommu_platform=on,disable-legacy=on", "net_virtio", 2),
    "igb": ("igb", "net_e1000_igb", 4),
    "first_half": ("e1000e,multifunction=on", "net_e1000_em", 1),
    "second_half": ("virtio-net-pci,iommu_platform=on,disable-legacy=on", "net_virtio", 1),
    "bridged_one": ("vmxnet3", "net_vmxnet3", 1),
    "bridged_two": ("vmxnet3", "net_vmxnet3", 1),
}


def boot(initramfs, names, has_iommu):
    offered = {name: CARDS[name][0] for name in names if guests.offers(CARDS[name][0].split(",")[0])}
    guest = guests.Guest(initramfs, offered, has_iommu, on_tap=None if guests.missing_tap() else "virtio")
    guest.open()
    guest.run(f"echo {HUGE_PAGES} >/proc/sys/vm/nr_hugepages")
    return guest


@pytest.fixture(scope="session")
def initramfs():
    reason = guests.missing()
    if reason:
        pytest.skip(f"no guest here: {reason}")
    helper = os.path.join(guests.TOP, "build", os.environ.get("FLAVOUR", "release"), "tests/nic/show_counters")
    with tempfile.TemporaryDirectory() as folder:
        tables = make_tables(folder)
        scripts = [os.path.join(guests.TOP, name) for name in ("scripts/nic", "scripts/hugepages", "tests/nic/guest/setuser")]
        tools = [path for path in map(shutil.which, ("xdp-loader", "xdp-filter")) if path]
        return guests.pack([f"{BIN}/signpost-dataplane", f"{BIN}/signpost-standby", helper, *tools],
                           [tables, *scripts, *glob.glob("/usr/lib/*/bpf")])


@pytest.fixture(scope="session")
def vfio_guest(initramfs):
    guest = boot(initramfs, ["e1000e", "vmxnet3", "virtio", "igb", "first_half", "second_half", "bridged_one", "bridged_two"],
                 has_iommu=True)
    yield guest
    guest.close()


@pytest.fixture(scope="session")
def uio_guest(initramfs):
    guest = boot(initramfs, ["e1000e"], has_iommu=False)
    yield guest
    guest.close()


def on_card(request, options=(), **more):
    """A data plane on the card that the fixture's parameter names: "e1000e", or "e1000e-uio"."""
    card, _, uio = request.param.partition("-")
    guest = request.getfixturevalue("uio_guest" if uio else "vfio_guest")
    if card not in guest.address:
        pytest.skip(f"{guests.QEMU[0]} has no {CARDS[card][0]} (8.0 and later have)")
    workers = 1 if card == "virtio" and not guest.on_tap else CARDS[card][2]
    cores = ("--cores", "0-" + str(workers - 1))
    dataplane = DataPlane(guest, [card], (*cores, *options), driver="uio_pci_generic" if uio else "vfio-pci", **more)
    dataplane.workers = workers
    yield dataplane
    dataplane.finish()


ALL = ["e1000e", "vmxnet3", "virtio", "igb", "e1000e-uio"]


@pytest.fixture(scope="module", params=ALL)
def beside_kernel(request):
    """On each card, with the kernel behind it."""
    yield from on_card(request, door="dns0")


@pytest.fixture(scope="module", params=ALL)
def alone(request):
    """On each card, without a kernel interface, and with nothing asked of the card."""
    yield from on_card(request, options=("--offloads", "off"))


@pytest.fixture
def start(request):
    """start(guest, cards, options...): a data plane on these cards; ended, and its end checked, after the test."""
    running = []

    def make(guest, cards, *options, **more):
        running.append(DataPlane(guest, cards, options, **more))
        return running[-1]

    yield make
    for dataplane in running:
        dataplane.finish()
