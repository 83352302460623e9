# SPDX-License-Identifier: Apache-2.0
"""A client's questions, asked from inside its namespace, and what came back."""
import re
import socket
import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype

from .process import Timeout, wait_until


class Client:
    """Asks one server over UDP, or TCP where said. With `recursion` the server is a resolver."""

    def __init__(self, host, server, recursion=False):
        self.host, self.server, self.recursion = host, server, recursion
        self.family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self.udp = host.socket(self.family, socket.SOCK_DGRAM)
        self.udp.setblocking(False)

    def close(self):
        self.udp.close()

    def query(self, name, kind="A", seconds=1.0, **options):
        """The whole response to one UDP query."""
        message = dns.message.make_query(name, kind, **options)
        if not self.recursion:
            message.flags &= ~dns.flags.RD
        return self.exchange(message, seconds)

    def exchange(self, message, seconds=1.0):
        """The response to this very message; late ones to earlier messages are passed over."""
        end = time.monotonic() + seconds
        self.udp.setblocking(True)
        self.udp.settimeout(seconds)
        try:
            self.udp.sendto(message.to_wire(), (self.server, 53))
            while True:
                self.udp.settimeout(max(end - time.monotonic(), 1e-6))
                response = dns.message.from_wire(self.udp.recv(65535))
                if message.is_response(response):
                    return response
        except socket.timeout:
            raise dns.exception.Timeout from None
        finally:
            self.udp.setblocking(False)

    def query_tcp(self, name, kind="A", seconds=2.0, **options):
        message = dns.message.make_query(name, kind, **options)
        with self.host.socket(self.family, socket.SOCK_STREAM) as tcp:
            tcp.settimeout(seconds)
            tcp.connect((self.server, 53))
            tcp.setblocking(False)
            return dns.query.tcp(message, self.server, timeout=seconds, sock=tcp)

    def addresses(self, name, kind="A", seconds=1.0):
        """The addresses in the order of the answer; a tuple. Empty without an answer section, None when nothing came."""
        try:
            response = self.query(name, kind, seconds)
        except dns.exception.Timeout:
            return None
        wanted = dns.rdatatype.from_text(kind)
        return tuple(record.to_text() for rrset in response.answer if rrset.rdtype == wanted for record in rrset)

    def wait_addresses(self, name, wanted, seconds, kind="A"):
        """Asks until the answer is `wanted`; how long that took."""
        seen = []

        def comes():
            seen.append(self.addresses(name, kind, 0.2))
            return seen[-1] == tuple(wanted)

        try:
            return wait_until(comes, seconds, "", pause=0.002)
        except Timeout:
            raise Timeout(f"{name} {kind} did not become {', '.join(wanted)} within {seconds} s; last: {seen[-1]}") \
                from None

    def stays(self, name, wanted, seconds, kind="A"):
        """Asks for a while; the first other answer, or None when all were `wanted`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seen = self.addresses(name, kind, 0.5)
            if seen != tuple(wanted):
                return seen or "no answer"
            time.sleep(0.01)
        return None


class Dnsperf:
    """dnsperf in a client's namespace, at a fixed rate for a time."""

    def __init__(self, host, server, names, rate, seconds, extra=(), prefix=()):
        lab = host.lab
        queries = lab.write(f"dnsperf-{host.name}-{len(lab.processes)}.txt",
                            "".join(f"{name} {kind}\n" for name, kind in names))
        self.process = host.start(f"dnsperf-{len(lab.processes)}",
                                  [*prefix, "dnsperf", "-s", server, "-d", queries, "-Q", str(rate), "-l", str(seconds), "-t",
                                   "2", *extra])
        self.seconds = seconds

    def result(self):
        """After its end: sent, completed, lost, latency in seconds, rcodes."""
        self.process.popen.wait(self.seconds + 20)
        text = self.process.log()

        def number(pattern):
            found = re.search(pattern, text)
            return float(found.group(1)) if found else 0.0

        return {"sent": int(number(r"Queries sent:\s+(\d+)")), "completed": int(number(r"Queries completed:\s+(\d+)")),
                "lost": int(number(r"Queries lost:\s+(\d+)")), "latency_s": number(r"Average Latency \(s\):\s+([\d.]+)"),
                "rate": number(r"Queries per second:\s+([\d.]+)"), "text": text}
