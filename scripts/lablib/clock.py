# SPDX-License-Identifier: Apache-2.0
"""A wall clock of one program's own, which a test can step: Debian's libfaketime, told by a file. The monotonic clock stays
true. (Linux has no namespace for wall clocks.)
"""
import glob
import os


def clock_environment(lab, name):
    """The environment for a program whose clock `set_clock` steps; None where the library is not installed."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        return None
    set_clock(lab, name, 0)
    return {**os.environ, "LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": lab.path(f"clock-{name}"),
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def set_clock(lab, name, offset_s):
    """Takes effect within a second."""
    lab.write(f"clock-{name}.new", f"{offset_s:+d}\n")
    os.rename(lab.path(f"clock-{name}.new"), lab.path(f"clock-{name}"))
