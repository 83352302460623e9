# SPDX-License-Identifier: Apache-2.0
"""What every benchmark prints: one JSON object a line, on standard output and kept in build/bench/ (or in the folder that
SIGNPOST_BENCH_DIR names: figures of a rehearsal are not to stand beside real ones). And what it needs to be built."""
import json
import os
import statistics
import subprocess
import sys

from .lab import BUILD, program

FIGURES = os.environ.get("SIGNPOST_BENCH_DIR", os.path.join(BUILD, "bench"))


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False,
                          cwd=os.path.dirname(BUILD))
    return done.stdout.strip() or "unknown"


def helper(name):
    """Path of a program that only benchmarks use."""
    return os.path.join(BUILD, os.environ.get("FLAVOUR", "release"), "tests/bench", name)


def require(*helpers, programs=()):
    """Ends the script with a line when something that it runs is not built, with the target that builds it."""
    missing = [path for path in (*map(helper, helpers), *map(program, programs)) if not os.access(path, os.X_OK)]
    if missing:
        name = os.path.basename(sys.argv[0])
        sys.exit(f"{name}: not built: {', '.join(os.path.relpath(path) for path in missing)}; `make {name}` builds and runs it")


class Report:
    """One benchmark's figures."""

    def __init__(self, bench):
        self.bench, self.commit, self.cpu = bench, commit(), cpu_model()
        os.makedirs(FIGURES, exist_ok=True)
        self.path = os.path.join(FIGURES, f"{bench}.jsonl")

    def emit(self, case, metric, values, unit, **more):
        """The median of the runs, with the smallest and the largest."""
        line = json.dumps({"bench": self.bench, "case": case, "metric": metric, "value": statistics.median(values),
                           "unit": unit, "runs": len(values), "min": min(values), "max": max(values), **more,
                           "commit": self.commit, "cpu": self.cpu})
        print(line, flush=True)
        with open(self.path, "a", encoding="utf-8") as kept:
            kept.write(line + "\n")
