# SPDX-License-Identifier: Apache-2.0
"""What each kind of fault of a chaos schedule does to a world, and how it ends. The truth is told with the time that
doing it took: on a busy machine that may be seconds, for which nobody is blamed.
"""
import os
import signal
import sys
import time

from .clock import set_clock
from .node import Refused

FLOOD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood.py")
FLOOD_PER_S = 15000
DRAIN_MARGIN_S = 1.0  # its time is counted from when the command was read
LOOKED_FOR_S = 1.0  # programs are looked for several times a second


class Faults:
    """`begin` and `end` do one fault of the schedule. Programs that die while they should run are found by `check`."""

    def __init__(self, world, truth, now):
        self.world, self.truth, self.now = world, truth, now
        self.killed = set()  # (site, part) that we ended and have not started again
        self.crashes = []
        self.notes = []  # what was done when
        self.doing = []
        self.drained_until = {}  # by site

    def begin(self, fault):
        self._do(f"begin_{fault.kind}", fault)

    def end(self, fault):
        self._do(f"end_{fault.kind}", fault)

    def _do(self, name, fault):
        """What a fault breaks and mends is told when it is done, with the time since when it was being done."""
        since, self.doing = self.now(), []
        getattr(self, name, lambda *_: None)(self.world.site(fault.site), fault)
        for tell, site, thing in self.doing:
            tell(since, self.now(), site, thing)

    def broke(self, site, *things):
        self.doing += [(self.truth.broke, site.name, thing) for thing in things]

    def mended(self, site, *things):
        self.doing += [(self.truth.mended, site.name, thing) for thing in things]

    # ---- Signpost's programs ----

    def _kill(self, site, part):
        self.killed.add((site.name, part))
        self.broke(site, part)
        getattr(site.node, part).kill()

    def _start(self, site, part):
        getattr(site.node, f"start_{part}")()
        self.killed.discard((site.name, part))
        other = "dataplane" if part == "control" else "control"
        deadline = time.monotonic() + 5
        while not self.is_now_broken(site, other) and not site.node.is_ready() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.mended(site, part)

    def is_now_broken(self, site, thing):
        return self.truth.is_broken_now(site.name, thing)

    def begin_kill_control(self, site, _):
        self._kill(site, "control")

    def end_kill_control(self, site, _):
        self._start(site, "control")

    def begin_kill_dataplane(self, site, _):
        self._kill(site, "dataplane")

    def end_kill_dataplane(self, site, _):
        self._start(site, "dataplane")

    def begin_stop_control(self, site, _):
        self.broke(site, "control")
        site.node.control.signal(signal.SIGSTOP)

    def end_stop_control(self, site, _):
        site.node.control.signal(signal.SIGCONT)
        self.mended(site, "control")

    def begin_stop_dataplane(self, site, _):
        self.broke(site, "dataplane")
        site.node.dataplane.signal(signal.SIGSTOP)

    def end_stop_dataplane(self, site, _):
        site.node.dataplane.signal(signal.SIGCONT)
        self.mended(site, "dataplane")

    # ---- the site's servers ----

    def begin_kill_web(self, site, _):
        site.webs[0].kill()
        self.broke(site, "web1")

    def end_kill_web(self, site, _):
        self.mended(site, "web1")
        site.webs[0].start()

    def begin_kill_webs(self, site, _):
        for web in site.webs:
            web.kill()
        self.broke(site, "web1", "web2")

    def end_kill_webs(self, site, _):
        self.mended(site, "web1", "web2")
        for web in site.webs:
            web.start()

    def begin_stop_webs(self, site, _):
        for web in site.webs:
            web.suspend()
        self.broke(site, "web1", "web2")

    def end_stop_webs(self, site, _):
        self.mended(site, "web1", "web2")
        for web in site.webs:
            web.resume()

    def begin_kill_database(self, site, _):
        site.database.kill()
        self.broke(site, "database")

    def end_kill_database(self, site, _):
        self.mended(site, "database")
        site.database.start()

    def begin_stop_database(self, site, _):
        site.database.signal(signal.SIGSTOP)
        self.broke(site, "database")

    def end_stop_database(self, site, _):
        self.mended(site, "database")
        site.database.signal(signal.SIGCONT)

    def begin_kill_dbsync(self, site, _):
        self.killed.add((site.name, "dbsync"))
        site.dbsync.kill()

    def end_kill_dbsync(self, site, _):
        site.dbsync.start()
        self.killed.discard((site.name, "dbsync"))

    def begin_stop_dbsync(self, site, _):
        site.dbsync.process.signal(signal.SIGSTOP)

    def end_stop_dbsync(self, site, _):
        site.dbsync.process.signal(signal.SIGCONT)

    def begin_kill_balancer(self, site, _):
        site.balancer.kill()
        self.broke(site, "balancer")

    def end_kill_balancer(self, site, _):
        self.mended(site, "balancer")
        site.balancer.start()

    # ---- lines ----

    def _line(self, site, way):
        self.broke(site, "line")
        site.network.set_way(way)

    def begin_cut(self, site, _):
        self._line(site, "cut")

    def begin_no_in(self, site, _):
        self._line(site, "no-in")

    def begin_no_out(self, site, _):
        self._line(site, "no-out")

    def end_cut(self, site, _):
        site.network.set_way("open")
        self.mended(site, "line")

    end_no_in = end_no_out = end_cut

    def begin_delay(self, site, fault):
        self.broke(site, "delay", "flood")  # frames between two lines are lost when it is changed
        site.network.set_delay(fault.more["delay_ms"])
        self.mended(site, "flood")

    def end_delay(self, site, _):
        self.broke(site, "flood")
        site.network.set_delay(0)
        self.mended(site, "flood", "delay")

    # ---- clock, disk, configuration, packets, operator ----

    def begin_clock_step(self, site, fault):  # of all programs of Signpost
        self.broke(site, "clock")
        set_clock(self.world, site.name, fault.more["step_s"])

    def end_clock_step(self, site, _):
        set_clock(self.world, site.name, 0)
        self.mended(site, "clock")

    def begin_database_clock_step(self, site, fault):
        set_clock(self.world, f"db-{site.name}", fault.more["database_step_s"])

    def end_database_clock_step(self, site, _):
        set_clock(self.world, f"db-{site.name}", 0)

    def begin_disk_full(self, site, _):
        self.broke(site, "disk")
        for folder in self._disks(site):
            try:
                with open(f"{folder}/filler", "wb") as file:
                    while True:
                        file.write(b"#" * 65536)
            except OSError:
                pass  # full

    def end_disk_full(self, site, _):
        for folder in self._disks(site):
            os.unlink(f"{folder}/filler")
        self.mended(site, "disk")

    @staticmethod
    def _disks(site):
        return [f"{site.node.folder}/control", f"{site.node.folder}/dataplane", site.dbsync.spool]

    def _reload(self, site, text):
        site.node.write_config(text)
        if self.is_now_broken(site, "control"):
            return False  # it reads the file when it starts
        try:
            site.node.ctl("reload")
            return True
        except Refused:
            return False

    def begin_reload_good(self, site, fault):
        self._reload(site, self.world.text.replace("ttl = 30;", f"ttl = {20 + fault.more['seed'] % 20};"))

    def begin_reload_bad(self, site, _):
        """Refused, and nothing changes; the file is put right again for those who start later."""
        for bad in ('sites = ( "ams", "paris" );', "sites = ( "):
            if self._reload(site, self.world.text.replace('sites = ( "ams", "fra" );', bad)):
                self.crashes.append(f"node {site.node.name} took a bad configuration")
        site.node.write_config(self.world.text)

    def begin_flood(self, site, fault):
        self.broke(site, "flood")
        self.world.far.start(f"flood-{fault.at}", [sys.executable, FLOOD, site.node_address, str(fault.until - fault.at),
                                                   str(FLOOD_PER_S), str(fault.more["seed"])])

    def end_flood(self, site, _):
        self.mended(site, "flood")

    def begin_drain(self, site, fault):
        """By one node's operator; the word reaches the other node by heartbeats."""
        if self.is_now_broken(site, "control"):
            return
        seconds = int(fault.until - fault.at) + 1
        self.broke(site, "drained")
        try:
            site.node.ctl("site", site.name, "drain", "--reason", "chaos", "--for", f"{seconds}s")
        except (Refused, OSError):
            self.mended(site, "drained")  # it would have left no site
        self.drained_until[site.name] = self.now() + seconds

    def end_drain(self, site, _):
        if not self.is_now_broken(site, "drained"):
            return
        over = self.drained_until[site.name]  # by itself, perhaps before we come to it
        since = min(self.now(), over - DRAIN_MARGIN_S)
        if not self.is_now_broken(site, "control"):
            try:
                site.node.ctl("site", site.name, "auto")
                over = min(over, self.now())
            except (Refused, OSError):
                pass
        self.truth.mended(since, max(over, self.now()), site.name, "drained")

    # ---- what nobody ended ----

    @staticmethod
    def programs(site):
        """Ours at a site, by name."""
        return (("control", site.node.control), ("dataplane", site.node.dataplane), ("dbsync", site.dbsync.process))

    def check(self):
        """Programs that are gone though nobody ended them."""
        for site in self.world.sites:
            for part, process in self.programs(site):
                if (site.name, part) not in self.killed and not process.is_running():
                    self.crashes.append(f"{site.node.name} {part} ended by itself with status {process.popen.returncode}")
                    self.killed.add((site.name, part))
                    self.truth.broke(self.now() - LOOKED_FOR_S, self.now(), site.name, part)
