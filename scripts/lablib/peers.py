# SPDX-License-Identifier: Apache-2.0
"""Other authoritative servers with the same zones, to be compared with: Knot DNS, NSD and gdnsd, from Debian."""
import shutil

from .process import wait_until


def on_core(core, command):
    """The command, kept with all its threads on one core where one is given."""
    return command if core is None else ["taskset", "-c", str(core), *command]


class Knot:
    """`interface`: answers by XDP there as well, as Knot does it for UDP."""
    name = "knot"
    program = "knotd"

    def __init__(self, host, address, zone_files, core=None, interface=None):
        folder = host.lab.path("knot", "x")[:-2]
        xdp = f"xdp:\n    listen: {interface}@53\n" if interface else ""
        zones = "".join(f'  - domain: "{zone}"\n    file: "{file}"\n' for zone, file in zone_files.items())
        config = host.lab.write("knot/knot.conf", f"""
server:
    rundir: "{folder}"
    listen: {address}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
{xdp}database:
    storage: "{folder}"
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    journal-content: none
log:
  - target: stderr
    any: warning
zone:
{zones}""")
        self.process = host.start("knot", on_core(core, ["knotd", "-c", config]))


class Nsd:
    name = "nsd"
    program = "nsd"

    def __init__(self, host, address, zone_files, core=None):
        folder = host.lab.path("nsd", "x")[:-2]
        zones = "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{file}"\n' for zone, file in zone_files.items())
        config = host.lab.write("nsd/nsd.conf", f"""
server:
  ip-address: {address}
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  minimal-responses: yes
  refuse-any: yes
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{zones}""")
        self.process = host.start("nsd", on_core(core, ["nsd", "-d", "-c", config]))


class Gdnsd:
    name = "gdnsd"
    program = "gdnsd"

    def __init__(self, host, address, zone_files, core=None):
        folder = host.lab.path("gdnsd", "x")[:-2]
        for zone, file in zone_files.items():
            shutil.copy(file, host.lab.path("gdnsd", "zones", zone))
        host.lab.path("gdnsd", "run", "x")
        host.lab.path("gdnsd", "state", "x")
        host.lab.write("gdnsd/config", f"""
options => {{
  listen => {address}, udp_threads => 1, tcp_threads => 1,
  run_dir => "{folder}/run", state_dir => "{folder}/state"
}}
""")
        self.process = host.start("gdnsd", on_core(core, ["gdnsd", "-c", folder, "start"]))


def missing(*peers):
    """Names of the programs that are not installed."""
    return [peer.program for peer in peers if not shutil.which(peer.program, path="/usr/sbin:/usr/bin:/sbin:/bin")]


def wait_answers(client, name, seconds=15):
    wait_until(lambda: client.addresses(name, "SOA", 0.3) is not None, seconds, f"{client.server} answers {name}")
