# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: one cluster for each module; a module that needs another one makes its own."""
import os
import subprocess

import pytest

from lablib.cluster import Cluster
from lablib.lab import can_make_namespaces


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: loads the machine, or measures; scripts/run-tests runs nothing beside it")


def pytest_collection_modifyitems(items):
    reason = can_make_namespaces()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no network namespaces here: {reason}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    cluster = item.funcargs.get("cluster")
    if report.failed and cluster is not None and not cluster.is_closed:
        cluster.show_logs()


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as up:
        yield up


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    """No namespace and no program of ours outlives the tests."""
    yield
    ours = f"sp{os.getpid()}x"
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert ours not in left, f"namespaces left behind: {left}"
