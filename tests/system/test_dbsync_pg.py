# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL door on two clusters of its own: a short choice; all of it is in tests/lab/test_dbsync_pg.py."""
import os
import subprocess

import pytest

from lablib.lab import BUILD
from lablib.pg_pair import Pair, server_folder

PROGRAM = os.path.join(BUILD, os.environ.get("FLAVOUR", "release"), "tests", "dbsync_pg")
CHOICE = ["PgCuts.long_*", "PgCuts.a_clock_*", "PgCuts.one_update_*", "PgCuts.applied_*", "PgCuts.bootstrap_*",
          "PgCuts.a_conflict_*", "PgTypes.hostile_*", "*/update_newer_than_delete_a_first", "*/unique_park_b_first",
          "*/foreign_no_action_a_first"]


@pytest.mark.skipif(server_folder() is None, reason="no PostgreSQL server is installed (scripts/install-deps)")
def test_two_postgresql_clusters_are_kept_in_step():
    with Pair(fsync=False) as pair:
        env = {**os.environ, "SIGNPOST_PG_A": pair.a.conninfo(), "SIGNPOST_PG_B": pair.b.conninfo()}
        done = subprocess.run([PROGRAM, "--gtest_filter=" + ":".join(CHOICE)], env=env, capture_output=True, text=True,
                              check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "[  PASSED  ] 10 tests." in done.stdout
