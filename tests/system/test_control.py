# SPDX-License-Identifier: Apache-2.0
"""Configuration, reload, the command line, and hostile input on the control process's sockets."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from lablib.cluster import SERVICE, ZONE, settings
from lablib.lab import program
from lablib.process import wait_until

WRONG = """
node = { name = "ns1"; site = "nowhere"; };
dataplane = { ports = "af_packet:eth0"; adresses = ( "192.0.2.53" ); };
sites = (
  { name = "ams"; addresses = ( "192.0.2.300" ); web = { interval = "1ms"; }; }
);
services = ( { name = "www.example.com"; sites = ( "ams", "fra" ); } );
"""


def run(*command):
    return subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True, check=False, timeout=30)


def test_a_wrong_configuration_is_refused_with_all_errors_at_once(tmp_path):
    path = tmp_path / "wrong.conf"
    path.write_text(WRONG)
    for command in (("signpostctl", "check", str(path)), ("signpost-control", "--config", str(path))):
        done = run(*command)
        assert done.returncode == 2
        for line, word in ((2, "nowhere"), (3, "addresses"), (5, "192.0.2.300"), (5, "interval"), (7, "fra")):
            assert any(text.startswith(f"{path}:{line}:") and word in text for text in done.stderr.splitlines()), \
                f"line {line} with {word} in:\n{done.stderr}"


def test_exit_statuses_and_a_clear_word_without_the_daemon(tmp_path):
    done = run("signpostctl", "--socket", str(tmp_path / "none.sock"), "status")
    assert done.returncode == 3 and "does not run" in done.stderr
    assert run("signpostctl", "stauts").returncode == 2
    assert run("signpostctl").returncode == 2
    assert run("signpostctl", "--help").returncode == 0


def test_every_reader_speaks_json(cluster):
    for command in (("status",), ("sites",), ("services",), ("explain", SERVICE), ("stats",), ("history",),
                    ("problems",), ("simulate", "--down", "ams"), ("metrics",)):
        assert isinstance(cluster.ams.node.ask(*command), dict), command
        assert cluster.ams.node.ctl(*command) is not None


def test_refusals_end_with_status_1(cluster):
    node = cluster.ams.node
    for command, status in ((("site", "nowhere", "down"), 1), (("explain", "nothing.example.net"), 1),
                            (("site", "ams", "sideways"), 2), (("explain", SERVICE, "--client", "not-an-address"), 2)):
        with pytest.raises(RuntimeError) as refused:
            node.ctl(*command)
        assert refused.value.status == status, command


def test_simulate_shows_what_would_be(cluster):
    service = cluster.ams.node.ask("simulate", "--down", "ams")["services"][0]
    assert tuple(service["a"]) == cluster.order("fra")
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")


def test_reload_is_all_or_nothing(cluster):
    node = cluster.ams.node
    before = node.ask("status")["dataplane"]["zone"]["generation"]
    good = settings()
    node.write_config(good.replace('sites = ( "ams", "fra" )', 'sites = ( "ams", "paris" )'))
    with pytest.raises(RuntimeError) as refused:
        node.ctl("reload")
    assert refused.value.status == 1
    assert node.ask("status")["dataplane"]["zone"]["generation"] == before
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")
    node.write_config(good.replace('sites = ( "ams", "fra" )', 'sites = ( "fra", "ams" )'))
    node.ctl("reload")
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("fra", "ams"), 3)
    node.write_config(good)
    node.control.signal(signal.SIGHUP)
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 3)


def test_a_reload_adds_and_removes_services_and_records(cluster):
    node = cluster.ams.node
    zone = os.path.join(cluster.directory, "zones", "example.com.zone")
    more = 'services = ( { name = "shop.example.com"; sites = ( "fra" ); }, { name = "www.example.com";'
    node.write_config(settings().replace('services = ( { name = "www.example.com";', more))
    with open(zone, "a", encoding="utf-8") as file:
        file.write("new IN A 10.77.1.77\n")
    node.ctl("reload")
    cluster.at_ams.wait_addresses("shop.example.com", cluster.order("fra"), 3)
    cluster.at_ams.wait_addresses("new.example.com", ["10.77.1.77"], 3)
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")
    cluster.write("zones/example.com.zone", ZONE)
    node.write_config(settings())
    node.ctl("reload")
    wait_until(lambda: cluster.at_ams.addresses("shop.example.com") == (), 3, "the service is gone")
    assert cluster.at_ams.addresses("new.example.com") == ()


def test_a_zone_with_an_error_is_reported_with_its_line(cluster):
    node = cluster.ams.node
    cluster.write("zones/example.com.zone", ZONE + "bad IN A 10.77.1.300\n")
    reply = node.ctl("reload", check=False)
    line = ZONE.count("\n") + 1
    assert f"example.com.zone:{line}" in reply
    # The last good version stays in service, and the status says so; over a restart as well.
    assert "served from their last good version" in " ".join(node.ask("status")["alarms"])
    assert cluster.at_ams.addresses("static.example.com") == ("10.77.1.99",)
    node.control.kill()
    node.start_control()
    node.wait_ready()
    assert cluster.at_ams.addresses("static.example.com") == ("10.77.1.99",)
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")
    cluster.write("zones/example.com.zone", ZONE)
    node.ctl("reload")
    cluster.at_ams.wait_addresses(SERVICE, cluster.order("ams", "fra"), 3)


def admin(node, payload, seconds=5):
    """What the admin socket answers to raw octets."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(node.control_socket)
        try:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, socket.timeout):
            pass
        return answer


