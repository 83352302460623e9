# SPDX-License-Identifier: Apache-2.0
"""What every benchmark prints: one JSON object a line, on standard output and kept in build/bench/."""
import json
import os
import statistics
import subprocess

from .lab import BUILD


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


class Report:
    """One benchmark's figures."""

    def __init__(self, bench):
        self.bench, self.commit, self.cpu = bench, commit(), cpu_model()
        os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
        self.path = os.path.join(BUILD, "bench", f"{bench}.jsonl")

    def emit(self, case, metric, values, unit, **more):
        """The median of the runs, with the smallest and the largest."""
        line = json.dumps({"bench": self.bench, "case": case, "metric": metric, "value": statistics.median(values),
                           "unit": unit, "runs": len(values), "min": min(values), "max": max(values), **more,
                           "commit": self.commit, "cpu": self.cpu})
        print(line, flush=True)
        with open(self.path, "a", encoding="utf-8") as kept:
            kept.write(line + "\n")
