# SPDX-License-Identifier: Apache-2.0
"""Customers who fill carts at both sites while faults are about, and the account of what they were promised.

Each writes by the page of one site: own carts, which nobody else touches, so that what must be in them is known; and now and
then a cart that all share, where the sites' writes conflict.
"""
import http.client
import json
import random
import socket
import threading

ITEMS = ("lamp", "chair", "table")
SHARED = ("shared-1", "shared-2")
TIMEOUT_S = 3
REQUESTS_PER_CART = 12


class Ledger:
    """What may be in each cart. Pure.

    A request that was answered was done, once. One that was not may have been done, be done later, or never be done; so
    the customer leaves that cart alone from then on.
    """

    def __init__(self):
        self.possible = {}  # (session, item) -> set of numbers of pieces, 0: not in the cart

    def acknowledged(self, session, item, operation):
        seen = self.possible.get((session, item), {0})
        self.possible[session, item] = {self._after(pieces, operation) for pieces in seen}

    def unknown(self, session, item, operation):
        seen = self.possible.get((session, item), {0})
        self.possible[session, item] = seen | {self._after(pieces, operation) for pieces in seen}

    @staticmethod
    def _after(pieces, operation):
        return pieces + 1 if operation == "add" else 0

    def wrong(self, cart):
        """What is not as promised in a table of carts, {(session, item): pieces}: texts."""
        return [f"cart {session} has {cart.get((session, item), 0)} of {item}, should have {sorted(may_be)}"
                for (session, item), may_be in sorted(self.possible.items()) if cart.get((session, item), 0) not in may_be]


class Writer(threading.Thread):
    """One customer of one site, who sits at `host`: in the site itself, or outside."""

    def __init__(self, host, site, per_second, seed):
        super().__init__()
        self.host, self.site, self.pause_s = host, site, 1 / per_second
        self.chance = random.Random(seed)
        self.name = f"{site.name}-{host.name}"
        self.ledger, self.wrong, self.acknowledged, self.carts = Ledger(), [], 0, 0
        self.end = threading.Event()

    def run(self):
        left = 0
        while not self.end.is_set():
            if left == 0:
                self.carts, left = self.carts + 1, REQUESTS_PER_CART
            left = left - 1 if self.one_request(f"{self.name}-{self.carts}") else 0
            self.request(self.chance.choice(SHARED), self.chance.choice(ITEMS), self.chance.choice(("add", "remove")))
            self.end.wait(self.pause_s)

    def one_request(self, session):
        """In the own cart; False when nobody knows what became of it."""
        item, operation = self.chance.choice(ITEMS), self.chance.choice(("add", "add", "add", "remove"))
        cart = self.request(session, item, operation)
        (self.ledger.unknown if cart is None else self.ledger.acknowledged)(session, item, operation)
        if cart is None:
            return False
        self.acknowledged += 1
        mine = {known: 0 for known in self.ledger.possible if known[0] == session}
        mine = {**mine, **{(session, name): pieces for name, pieces in cart.items()}}
        for (_, name), pieces in mine.items():
            if pieces not in self.ledger.possible.get((session, name), {0}):
                self.wrong.append(f"the page of {self.site.name} shows {pieces} of {name} in cart {session}, should be "
                                  f"{sorted(self.ledger.possible.get((session, name), {0}))}")
        return True

    def request(self, session, item, operation):
        """The cart as the page shows it afterwards; None when no good answer came."""
        try:
            connection = http.client.HTTPConnection(self.site.address)
            connection.sock = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
            connection.sock.settimeout(TIMEOUT_S)
            connection.sock.connect((self.site.address, 80))
            connection.request("GET", f"/cart?session={session}&{operation}={item}", headers={"Connection": "close"})
            response = connection.getresponse()
            text = response.read()
            return json.loads(text)["cart"] if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


class Writers:
    """Two customers of each site: one who is in it, and goes on when its line is cut, and one outside."""

    def __init__(self, world, seed, per_second=2):
        outside = {"ams": world.client, "fra": world.far}
        self.world = world
        self.all = [Writer(host, site, per_second, seed + number) for number, (site, host) in enumerate(
            (site, host) for site in world.sites for host in (site.balancer_host, outside[site.name]))]
        for writer in self.all:
            writer.start()

    def stop(self):
        for writer in self.all:
            writer.end.set()
        for writer in self.all:
            writer.join()

    def acknowledged(self):
        return sum(writer.acknowledged for writer in self.all)

    def wrong(self):
        """What was shown or promised and is not so, at either site, as texts."""
        found = [text for writer in self.all for text in writer.wrong]
        for site in self.world.sites:
            cart = {(session, item): int(pieces) for session, item, pieces in
                    site.database.sql("select session, item, pieces from cart")}
            found += [f"at {site.name}: {text}" for writer in self.all for text in writer.ledger.wrong(cart)]
        return found
