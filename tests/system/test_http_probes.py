# SPDX-License-Identifier: Apache-2.0
"""HTTP probes: what they send, and what they make of every sort of reply.

Plain requests over new connections are made by a reader of our own, all others by libcurl. Each case is probed both
ways (`keep_alive` asks for the second), and both must come to the same word about it.
"""
import socket
import threading
import time

import pytest

from lablib.lab import Lab
from lablib.node import Node
from lablib.process import wait_until

ZONE = "$ORIGIN example.com.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.1\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HOLD, RESET, TRICKLE = "hold", "reset", "trickle"  # how a reply ends, if not by closing
FINE, PROTOCOL, CLOSED, LATE = "as expected", "not what the protocol", "closed by the server", "no answer in time"
STATUS, MISSING, FORBIDDEN, LARGE = "outside the accepted", "does not contain", "contains what it must not", "larger than"


def length(body, status=b"200 OK", more=b""):
    return b"HTTP/1.1 " + status + b"\r\n" + more + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body


# Name: reply, how it ends, settings of the probe, the word about it (two: ours and libcurl's).
CASES = {
    "length": (length(b"good"), HOLD, "", FINE),
    "length_0": (length(b""), HOLD, "", FINE),
    "to_end": (OK + b"\r\ngood", None, 'keyword = "good";', FINE),
    "http_1_0": (b"HTTP/1.0 200 OK\r\n\r\ngood", None, 'keyword = "good";', FINE),
    "no_reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HOLD, "", FINE),
    "bare_newlines": (b"HTTP/1.1 200 OK\nContent-Length: 4\n\ngood", HOLD, 'keyword = "good";', FINE),
    "chunks": (CHUNKED + b"2\r\ngo\r\n2;x=y\r\nod\r\n0\r\nT: r\r\n\r\n", HOLD, 'keyword = "good";', FINE),
    "chunks_and_length": (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", HOLD,
                          'keyword = "good";', FINE),
    "continued": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + length(b"good"), HOLD,
                  'keyword = "good";', FINE),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", HOLD, "", FINE),
    "head": (b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", HOLD, 'method = "HEAD";', FINE),
    "options": (length(b""), HOLD, 'method = "OPTIONS";', FINE),
    "status": (length(b"good", b"503 Service Unavailable"), HOLD, "", STATUS),
    "redirect": (length(b"", b"302 Found", b"Location: /length\r\n"), HOLD, 'status = "200-299";', STATUS),
    "redirect_asked_for": (length(b"", b"302 Found", b"Location: /status\r\n"), HOLD, 'status = "302";', FINE),
    "status_and_keyword": (length(b"good", b"500 Oops"), HOLD, 'keyword = "good";', STATUS),
    "status_in_set": (length(b"good", b"404 Not Found"), HOLD, 'status = "200-299,404"; keyword = "good";', FINE),
    "keyword_gone": (length(b"database lost"), HOLD, 'keyword = "good";', MISSING),
    "keyword_regex": (length(b"state: fine"), HOLD, 'keyword = "^state: (good|fine)$"; keyword_match = "regex";', FINE),
    "absent": (length(b"good, but maintenance"), HOLD, 'keyword = "good"; keyword_absent = "maintenance";', FORBIDDEN),
    "keyword_across": (CHUNKED + b"".join(b"1\r\n%c\r\n" % c for c in b"a good page") + b"0\r\n\r\n", HOLD,
                       'keyword = "good";', FINE),
    "behind_cap": (OK + b"\r\n" + b"x" * 5000 + b"good", None, 'keyword = "good"; body_max = "4KB";', LARGE),
    "inside_cap": (OK + b"\r\n" + b"good" + b"x" * 100000, None, 'keyword = "good"; body_max = "4KB";', FINE),
    "hides_a_zero": (length(b"a\0good"), HOLD, 'keyword = "good";', FINE),
    "nothing": (b"", None, "", CLOSED),
    "reset": (b"", RESET, "", CLOSED),
    "cut_body": (OK + b"Content-Length: 10\r\n\r\ngood", None, 'keyword = "there";', CLOSED),
    "cut_chunks": (CHUNKED + b"4\r\ngood\r\n", None, 'keyword = "there";', CLOSED),
    "unfinished": (OK + b"Content-Length: 10\r\n\r\ngood", HOLD, 'keyword = "good";', LATE),
    "silence": (b"", HOLD, "", LATE),
    "half_a_head": (OK + b"Content-Le", HOLD, "", LATE),
    "half_a_body": (OK + b"Content-Length: 10\r\n\r\ngood", HOLD, 'keyword = "there";', LATE),
    "trickle": (OK + b"X: ", TRICKLE, "", LATE),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", None, "", PROTOCOL),
    "garbage": (bytes(range(256)) * 20, None, "", PROTOCOL),
    "http_0_9": (b"<html>good</html>", None, "", PROTOCOL),
    "bad_chunk": (CHUNKED + b"xyz\r\ngood\r\n", HOLD, 'keyword = "there";', (PROTOCOL, CLOSED)),
    "gzip_coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nxxxx", None, 'keyword = "there";', PROTOCOL),
    "endless_head": (OK + b"A: b\r\n" * 40000, HOLD, "", PROTOCOL),
    "endless_provisional": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10000, HOLD, "", PROTOCOL),
}


