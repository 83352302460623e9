# SPDX-License-Identifier: Apache-2.0
"""What caching resolvers make of an answer, as Debian's run by default and with the option that keeps the order."""
import time

import pytest

from lablib.dns import Client
from lablib.process import wait_until


@pytest.fixture(params=["unbound", "bind"])
def resolver(request, world):
    chosen = getattr(world, request.param)
    chosen.client = Client(world.client, chosen.address, recursion=True)
    yield chosen
    chosen.client.close()
    chosen.restart()


def fresh(world, resolver, keep_order):
    resolver.restart(keep_order)
    resolver.wait_ready(resolver.client, world.service)


def test_by_default_a_cache_turns_the_order_of_addresses(world, resolver):
    """No authoritative server can help that for A and AAAA: the set is complete and right, its order is the cache's."""
    fresh(world, resolver, keep_order=False)
    seen = {}
    for _ in range(60):
        found = resolver.client.addresses(world.service, seconds=10)
        seen[found] = seen.get(found, 0) + 1
    print(f"{resolver.kind}, by default: {seen}")
    assert set(seen) == {world.order("ams", "fra"), world.order("fra", "ams")}


def test_with_one_option_a_cache_keeps_the_order(world, resolver):
    fresh(world, resolver, keep_order=True)
    assert {resolver.client.addresses(world.service, seconds=2) for _ in range(60)} == {world.order("ams", "fra")}


def test_a_cache_counts_the_ttl_down_and_then_asks_again(world, resolver):
    fresh(world, resolver, keep_order=True)
    first = resolver.client.query(world.service).answer[-1].ttl
    assert first <= 30
    wait_until(lambda: resolver.client.query(world.service, seconds=2).answer[-1].ttl < first, 5, "the TTL has come down",
               pause=0.2)


def test_after_a_failure_a_cache_follows_within_the_ttl(world):
    """Until then it serves both addresses, of which clients use the one that works. Both resolvers at the same time."""
    caches, left = {}, {}
    for kind in ("unbound", "bind"):
        cache = getattr(world, kind)
        cache.client = Client(world.client, cache.address, recursion=True)
        fresh(world, cache, keep_order=True)
        caches[kind], left[kind] = cache, cache.client.query(world.service).answer[-1].ttl
    start = time.monotonic()
    world.ams.database.kill()
    world.at_ams.wait_addresses(world.service, world.order("fra"), 15)
    for kind, cache in sorted(caches.items(), key=lambda known: left[known[0]]):
        wait_until(lambda at=cache: at.client.addresses(world.service, seconds=2) == world.order("fra"), left[kind] + 5,
                   f"the cache of {kind} has the new answer", pause=0.1)
        print(f"{kind}: {time.monotonic() - start:.1f} s after the database died; {left[kind]} s of the old answer's TTL "
              "were left")
        cache.client.close()
        cache.restart()
