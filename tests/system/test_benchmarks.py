# SPDX-License-Identifier: Apache-2.0
"""Each benchmark of the data plane runs, for a few seconds, and prints the figures under the names that others read."""
import json
import os
import shutil
import subprocess

import pytest

from lablib.lab import BUILD
from lablib.link import missing_tools

pytestmark = pytest.mark.alone

SCRIPTS = os.path.dirname(BUILD) + "/scripts"


def figures(script, *arguments):
    """{(case, metric): figure} of one benchmark."""
    done = subprocess.run(["/usr/bin/python3", f"{SCRIPTS}/{script}", *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = {(f["case"], f["metric"]): f for f in map(json.loads, done.stdout.splitlines())}
    for figure in found.values():
        assert figure["unit"] and figure["runs"] >= 1 and figure["commit"] and figure["cpu"]
        assert figure["min"] <= figure["value"] <= figure["max"]
    return found


@pytest.fixture
def link():
    if missing_tools():
        pytest.skip(f"no memif link here: {missing_tools()}")


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_an_answer_takes_no_more_instructions_than_the_bar():
    found = figures("bench-answer", "--runs", "1", "--answers", "20000", "a_edns")
    assert found["a_edns", "instructions"]["value"] <= 350


def test_answers_over_memif_are_those_of_the_plain_way(link):
    found = figures("bench-link", "--runs", "1", "--seconds", "1", "--many", "0", "--features")
    assert found["a_edns_2addr", "compared_answers"]["value"] > 4096
    assert found["a_edns_2addr", "ratio_to_5tswap"]["value"] > 0


def test_no_answer_mixes_two_tables(link):
    found = figures("bench-publish", "--runs", "0", "--seconds", "1", "--many", "0", "--no-latency")
    mixed = found["1000_per_s", "mixed_generations"]
    assert mixed["value"] == 0 and mixed["answers"] > 10000 and mixed["generations_seen"] > 10


def test_growth_is_measured():
    found = figures("bench-scale", "--runs", "1", "--small")
    assert found["2_workers", "ratio_to_1_worker"]["value"] > 0
    assert found["all_worker", "ratio_to_plain"]["value"] > 0
    assert found["start_10_names", "first_answer_s"]["value"] < 10
