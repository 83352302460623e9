# SPDX-License-Identifier: Apache-2.0
"""Queries in the rings of a killed data plane are given back, with several queues and with huge pages too."""
import os
import signal
import socket
import struct
import time

import dns.message
import pytest

from lablib.lab import Lab, run_in
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


def start(lab, queues, huge):
    """A node on AF_XDP with so many queues and workers, and its standby; and a client."""
    lab.write("zones/example.com.zone", ZONE)
    server, client = lab.add_host("node", [f"{NODE}/24"]), lab.add_host("client", [f"{CLIENT}/24"])
    server.run("ethtool", "-K", "eth0", "gro", "on")  # or the ring is emptied whenever an XDP program comes or goes
    if queues > 1:
        wanted = "rx", str(queues), "tx", str(queues)
        server.run("ethtool", "-L", "eth0", *wanted)
        run_in(server.switch, "ethtool", "-L", server.link, *wanted)  # a frame comes by the queue that it was sent by
    node = Node(server, "ns1", "ams", "af_xdp:eth0", [NODE], SETTINGS, standby=True)
    cores = ",".join(str(core % os.cpu_count()) for core in range(queues))
    with open(node.config, encoding="utf-8") as file:
        text = file.read().replace("dataplane = {", f'dataplane = {{ cores = "{cores}"; idle = "sleep"; huge_pages = "{huge}";', 1)
    lab.write("ns1/signpost.conf", text)
    node.start()
    node.wait_ready(60)
    wait_until(lambda: node.ask("status")["standby"]["order"]["published"] > 0, 60, "the standby has its tables")
    return node, client


def taken(node):
    return node.counters()["filter"]["taken"]


def ask_all(client, question, sockets):
    """From many ports, so that all queues get some."""
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


@pytest.mark.parametrize("queues,huge", [(1, "on"), (2, "off"), (2, "on")])
def test_queries_in_the_rings_of_a_killed_data_plane_are_answered(request, queues, huge):
    if huge == "on":
        request.getfixturevalue("pages")
    if os.cpu_count() < queues:
        pytest.skip(f"{queues} workers need as many CPUs")
    question = dns.message.make_query(NAME, "A").to_wire()
    with Lab() as lab:
        node, client = start(lab, queues, huge)
        assert ("with huge pages" if huge == "on" else "without huge pages") in node.dataplane.log()
        sockets = [client.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) for _ in range(16)]
        for door in sockets:
            door.connect((NODE, 53))
            door.setblocking(False)

        def is_taking():
            ask_all(client, question, sockets)
            assert len(answers(sockets, 30)) == QUERIES
            return taken(node) > 0

        wait_until(is_taking, 60, "the data plane takes queries", pause=0.5)
        received = [worker["rx_packets"] for worker in node.ask("stats")["workers"][:queues]]
        assert len(received) == queues and all(received), f"each queue gets some: {received}"
        node.dataplane.signal(signal.SIGSTOP)
        before = set(answers(sockets, 0.2))  # none: all were answered above
        ask_all(client, question, sockets)
        node.dataplane.kill()
        found = answers(sockets, 30)
        for door in sockets:
            door.close()
    assert not before and len(found) == QUERIES, f"{QUERIES - len(found)} of {QUERIES} were lost"
