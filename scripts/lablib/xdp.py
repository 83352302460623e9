# SPDX-License-Identifier: Apache-2.0
"""An XDP program of somebody else on an interface: it passes every frame."""
import subprocess

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int onlooker(struct xdp_md *context) { return XDP_PASS; }
char _license[] SEC("license") = "GPL";
"""
NAME = "onlooker"


def put_program(host, interface="eth0"):
    """Loads it by xdp-loader, without libxdp's dispatcher."""
    source, made = host.lab.write("onlooker.bpf.c", SOURCE), host.lab.path("onlooker.bpf.o")
    machine = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["clang-14", "-target", "bpf", "-O2", "-g", f"-I/usr/include/{machine}", "-c", source, "-o", made], check=True,
                   capture_output=True)
    host.run("env", "LIBXDP_SKIP_DISPATCHER=1", "xdp-loader", "load", interface, made)


def has_program(host, interface="eth0"):
    return NAME in host.run("ip", "link", "show", interface).stdout
