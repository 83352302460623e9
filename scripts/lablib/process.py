# SPDX-License-Identifier: Apache-2.0
"""Programs that the laboratory starts: each with a log, ended by its own process number only."""
import os
import signal
import subprocess
import sys
import time


class Timeout(AssertionError):
    """A condition did not come true before its deadline."""


def wait_until(condition, seconds, what, pause=0.005):
    """Polls until `condition()` is true and returns how long that took; Timeout after `seconds`."""
    start = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - start
        if time.monotonic() - start > seconds:
            raise Timeout(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Process:
    """A running program. `prefix` puts it into a namespace; `stop_signal` is what it calls a polite request to end."""

    def __init__(self, name, command, log_path, prefix=(), env=None, cwd=None, stop_signal=signal.SIGTERM, pass_fds=()):
        self.name = name
        self.log_path = log_path
        self.stop_signal = stop_signal
        self.command = [*prefix, *command]
        self.started_at = time.monotonic()
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env,
                                          cwd=cwd, start_new_session=True, pass_fds=pass_fds)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def signal_group(self, number):
        """To the program and the children that stayed in its group: nginx and php-fpm with their workers."""
        if self.is_running():
            os.killpg(self.pid, number)

    def kill(self):
        """At once, as a crash would."""
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=10):
        """Politely; by force after `seconds`. The exit status."""
        self.signal(self.stop_signal)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not end within {seconds} s; killed", file=sys.stderr, flush=True)
            self.kill()
            return self.popen.returncode

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def cpu_times(self):
        """Seconds spent in the program itself, and in the kernel for it."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) / os.sysconf("SC_CLK_TCK"), int(fields[12]) / os.sysconf("SC_CLK_TCK")


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name (0 is the state); None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def children_of(pid):
    """Process numbers of a program's children, whatever their session and group."""
    found = ((int(entry), stat_of(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [child for child, stat in found if stat and int(stat[1]) == pid]


def cpu_of(pids, with_ended_children=False):
    """Processor seconds of these processes together."""
    stats = [stat for stat in map(stat_of, pids) if stat]
    return sum(sum(map(int, stat[11:15 if with_ended_children else 13])) for stat in stats) / os.sysconf("SC_CLK_TCK")
