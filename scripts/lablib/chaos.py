# SPDX-License-Identifier: Apache-2.0
"""Random faults and what must hold through them: the schedule of a seed, the truth about a world, and the judgement. Pure.

Nothing here touches a world: faults.py does what a schedule says, scripts/chaos records what was answered.
"""
import collections
import random

SITES = ("ams", "fra")
OTHER = {"ams": "fra", "fra": "ams"}

# Stated bounds, in seconds. A verdict falls after two failed probes 500 ms apart (of 400 ms each), and stays for a second;
# the tests' machine may starve the programs for a while. A restarted control process waits up to 3 s for its first round.
DOWN_BOUND_S = 6.0
BACK_BOUND_S = 15.0
SERVED_S = 9.0  # so long the other site must have served, or all may have been down to the node: then it fails open
QUERY_TIMEOUT_S = 1.0

Fault = collections.namedtuple("Fault", "at until kind site more")

# Kind: how often in relation to the others, shortest and longest duration in seconds, and what it occupies, so that two
# faults never pull at the same thing.
KINDS = {
    "kill_control": (4, 0.1, 4, "control"),
    "kill_dataplane": (4, 0.1, 4, "dataplane"),
    "stop_control": (3, 0.2, 8, "control"),
    "stop_dataplane": (3, 0.2, 8, "dataplane"),
    "kill_web": (2, 1, 12, "web1"),
    "kill_webs": (3, 1, 20, "web1 web2"),
    "stop_webs": (2, 1, 12, "web1 web2"),
    "kill_database": (3, 1, 20, "database"),
    "stop_database": (2, 1, 12, "database"),
    "kill_dbsync": (3, 0.1, 10, "dbsync"),
    "stop_dbsync": (2, 0.2, 12, "dbsync"),
    "kill_balancer": (1, 1, 10, "balancer"),
    "cut": (3, 0.2, 20, "line"),
    "no_in": (2, 0.2, 15, "line"),
    "no_out": (2, 0.2, 15, "line"),
    "delay": (2, 2, 15, "line"),
    "clock_step": (2, 2, 10, "clock"),
    "database_clock_step": (2, 2, 10, "database_clock"),
    "disk_full": (2, 1, 15, "disk"),
    "reload_good": (3, 0, 0, "config"),
    "reload_bad": (3, 0, 0, "config"),
    "flood": (2, 1, 4, "flood"),
    "drain": (1, 1, 10, "operator"),
}

# What a database more than a minute ahead has written waits at the other site until the time has come, as it should: too long
# for a run.
DATABASE_STEPS_S = (-3600, -45, -10, 10, 45)


def schedule(seed, seconds):
    """The faults of a seed, in order of their begin; about one every two seconds, some at the same time."""
    chance = random.Random(seed)
    kinds, weights = list(KINDS), [KINDS[kind][0] for kind in KINDS]
    free_at, faults, now = collections.defaultdict(float), [], 2.0
    while now < seconds - 5:
        kind, site = chance.choices(kinds, weights)[0], chance.choice(SITES)
        _, shortest, longest, occupies = KINDS[kind]
        lasts = chance.uniform(shortest, longest)
        more = {"step_s": chance.choice((-3600, -45, -10, 10, 45, 3600)), "delay_ms": chance.choice((10, 30, 60)),
                "seed": chance.randrange(1 << 30), "database_step_s": chance.choice(DATABASE_STEPS_S)}
        what = [(site, thing) for thing in occupies.split()]
        if all(free_at[thing] <= now for thing in what):
            until = min(now + lasts, seconds - 1)
            faults.append(Fault(round(now, 3), round(until, 3), kind, site, more))
            for thing in what:
                free_at[thing] = until + 0.5
        now += chance.expovariate(1 / 2.0)
    return faults


Span = collections.namedtuple("Span", "breaking broken mending mended")  # the last two None: not yet


