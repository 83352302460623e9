# SPDX-License-Identifier: Apache-2.0
"""The chaos run: a seed replays its faults, the judgement finds what must not be, and a short run leaves nothing behind."""
import glob
import json
import os
import re
import subprocess

import pytest

from lablib import world as module
from lablib.chaos import KINDS, Answer, Truth, judge, schedule
from lablib.faults import FLOOD
from lablib.writers import Ledger

CHAOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "chaos")
BOTH, AMS, FRA = ("ams", "fra"), ("ams",), ("fra",)


def test_a_seed_replays_its_schedule():
    assert schedule(7, 600) == schedule(7, 600) != schedule(8, 600)
    assert len(schedule(7, 600)) > 150


def test_ten_schedules_have_every_kind_of_fault_at_both_sites():
    seen = {(fault.kind, fault.site) for seed in range(10) for fault in schedule(seed, 600)}
    assert len(seen) == 2 * len(KINDS)


def test_no_two_faults_pull_at_the_same_thing():
    faults = schedule(3, 600)
    for at, fault in enumerate(faults):
        for later in faults[at + 1:]:
            if later.site == fault.site and set(KINDS[later.kind][3].split()) & set(KINDS[fault.kind][3].split()):
                assert later.at >= fault.until
    assert all(fault.at <= fault.until < 600 for fault in faults)


DOING_S = 1.0  # so long it takes in these tests to break a thing, or to mend it


def told(*spans):
    truth = Truth()
    for begin, end, site, thing in spans:
        truth.broke(begin, begin + DOING_S, site, thing)
        if end is not None:
            truth.mended(end - DOING_S, end, site, thing)
    return truth


WEBS = [(10, 30, "ams", "web1"), (10, 30, "ams", "web2")]


@pytest.mark.parametrize("why, spans, at, node, sites, is_wrong", [
    ("all is well", [], 40, "ams", BOTH, False),
    ("the order is configured", [], 40, "ams", ("fra", "ams"), True),
    ("nobody answers, without a reason", [], 40, "ams", None, True),
    ("an answer without an address", [], 40, "ams", (), True),
    ("a site that serves is left out", [], 40, "fra", AMS, True),
    ("down, but not for long", WEBS, 15, "fra", BOTH, False),
    ("down for long", WEBS, 17.1, "fra", BOTH, True),
    ("down for long, by the site's own node", WEBS, 17.1, "ams", BOTH, True),
    ("down for long, and left out", WEBS, 17, "ams", FRA, False),
    ("down for long, but not before it was done", WEBS, 16.9, "fra", BOTH, False),
    ("left out while it is being broken", WEBS, 10.1, "fra", FRA, False),
    ("left out before", WEBS, 9.9, "fra", FRA, True),
    ("answered while it is being mended", WEBS, 29.1, "fra", BOTH, False),
    ("answered before", WEBS, 28.9, "fra", BOTH, True),
    ("one of two web servers", WEBS[:1], 20, "ams", BOTH, False),
    ("the database", [(10, None, "fra", "database")], 17.1, "ams", BOTH, True),
    ("both sites are down: all are answered", WEBS + [(12, 30, "fra", "database")], 25, "ams", BOTH, False),
    ("a node that cannot judge", WEBS + [(8, 29, "ams", "control")], 25, "ams", BOTH, False),
    ("the other node's control process is gone", [(10, 30, "fra", "control")], 20, "ams", BOTH, True),
    ("which its own site's node does not mind", [(10, 30, "fra", "control")], 45.1, "fra", BOTH, False),
    ("the line, seen from the other side", [(10, 30, "fra", "line")], 20, "ams", BOTH, True),
    ("back, but not for long", WEBS, 44, "fra", FRA, False),
    ("back for long", WEBS, 45.5, "fra", FRA, True),
    ("no answer from behind a cut line", [(10, 30, "fra", "line")], 20, "fra", None, False),
    ("no answer while its data plane is away", [(10, 30, "fra", "dataplane")], 20, "fra", None, False),
    ("no answer although only its control process is away", [(10, 30, "fra", "control")], 20, "fra", None, True),
    ("no answer at the other site", [(10, 30, "fra", "dataplane")], 20, "ams", None, True),
])
def test_the_judgement(why, spans, at, node, sites, is_wrong):
    found = judge(told(*spans), [Answer(at, node, sites)])
    assert bool(found) == is_wrong, f"{why}: {found}"


@pytest.mark.parametrize("why, steps, has, is_wrong", [
    ("what was acknowledged is there", [("add", True), ("add", True)], 2, False),
    ("it is lost", [("add", True), ("add", True)], 1, True),
    ("it is doubled", [("add", True)], 2, True),
    ("what was taken out is gone", [("add", True), ("remove", True)], 0, False),
    ("what was taken out comes back", [("add", True), ("remove", True)], 1, True),
    ("added again", [("add", True), ("remove", True), ("add", True)], 1, False),
    ("without an answer it may be done", [("add", True), ("add", False)], 2, False),
    ("or not", [("add", True), ("add", False)], 1, False),
    ("but nothing else", [("add", True), ("add", False)], 0, True),
    ("an unanswered removal", [("add", True), ("remove", False)], 0, False),
    ("that was not done", [("add", True), ("remove", False)], 1, False),
])
def test_the_account_of_what_was_promised(why, steps, has, is_wrong):
    ledger = Ledger()
    for operation, is_answered in steps:
        (ledger.acknowledged if is_answered else ledger.unknown)("anna", "lamp", operation)
    found = ledger.wrong({("anna", "lamp"): has} if has else {})
    assert bool(found) == is_wrong, f"{why}: {found}"


def left_behind(directory):
    """Mounts, processes and folders of one laboratory, and shared memory of programs that are gone."""
    with open("/proc/mounts", encoding="utf-8") as file:
        found = [line for line in file if directory in line]
    found += subprocess.run(["pgrep", "-af", directory], capture_output=True, text=True, check=False).stdout.splitlines()
    found += [path for path in glob.glob("/dev/shm/*faketime_*") if not os.path.exists(f"/proc/{path.rsplit('_', 1)[1]}")]
    return found + glob.glob(directory)


def test_a_short_run_holds_and_leaves_nothing():
    if module.running:
        pytest.skip("brings up a world of its own")
    done = subprocess.run([CHAOS, "--seconds", "40", "--seed", "5"], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    figures = {line["metric"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert figures["violations"] == 0 and figures["faults"] > 5 and figures["answers_checked"] > 500
    assert figures["queries_on_healthy_nodes"] > 1000 and figures["writes_acknowledged"] > 50
    assert left_behind(re.search(r"laboratory in (\S+)", done.stderr).group(1)) == []
    assert not subprocess.run(["pgrep", "-f", FLOOD], capture_output=True, check=False).stdout
