# SPDX-License-Identifier: Apache-2.0
"""How probes are run: equal ones once, few at a time against one address, spread in time; and what a server that writes
down what it sees has to say about that.
"""
import selectors
import socket
import threading
import time

import pytest

from lablib.lab import Lab
from lablib.node import Node
from lablib.process import wait_until

ZONE = "$ORIGIN example.com.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.1\n"
PER_TARGET_MAX = 16  # control.probes_per_target_max, by default
STATISTICS = ("# pxname,svname,status,type,\nweb,w1,UP,2,\nweb,w2,UP,2,\nweb,BACKEND,UP,1,\n", "\n")


def listen(host, address, port):
    listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(500)
    listener.setblocking(False)
    return listener


class Server(threading.Thread):
    """Serves connections from one thread: `answer(request)` gives the octets, None keeps silent for ever."""

    def __init__(self, listener, answer, keeps=False):
        super().__init__(daemon=True)
        self.listener, self.answer, self.keeps = listener, answer, keeps
        self.seen = []  # (time, first line)
        self.open = self.open_max = 0
        self.start()

    def run(self):
        with selectors.DefaultSelector() as events:
            events.register(self.listener, selectors.EVENT_READ)
            while True:
                for key, _ in events.select():
                    if key.fileobj is self.listener:
                        self.accept(events)
                    else:
                        self.serve(events, key.fileobj)

    def accept(self, events):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        events.register(connection, selectors.EVENT_READ)

    def serve(self, events, connection):
        try:
            request = connection.recv(4096)
        except OSError:
            request = b""
        if request:
            self.seen.append((time.monotonic(), request.split(b"\r\n", 1)[0].decode()))
            answer = self.answer(request)
            if answer is None:
                return
            connection.sendall(answer)
            if self.keeps:
                return
        self.open -= 1
        events.unregister(connection)
        connection.close()

    def times(self, path):
        return [at for at, line in list(self.seen) if line.split()[1] == path]


def page(_):
    return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


class World:
    def __init__(self, lab):
        self.lab = lab
        self.host = lab.add_host("node", ["192.0.2.53/24"])
        self.recorder = Server(listen(self.host, "127.0.0.1", 8080), page)
        self.keeper = Server(listen(self.host, "127.0.0.5", 8080), page, keeps=True)
        self.tarpit = Server(listen(self.host, "127.0.0.2", 8080), lambda request: None)
        self.balancer_tarpit = Server(listen(self.host, "127.0.0.3", 8080), lambda request: None)
        self.statistics = list(STATISTICS)
        self.runtime = Server(listen(self.host, "127.0.0.4", 9999),
                              lambda request: "".join(self.statistics).encode())
        self.script = lab.write("sockets.sh", "#!/bin/sh\nls -l /proc/self/fd | grep -c socket: ; exit 0\n", 0o755)
        lab.write("zones/example.com.zone", ZONE)
        self.node = Node(self.host, "node", "same1", "af_packet:eth0", ["192.0.2.53"], self.settings())
        self.node.start_control()
        wait_until(lambda: "good" in self.sites(), 15, "the control process answers")

    def settings(self):
        fast = 'servers = "127.0.0.1:8080"; interval = "100ms"; timeout = "80ms";'
        crowd = ", ".join(f'{{ name = "c{n}"; servers = "127.0.0.2:8080"; path = "/{n}"; interval = "500ms"; timeout = "400ms"; }}'
                          for n in range(32))
        hanging = ", ".join(f'{{ type = "json"; url = "http://127.0.0.3:8080/{n}"; load_path = "l"; role = "load-only"; }}'
                            for n in range(8))
        sites = {
            "same1": f'web = {{ path = "/same"; jitter = "0%"; {fast} }};',
            "same2": f'web = {{ path = "/same"; jitter = "0%"; {fast} }};',
            "good": f'web = {{ path = "/good"; {fast} }}; balancer = {{ type = "http"; url = "http://127.0.0.1:8080/monitor"; }};',
            "jitter": 'web = { servers = "127.0.0.1:8080"; path = "/jitter"; interval = "200ms"; timeout = "150ms"; jitter = "50%"; };',
            "kept": f'web = {{ path = "/kept"; keep_alive = true; {fast.replace("0.0.1", "0.0.5")} }};',
            "script": f'web = {{ probe = "script"; command = ( "{self.script}" ); }};',
            "crowd": f"checks = ( {crowd} );",
            "hang1": f"balancer = ( {hanging} );",
            "hang2": f"balancer = ( {hanging.replace('8080/', '8080/more')} );",
            "hang3": f"balancer = ( {hanging.replace('8080/', '8080/yet')} );",
            "runtime": 'balancer = { type = "haproxy-socket"; address = "127.0.0.4:9999"; need = 2; interval = "100ms"; timeout = "80ms"; fall = 1; };',
        }
        text = ",\n".join(f'{{ name = "{name}"; addresses = "192.0.2.80"; {evidence} }}' for name, evidence in sites.items())
        names = ", ".join(f'"{name}"' for name in sites)
        return f"""sites = ( {text} );
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "www.example.com"; sites = ( {names} ); }} );
"""

    def sites(self):
        try:
            return {site["name"]: site for site in self.node.ask("sites")["sites"]}
        except RuntimeError:
            return {}

    def server(self, name):
        return self.sites()[name]["groups"][0]["servers"][0]


