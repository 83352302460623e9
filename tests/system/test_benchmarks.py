# SPDX-License-Identifier: Apache-2.0
"""Each benchmark of the data plane runs, for a few seconds, and prints the figures under the names that others read."""
import json
import os
import re
import shutil
import subprocess
import tempfile
from types import SimpleNamespace

import pytest

from lablib.lab import BUILD
from lablib.link import Rate, alike, emit_pairs, missing_tools

pytestmark = pytest.mark.alone

SCRIPTS = os.path.dirname(BUILD) + "/scripts"


def figures(script, *arguments):
    """{(case, metric): figure} of one benchmark."""
    with tempfile.TemporaryDirectory() as kept:  # not beside real figures
        done = subprocess.run(["/usr/bin/python3", f"{SCRIPTS}/{script}", *arguments], capture_output=True, text=True, timeout=100,
                              env={**os.environ, "SIGNPOST_BENCH_DIR": kept})
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
    found = figures("bench-link", "--patience", "0", "--runs", "1", "--seconds", "1", "--many", "0", "--features")
    assert found["a_edns_2addr", "compared_answers"]["value"] > 4096
    assert found["a_edns_2addr", "answers_per_s"]["value"] > 0
    assert found["5tswap", "packets_per_s"]["value"] > 0
    # A second each here: when the CPUs moved in it there is no ratio, and then none may be given.
    for case, metric in (("a_edns_2addr", "ratio_to_5tswap"), ("all", "ratio_to_plain")):
        ratio = found.get((case, metric))
        assert not ratio or (ratio["value"] > 0 and ratio["cores"] in ("near", "far"))


def test_rates_are_compared_only_when_the_distance_of_the_cpus_is_known():
    near, far, moved = Rate(8, True), Rate(2, False), Rate(5, None)
    assert alike([(far, far), (near, near), (moved, near)]) == ([(near, near)], "near")
    assert alike([(far, far), (near, far), (near, moved)]) == ([(far, far)], "far")
    assert alike([(near, far), (moved, near)])[1] == "mixed"
    told = []
    emit_pairs(SimpleNamespace(emit=lambda *figure, **_: told.append(figure)), "c", "ratio", [(near, far), (moved, moved)])
    assert told == []
    emit_pairs(SimpleNamespace(emit=lambda *figure, **_: told.append(figure)), "c", "ratio", [(near, Rate(6, True)), (moved, near)])
    assert told == [("c", "ratio", [0.75], "1")]


def test_no_answer_mixes_two_tables(link):
    found = figures("bench-publish", "--patience", "0", "--runs", "0", "--seconds", "1", "--many", "0", "--no-latency")
    mixed = found["1000_per_s", "mixed_generations"]
    assert mixed["value"] == 0 and mixed["answers"] > 10000 and mixed["generations_seen"] > 10


def test_growth_is_measured():
    found = figures("bench-scale", "--runs", "1", "--small")
    assert found["2_workers", "ratio_to_1_worker"]["value"] > 0
    assert found["all_worker", "ratio_to_plain"]["value"] > 0
    assert found["start_10_names", "first_answer_s"]["value"] < 10


def test_what_is_not_built_is_said_in_a_line_with_the_target_that_builds_it(tmp_path):
    done = subprocess.run(["/usr/bin/python3", f"{SCRIPTS}/bench-exception"], capture_output=True, text=True, timeout=20,
                          env={**os.environ, "SIGNPOST_BIN": str(tmp_path), "FLAVOUR": "none"})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "exception_load" in done.stderr and "signpost-dataplane" in done.stderr and "make bench-exception" in done.stderr


def test_the_report_renews_tables_and_plots_and_keeps_the_words(tmp_path):
    shutil.copy(os.path.dirname(BUILD) + "/docs/performance.md", tmp_path)
    before = (tmp_path / "performance.md").read_text()
    kept = tmp_path / "figures"
    kept.mkdir()
    figure = {"unit": "1/s", "runs": 3, "min": 1200, "max": 1400, "commit": "c", "cpu": "c"}
    lines = [{**figure, "bench": "link", "case": "a_edns_2addr", "metric": "answers_per_s", "value": rate} for rate in (7654321, 1313)]
    (kept / "link.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"bench": "li')
    done = subprocess.run(["/usr/bin/python3", f"{SCRIPTS}/bench-report", "--docs", str(tmp_path)], capture_output=True, text=True,
                          timeout=20, env={**os.environ, "SIGNPOST_BENCH_DIR": str(kept)})
    assert done.returncode == 0 and "link.jsonl:3" in done.stderr
    after = (tmp_path / "performance.md").read_text()
    assert "1,313 (1,200 to 1,400)" in after and "7,654,321" not in after
    pattern = "<!-- figures: link -->.*?<!-- end -->"
    assert re.sub(pattern, "", before, flags=re.S) == re.sub(pattern, "", after, flags=re.S)
    assert "1,313" in (tmp_path / "plots/link.svg").read_text()
