# SPDX-License-Identifier: Apache-2.0
"""A site's synchronisation daemon, on the host of its node, configured by docs/examples/dbsync-postgresql.conf."""
import json
import os
import re
import subprocess

from .dbsync import Authority
from .lab import program
from .process import wait_until

EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "examples",
                       "dbsync-postgresql.conf")
NUMBERS = {"ams": 1, "fra": 2}
SMALL_SPOOL = "40m"  # in a rough world, so that it can be filled


def set_key(text, key, value):
    """The configuration with another value of this key, which stands on a line of its own."""
    changed, count = re.subn(rf"^(  {key} = ).*;", rf"\g<1>{value};", text, count=1, flags=re.MULTILINE)
    assert count == 1, f"no key {key} in {EXAMPLE}"
    return changed


def configuration(site, peer, folder):
    """What the example says to exchange between the sites, and where the files are here."""
    with open(EXAMPLE, encoding="utf-8") as file:
        text = file.read()
    for key, value in (
            ("site", NUMBERS[site.name]), ("name", f'"{site.name}"'), ("listen", f'"{site.node_address}:7054"'),
            ("database", f'"host={site.database_address} dbname=shop user=shop"'),
            ("certificate", f'"{site.name}.pem"'), ("key", f'"{site.name}.key"'), ("authority", '"ca.pem"'),
            ("peers", f'( {{ site = {NUMBERS[peer.name]}; name = "{peer.name}"; address = "{peer.node_address}:7054"; }} )'),
            ("spool", f'"{folder}/{site.name}.spool"'), ("socket", f'"{folder}/{site.name}.sock"'),
            ("control", f'"{site.lab.directory}/ns-{site.name}/control.sock"')):
        text = set_key(text, key, value)
    return text


class SiteSync:
    """Certificates are in the laboratory's folder dbsync/ (see `authority`); the site's database has its tables."""

    def __init__(self, site, peer):
        self.site, self.process = site, None
        lab = site.lab
        folder = lab.path("dbsync", "x")[:-2]
        self.spool = lab.path("dbsync", f"{site.name}.spool", "x")[:-2]
        if lab.is_rough:
            lab.mount_small(f"dbsync/{site.name}.spool", SMALL_SPOOL)
        self.config = lab.write(f"dbsync/{site.name}.conf", configuration(site, peer, folder))
        for command in ("init", "add"):
            self.command(command)

    def command(self, *arguments, check=True):
        """Runs one of the daemon's commands on its host; the standard output."""
        done = self.site.node_host.run(program("signpost-dbsync"), "--config", self.config, *arguments, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"signpost-dbsync {' '.join(arguments)} at {self.site.name}: {done.stdout}{done.stderr}")
        return done.stdout

    def status(self):
        """The parsed status; None while the daemon does not answer."""
        try:
            return json.loads(self.command("--json", "status", check=False))
        except (ValueError, subprocess.TimeoutExpired):
            return None

    def is_linked(self):
        status = self.status()
        return bool(status) and status["peers"][0]["link"] == "up"

    def is_quiet(self):
        """Linked, and nothing waits in either direction."""
        status = self.status()
        peer = status["peers"][0] if status else {}
        return bool(status) and peer["link"] == "up" and peer["state"] == "running" and not peer["backlog_rows"]

    def parked(self):
        """Rows that could not be written here, as the daemon lists them."""
        return self.command("--json", "parked").splitlines()

    def start(self):
        self.process = self.site.node_host.start(f"dbsync-{self.site.name}", [*self.site.before, program("signpost-dbsync"),
                                                                              "--config", self.config, "run"])

    def kill(self):
        self.process.kill()


def issue_certificates(lab, names):
    """An authority of the laboratory's own, and one certificate for each site."""
    authority = Authority(lab.path("dbsync", "x")[:-2])
    for name in names:
        authority.issue(name)


def start_both(sites):
    """Databases have their tables already."""
    for site, peer in (sites, tuple(reversed(sites))):
        site.dbsync = SiteSync(site, peer)
    for site in sites:
        site.dbsync.start()


def wait_linked(sites, seconds=20):
    return wait_until(lambda: all(site.dbsync.is_linked() for site in sites), seconds,
                      "the daemons of both sites are linked", pause=0.05)