class Truth:
    """What was broken when, as the one knows who broke it. Times are of one monotonic clock.

    To break a thing and to mend it take time, in which it may be either: no blame for what is answered then.
    """

    def __init__(self):
        self.spans = collections.defaultdict(list)  # (site, thing) -> spans

    def broke(self, since, now, site, thing):
        self.spans[site, thing].append(Span(since, now, None, None))

    def mended(self, since, now, site, thing):
        self.spans[site, thing][-1] = self.spans[site, thing][-1]._replace(mending=since, mended=now)

    def is_broken_now(self, site, thing):
        spans = self.spans[site, thing]
        return bool(spans) and spans[-1].mended is None

    def is_broken_all(self, site, thing, begin, end):
        """For certain through the whole time."""
        return any(span.broken <= begin and (span.mending is None or span.mending >= end) for span in self.spans[site, thing])

    def is_broken_any(self, site, thing, begin, end):
        """Perhaps at some moment of the time."""
        return any(span.breaking <= end and (span.mended is None or span.mended >= begin) for span in self.spans[site, thing])

    def is_dead(self, site, observer, begin, end):
        """By the observing site's rules the site was down through the whole time, for one and the same reason."""
        if all(self.is_broken_all(site, web, begin, end) for web in ("web1", "web2")):
            return True
        if any(self.is_broken_all(site, thing, begin, end) for thing in ("database", "drained", "balancer")):
            return True
        return observer != site and any(self.is_broken_all(at, thing, begin, end) for at, thing in (
            (site, "line"), (observer, "line"), (site, "control"), (site, "dataplane")))

    def is_well(self, site, observer, begin, end):
        """Nothing that could speak against the site, or keep the observer from judging it, at any moment."""
        own = ("web1", "web2", "database", "drained", "balancer")
        ways = ("line", "delay", "control", "dataplane", "clock", "flood")
        return not (any(self.is_broken_any(site, thing, begin, end) for thing in own) or
                    any(self.is_broken_any(at, thing, begin, end) for at in (site, observer) for thing in ways) or
                    self.is_broken_any(observer, "disk", begin, end))

    def may_be_down(self, site, observer, begin, end):
        """Something at some moment of the time could have made the site unavailable to the observer."""
        if all(self.is_broken_any(site, web, begin, end) for web in ("web1", "web2")):
            return True
        own = ("database", "drained", "balancer")
        ways = ("line", "delay", "control", "dataplane", "clock")
        return any(self.is_broken_any(site, thing, begin, end) for thing in own) or observer != site and any(
            self.is_broken_any(at, thing, begin, end) for at in (site, observer) for thing in ways)

    def is_answering(self, node, begin, end):
        """A query to this node had to be answered."""
        return not any(self.is_broken_any(node, thing, begin, end) for thing in ("dataplane", "line", "flood"))


Answer = collections.namedtuple("Answer", "at node sites")  # sites: names in order; None: no answer came


def judge(truth, answers, bound_s=DOWN_BOUND_S, back_s=BACK_BOUND_S, served_s=SERVED_S):
    """What an answer said that it must not have: a list of texts, at most one for each node, kind and second."""
    found = {}
    for answer in answers:
        at, node = answer.at, answer.node

        def wrong(kind, text, at=at, node=node):
            found.setdefault((node, kind, int(at)), f"{at:.2f} s: node {node}: {text}")

        if answer.sites is None or not answer.sites:
            if truth.is_answering(node, at - 2.0, at + QUERY_TIMEOUT_S + 0.2):
                wrong("lost", "no answer" if answer.sites is None else "an answer without an address")
            continue
        was_judging = not any(truth.is_broken_any(node, thing, at - bound_s, at)
                              for thing in ("control", "dataplane", "clock"))
        for site in answer.sites:
            other = OTHER[site]
            if was_judging and truth.is_dead(site, node, at - bound_s, at) and \
                    not truth.may_be_down(other, node, at - served_s, at):
                wrong(f"dead {site}", f"answered with {site}, which had been down for {bound_s:g} s")
        for site in SITES:
            if site not in answer.sites and truth.is_well(site, node, at - back_s, at):
                wrong(f"missing {site}", f"answered without {site}, which had served for {back_s:g} s")
        if answer.sites == ("fra", "ams"):
            wrong("order", "answered fra before ams")
    return sorted(found.values(), key=lambda text: float(text.split()[0]))
