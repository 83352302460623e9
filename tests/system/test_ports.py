# SPDX-License-Identifier: Apache-2.0
"""A stock client reaches the node over every kind of port: af_packet, AF_XDP, memif; IPv4 and IPv6, plain and 802.1Q.

The data plane runs alone here, from images on disk.
"""
import os
import socket
import struct
import subprocess
import time

import dns.message
import pytest

from lablib.dns import Client
from lablib.lab import BUILD, Lab, program
from lablib.process import wait_until
from lablib.xdp import has_program, put_program

NODE, NODE6, CLIENT, CLIENT6 = "10.78.0.53", "2001:db8::53", "10.78.0.1", "2001:db8::1"  # NODE6: as make_images has it
NAME = "www1.example.com"
SIGNAL_END = "ending on"


@pytest.fixture
def lab():
    with Lab() as up:
        yield up


def make_images(lab):
    folder = lab.path("state", "x")[:-2]
    subprocess.run([os.path.join(BUILD, os.environ.get("FLAVOUR", "release"), "tests/bench/make_images"), folder, "100", "16", NODE],
                   check=True, capture_output=True)
    return folder


def start(lab, host, port, *more):
    folder = make_images(lab)
    process = host.start("dataplane", [program("signpost-dataplane"), "--port", port, "--socket",
                                       lab.path("dataplane.sock"), "--state-dir", folder, "--address", NODE,
                                       "--address", NODE6, *more])
    lab.starts = getattr(lab, "starts", 0) + 1  # all write to one log
    wait_until(lambda: process.log().count("ready:") == lab.starts or not process.is_running(), 15,
               "the data plane is ready")
    assert process.is_running(), process.log()
    return process


def check_dns(client_host, server, seconds=10):
    """DNS over UDP answers; returns the client."""
    client = Client(client_host, server)
    wait_until(lambda: client.addresses(NAME, seconds=0.3), seconds, f"{server} answers")
    for _ in range(50):
        assert client.addresses(NAME)
    return client


def check_ping(host, server):
    done = host.run("ping", "-c", "3", "-i", "0.1", "-W", "2", server, check=False)
    assert " 0% packet loss" in done.stdout, done.stdout


def two_hosts(lab, kernel_has_address):
    node = lab.add_host("node", [f"{NODE}/24", f"{NODE6}/64"] if kernel_has_address else [])
    client = lab.add_host("client", [f"{CLIENT}/24", f"{CLIENT6}/64"])
    return node, client


def test_af_packet(lab):
    node, client = two_hosts(lab, True)
    process = start(lab, node, "af_packet:eth0")
    for server in (NODE, NODE6):
        asked = check_dns(client, server)
        check_ping(client, server)
        assert asked.query_tcp(NAME).answer
    assert process.stop() == 0 and SIGNAL_END in process.log()


def test_af_xdp_shares_the_card_with_the_kernel(lab):
    """Queries over UDP are ours; ARP, neighbour discovery, echo and TCP stay the kernel's, on the same addresses."""
    node, client = two_hosts(lab, True)
    process = start(lab, node, "af_xdp:eth0")
    for server in (NODE, NODE6):
        asked = check_dns(client, server)
        check_ping(client, server)
        assert asked.query_tcp(NAME).answer
    assert process.stop() == 0
    assert "xdp" not in node.run("ip", "link", "show", "eth0").stdout, "the XDP program stayed on the interface"


def test_af_xdp_comes_back_after_a_sudden_death(lab):
    node, client = two_hosts(lab, True)
    start(lab, node, "af_xdp:eth0").kill()
    process = start(lab, node, "af_xdp:eth0")
    check_dns(client, NODE)
    assert "earlier data plane left" in process.log()


def test_af_xdp_leaves_another_program_where_it_is_and_says_what_to_do(lab):
    node, _ = two_hosts(lab, True)
    put_program(node)
    done = node.run(program("signpost-dataplane"), "--port", "af_xdp:eth0", "--socket", lab.path("x.sock"), "--state-dir",
                    lab.path("none"), check=False)
    assert done.returncode == 1 and "xdp-loader status" in done.stderr and "xdp off" in done.stderr
    assert has_program(node), "the other program was taken off"
    node.ip("link", "set", "dev", "eth0", "xdp", "off")
    start(lab, node, "af_xdp:eth0")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def tagged_query(source_mac, target_mac, vlan):
    """A whole Ethernet frame with an 802.1Q tag and a query for NAME from CLIENT to NODE."""
    question = dns.message.make_query(NAME, "A", id=4711).to_wire()
    udp = struct.pack("!HHHH", 5353, 53, 8 + len(question), 0) + question
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(CLIENT),
                       socket.inet_aton(NODE))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return target_mac + source_mac + struct.pack("!HHH", 0x8100, vlan, 0x0800) + head + udp


