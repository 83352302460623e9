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
from lablib.lab import FOLDER
from lablib.process import wait_until

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "lab")
OWN = os.path.join(tempfile.gettempdir(), f"signpost-lab.{os.getuid()}")


def lab(*arguments, seconds=60):
    return subprocess.run([LAB, *arguments], capture_output=True, text=True, timeout=seconds, check=False)


def traces(prefix, directory):
    """Everything of one laboratory that is there: namespaces, processes, mounts, folders."""
    found = [line for line in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                                             check=True).stdout.split("\n") if line.startswith(f"{prefix}-")]
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read().replace("\0", " ")
        except OSError:
            continue
        if directory in text:
            found.append(text)
    with open("/proc/mounts", encoding="utf-8") as file:
        found += [line for line in file if f"{prefix}-" in line or directory in line]
    return found + glob.glob(directory) + glob.glob(OWN)


def shared_memory():
    """Of both kinds and of our user, as our programs would leave it."""
    with open("/proc/sysvipc/shm", encoding="ascii") as file:
        rows = [line.split() for line in list(file)[1:]]
    found = {f"System V {row[1]}" for row in rows if int(row[7]) == os.getuid()}
    for path in glob.glob("/dev/shm/*"):
        try:
            if re.search("PostgreSQL|faketime", path) and os.stat(path).st_uid == os.getuid():
                found.add(path)
        except OSError:
            pass  # gone meanwhile
    return found


@pytest.fixture(autouse=True)
def no_shared_memory_is_left():
    """What others on this machine have for a moment goes away again."""
    before = shared_memory()
    yield
    wait_until(lambda: shared_memory() <= before, 20, f"no shared memory is left besides {before}", pause=0.2)


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
    assert done.stdout.count("signpost-dbsync of") == 2
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


BRING_UP = """import sys, time
sys.path.insert(0, sys.argv[1])
from lablib.lab import Lab
from lablib.world import World
breaks_at, count, start = int(sys.argv[2]), 0, Lab.start
def breaking_start(*arguments, **options):
    global count
    count += 1
    if count == breaks_at:
        raise RuntimeError(f"program {count} does not start")
    return start(*arguments, **options)
Lab.start = breaking_start
with World(is_rough=True) as world:
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def bring_up():
    """Starts bringing up a laboratory whose folder is in one of its own; that one is empty at the end."""
    folder, started = tempfile.mkdtemp(prefix="sl"), []

    def begin(breaks_at=0):
        started.append(subprocess.Popen(["/usr/bin/python3", "-c", BRING_UP, os.path.dirname(LAB), str(breaks_at)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, "TMPDIR": folder}))
        return started[0], f"sp{started[0].pid}x1", folder
    yield begin
    process = started[0]
    if process.poll() is None:
        process.terminate()
    process.stdout.read()
    process.wait(60)
    assert os.listdir(folder) == []
    assert traces(f"sp{process.pid}x1", f"{folder}/{FOLDER}") == []
    os.rmdir(folder)


def test_an_ended_test_run_leaves_nothing(bring_up):
    """SIGTERM in the middle, as a time limit sends it."""
    process, prefix, folder = bring_up()
    assert process.stdout.readline() == "up\n"
    assert len(traces(prefix, f"{folder}/{FOLDER}")) > 40
    process.terminate()
    start = time.monotonic()
    process.wait(40)
    print(f"gone in {time.monotonic() - start:.1f} s")


def test_down_sweeps_what_a_killed_test_run_left(bring_up):
    process, prefix, folder = bring_up()
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.wait()
    assert len(traces(prefix, f"{folder}/{FOLDER}")) > 40
    done = subprocess.run([LAB, "down"], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "TMPDIR": folder})
    assert prefix in done.stdout


@pytest.mark.parametrize("program", [1, 4, 12, 20])
def test_a_laboratory_that_breaks_on_its_way_up_leaves_nothing(bring_up, program):
    """The first program is initdb; then come servers, databases, nodes."""
    process, _, _ = bring_up(breaks_at=program)
    told = process.stdout.read()
    assert process.wait(60) == 1 and f"program {program} does not start" in told, told


@pytest.mark.parametrize("mark", ["-ams-db", "-root"])
def test_a_laboratory_that_is_ended_on_its_way_up_leaves_nothing(bring_up, mark):
    """Between two namespaces, and when the servers come up; a second signal in the middle of the clean-up as well."""
    process, prefix, folder = bring_up()
    wait_until(lambda: any(line.startswith(prefix + mark) for line in traces(prefix, f"{folder}/{FOLDER}")), 30,
               f"{mark} is there")
    process.terminate()
    time.sleep(0.2)
    process.terminate()
    assert process.wait(60) == 1


def test_a_keeper_that_is_killed_on_its_way_up_is_swept_away():
    if module.running or os.path.exists(OWN):
        pytest.skip("a laboratory of this user is up")
    starting = subprocess.Popen([LAB, "up"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while "PostgreSQL" not in (line := starting.stdout.readline()):
            assert line, "it ended"
        with open(os.path.join(OWN, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        os.kill(state["pid"], signal.SIGKILL)
        assert "did not come up" in starting.stdout.read() and starting.wait(60) == 1
    finally:
        lab("down")
    assert traces(state["prefix"], state["directory"]) == []


def test_a_configuration_that_is_not_there_leaves_nothing():
    with tempfile.TemporaryDirectory(prefix="sl") as folder:
        done = subprocess.run([LAB, "up", "no-such-example"], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "TMPDIR": folder})
        assert done.returncode == 1 and "did not come up" in done.stderr
        assert os.listdir(folder) == []
