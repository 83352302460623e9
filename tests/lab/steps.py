# SPDX-License-Identifier: Apache-2.0
"""Steps that several scenarios take in a world."""
import contextlib
import re
import socket

from lablib.process import wait_until

VIEWERS = 90  # of the 100 that docs/examples/active-active.conf calls a load of 100 %


def blames(node, site, *reasons, seconds=8):
    """The node comes to give one of these (its words, or a part of them) as the reason of its verdict on a site. The reason is that of
    whoever said so first, and changes as more is found."""
    def does_blame():
        why = next(known["why"] for known in node.ask("sites")["sites"] if known["name"] == site)
        return any(reason in why for reason in reasons)
    wait_until(does_blame, seconds, f"{node.name} blames {' or '.join(reasons)} for the state of {site}", pause=0.05)


def finds(node, site, group, *reasons, seconds=8):
    """The node's own probes come to find too few good servers in the group, for one of these reasons (its words, or a part of
    them). Not the verdict's reason: that is whoever said so first, and the balancer may."""
    def has_found():
        known = next(known for known in node.ask("sites")["sites"] if known["name"] == site)
        seen = next(seen for seen in known["groups"] if seen["name"] == group)
        last = [server["last"] for server in seen["servers"] if server["state"] == "down"]
        return seen["good"] < seen["need"] and all(any(reason in text for reason in reasons or ("",)) for text in last)
    wait_until(has_found, seconds, f"{node.name} finds too few servers in group {group} of {site}", pause=0.05)


def becomes(world, *names, seconds=15, at=None):
    """Both nodes (or those said) come to answer with these sites; in both families."""
    for client in at or world.clients():
        client.wait_addresses(world.service, world.order(*names), seconds)
        client.wait_addresses(world.service, world.order(*names, kind="AAAA"), seconds, kind="AAAA")


def stays(world, *names, seconds=2.5):
    """Neither node answers anything else."""
    for client in world.clients():
        assert client.stays(world.service, world.order(*names), seconds / 2) is None


@contextlib.contextmanager
def crowd(world, site):
    """People who watch a long film, slowly, through the site's balancer."""
    viewers = []
    try:
        for _ in range(VIEWERS):
            viewer = world.client.socket(socket.AF_INET, socket.SOCK_STREAM)
            viewer.settimeout(3)
            viewer.connect((site.address, 80))
            viewer.sendall(b"GET /film HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
            viewers.append(viewer)
        yield
    finally:
        for viewer in viewers:
            viewer.close()


def slow_down(site, milliseconds):
    """A release of the application that takes so much longer."""
    for web in site.webs:
        web.publish(lambda text: text.replace("<?php", f"<?php usleep({milliseconds * 1000});", 1))


def turned_by(world, site, client):
    """The stages after which the order was another than before, by the program that answers."""
    stages = site.node.ask("explain", world.service, "--client", client)["stages"]
    before, found = ["ams", "fra"], []
    for stage in stages:
        if stage["order"] != before:
            found.append(stage["stage"])
        before = stage["order"]
    return found


class Visitor:
    """A real client in the middle of its visit: one curl, some requests a second, each on a connection of its own.

    It resolves the name once, by a stub resolver that asks the first site's node, and keeps what it was told.
    """

    def __init__(self, world, path, seconds=45, per_second=4, connect_timeout=3):
        self.world = world
        self.resolv_conf = world.client.resolv_conf
        with open(self.resolv_conf, encoding="utf-8") as file:
            self.kept = file.read()
        world.write(self.resolv_conf.rsplit("/", 1)[1], f"nameserver {world.ams.node_address}\n")
        mark = "&" if "?" in path else "?"
        self.process = world.client.start(f"curl-{len(world.processes)}", [
            "curl", "-4", "-s", "-H", "Connection: close", "--connect-timeout", str(connect_timeout), "-m", "8", "--rate",
            f"{per_second}/s", "-w", "\\n@ %{remote_ip} %{http_code} %{time_total}\\n",
            f"http://{world.service}{path}{mark}n=[1-{seconds * per_second}]"])

    def __enter__(self):
        wait_until(lambda: len(self.answers()) > 2, 10, "curl gets pages", pause=0.05)
        self.asked_before = self.queries()
        return self

    def __exit__(self, *_):
        self.process.stop()
        self.world.write(self.resolv_conf.rsplit("/", 1)[1], self.kept)

    def queries(self):
        """How many queries both nodes have seen until now."""
        return sum(site.node.counters()["queries_udp4"] for site in self.world.sites)

    def answers(self):
        """Of each request so far: the site (or None), the status, and the seconds it took."""
        names = {site.address: site.name for site in self.world.sites}
        return [(names.get(ip), int(status), float(seconds)) for ip, status, seconds in
                re.findall(r"^@ (\S*) (\d+) ([\d.]+)$", self.process.log(), re.MULTILINE)]

    def assert_lost_no_more_than_was_under_way(self, answers=None):
        """At most one request failed: the one whose connection the fault cut. Of those answers, or of all."""
        failed = [answer for answer in (self.answers() if answers is None else answers) if answer[1] != 200]
        assert len(failed) <= 1, f"more than the one request that was under way: {failed}"

    def wait_site(self, name, count=4, seconds=20):
        """Until the last `count` requests were all answered by that site; what came in between."""
        seen = len(self.answers())
        wait_until(lambda: len(self.answers()) >= seen + count and all(
            site == name and status == 200 for site, status, _ in self.answers()[-count:]), seconds,
            f"the visitor is served by {name}", pause=0.05)
        return self.answers()[seen:]
