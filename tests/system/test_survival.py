# SPDX-License-Identifier: Apache-2.0
"""The programs survive each other's sudden death, and changes of order lose no query.

SIGNPOST_KILLS (6) and SIGNPOST_ORDER_CHANGES (15) say how often; `make test-lab` runs 20 and 50.
"""
import os
import random
import struct
import threading
import time

import pytest

from lablib.cluster import SERVICE
from lablib.dns import Dnsperf
from lablib.process import wait_until

pytestmark = pytest.mark.alone

KILLS = int(os.environ.get("SIGNPOST_KILLS", "6"))
ORDER_CHANGES = int(os.environ.get("SIGNPOST_ORDER_CHANGES", "15"))
LOAD = [(SERVICE, "A"), (SERVICE, "AAAA"), ("example.com", "MX"), ("static.example.com", "A")]


def is_kept(node):
    """The order that is answered is on disk: written at most once a second, by a thread that a busy disk holds up."""
    with open(f"{node.folder}/dataplane/order.image", "rb") as file:
        generation = struct.unpack_from("=Q", file.read(64), 24)[0]  # struct image_header
    return generation == node.ask("status")["dataplane"]["order"]["generation"]


@pytest.fixture(autouse=True)
def healthy(cluster):
    for client in (cluster.at_ams, cluster.at_fra):
        client.wait_addresses(SERVICE, cluster.order("ams", "fra"), 15)
    for node in (cluster.ams.node, cluster.fra.node):
        wait_until(lambda at=node: is_kept(at), 30, f"the order is on the disk of {node.name}", pause=0.1)


class Watcher:
    """Asks all the time and keeps every different answer."""

    def __init__(self, cluster):
        self.cluster, self.seen, self.lost, self.asked = cluster, {}, 0, 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.end.is_set():
            answer = self.cluster.at_ams.addresses(SERVICE, seconds=0.5)
            self.asked += 1
            if answer is None:
                self.lost += 1
            else:
                self.seen[answer] = self.seen.get(answer, 0) + 1

    def stop(self):
        self.end.set()
        self.thread.join()


def test_control_dies_again_and_again_under_load(cluster):
    chance = random.Random(1)
    node = cluster.ams.node
    load = Dnsperf(cluster.client, cluster.ams.node_address, LOAD, 5000, KILLS * 1.5)
    watcher = Watcher(cluster)
    slowest = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 0.6))
        node.control.kill()
        node.start_control()
        slowest = max(slowest, node.wait_ready())
    result = load.result()
    watcher.stop()
    print(f"{KILLS} kills: {result['sent']} queries, {result['lost']} lost; slowest return {slowest * 1000:.0f} ms")
    assert result["lost"] == 0 and result["sent"] > 1000
    assert slowest < 2
    legal = {cluster.order("ams", "fra"), cluster.order("fra"), cluster.order("ams")}
    assert set(watcher.seen) <= legal


def test_the_data_plane_dies_again_and_again_under_load(cluster):
    chance = random.Random(2)
    node = cluster.ams.node
    load = Dnsperf(cluster.client, cluster.ams.node_address, LOAD, 2000, KILLS * 1.5)
    slowest = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 0.6))
        node.dataplane.kill()
        node.start_dataplane()
        start = time.monotonic()
        cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 5)
        wait_until(lambda: node.ask("status")["dataplane"]["connected"], 5, "the control process is connected")
        slowest = max(slowest, time.monotonic() - start)
    result = load.result()
    print(f"{KILLS} kills: {result['sent']} queries, {result['lost']} lost while it was gone; slowest return "
          f"{slowest * 1000:.0f} ms")
    assert slowest < 2
    assert node.is_ready()
    # What is decided now reaches the new data plane.
    node.ctl("site", "ams", "drain")
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("fra"), 1)
    node.ctl("site", "ams", "auto")


def test_the_data_plane_answers_alone_after_a_restart(cluster):
    node = cluster.ams.node
    node.kill()
    node.start_dataplane()
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 3)
    node.start_control()
    node.wait_ready()


def test_order_changes_under_load_lose_nothing(cluster):
    node = cluster.ams.node
    seconds = ORDER_CHANGES * 0.6
    quiet = Dnsperf(cluster.client, cluster.ams.node_address, LOAD, 10000, seconds).result()
    load = Dnsperf(cluster.client, cluster.ams.node_address, LOAD, 10000, seconds)
    watcher = Watcher(cluster)
    before = node.ask("stats")["control"]["order_changes"]
    for change in range(ORDER_CHANGES):
        node.ctl("site", "ams", "auto" if change % 2 else "drain")
        time.sleep(0.5)
    result = load.result()
    watcher.stop()
    node.ctl("site", "ams", "auto")
    changes = node.ask("stats")["control"]["order_changes"] - before
    print(f"{result['sent']} queries through {changes} changes of order: {result['lost']} lost; without changes "
          f"{quiet['lost']} of {quiet['sent']}; watched {watcher.asked}, answers {watcher.seen}")
    assert changes >= ORDER_CHANGES - 1
    assert result["lost"] <= quiet["lost"]
    assert set(watcher.seen) == {cluster.order("ams", "fra"), cluster.order("fra")} and watcher.lost == 0