class Servers:
    """Answers /NAME as CASES says; keeps the requests by path and who made them."""

    def __init__(self, host):
        self.requests, self.held = {}, []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = host.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, 8080))
            listener.listen(200)
            threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection, peer), daemon=True).start()

    def serve(self, connection, peer):
        with connection:
            try:
                request = connection.recv(65536).decode("latin-1")
                while request:
                    target = request.split(" ", 2)[1]
                    self.requests.setdefault(target, []).append((peer[0], request))
                    reply, end, _, _ = CASES.get(target[1:].split("?")[0].removesuffix("-kept"), CASES["length"])
                    connection.sendall(reply)
                    if end == TRICKLE:
                        while True:
                            connection.sendall(b"x")
                            time.sleep(0.02)
                    if end == RESET:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    if end != HOLD:
                        return
                    request = connection.recv(65536).decode("latin-1")
            except OSError:
                pass


REQUESTS = {  # path: settings; what is sent for them is looked at
    "/plain": "",
    "/dots/../as/./written?a=b&c=%20": "",
    "/v6": 'servers = "[::1]:8080";',
    "/host": 'host = "www.example.com:81";',
    "/own-host": 'headers = ( "Host: other.example.com" );',
    "/headers": 'headers = ( "X-One: 1", "User-Agent: tester", "Accept: text/html" );',
    "/post": 'method = "PROBE";',
    "/source": 'source = "127.0.0.9";',
}


def group(name, path, more):
    servers = "" if "servers" in more else 'servers = "127.0.0.1:8080"; '
    return (f'{{ name = "{name}"; {servers}path = "{path}"; interval = "400ms"; timeout = "300ms"; rise = 1; fall = 1; '
            f'required = false; {more} }}')