@pytest.mark.parametrize("port", ["af_packet:eth0", "af_xdp:eth0"])
def test_a_vlan_tag_is_kept(lab, port):
    """The reply goes back into the VLAN that the query came from."""
    node, client = two_hosts(lab, True)
    start(lab, node, port)
    macs = [bytes.fromhex(host.run("cat", "/sys/class/net/eth0/address").stdout.strip().replace(":", ""))
            for host in (client, node)]
    with client.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as raw:
        raw.bind(("eth0", 0x0003))
        raw.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes tags out of the frame
        raw.settimeout(0.5)

        def is_answered():
            raw.send(tagged_query(*macs, vlan=7))
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                try:
                    frame, extra, _, _ = raw.recvmsg(2048, 256)
                except socket.timeout:
                    return False
                tag = struct.unpack("=IIIHHHH", extra[0][2][:20])[5] & 0xfff if extra else 0
                if frame[6:12] == macs[1] and struct.pack("!HH", 53, 5353) in frame[:40]:
                    assert tag == 7 or frame[12:16] == struct.pack("!HH", 0x8100, 7)
                    return True
            return False

        wait_until(is_answered, 10, "a tagged query is answered")


@pytest.mark.parametrize("kernel_interface", ["", "dns0"])
def test_memif(lab, kernel_interface):
    """memif joins two processes: here dpdk-testpmd carries frames between it and the client's link.

    Alone the data plane answers ARP, neighbour discovery and echo itself; with a kernel interface the kernel does, and
    DNS over TCP works on the same addresses.
    """
    node, client = two_hosts(lab, False)
    path = lab.path("memif.sock")
    process = start(lab, node, f"memif:server:{path}",
                    *(["--kernel-interface", kernel_interface] if kernel_interface else []))
    if kernel_interface:
        node.ip("addr", "add", f"{NODE}/24", "dev", kernel_interface)
        node.ip("addr", "add", f"{NODE6}/64", "dev", kernel_interface, "nodad")
    node.start("testpmd", ["dpdk-testpmd", "-l", "0-1", "--no-huge", "-m", "256", "--no-pci", "--file-prefix",
                           f"{lab.prefix}pmd", "--vdev", f"net_memif0,role=client,socket={path},socket-abstract=no",
                           "--vdev", "net_af_packet0,iface=eth0", "--", "--no-mlockall", "--total-num-mbufs=4096",
                           "--forward-mode=io", "--auto-start", "--stats-period=10"])
    for server in (NODE, NODE6):
        asked = check_dns(client, server, seconds=20)
        check_ping(client, server)
        if kernel_interface:
            assert asked.query_tcp(NAME).answer
    assert process.stop() == 0
    assert not kernel_interface or kernel_interface not in node.run("ip", "link").stdout


def test_net_tap_serves_the_kernel_behind_it(lab):
    """DPDK's TAP driver, for trials on one machine: the client is the kernel that has the other end of the interface."""
    node, _ = two_hosts(lab, False)
    process = start(lab, node, "vdev:net_tap0,iface=trial0")
    node.ip("addr", "add", f"{CLIENT}/24", "dev", "trial0")
    node.ip("addr", "add", f"{CLIENT6}/64", "dev", "trial0", "nodad")
    for server in (NODE, NODE6):
        check_dns(node, server)
        check_ping(node, server)
    assert process.stop() == 0 and "trial0" not in node.run("ip", "link").stdout


def test_memif_comes_back_after_a_sudden_death(lab):
    node, _ = two_hosts(lab, False)
    path = lab.path("memif.sock")
    start(lab, node, f"memif:server:{path}").kill()
    assert start(lab, node, f"memif:server:{path}").stop() == 0


def test_replies_carry_right_checksums(lab):
    """Seen by the client's kernel, which drops what is wrong, with checksum offload off on both ends."""
    node, client = two_hosts(lab, True)
    client.run("ethtool", "-K", "eth0", "rx", "off", "tx", "off", check=False)
    start(lab, node, "af_packet:eth0")
    before = client.run("nstat", "-az", "UdpInCsumErrors", check=False).stdout
    for server in (NODE, NODE6):
        check_dns(client, server)
    assert client.run("nstat", "-az", "UdpInCsumErrors", check=False).stdout.split()[-2:] == before.split()[-2:]


def test_a_port_that_is_not_there_is_refused_with_a_remedy(lab):
    node, _ = two_hosts(lab, False)
    done = node.run(program("signpost-dataplane"), "--port", "af_packet:eth9", "--socket", lab.path("x.sock"),
                    "--state-dir", lab.path("none"), check=False)
    assert done.returncode == 1 and "eth9" in done.stderr and "ip link" in done.stderr


def test_a_data_plane_without_tables_is_silent_and_says_so(lab):
    node, client = two_hosts(lab, True)
    process = node.start("dataplane", [program("signpost-dataplane"), "--port", "af_packet:eth0", "--socket",
                                       lab.path("y.sock"), "--state-dir", lab.path("empty", "x")[:-2], "--address",
                                       NODE])
    wait_until(lambda: "waiting for the first tables" in process.log(), 10, "it says that it waits")
    asked = Client(client, NODE)
    assert asked.addresses(NAME, seconds=0.3) is None


def test_hostile_messages_on_the_image_socket(lab):
    node, client = two_hosts(lab, True)
    process = start(lab, node, "af_packet:eth0")
    path = lab.path("dataplane.sock")
    for payload in (b"x", bytes(304), b"\xff" * 304, b"1MPS" + bytes(300), bytes(60000)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(path)
            try:
                connection.send(payload)
            except BrokenPipeError:
                pass
            time.sleep(0.02)
    held = []
    for _ in range(40):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(0.2)
        try:
            connection.connect(path)
            held.append(connection)
        except OSError:
            connection.close()
    check_dns(client, NODE)
    for connection in held:
        connection.close()
    assert process.is_running()
