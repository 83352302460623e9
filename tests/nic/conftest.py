# SPDX-License-Identifier: Apache-2.0
"""Fixtures: two guests (with an IOMMU for vfio, without for uio) that all tests share, and a data plane in them."""
import os
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import guest as guests  # noqa: E402
from dataplane import DataPlane  # noqa: E402
from world import BIN, make_tables  # noqa: E402

VIRTIO = "virtio-net-pci,mq=on,vectors=10,rss=on,hash=on"
CARDS = [("e1000e", "e1000e"), ("vmxnet3", "vmxnet3"), ("virtio", f"{VIRTIO},iommu_platform=on,disable-legacy=on")]
IGB = ("igb", "igb")


@pytest.fixture(scope="session")
def initramfs():
    reason = guests.missing()
    if reason:
        pytest.skip(f"no guest here: {reason}")
    helper = os.path.join(guests.TOP, "build", os.environ.get("FLAVOUR", "release"), "tests/nic/show_counters")
    with tempfile.TemporaryDirectory() as folder:
        tables = make_tables(folder)
        scripts = [os.path.join(guests.TOP, "scripts", name) for name in ("nic", "hugepages")]
        return guests.pack([f"{BIN}/signpost-dataplane", helper], [tables, *filter(os.path.exists, scripts)])


@pytest.fixture(scope="session")
def vfio_guest(initramfs):
    cards = CARDS + ([IGB] if guests.offers("igb") else [])
    with guests.Guest(initramfs, cards, has_iommu=True) as up:
        up.run("echo 128 >/proc/sys/vm/nr_hugepages")
        yield up


@pytest.fixture(scope="session")
def uio_guest(initramfs):
    with guests.Guest(initramfs, CARDS[:1], has_iommu=False) as up:
        up.run("echo 128 >/proc/sys/vm/nr_hugepages")
        yield up


@pytest.fixture
def start(request):
    """start(guest, cards, *options): a data plane on these cards; ended, and its end checked, after the test."""
    running = []

    def make(guest, cards, *options, **more):
        running.append(DataPlane(guest, cards, options, **more))
        return running[-1]

    yield make
    for dataplane in running:
        dataplane.finish()
