# SPDX-License-Identifier: Apache-2.0
"""A site's synchronisation daemon, on the host of its database, set up as docs/dbsync.md says."""
import subprocess

from .dbsync import Authority
from .lab import program
from .process import wait_until

NUMBERS = {"ams": 1, "fra": 2}

CONFIG = """dbsync = {{
  site = {number}; name = "{name}"; database = "host={folder} port=5432 dbname=shop user=shop"; listen = "{address}:7054";
  certificate = "{name}.pem"; key = "{name}.key"; authority = "ca.pem";
  peers = ( {{ site = {peer_number}; name = "{peer}"; address = "{peer_address}:7054"; }} );
  tables = ( {tables} );
  spool = "{name}.spool"; socket = "{name}.sock";
}};
"""


class SiteSync:
    """Both sites' databases must run. `tables` are synchronised."""

    def __init__(self, site, peer, folder, tables):
        self.site = site
        self.config = site.lab.write(f"dbsync/{site.name}.conf", CONFIG.format(
            number=NUMBERS[site.name], name=site.name, folder=site.database.folder, address=site.database_address,
            peer_number=NUMBERS[peer.name], peer=peer.name, peer_address=peer.database_address,
            tables=", ".join(f'{{ name = "{table}"; }}' for table in tables)))
        self.folder, self.process = folder, None
        site.lab.path(f"dbsync/{site.name}.spool", "x")
        for command in ("init", "add"):
            self.command(command)

    def command(self, *arguments):
        """Runs one of the daemon's commands."""
        done = subprocess.run([program("signpost-dbsync"), "--config", self.config, *arguments], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"signpost-dbsync {' '.join(arguments)} at {self.site.name}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self):
        self.process = self.site.database_host.start("dbsync", [program("signpost-dbsync"), "--config", self.config, "run"])


def synchronise(world, tables):
    """Sets both daemons up and waits until a row has crossed in each direction."""
    folder = world.path("dbsync", "x")[:-2]
    authority = Authority(folder)
    for site in world.sites:
        authority.issue(site.name)
    for site, peer in (world.sites, tuple(reversed(world.sites))):
        site.dbsync = SiteSync(site, peer, folder, tables)
    for site in world.sites:
        site.dbsync.start()
    for site, peer in (world.sites, tuple(reversed(world.sites))):
        site.database.sql(f"insert into guestbook (author, entry) values ('{site.name}', 'hello')")
        wait_until(lambda at=peer, of=site: at.database.sql(
            f"select count(*) from guestbook where author = '{of.name}'") == [["1"]], 20, f"a row of {site.name} at {peer.name}",
            pause=0.1)
