# SPDX-License-Identifier: Apache-2.0
"""A flood for the kernel, through a port that the kernel does not share: queries are answered, and every frame is counted."""
import pytest

from lablib.lab import Lab
from lablib.memif_load import MemifNode


@pytest.fixture
def node():
    with Lab() as lab:
        up = MemifNode(lab, is_pinned=False)
        up.start()
        yield up


@pytest.mark.parametrize("queries,others", [(400, 1500), (0, 2000), (1000, 1000)])
def test_a_burst_for_the_kernel_costs_no_answer_and_every_frame_is_counted(node, queries, others):
    """As many at once as the port's ring holds, mixed: so that no pause of the machine loses any. The way to the kernel,
    which holds half as many, overflows or not as it comes."""
    before, seen = node.counters(), int(node.door("statistics/rx_packets"))
    with node.load(0, queries, others) as load:
        grown = {name: value - before[name] for name, value in node.counters().items()}
    print(load, grown)
    assert (load["queries"], load["others"]) == (queries, others)
    assert load["queries_unsent"] == load["others_unsent"] == 0
    assert load["answers"] == queries and grown["tx_full"] == 0
    assert grown["rx_packets"] == queries + others and grown["kernel_packets"] == others
    assert grown["kernel_taken"] + grown["kernel_full"] + grown["kernel_refused"] == others
    assert grown["kernel_taken"] >= min(others, 1000), "what the ring of 1,024 holds, at least"
    assert int(node.door("statistics/rx_packets")) - seen == grown["kernel_taken"], "the kernel has them all"


def test_a_steady_flood_is_passed_on_beside_queries(node):
    """Rates that any machine carries; what did not fit into a ring is told by the end that found it full."""
    before, seen = node.counters(), int(node.door("statistics/rx_packets"))
    with node.load(1, 2000, 5000) as load:
        grown = {name: value - before[name] for name, value in node.counters().items()}
    print(load, grown)
    assert load["answers"] == load["queries"] - load["queries_unsent"] - grown["tx_full"] > 0
    assert grown["kernel_packets"] == load["others"] - load["others_unsent"] > 0
    assert int(node.door("statistics/rx_packets")) - seen == grown["kernel_taken"] > 0
