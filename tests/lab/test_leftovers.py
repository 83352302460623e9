# SPDX-License-Identifier: Apache-2.0
"""`scripts/lab` comes up in time, and leaves nothing behind, however it ends."""
import glob
import json
import os
import re
import signal
import subprocess
import tempfile
import time

import pytest

from lablib import world as module
from lablib.process import wait_until

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "lab")
OWN = os.path.join(tempfile.gettempdir(), f"signpost-lab.{os.getuid()}")


def lab(*arguments, seconds=60):
    return subprocess.run([LAB, *arguments], capture_output=True, text=True, timeout=seconds, check=False)


def traces(prefix, directory):
    """Everything of one laboratory that is there: namespaces, processes, mounts, folders."""
    found = [line for line in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                                             check=True).stdout.split("\n") if line.startswith(prefix)]
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read().replace("\0", " ")
        except OSError:
            continue
        if directory in text:
            found.append(text)
    with open("/proc/mounts", encoding="utf-8") as file:
        found += [line for line in file if prefix in line or directory in line]
    return found + glob.glob(directory) + glob.glob(OWN)


@pytest.fixture
def up():
    if module.running or os.path.exists(OWN):
        pytest.skip("a laboratory of this user is up")
    done = lab("up")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        with open(os.path.join(OWN, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        took = float(re.search(r"up in ([\d.]+) s", done.stdout).group(1))
        assert took < 20, f"{took} s"
        print(f"up in {took} s")
        assert traces(state["prefix"], state["directory"])
        yield state
    finally:
        lab("down")
    assert traces(state["prefix"], state["directory"]) == []


def test_up_status_shell_down(up):
    done = lab("status")
    assert done.returncode == 0 and done.stdout.count(" runs ") == 21 and "all evidence is good" in done.stdout
    page = lab("shell", "client", "curl", "-s", "http://www.example.com/db")
    assert "Database: db-" in page.stdout, page
    assert "a laboratory is up already" in lab("up").stderr
    assert "no host paris" in lab("shell", "paris").stderr


def test_run_runs_a_scenario_in_the_laboratory_that_is_up(up):
    done = lab("run", "test_claim_09", seconds=120)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
    assert "test_claim_09_31_46_first_alone_without_the_second" in lab("run").stdout
    assert lab("run", "no_such_scenario").returncode != 0


def test_down_cleans_up_after_a_keeper_that_was_killed(up):
    os.kill(up["pid"], signal.SIGKILL)
    wait_until(lambda: lab("status").returncode == 1, 5, "the keeper is gone", pause=0.1)
    assert traces(up["prefix"], up["directory"]), "its servers are still there"
    assert lab("down").returncode == 0
    assert traces(up["prefix"], up["directory"]) == []


def test_an_ended_test_run_leaves_nothing(tmp_path):
    """SIGTERM in the middle, as a time limit sends it."""
    script = tmp_path / "run.py"
    script.write_text("import sys, time\nsys.path.insert(0, sys.argv[1])\nfrom lablib.world import World\n"
                      "with World() as world:\n    print(world.prefix, world.directory, flush=True)\n    time.sleep(60)\n")
    process = subprocess.Popen(["/usr/bin/python3", str(script), os.path.dirname(LAB)], stdout=subprocess.PIPE, text=True)
    prefix, directory = process.stdout.readline().split()
    assert len(traces(prefix, directory)) > 40
    process.terminate()
    start = time.monotonic()
    process.wait(40)
    print(f"gone in {time.monotonic() - start:.1f} s")
    assert traces(prefix, directory) == []
