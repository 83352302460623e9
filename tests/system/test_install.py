# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts where, and that it fits the programs: units, rights, manual pages, completion, alerts."""
import json
import os
import re
import shutil
import subprocess

import pytest

from lablib.dns import Client
from lablib.lab import BUILD, Lab, program
from lablib.process import wait_until
from test_ports import CLIENT, NAME, NODE, make_images

TOP = os.path.dirname(BUILD)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder that stands for / on a machine with PREFIX=/usr."""
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "-C", TOP, "install", f"DESTDIR={folder}", "PREFIX=/usr"], check=True,
                   capture_output=True)
    return folder / "usr"


def read(*parts):
    with open(os.path.join(*map(str, parts)), encoding="utf-8") as file:
        return file.read()


def test_every_program_is_there_with_its_page(installed):
    for path, section in (("bin/signpostctl", 1), ("sbin/signpost-dataplane", 8), ("sbin/signpost-control", 8),
                          ("sbin/signpost-standby", 8)):
        done = subprocess.run([installed / path, "--version"], capture_output=True, text=True, check=True)
        name = os.path.basename(path)
        assert done.stdout.startswith(name)
        page = read(installed, f"share/man/man{section}", f"{name}.{section}")
        said = subprocess.run([installed / path, "--help"], capture_output=True, text=True, check=True).stdout
        for option in set(re.findall(r"--[a-z][a-z-]+", said)):
            assert option.replace("-", r"\-") in page or option in page, (name, option)
    assert "spill" in read(installed, "share/man/man5/signpost.conf.5")


def test_pages_are_well_formed(installed):
    for folder, _, names in os.walk(installed / "share/man"):
        for name in names:
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", os.path.join(folder, name)],
                                  capture_output=True, text=True, check=True)
            assert done.stderr == "", (name, done.stderr)


def test_units_are_well_formed_and_start_what_is_installed(installed):
    units = sorted((installed / "lib/systemd/system").glob("signpost-*.service"))
    assert len(units) >= 3
    for unit in units:
        text = read(unit)
        for path in re.findall(r"/usr/s?bin/signpost[a-z-]*", text):
            assert os.access(installed.parent / path[1:], os.X_OK), (unit.name, path)
        assert "User=signpost" in text and "NoNewPrivileges=yes" in text


def test_every_program_that_a_unit_starts_is_installed(installed):
    for unit in (installed / "lib/systemd/system").glob("signpost-*.service"):
        for command in re.findall(r"^Exec\w+=[-+!:@]*(/\S+)", read(unit), re.M):
            path = command if command.startswith("/bin/") else installed.parent / command[1:]
            assert os.access(path, os.X_OK), (unit.name, command)


def test_a_unit_is_started_again_for_ever_unless_it_can_never_be_right(installed):
    """systemd's own limit is five starts in ten seconds; then a node would stay silent."""
    for unit in (installed / "lib/systemd/system").glob("signpost-*.service"):
        text = read(unit)
        assert "Restart=always\n" in text and "StartLimitIntervalSec=0\n" in text, unit.name
        assert "RestartPreventExitStatus=2\n" in text, unit.name
    for name, arguments in (("signpost-control", ("--config", "/nowhere")), ("signpost-dataplane", ()),
                            ("signpost-standby", ()), ("signpost-dbsync", ("--config", "/nowhere", "run"))):
        done = subprocess.run([installed / "sbin" / name, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr, (name, done)


def test_no_directory_has_units_of_two_users(installed):
    """systemd gives a unit's directories, with all that is in them, to its user whenever the unit starts."""
    owner = {}
    for unit in (installed / "lib/systemd/system").glob("signpost-*.service"):
        text = read(unit)
        user = re.search(r"^User=(.*)$", text, re.M)[1]
        assert f"u {user} " in read(installed, "lib/sysusers.d/signpost.conf"), user
        for kind, names in re.findall(r"^(\w+Directory)=(.*)$", text, re.M):
            for name in names.split():
                assert kind == "ConfigurationDirectory" or owner.setdefault((kind, name.split("/")[0]), user) == user, (unit.name, name)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_units(installed, tmp_path):
    for unit in (installed / "lib/systemd/system").glob("signpost-*.service"):
        text = re.sub(r"(?<![\w/])/usr/(s?bin)/signpost", rf"{installed}/\1/signpost", read(unit))
        (tmp_path / unit.name).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.glob("*.service"))], capture_output=True,
                          text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "signpost" in line]
    assert not ours, ours


def capabilities(unit):
    return re.search(r"^AmbientCapabilities=(.*)$", read(TOP, "deploy", unit), re.M).group(1).lower().split()


@pytest.mark.parametrize("unit,port", [("signpost-dataplane.service", "af_packet:eth0"),
                                       ("signpost-dataplane.service", "af_xdp:eth0"), ("signpost-standby.service", "")])
def test_the_rights_of_the_units_suffice(unit, port):
    """As an ordinary user with the unit's capabilities and no others."""
    with Lab() as lab:
        node, client = lab.add_host("node", [f"{NODE}/24"]), lab.add_host("client", [f"{CLIENT}/24"])
        folder = make_images(lab)
        for path in (lab.directory, folder):
            subprocess.run(["chown", "-R", "nobody", path], check=True)
        caps = ",".join("+" + c.removeprefix("cap_") for c in capabilities(unit))
        name = unit.removesuffix(".service")
        process = node.start("program", [
            "setpriv", "--reuid=nobody", "--clear-groups", "--no-new-privs",
            f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set=-all,{caps}", program(name), "--socket",
            lab.path("x.sock"), "--state-dir", folder, "--address", NODE, *(["--port", port] if port else [])])
        wait_until(lambda: "ready: " in process.log() or not process.is_running(), 15, "it is ready")
        assert process.is_running(), process.log()
        assert Client(client, NODE).addresses(NAME), process.log()
        assert process.stop() == 0


def complete(*words):
    script = (f'source {TOP}/deploy/signpostctl.bash-completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_signpostctl; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", program("signpostctl"), *words], capture_output=True, text=True,
                          check=True)
    return done.stdout.split()


def test_completion_offers_what_the_program_has():
    assert set(complete("")) >= {"status", "explain", "doctor", "capture", "reload"}
    assert complete("exp") == ["explain"]
    assert "--json" in complete("--j")
    assert complete("check", "/etc/host") and all(path.startswith("/etc/host") for path in complete("check", "/etc/host"))


def test_alerts_and_dashboard_speak_of_metrics_that_exist(cluster):
    there = set(re.findall(r"^(signpost_[a-z0-9_]+)", cluster.ams.node.ctl("metrics"), re.M))
    sources = read(TOP, "control/metrics.c")
    wanted = set(re.findall(r"signpost_[a-z0-9_]+", read(TOP, "deploy/alerts.yml")))
    for panel in json.loads(read(TOP, "deploy/dashboard.json"))["panels"]:
        for target in panel["targets"]:
            wanted |= set(re.findall(r"signpost_[a-z0-9_]+", target["expr"]))
    missing = {name for name in wanted - there if f'"{name.removeprefix("signpost_")}"' not in sources}
    assert not missing, missing
