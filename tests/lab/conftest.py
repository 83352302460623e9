# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenarios: one world of two whole sites for all that need nothing special, calm before each test.

`scripts/lab run NAME` runs scenarios in the world that is up.
"""
import os
import subprocess

import pytest

from lablib import world as module
from lablib.lab import can_make_namespaces
from lablib.world import World


LONGEST = "test_dbsync_pg.py"  # as long as all others together: it begins first, and the others run beside it


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST not in item.nodeid)
    reason = can_make_namespaces()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no network namespaces here: {reason}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    world = item.funcargs.get("world")
    if report.failed and world is not None and not world.is_closed:
        for site in world.sites:
            print(site.node.name, site.node.ctl("history", "--max", "30", check=False), sep="\n")
        world.show_logs(15)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    """No namespace and no folder of ours outlives the tests."""
    yield
    if module.running:
        return
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"sp{os.getpid()}x" not in left, f"namespaces left behind: {left}"


@pytest.fixture(scope="session")
def one_world(nothing_is_left):
    """Depends on the other so that it ends before it."""
    if module.running:
        yield module.running
        return
    with World() as up:
        yield up


@pytest.fixture
def world(one_world):
    """Both sites serve, everything runs, the configuration is the world's own; and so it is left."""
    one_world.settle()
    yield one_world
    one_world.repair()
    one_world.configure()
