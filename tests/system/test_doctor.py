# SPDX-License-Identifier: Apache-2.0
"""signpostctl doctor on a real node, before its programs run and while they do."""
import json
import os
import socket

import pytest

from lablib.cluster import KEY, settings
from lablib.lab import Lab, program
from lablib.node import Node
from lablib.process import wait_until
from lablib.xdp import put_program


@pytest.fixture
def node():
    with Lab() as lab:
        host = lab.add_host("ams", ["10.77.1.53/16"])
        lab.write("heartbeat.key", f"{KEY}\n", mode=0o600)
        lab.write("zones/example.com.zone", "@ 60 IN SOA ns h 1 2 3 4 5\n@ 60 IN NS ns\nns 60 IN A 10.77.1.53\n")
        yield Node(host, "ns-ams", "ams", "af_packet:eth0", ["10.77.1.53"], settings())


def ask(node, expected=None):
    """Findings as `level topic: text`; the remedy of each."""
    done = node.host.run(program("signpostctl"), "--json", "doctor", node.config, check=False)
    found = json.loads(done.stdout)
    assert expected is None or done.returncode == expected, done.stdout
    return {f"{f['level']} {f['topic']}: {f['text']}": f["remedy"] for f in found["findings"]}


def one(findings, part):
    hits = [text for text in findings if part in text]
    assert len(hits) == 1, (part, findings)
    return hits[0]


def test_a_node_that_can_start_has_nothing_bad(node):
    found = ask(node, 0)
    assert one(found, "heartbeat.key_file").startswith("ok")
    assert one(found, "no other name server").startswith("ok port 53")
    assert "af_packet is for trials" in one(found, "af_packet")
    text = node.host.run(program("signpostctl"), "doctor", node.config).stdout
    assert text.splitlines()[-1].startswith("0 bad, ")


def test_a_key_that_others_may_read_is_bad(node):
    os.chmod(os.path.join(node.host.lab.directory, "heartbeat.key"), 0o644)
    done = node.host.run(program("signpostctl"), "doctor", node.config, check=False)
    assert done.returncode == 1 and "heartbeat.key" in done.stdout and "600" in done.stdout


def test_another_name_server_is_named(node):
    with node.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.9", 53))
        assert f"pid {os.getpid()}" in one(ask(node, 0), "has port 53")


def test_a_missing_interface_and_a_missing_address_are_named(node):
    node.host.ip("addr", "del", "10.77.1.53/16", "dev", "eth0")
    assert one(ask(node, 0), "no interface has 10.77.1.53").startswith("warning")
    node.port = "af_packet:eth7"
    node.write_config(settings())
    assert one(ask(node, 1), "there is no interface eth7").startswith("bad")


def test_another_xdp_program_on_a_shared_card_is_named_with_the_remedy(node):
    node.port = "af_xdp:eth0"
    node.write_config(settings())
    assert one(ask(node), "no XDP program is on eth0").startswith("ok")
    put_program(node.host)
    found = ask(node, 1)
    text = one(found, "XDP program onlooker")
    assert text.startswith("bad") and "xdp-loader" in found[text] and "xdp off" in found[text]
    node.host.ip("link", "set", "dev", "eth0", "xdp", "off")
    node.start_dataplane()
    node.start_control()
    node.wait_ready(60)
    assert one(ask(node), "for AF_XDP sockets").startswith("note")


def test_a_shared_card_that_takes_vlan_tags_off_is_named_when_it_has_vlans(node):
    node.port = "af_xdp:eth0"
    node.write_config(settings())
    tells = "takes VLAN tags off"
    assert not [text for text in ask(node) if tells in text]
    made = node.host.run("ip", "link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7", check=False)
    if made.returncode != 0:
        pytest.skip(f"this kernel has no VLAN interfaces: {made.stderr.strip()} (tests/nic shows the warning in a guest)")
    found = ask(node)
    text = one(found, tells)
    assert text.startswith("warning") and "rxvlan off" in found[text]
    node.start_dataplane()
    wait_until(lambda: "ready:" in node.dataplane.log(), 60, "the data plane is ready")
    assert "rxvlan off" in node.dataplane.log()
    node.host.run("ethtool", "-K", "eth0", "rxvlan", "off")
    assert not [text for text in ask(node) if tells in text]


def test_a_file_with_errors_is_told_line_by_line(node):
    with open(node.config, "a", encoding="utf-8") as file:
        file.write("colour = 5;\n")
    assert "colour" in one(ask(node, 1), "bad configuration")


def test_our_own_programs_are_no_strangers(node):
    node.start_dataplane()
    node.start_control()
    node.wait_ready()
    found = ask(node, 0)
    assert one(found, "no other name server").startswith("ok")
    assert one(found, "a program answers on control.socket")
