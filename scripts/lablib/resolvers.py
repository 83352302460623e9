# SPDX-License-Identifier: Apache-2.0
"""What stands between a client and the nodes: caching resolvers (unbound, BIND) and the servers above the zone (NSD).

Both resolvers run with what they do by default, but for DNSSEC (the root here signs nothing). `keep_order` adds the option
by which each leaves the order of a record set as it came.
"""
from .peers import Nsd
from .process import wait_until

UNBOUND = """server:
  interface: {address}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  module-config: "iterator"
  root-hints: "{hints}"
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  outgoing-range: 512
{more}remote-control:
  control-enable: no
"""

BIND = """options {{
  directory "{folder}";
  listen-on {{ {address}; }};
  listen-on-v6 {{ none; }};
  recursion yes;
  allow-recursion {{ any; }};
  dnssec-validation no;
  pid-file none;
  session-keyfile none;
{more}}};
zone "." {{ type hint; file "{hints}"; }};
controls {{ }};
"""

HINTS = """. 3600000 IN NS root.
root. 3600000 IN A {root}
"""

ROOT_ZONE = """$ORIGIN .
$TTL 1h
@    IN SOA root. hostmaster. 1 3600 600 86400 60
     IN NS  root.
root. IN A {address}
{delegations}
"""


def start_root(host, address, delegations, zones=()):
    """The root zone on NSD, with `delegations` as lines of it; `zones` are further (name, text) that it serves."""
    lab = host.lab
    files = {".": lab.write("nsd/root.zone", ROOT_ZONE.format(address=address, delegations=delegations))}
    for name, text in zones:
        files[name] = lab.write(f"nsd/{name}.zone", text)
    return Nsd(host, address, files)


class Resolver:
    """One caching resolver; `kind` is "unbound" or "bind"."""

    def __init__(self, host, kind, address, root, keep_order=False):
        self.host, self.kind, self.address, self.root = host, kind, address, root
        self.process = None
        self.start(keep_order)

    def start(self, keep_order=False):
        lab, name = self.host.lab, f"{self.kind}-{self.host.name}"
        folder = lab.path(name, "x")[:-2]
        hints = lab.write(f"{name}/hints", HINTS.format(root=self.root))
        if self.kind == "unbound":
            more = "  rrset-roundrobin: no\n" if keep_order else ""
            config = lab.write(f"{name}/unbound.conf", UNBOUND.format(address=self.address, hints=hints, folder=folder,
                                                                      more=more))
            command = ["unbound", "-d", "-c", config]
        else:
            more = "  rrset-order { order none; };\n" if keep_order else ""
            config = lab.write(f"{name}/named.conf", BIND.format(address=self.address, hints=hints, folder=folder,
                                                                 more=more))
            command = ["named", "-g", "-n", "1", "-c", config]
        self.process = self.host.start(self.kind, command)

    def restart(self, keep_order=False):
        """With an empty cache."""
        self.process.stop()
        self.start(keep_order)

    def wait_ready(self, client, name, seconds=15):
        """`client` asks this resolver."""
        return wait_until(lambda: client.addresses(name, seconds=1), seconds, f"{self.kind} answers {name}", pause=0.1)