@pytest.mark.parametrize("payload", [b"\n", b"[]\n", b"{}\n", b"{\"command\": 7}\n", b"\xff\x00garbage\n",
                                     b"{\"command\": \"site\", \"site\": [1]}\n", b"{\"command\":\"nothing\"}\n",
                                     b"[" * 60000 + b"\n"])
def test_a_bad_admin_request_gets_an_error(cluster, payload):
    for line in admin(cluster.ams.node, payload).splitlines():
        assert json.loads(line)["ok"] is False
    assert cluster.ams.node.is_ready()


def test_admin_requests_and_connections_are_bounded(cluster):
    node = cluster.ams.node
    assert b"longer than" in admin(node, b"x" * 200000)
    held = []
    for _ in range(60):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(node.control_socket)
        held.append(connection)
    time.sleep(0.2)
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")
    for connection in held:
        connection.close()
    wait_until(node.is_ready, 3, "the admin socket has room again")


def test_the_admin_socket_is_private(cluster):
    assert os.stat(cluster.ams.node.control_socket).st_mode & 0o777 == 0o600


def test_hostile_heartbeats_are_counted_and_change_nothing(cluster):
    node = cluster.ams.node
    before = node.ask("stats")["heartbeats"]["received"]
    with cluster.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for payload in (b"", b"x", b"SPHB" + bytes(100), b"SPHB\x01\0\0\0" + bytes(24) + bytes(200), bytes(1400)):
            for _ in range(100):
                udp.sendto(payload, (cluster.ams.node_address, 7053))
    wait_until(lambda: sum(node.ask("stats")["heartbeats"]["received"].values()) >= sum(before.values()) + 400, 3,
               "the datagrams are counted")
    after = node.ask("stats")["heartbeats"]["received"]
    assert after["malformed"] > before["malformed"] and after["wrong_key"] > before["wrong_key"]
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")


def test_a_replayed_heartbeat_is_refused(cluster):
    """What the real peer sent, sent again from elsewhere."""
    node = cluster.ams.node
    raw = cluster.ams.host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    raw.bind(("eth0", 0x0800))
    raw.settimeout(3)
    while True:
        packet = raw.recv(2000)
        if packet[9] == 17 and packet[22:24] == (7053).to_bytes(2, "big") and packet[12:16] == bytes((10, 77, 2, 53)):
            break
    raw.close()
    before = node.ask("stats")["heartbeats"]["received"]["replayed"]
    with cluster.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(packet[28:], (cluster.ams.node_address, 7053))
    wait_until(lambda: node.ask("stats")["heartbeats"]["received"]["replayed"] == before + 1, 3, "it is counted")


def test_metrics_and_status_page(cluster):
    host = cluster.ams.host
    metrics = host.run("curl", "-sf", "http://127.0.0.1:9153/metrics").stdout
    assert 'signpost_site_state{site="ams",state="up"} 1' in metrics
    assert "signpost_dataplane_rx_packets_total" in metrics
    assert "www.example.com" in host.run("curl", "-sf", "http://127.0.0.1:9153/").stdout
    assert host.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9153/healthz").stdout == \
        "200"
    assert host.run("curl", "-s", "-X", "POST", "-d", "x", "-o", "/dev/null", "-w", "%{http_code}",
                    "http://127.0.0.1:9153/metrics", check=False).stdout in ("405", "000")


def test_the_status_page_bounds_connections_and_headers(cluster):
    """64 connections in all, 16 of one client, 32 KB of headers; what is over is closed, and answers go on."""
    host, held = cluster.ams.host, []
    for _ in range(40):
        connection = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(2)
        connection.connect(("127.0.0.1", 9153))
        held.append(connection)
    open_count = 0
    for connection in held:
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            open_count += connection.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            pass
    assert 1 <= open_count <= 16
    for connection in held:
        connection.close()
    assert cluster.at_ams.addresses(SERVICE) == cluster.order("ams", "fra")
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(3)
        wait_until(lambda: host.run("curl", "-sf", "http://127.0.0.1:9153/healthz", check=False).returncode == 0, 3, "it answers")
        connection.connect(("127.0.0.1", 9153))
        try:
            connection.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200000)
            answer = connection.recv(100)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer.split()[1] in (b"400", b"413", b"431")
    assert cluster.ams.node.is_ready()


def test_a_second_daemon_on_the_same_socket_is_refused(cluster):
    node = cluster.ams.node
    done = subprocess.run([*cluster.ams.host.prefix(), program("signpost-control"), "--config", node.config],
                          capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 1 and "another process answers" in done.stderr
    assert node.is_ready()