class World:
    def __init__(self, lab):
        self.host = lab.add_host("node", ["192.0.2.53/24"])
        self.servers = Servers(self.host)
        lab.write("zones/example.com.zone", ZONE)
        kept = "keep_alive = true; "
        sites = {
            "plain0": [], "plain1": [], "kept0": [], "kept1": [],
            "requests": [group(f"r{at}", path, more) for at, (path, more) in enumerate(REQUESTS.items())],
            "requests_kept": [group(f"r{at}", path + ("&" if "?" in path else "?") + "kept", kept + more)
                              for at, (path, more) in enumerate(REQUESTS.items())],
        }
        for at, (name, (_, _, more, _)) in enumerate(CASES.items()):  # a site has room for 32
            sites[f"plain{at % 2}"].append(group(name, f"/{name}", more))
            sites[f"kept{at % 2}"].append(group(name, f"/{name}-kept", kept + more))
        text = ",\n".join(f'{{ name = "{name}"; addresses = "192.0.2.80"; checks = ( {", ".join(groups)} ); }}'
                          for name, groups in sites.items())
        self.node = Node(self.host, "node", "plain0", "af_packet:eth0", ["192.0.2.53"], f"""sites = ( {text} );
zone_dir = "../zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "www.example.com"; sites = ( "plain0" ); }} );
""")
        self.node.start_control()
        wait_until(self.has_results, 15, "every probe has a result")

    def has_results(self):
        said = self.words()
        return bool(said) and all(word for words in said.values() for word in words)

    def servers_of(self, site):
        return {g["name"]: g["servers"][0] for g in site["groups"]}

    def words(self):
        """By case: what the plain probe and libcurl's say."""
        try:
            sites = self.node.ask("sites")["sites"]
        except RuntimeError:
            return {}
        said = {}
        for way in ("plain", "kept"):
            for site in sites:
                if site["name"].startswith(way):
                    for name, server in self.servers_of(site).items():
                        said.setdefault(name, []).append(self.word(server))
        return said

    @staticmethod
    def word(server):
        return "" if server["age"] is None else (server["trouble"] or server["last"])


@pytest.fixture(scope="module")
def world():
    with Lab() as lab:
        yield World(lab)


def test_every_sort_of_reply_is_judged_alike_by_both_readers(world):
    for name, words in world.words().items():
        wanted = CASES[name][3]
        for word, part in zip(words, (wanted, wanted) if isinstance(wanted, str) else wanted):
            assert part in word, f"{name}: {words}, wanted: {wanted}"


def parts(request):
    """Request line, and the headers without what differs on purpose."""
    line, *headers = request.rstrip().split("\r\n")
    return line, sorted(header for header in headers if not header.lower().startswith("connection:"))


def test_both_ask_for_the_same(world):
    for path, more in REQUESTS.items():
        wait_until(lambda: path in world.servers.requests, 5, f"a request for {path}")
        kept = path + ("&" if "?" in path else "?") + "kept"
        (peer, request), (kept_peer, kept_request) = world.servers.requests[path][0], world.servers.requests[kept][0]
        line, headers = parts(request)
        assert (line.replace(path, kept), headers) == parts(kept_request)
        assert line.split(" ")[1] == path and line.endswith(" HTTP/1.1")
        assert peer == kept_peer == ("127.0.0.9" if "source" in more else "::1" if "::1" in more else "127.0.0.1")
        assert "Connection: close\r\n" in request and request.endswith("\r\n\r\n")


def test_what_is_asked_for_is_what_was_configured(world):
    def sent(path):
        return world.servers.requests[path][0][1]
    assert "\r\nHost: 127.0.0.1:8080\r\n" in sent("/plain") and sent("/plain").startswith("GET /plain HTTP/1.1\r\n")
    assert "\r\nHost: [::1]:8080\r\n" in sent("/v6")
    assert "\r\nHost: www.example.com:81\r\n" in sent("/host")
    assert sent("/own-host").lower().count("\r\nhost:") == 1 and "\r\nHost: other.example.com\r\n" in sent("/own-host")
    assert "\r\nX-One: 1\r\n" in sent("/headers") and sent("/headers").count("User-Agent") == 1
    assert sent("/post").startswith("PROBE /post ")


def test_a_failing_server_is_not_asked_more_often(world):
    """Nor one that closes at once: the next probe comes an interval after the last one began, whatever that brought."""
    paths = ("/reset", "/nothing", "/ssh", "/status", "/length")
    before = {path: len(world.servers.requests[path]) for path in paths}
    time.sleep(2)
    seen = {path: len(world.servers.requests[path]) - before[path] for path in paths}
    assert all(3 <= count <= 7 for count in seen.values()), f"five were to be expected: {seen}"


def test_a_reply_without_end_ends_at_the_deadline(world):
    """The trickle never stops, and no more than one run of it is under way at a time."""
    seen = len(world.servers.requests["/trickle"])
    time.sleep(2)
    assert 3 <= len(world.servers.requests["/trickle"]) - seen <= 7
