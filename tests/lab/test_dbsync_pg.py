# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL door at length: every cell of the conflict matrix, every type, every order of commits."""
import os
import subprocess

import pytest

from lablib.lab import BUILD
from lablib.pg_pair import Pair, server_folder

PROGRAM = os.path.join(BUILD, "release", "tests", "dbsync_pg")
pytestmark = pytest.mark.skipif(server_folder() is None, reason="no PostgreSQL server is installed")


def test_matrix_types_and_commit_orders():
    with Pair() as pair:
        env = {**os.environ, "SIGNPOST_PG_A": pair.a.conninfo(), "SIGNPOST_PG_B": pair.b.conninfo()}
        done = subprocess.run([PROGRAM], env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]

