# SPDX-License-Identifier: Apache-2.0
"""One Signpost node: its configuration file, both programs, and its command line."""
import json
import os
import signal
import subprocess

from .lab import program
from .process import wait_until


class Refused(RuntimeError):
    """signpostctl ended with a status other than 0."""

    def __init__(self, status, text):
        super().__init__(f"status {status}: {text}")
        self.status, self.text = status, text


class Node:
    """`settings` is the configuration's text without what this class adds: sockets and state folders."""

    def __init__(self, host, name, site, port, addresses, settings, standby=False):
        self.has_standby = standby
        self.host, self.name, self.site, self.port, self.addresses = host, name, site, port, addresses
        self.folder = os.path.join(host.lab.directory, name)
        self.control_socket = f"{self.folder}/control.sock"
        self.dataplane = self.control = self.standby = None
        self.before = []  # a program that starts the data plane and the control process
        self.write_config(settings)

    def write_config(self, settings):
        addresses = ", ".join(f'"{address}"' for address in self.addresses)
        site = f'site = "{self.site}"; ' if self.site else ""
        standby = (f'  standby_socket = "{self.folder}/standby.sock";\n  standby_state_dir = "{self.folder}/standby";\n'
                   if self.has_standby else "")
        self.config = self.host.lab.write(f"{self.name}/signpost.conf", f"""
node = {{ name = "{self.name}"; {site}}};
dataplane = {{
  ports = "{self.port}";
  addresses = ( {addresses} );
  socket = "{self.folder}/dataplane.sock";
  state_dir = "{self.folder}/dataplane";
{standby}}};
control = {{ socket = "{self.control_socket}"; state_dir = "{self.folder}/control"; metrics = "127.0.0.1:9153"; agent = "127.0.0.1:9100"; }};
{settings}""")

    def arguments(self, command="dataplane-args"):
        done = subprocess.run([program("signpostctl"), command, self.config], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise Refused(done.returncode, done.stderr)
        return done.stdout.splitlines()

    def start_dataplane(self):
        self.dataplane = self.host.start(f"{self.name}-dataplane", [*self.before, program("signpost-dataplane"),
                                                                    *self.arguments()])

    def start_standby(self):
        self.standby = self.host.start(f"{self.name}-standby",
                                       [program("signpost-standby"), *self.arguments("standby-args")])

    def start_control(self):
        self.control = self.host.start(f"{self.name}-control", [*self.before, program("signpost-control"), "--config",
                                                                self.config])

    def start(self):
        if self.has_standby:
            self.start_standby()
        self.start_dataplane()
        self.start_control()

    def kill(self):
        """Both programs at once, as a power cut would."""
        for process in (self.control, self.dataplane):
            process.signal(signal.SIGKILL)
        for process in (self.control, self.dataplane):
            process.popen.wait()

    def ctl(self, *arguments, check=True):
        """Runs signpostctl; its standard output."""
        done = subprocess.run([program("signpostctl"), "--socket", self.control_socket, *arguments],
                              capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode != 0:
            raise Refused(done.returncode, done.stderr)
        return done.stdout

    def ask(self, *arguments):
        """Runs signpostctl --json; the parsed reply."""
        return json.loads(self.ctl("--json", *arguments))

    def is_ready(self):
        """The control process answers and its order table is on the wire."""
        try:
            status = self.ask("status")
        except (Refused, ValueError):
            return False
        order = status["dataplane"]["order"]
        return status["ready"] and order["generation"] > 0 and order["published"] == order["generation"]

    def wait_ready(self, seconds=15):
        return wait_until(self.is_ready, seconds, f"node {self.name} is ready", pause=0.05)

    def counters(self):
        return self.ask("stats")["dataplane"]
