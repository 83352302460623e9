# SPDX-License-Identifier: Apache-2.0
"""signpostctl capture: packets with what became of them, from a node under load, without harm to the workers."""
import os
import signal
import struct
import subprocess
import time

import dns.message
import pytest

from lablib.cluster import SERVICE
from lablib.dns import Dnsperf
from lablib.lab import program
from lablib.process import wait_until


def read_pcapng(data):
    """Packets as (frame, comment, is outbound), and (received, lost) of the statistics block."""
    packets, statistics, at = [], None, 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        assert length >= 12 and struct.unpack_from("=I", data, at + length - 4)[0] == length, "blocks end as they begin"
        body = data[at + 8:at + length - 4]
        if kind == 6:
            kept = struct.unpack_from("=I", body, 12)[0]
            options, comment, flags = body[20 + (kept + 3) // 4 * 4:], "", 0
            while struct.unpack_from("=H", options)[0]:
                code, size = struct.unpack_from("=HH", options)
                value = options[4:4 + size]
                comment = value.decode() if code == 1 else comment
                flags = struct.unpack("=I", value)[0] if code == 2 else flags
                options = options[4 + (size + 3) // 4 * 4:]
            packets.append((body[20:20 + kept], comment, flags == 2))
        elif kind == 5:
            statistics = struct.unpack_from("=Q", body, 16)[0], struct.unpack_from("=Q", body, 28)[0]
        at += length
    return packets, statistics


def command(node, *arguments):
    return [program("signpostctl"), "capture", "-", "--dataplane", f"{node.folder}/dataplane.sock", *arguments]


def begin(node, *arguments, output=subprocess.DEVNULL):
    """A capture that has begun: the workers put packets into its rings."""
    process = subprocess.Popen(command(node, *arguments), stdout=output, stderr=subprocess.PIPE)
    said = process.stderr.readline()
    assert b"capturing" in said, said
    return process


class Capture:
    def __init__(self, node, *arguments):
        self.process = begin(node, *arguments, output=subprocess.PIPE)

    def end(self, interrupt=True):
        """What came so far, or until its time is over."""
        if interrupt:
            self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return read_pcapng(out)


def may_capture(node):
    return subprocess.run(command(node, "--for", "1ms"), capture_output=True, check=False).returncode == 0


def message_of(frame):
    return dns.message.from_wire(frame[42:])


def test_queries_replies_and_refusals_are_seen_with_their_reasons(cluster):
    node = cluster.ams.node
    capture = Capture(node, "--address", "10.77.9.1")
    cluster.at_ams.query(SERVICE)
    cluster.at_ams.query("nowhere.example.net")
    packets, statistics = capture.end()
    seen = [(comment, is_out, message_of(frame).question[0].name.to_text()) for frame, comment, is_out in packets]
    assert seen == [("answered: answers_noerror", False, f"{SERVICE}."), ("reply", True, f"{SERVICE}."),
                    ("answered: answers_refused", False, "nowhere.example.net."), ("reply", True, "nowhere.example.net.")]
    assert message_of(packets[1][0]).answer[0][0].to_text() == cluster.ams.address
    assert statistics[1] == 0


@pytest.mark.parametrize("arguments,wanted", [
    (("--name", "example.net"), ["answered: answers_refused", "reply"]),
    (("--verdict", "answers_refused"), ["answered: answers_refused", "reply"]),
    (("--verdict", "reply"), ["reply", "reply"]),
    (("--address", "10.77.9.2"), []),
    (("--max", "1"), ["answered: answers_noerror"])])
def test_filters(cluster, arguments, wanted):
    capture = Capture(cluster.ams.node, *arguments, *(() if "--address" in arguments else ("--address", "10.77.9.1")))
    cluster.at_ams.query(SERVICE)
    cluster.at_ams.query("nowhere.example.net")
    assert [comment for _, comment, _ in capture.end()[0]] == wanted


@pytest.mark.alone
def test_under_load_nothing_is_lost_but_captures(cluster):
    """10,000 queries a second: every query is answered while they are captured."""
    node, names = cluster.ams.node, [(SERVICE, "A")]
    load = Dnsperf(cluster.client, cluster.ams.node_address, names, 10000, 3, ("-c", "8"))
    time.sleep(0.5)
    packets, (received, lost) = Capture(node, "--for", "1s", "--name", SERVICE).end(interrupt=False)
    result = load.result()
    print(f"{len(packets)} of {received} packets captured, {lost} lost; {result['lost']} of {result['sent']} queries lost")
    assert result["lost"] == 0
    assert len(packets) + lost >= received > 1000


def test_one_at_a_time_and_a_killed_one_leaves_the_workers_alone(cluster):
    node = cluster.ams.node
    first = begin(node)
    second = subprocess.run(command(node), capture_output=True, text=True, check=False)
    assert second.returncode == 1 and "somebody captures already" in second.stderr
    first.kill()
    first.communicate()
    wait_until(lambda: may_capture(node), 30, "another one may capture", pause=0.2)
    assert cluster.at_ams.addresses(SERVICE)


@pytest.fixture
def load(cluster):
    """Queries enough to fill every ring, for the time of a test."""
    running = Dnsperf(cluster.client, cluster.ams.node_address, [(SERVICE, "A")], 2000, 30, ("-c", "4"))
    yield running
    running.process.stop()


def test_a_pipe_that_nobody_opens_or_reads_ends_the_capture_in_time(cluster, load, tmp_path):
    node, pipe = cluster.ams.node, str(tmp_path / "pipe")
    os.mkfifo(pipe)
    begun = time.monotonic()
    unopened = subprocess.run([*command(node, "--for", "300ms")[:2], pipe, *command(node, "--for", "300ms")[3:]],
                              capture_output=True, text=True, check=False, timeout=60)
    assert unopened.returncode == 1 and "nobody reads it" in unopened.stderr
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        unread = subprocess.run([*command(node)[:2], pipe, *command(node, "--for", "1s")[3:]], capture_output=True, text=True,
                                check=False, timeout=60)
    finally:
        os.close(reader)
    assert unread.returncode == 1 and "did not take the packets in time" in unread.stderr, unread.stderr
    assert time.monotonic() - begun < 50, "it is bounded in time, whatever the pipe does"
    assert cluster.at_ams.addresses(SERVICE)


def test_a_full_disk_ends_the_capture_and_is_named(cluster, load):
    node = cluster.ams.node
    cluster.mount_small("small", "64k")
    path = f"{cluster.directory}/small/capture.pcapng"
    done = subprocess.run([*command(node)[:2], path, *command(node, "--for", "20s")[3:]], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 1 and "No space left on device" in done.stderr, done.stderr
    assert os.stat(path).st_size <= 64 << 10 and os.stat(path).st_mode & 0o077 == 0, "bounded, and for its owner only"
    assert cluster.at_ams.addresses(SERVICE)


@pytest.mark.alone
def test_one_who_stops_reading_is_ended_by_the_data_plane(cluster, load):
    """Else the workers would go on filling his rings for ever."""
    node = cluster.ams.node
    stopped = begin(node, "--for", "1h")
    try:
        stopped.send_signal(signal.SIGSTOP)
        wait_until(lambda: "has not read any for 10 s" in node.dataplane.log(), 60, "it is ended", pause=0.2)
        wait_until(lambda: may_capture(node), 30, "another one may capture", pause=0.5)
    finally:
        stopped.kill()
        stopped.communicate()


def test_wrong_filters_and_no_data_plane_say_what_to_do(cluster):
    node = cluster.ams.node
    for arguments, text in ((("--verdict", "lost"), "answered, reply, kernel, dropped"),
                            (("--address", "example.com"), "no IPv4 or IPv6 address"),
                            (("--name", "a..b"), "no domain name"), (("--for", "soon"), "no duration")):
        done = subprocess.run(command(node, *arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 2 and text in done.stderr, done.stderr
    done = subprocess.run([program("signpostctl"), "capture", "-", "--dataplane", "/nowhere"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 3 and "is it running" in done.stderr
