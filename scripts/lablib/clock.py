# SPDX-License-Identifier: Apache-2.0
"""A wall clock of one program's own, which a test can step: Debian's libfaketime, told by a file. The monotonic clock stays
true. (Linux has no namespace for wall clocks.)
"""
import glob
import os


def with_clock(lab, name):
    """What to put before a command whose clock `set_clock` steps; nothing where the library is not installed.

    Not by the environment of the whole start: what comes before the program would then leave its semaphores in the machine's
    /dev/shm, not in the program's own.
    """
    set_clock(lab, name, 0)
    return read_from(lab.path(f"clock-{name}"))


def read_from(path, at_once=False):
    """The same for a file that holds an offset in seconds, "+3600". `at_once`: read with each look at the clock, which costs
    microseconds; else it takes up to two seconds."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        return []
    return ["env", f"LD_PRELOAD={found[0]}", f"FAKETIME_TIMESTAMP_FILE={path}",
            "FAKETIME_NO_CACHE=1" if at_once else "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"]


def set_clock(lab, name, offset_s):
    """Takes effect within two seconds."""
    lab.write(f"clock-{name}.new", f"{offset_s:+d}\n")
    os.rename(lab.path(f"clock-{name}.new"), lab.path(f"clock-{name}"))