@pytest.fixture(scope="module")
def world():
    with Lab() as lab:
        yield World(lab)


def gaps(times):
    return [later - earlier for earlier, later in zip(times, times[1:])]


def test_equal_probes_are_one_and_all_who_asked_are_told(world):
    wait_until(lambda: len(world.recorder.times("/same")) >= 20, 10, "twenty probes")
    between = gaps(world.recorder.times("/same")[-20:])
    assert sum(between) / len(between) > 0.09, "two probes each interval: they were not shared"
    sites = world.sites()
    assert sites["same1"]["state"] == sites["same2"]["state"] == "up"
    assert max(sites[name]["groups"][0]["servers"][0]["age"] for name in ("same1", "same2")) < 0.5


def test_intervals_are_shortened_at_random_and_only_so_far(world):
    wait_until(lambda: len(world.recorder.times("/jitter")) >= 30, 15, "thirty probes")
    between = gaps(world.recorder.times("/jitter"))[-29:]
    assert min(between) > 0.08 and sorted(between)[-3] < 0.26, between
    assert max(between) - min(between) > 0.04, f"no jitter: {between}"
    even = gaps(world.recorder.times("/same"))[-20:]
    assert sorted(even)[2] > 0.08, f"jitter where none was asked for: {even}"


def test_few_probes_at_a_time_against_one_address(world):
    wait_until(lambda: world.node.ask("stats")["probes"]["deferred"] > 20, 10, "probes wait for a place")
    assert PER_TARGET_MAX - 2 <= world.tarpit.open_max <= PER_TARGET_MAX + 2  # closing takes a moment to be seen
    asked = {line.split()[1] for _, line in list(world.tarpit.seen)}
    wait_until(lambda: len({line.split()[1] for _, line in list(world.tarpit.seen)}) == 32, 10,
               f"everyone has a turn, not only {len(asked)}")


def test_balancers_that_hang_delay_no_other(world):
    """24 readers wait for one hanging address; the reader of another is on time."""
    for _ in range(10):
        site = world.sites()["good"]
        assert site["balancers"][0]["age"] < 1.5 and site["groups"][0]["servers"][0]["age"] < 0.5
        time.sleep(0.1)
    assert world.balancer_tarpit.open_max <= PER_TARGET_MAX + 2


def test_a_script_inherits_no_connection(world):
    wait_until(lambda: world.server("script")["detail"] != "", 5, "the script has run")
    assert world.keeper.open == 1 and len(world.keeper.times("/kept")) > 5, "there is a kept connection that it could inherit"
    for _ in range(10):
        assert world.server("script")["detail"] == "0"
        time.sleep(0.1)


def test_statistics_that_are_cut_off_say_nothing(world):
    def balancer():
        return world.sites()["runtime"]["balancers"][0]
    wait_until(lambda: world.sites()["runtime"]["state"] == "up", 5, "the statistics are read")
    whole = "".join(STATISTICS)
    for cut in (whole[:whole.index("web,w2")], whole[:-1], whole[:whole.index("UP,1")], "# pxname,svname"):
        world.statistics[:] = [cut]
        wait_until(lambda: balancer()["trouble"], 3, f"{cut!r} is unreadable")
        time.sleep(0.3)
        assert world.sites()["runtime"]["state"] == "up"
        world.statistics[:] = STATISTICS
        wait_until(lambda: not balancer()["trouble"], 3, "they are read again")
    world.statistics[:] = [whole.replace("web,w2,UP", "web,w2,DOWN")]
    wait_until(lambda: world.sites()["runtime"]["state"] == "down", 5, "a whole text is believed")
