# SPDX-License-Identifier: Apache-2.0
"""What the guest's data plane answers: tables made by the real programs from a configuration, and the expected messages.
"""
import os
import struct
import subprocess
import tempfile
import time

import dns.flags
import dns.message
import dns.rdata
import dns.rdatatype

from frames import NODE, NODE6
from guest import TOP

BIN = os.environ.get("SIGNPOST_BIN", os.path.join(TOP, "build"))
CONFIG = f"""
node = {{ name = "ns1"; }};
dataplane = {{ ports = "vdev:net_null0,no-rx=1"; addresses = ( "{NODE}", "{NODE6}" );
              socket = "FOLDER/dataplane.sock"; state_dir = "FOLDER/dataplane"; huge_pages = "off"; tcp = false; }};
control = {{ socket = "FOLDER/control.sock"; state_dir = "FOLDER/control"; }};
sites = ( {{ name = "first"; addresses = ( "192.0.2.80", "2001:db8:1::80" ); }},
          {{ name = "second"; addresses = ( "198.51.100.80", "2001:db8:2::80" ); }} );
zone_dir = "FOLDER/zones";
zones = ( {{ name = "example.com"; }} );
services = ( {{ name = "app.example.com"; sites = ( "first", "second" ); ttl = 30; }} );
"""
ZONE = """$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 198.18.0.2
www A 203.0.113.1
www A 203.0.113.2
www AAAA 2001:db8:3::1
"""


def make_tables(folder):
    """zone.image and order.image below FOLDER/dataplane, by signpost-control through a data plane without a card."""
    os.makedirs(f"{folder}/zones")
    os.makedirs(f"{folder}/dataplane")
    with open(f"{folder}/signpost.conf", "w", encoding="utf-8") as file:
        file.write(CONFIG.replace("FOLDER", folder))
    with open(f"{folder}/zones/example.com.zone", "w", encoding="utf-8") as file:
        file.write(ZONE)
    arguments = subprocess.run([f"{BIN}/signpostctl", "dataplane-args", f"{folder}/signpost.conf"], check=True,
                               capture_output=True, text=True).stdout.split("\n")
    programs = []
    with open(f"{folder}/log", "w", encoding="utf-8") as log:
        try:
            for command in ([f"{BIN}/signpost-dataplane", *filter(None, arguments)],
                            [f"{BIN}/signpost-control", "--config", f"{folder}/signpost.conf"]):
                programs.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            end = time.monotonic() + 60
            while not all(os.path.exists(f"{folder}/dataplane/{kind}.image") for kind in ("zone", "order")):
                if time.monotonic() > end or any(p.poll() is not None for p in programs):
                    with open(f"{folder}/log", encoding="utf-8") as text:
                        raise AssertionError("no tables:\n" + text.read())
                time.sleep(0.02)
        finally:
            for program in reversed(programs):
                program.terminate()
                program.wait(30)
    return f"{folder}/dataplane"


def question(name="www.example.com.", kind="A", number=0x1234, edns=False, **more):
    message = dns.message.make_query(name, kind, id=number, use_edns=0 if edns else -1, payload=1232, **more)
    message.flags &= ~dns.flags.RD
    return message


def answer(asked, records=(), rcode=0, is_authoritative=True):
    """The expected response as bytes. `records` are texts such as "300 A 203.0.113.1", owned by the question's name.

    By hand, since the order of the records is part of what is promised.
    """
    wire = asked.to_wire()
    question_end = len(asked.question[0].name.to_wire()) + 16
    options = struct.pack("!BHHIH", 0, 41, 1232, (asked.ednsflags & 0x8000), 0) if asked.edns >= 0 else b""
    section = b""
    for record in records:
        ttl, kind, data = record.split(" ", 2)
        rdata = dns.rdata.from_text("IN", kind, data).to_wire()
        section += struct.pack("!HHHIH", 0xc00c, dns.rdatatype.from_text(kind), 1, int(ttl), len(rdata)) + rdata
    flags = 0x8000 | (0x0400 if is_authoritative else 0) | rcode
    head = wire[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 1 if options else 0)
    return head + wire[12:question_end] + section + options


WWW = ("300 A 203.0.113.1", "300 A 203.0.113.2")
WWW6 = ("300 AAAA 2001:db8:3::1",)
APP = ("30 A 192.0.2.80", "30 A 198.51.100.80")

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        print(os.listdir(make_tables(where)))
