# SPDX-License-Identifier: Apache-2.0
"""Two real daemons keep two SQLite files in step over TLS: what the claims ask of the sites' databases."""
import pytest

from lablib.dbsync import Pair


@pytest.fixture(name="pair", scope="module")
def running_pair(tmp_path_factory):
    with Pair(tmp_path_factory.mktemp("dbsync")) as pair:
        yield pair


def test_claim_12_13_the_sites_databases_are_kept_in_step(pair):
    pair.ams.sql("INSERT INTO orders VALUES(1, 'anna', 10.5, 'from ams')")
    pair.fra.sql("INSERT INTO orders VALUES(2, 'bert', 20.25, x'00ff')")
    took = pair.wait_equal()
    print(f"equal after {took * 1000:.0f} ms")
    assert pair.ams.rows() == [(1, "anna", 10.5, "from ams"), (2, "bert", 20.25, b"\x00\xff")]
