# SPDX-License-Identifier: Apache-2.0
"""Heartbeats between real nodes: a third party's word when a line is broken, and new keys without a gap."""
import time

import pytest

from lablib.cluster import KEY, SERVICE, Cluster
from lablib.node import Node
from lablib.process import wait_until

TEXT = """
heartbeat = { %s witnesses = ( { name = "witness"; address = "10.77.3.53"; } ); };
sites = (
  { name = "ams"; addresses = ( "10.77.1.80", "fd77:1::80" ); nodes = ( { name = "ns-ams"; address = "10.77.1.53"; } ); },
  { name = "fra"; addresses = ( "10.77.2.80", "fd77:2::80" ); nodes = ( { name = "ns-fra"; address = "10.77.2.53"; } ); } );
zone_dir = "../zones";
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = ( "ams", "fra" ); } );
"""
OLD, NEW = 'key_file = "../heartbeat.key";', 'key_file = "../new.key";'


def previous(key):
    return key.replace("key_file", "previous_key_file")


@pytest.fixture(scope="module")
def cluster():
    with Cluster(text=TEXT % OLD, web=False) as up:
        host = up.add_host("witness", ["10.77.3.53/16"])
        up.witness = Node(host, "witness", "", up.port, ["10.77.3.53"], TEXT % OLD)
        up.witness.start()
        up.witness.wait_ready()
        yield up


@pytest.fixture(autouse=True)
def both_serve(cluster):
    for client in (cluster.at_ams, cluster.at_fra):
        client.wait_addresses(SERVICE, cluster.order("ams", "fra"), 15)
    time.sleep(1.1)  # a verdict stays for at least a second


def fra(cluster):
    return next(site for site in cluster.ams.node.ask("sites")["sites"] if site["name"] == "fra")


def test_a_line_that_is_broken_between_two_nodes_only_is_excused_by_a_third(cluster):
    """fra cannot reach ams, but the witness, which can reach both, hears it."""
    cluster.fra.host.ip("route", "add", "blackhole", "10.77.1.53/32")
    try:
        wait_until(lambda: "lost on the way here" in fra(cluster)["why"], 3, "the line is seen to be broken")
        assert cluster.at_ams.stays(SERVICE, cluster.order("ams", "fra"), 2) is None
        assert fra(cluster)["in_doubt"], "the TTL is short meanwhile"
        cluster.fra.host.ip("route", "add", "blackhole", "10.77.3.53/32")
        cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams"), 3)
        assert "no messages from the site's node" in fra(cluster)["why"]
    finally:
        for address in ("10.77.1.53", "10.77.3.53"):
            cluster.fra.host.run("ip", "route", "del", "blackhole", f"{address}/32", check=False)
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 5)


def test_a_key_is_replaced_without_a_gap_and_a_wrong_one_is_not_heard(cluster):
    """First everybody accepts the new key, then everybody sends with it, then the old one goes."""
    cluster.write("new.key", f"{KEY[::-1]}\n", mode=0o600)
    nodes = (cluster.ams.node, cluster.fra.node, cluster.witness)
    for keys in (OLD + previous(NEW), NEW + previous(OLD), NEW):
        for node in nodes:
            node.write_config(TEXT % keys)
            node.ctl("reload")
            assert cluster.at_ams.stays(SERVICE, cluster.order("ams", "fra"), 0.7) is None, f"{node.name}: {keys}"
    changes = [entry for entry in cluster.ams.node.ask("history")["history"] if entry["kind"] == "verdict"][-1]
    assert changes["to"] == "up"
    cluster.fra.node.write_config(TEXT % OLD)
    cluster.fra.node.ctl("reload")
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams"), 3)
    refused = cluster.ams.node.ctl("metrics")
    assert any("heartbeats_received_total" in line and not line.endswith(" 0") and 'verdict="good"' not in line
               for line in refused.splitlines() if not line.startswith("#")), "refused messages are counted"
    cluster.fra.node.write_config(TEXT % NEW)
    cluster.fra.node.ctl("reload")
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 5)
