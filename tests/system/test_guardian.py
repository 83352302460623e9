# SPDX-License-Identifier: Apache-2.0
"""Queries in the ring of a killed data plane are given back with huge pages too. (Without: test_standby; several queues, which
a veth does not have for DPDK: tests/nic/test_shared.)"""
import signal
import socket
import struct
import time

import dns.message
import pytest

from lablib.lab import Lab
from lablib.node import Node
from lablib.process import wait_until

pytestmark = pytest.mark.alone

NODE, CLIENT, NAME = "10.80.0.53", "10.80.0.1", "static.example.com"
ZONE = f"$ORIGIN example.com.\n$TTL 300\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A {NODE}\nstatic IN A 10.80.0.99\n"
SETTINGS = """
sites = ( { name = "ams"; addresses = "10.80.0.80"; } );
zone_dir = "../zones";
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = "ams"; } );
"""
QUERIES = 200  # far fewer than a ring of 2,048 holds
PAGES, PAGES_FILE = 80, "/proc/sys/vm/nr_hugepages"  # of 2 MB


@pytest.fixture
def pages():
    """Huge pages for as long as the test takes."""
    with open(PAGES_FILE, encoding="ascii") as file:
        before = int(file.read())
    try:
        with open(PAGES_FILE, "w", encoding="ascii") as file:
            file.write(str(before + PAGES))
        with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", encoding="ascii") as file:
            free = int(file.read())
    except OSError as error:
        pytest.skip(f"no huge pages here: {error}")
    try:
        if free < PAGES:
            pytest.skip(f"only {free} free huge pages of {PAGES} could be had")
        yield
    finally:
        with open(PAGES_FILE, "w", encoding="ascii") as file:
            file.write(str(before))


def start(lab):
    """A node on AF_XDP with huge pages, and its standby; and a client."""
    lab.write("zones/example.com.zone", ZONE)
    server, client = lab.add_host("node", [f"{NODE}/24"]), lab.add_host("client", [f"{CLIENT}/24"])
    server.run("ethtool", "-K", "eth0", "gro", "on")  # or the ring is emptied whenever an XDP program comes or goes
    node = Node(server, "ns1", "ams", "af_xdp:eth0", [NODE], SETTINGS, standby=True)
    with open(node.config, encoding="utf-8") as file:
        text = file.read().replace("dataplane = {", 'dataplane = { huge_pages = "on";', 1)
    lab.write("ns1/signpost.conf", text)
    node.start()
    node.wait_ready(60)
    wait_until(lambda: node.ask("status")["standby"]["order"]["published"] > 0, 60, "the standby has its tables")
    return node, client


def ask_all(question, sockets):
    for number in range(QUERIES):
        sockets[number % len(sockets)].send(struct.pack("!H", number) + question[2:])


def answers(sockets, seconds):
    """Numbers of the queries that were answered."""
    found, end = set(), time.monotonic() + seconds
    while len(found) < QUERIES and time.monotonic() < end:
        for door in sockets:
            try:
                while True:
                    found.add(struct.unpack_from("!H", door.recv(512))[0])
            except BlockingIOError:
                pass
        time.sleep(0.001)
    return found


def test_queries_in_the_rings_of_a_killed_data_plane_are_answered(pages):
    question = dns.message.make_query(NAME, "A").to_wire()
    with Lab() as lab:
        node, client = start(lab)
        assert "with huge pages" in node.dataplane.log()
        sockets = [client.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) for _ in range(16)]
        for door in sockets:
            door.connect((NODE, 53))
            door.setblocking(False)

        def is_taking():
            ask_all(question, sockets)
            assert len(answers(sockets, 30)) == QUERIES
            return node.counters()["filter"]["taken"] > 0

        wait_until(is_taking, 60, "the data plane takes queries", pause=0.5)
        node.dataplane.signal(signal.SIGSTOP)
        ask_all(question, sockets)
        node.dataplane.kill()
        found = answers(sockets, 30)
        for door in sockets:
            door.close()
    assert len(found) == QUERIES, f"{QUERIES - len(found)} of {QUERIES} were lost"
