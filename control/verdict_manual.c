// SPDX-License-Identifier: Apache-2.0
#include "control/verdict_manual.h"

#include <errno.h>

#include "health/evidence.h"
#include "health/verdict_rules.h"

static const char before[] =
    "# Verdicts: when is a site available\n"
    "\n"
    "This page is printed by `signpostctl manual verdicts` from the table that the programs decide by.\n"
    "\n"
    "Evidence is gathered per site; each kind is summed up to one word; the first row of the table that matches gives\n"
    "the verdict. `signpostctl sites` shows the evidence, `signpostctl history` the changes.\n"
    "\n"
    "| evidence | what it is | its words |\n"
    "|---|---|---|\n"
    "| operator | `signpostctl site NAME up\\|down\\|drain\\|auto` on this node | auto, up, down, drain |\n"
    "| servers | the required groups of `web` and `checks` | good: at "
    "least `need` members are; bad: that cannot be any more; not yet: no first result; old: older than `max_age` |\n"
    "| page | the required groups of `database`: a page that must show the database server's name | the same |\n"
    "| balancer | balancers with the role `required`, or `alternative` (which vouches, or is silent) | good, bad, not "
    "yet, old, vouches |\n"
    "| heartbeat | messages from the site's own nodes, when `heartbeat = \"required\"` and it is not the own site | "
    "heard: at least one in each of the last `periods` periods, from `nodes_need` nodes; lost; not yet, within the "
    "start-up wait; lost here only: lost, while a third party says that the site serves |\n"
    "| own node | what the site's own nodes say about it in their heartbeats | up, down, drain (by its operator) |\n"
    "| third party | what nodes of other sites, or witnesses, say about it from own evidence | up, down |\n"
    "\n"
    "An empty cell matches everything; *none* is evidence that is not configured.\n"
    "\n";

static const char after[] =
    "\n"
    "Then:\n"
    "\n"
    "- A member of a group changes after `rise` good or `fall` bad results in a row; the first result ever counts at "
    "once.\n"
    "- A verdict once given never goes back to *unknown*. What is still missing when `control.start_wait` is over "
    "counts "
    "as bad (*no evidence came within the start-up wait*); *as it was* leaves the verdict and puts it in doubt.\n"
    "- A site that is down comes back only on results that are good now: one that has begun to fail again does not "
    "count "
    "until it is good again.\n"
    "- A verdict stays for at least the site's `dwell`. Coming back waits for `fail_back_delay` of unbroken good "
    "evidence, or, with `fail_back = \"manual\"`, for an operator. An operator's word is followed at once.\n"
    "- **In doubt** is a site where something failed that does not decide yet: a bad result before `fall`, an empty "
    "period, another node that says *down*. It lowers the TTL of the services' answers to `ttl_min`, before the "
    "verdict "
    "falls.\n"
    "- A service that lists `groups` has verdicts of its own about its sites, by these groups only.\n"
    "- An operator may speak of a site within one service (`signpostctl service NAME/SITE up|down|drain|auto`), which "
    "stands over the site's verdict for that service alone, and of an address (`signpostctl address ADDRESS "
    "down|drain|auto`), which is then in no answer; a site whose addresses are all withdrawn counts as drained. Names "
    "may be globs. All of it is kept over restarts with its reason and its end, and holds on the node where it was "
    "said. Of these only a drain of a site that is said on a node of that site is followed by all other nodes, those "
    "of the same site too, until it is taken back on the same node; `signpostctl` says after each word whether the "
    "others follow. `up`, `down` and what is said of services, addresses and other sites is said on each node that "
    "shall know it: a node does not let another one overrule what it sees for itself.\n"
    "- What would leave a service without any available site is refused unless forced.\n"
    "- When this process was late itself (suspended, starved), the time it missed is taken out of all ages and "
    "periods: verdicts stand still, nobody is failed for it, and the log says so.\n"
    "- When no site of a service is available, its `all_down` decides.\n"
    "\n"
    "## Results of single probes\n"
    "\n"
    "| name | meaning |\n"
    "|---|---|\n";

int verdict_manual_write(FILE *out)
{
    fputs(before, out);
    if (verdict_rules_write(out) < 0)
        return -EIO;
    fputs(after, out);
    for (int i = 0; i < EVIDENCE_REASON_COUNT; i++)
        fprintf(out, "| `%s` | %s |\n", evidence_reason_name((enum evidence_reason)i),
                evidence_reason_text((enum evidence_reason)i));
    return ferror(out) ? -EIO : 0;
}
