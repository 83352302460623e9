// SPDX-License-Identifier: Apache-2.0
#include "health/verdict_rules.h"

#include <errno.h>
#include <string.h>

#define ANY          CELL_ANY
#define FINE         (CELL_NONE | CELL_GOOD)
#define NOT(cell)    (CELL_ANY & ~(cell))
#define NOT_VOUCHING NOT(CELL_VOUCHES)

// operator, servers, page, balancer, heartbeat, own node, third party -> outcome, reason, why
static const struct verdict_rule rules[] = {
    {{CELL_SAYS_UP, ANY, ANY, ANY, ANY, ANY, ANY},
     OUTCOME_UP,
     VERDICT_REASON_OPERATOR,
     "an operator's word stands over all evidence"},
    {{CELL_SAYS_DOWN, ANY, ANY, ANY, ANY, ANY, ANY},
     OUTCOME_DOWN,
     VERDICT_REASON_OPERATOR,
     "an operator's word stands over all evidence"},
    {{CELL_SAYS_DRAIN, ANY, ANY, ANY, ANY, ANY, ANY},
     OUTCOME_DRAIN,
     VERDICT_REASON_OPERATOR,
     "an operator's word stands over all evidence"},
    {{CELL_AUTO, ANY, ANY, ANY, ANY, CELL_WORD_DRAIN, ANY},
     OUTCOME_DRAIN,
     VERDICT_REASON_PEER_DRAIN,
     "who drains a site tells one node of it; the others follow"},
    {{CELL_AUTO, CELL_BAD, ANY, NOT_VOUCHING, ANY, ANY, ANY},
     OUTCOME_DOWN,
     VERDICT_REASON_GROUP_DOWN,
     "clients would reach servers that do not serve; heartbeats show only that the node lives"},
    {{CELL_AUTO, ANY, CELL_BAD, NOT_VOUCHING, ANY, ANY, ANY},
     OUTCOME_DOWN,
     VERDICT_REASON_PAGE_DOWN,
     "the web servers serve, but not with the site's database"},
    {{CELL_AUTO, ANY, ANY, CELL_BAD, ANY, ANY, ANY},
     OUTCOME_DOWN,
     VERDICT_REASON_BALANCER_DOWN,
     "what the clients reach is the balancer, and it has too few servers"},
    {{CELL_AUTO, ANY, ANY, ANY, CELL_BAD, ANY, ANY},
     OUTCOME_DOWN,
     VERDICT_REASON_HEARTBEAT_LOST,
     "no message in each of the periods: the site, its node or the way to it is gone"},
    {{CELL_AUTO, CELL_NEVER, ANY, NOT_VOUCHING, ANY, ANY, CELL_WORD_UP},
     OUTCOME_UP,
     VERDICT_REASON_PEER_WORD,
     "a starting node need not wait for its first probes when another one knows"},
    {{CELL_AUTO, ANY, CELL_NEVER, NOT_VOUCHING, ANY, ANY, CELL_WORD_UP},
     OUTCOME_UP,
     VERDICT_REASON_PEER_WORD,
     "a starting node need not wait for its first probes when another one knows"},
    {{CELL_AUTO, ANY, ANY, ANY, CELL_NEVER, ANY, CELL_WORD_UP},
     OUTCOME_UP,
     VERDICT_REASON_PEER_WORD,
     "a starting node need not wait for the first periods when another one knows"},
    {{CELL_AUTO, CELL_NEVER, ANY, NOT_VOUCHING, ANY, ANY, ANY},
     OUTCOME_UNKNOWN,
     VERDICT_REASON_STARTING,
     "no first result yet"},
    {{CELL_AUTO, ANY, CELL_NEVER, NOT_VOUCHING, ANY, ANY, ANY},
     OUTCOME_UNKNOWN,
     VERDICT_REASON_STARTING,
     "no first result yet"},
    {{CELL_AUTO, ANY, ANY, CELL_NEVER, ANY, ANY, ANY},
     OUTCOME_UNKNOWN,
     VERDICT_REASON_STARTING,
     "no first indication yet"},
    {{CELL_AUTO, ANY, ANY, ANY, CELL_NEVER, ANY, ANY},
     OUTCOME_UNKNOWN,
     VERDICT_REASON_STARTING,
     "the first periods are not over"},
    {{CELL_AUTO, CELL_OLD, ANY, NOT_VOUCHING, ANY, ANY, ANY},
     OUTCOME_KEEP,
     VERDICT_REASON_EVIDENCE_OLD,
     "old evidence speaks neither for nor against: it is this node that fails to probe"},
    {{CELL_AUTO, ANY, CELL_OLD, NOT_VOUCHING, ANY, ANY, ANY},
     OUTCOME_KEEP,
     VERDICT_REASON_EVIDENCE_OLD,
     "old evidence speaks neither for nor against: it is this node that fails to probe"},
    {{CELL_AUTO, CELL_NONE, CELL_NONE, CELL_OLD, ANY, ANY, ANY},
     OUTCOME_KEEP,
     VERDICT_REASON_EVIDENCE_OLD,
     "the balancer's indication was all there is"},
    {{CELL_AUTO, FINE, FINE, CELL_OLD, ANY, ANY, ANY},
     OUTCOME_UP,
     VERDICT_REASON_BALANCER_SILENT,
     "an indication that cannot be read says nothing; the servers answer"},
    {{CELL_AUTO, FINE, FINE, ANY, CELL_EXCUSED, ANY, ANY},
     OUTCOME_UP,
     VERDICT_REASON_WITNESSED,
     "only the way between two nodes is broken"},
    {{CELL_AUTO, CELL_NONE, CELL_NONE, CELL_NONE, CELL_NONE, ANY, ANY},
     OUTCOME_UP,
     VERDICT_REASON_NO_EVIDENCE_ASKED,
     "nothing speaks against it"},
    {{ANY, ANY, ANY, ANY, ANY, ANY, ANY}, OUTCOME_UP, VERDICT_REASON_GOOD, "all that was asked for is good"},
};

enum { RULE_COUNT = sizeof rules / sizeof *rules };

const struct verdict_rule *verdict_rules(size_t *count)
{
    *count = RULE_COUNT;
    return rules;
}

const struct verdict_rule *verdict_rule_match(const struct verdict_inputs *in)
{
    for (size_t i = 0; i + 1 < RULE_COUNT; i++) {
        unsigned matching = 0;
        while (matching < VERDICT_COLUMN_COUNT && (rules[i].cell[matching] & in->column[matching]))
            matching++;
        if (matching == VERDICT_COLUMN_COUNT)
            return &rules[i];
    }
    return &rules[RULE_COUNT - 1];
}

const char *verdict_state_text(enum verdict_state state)
{
    static const char *const text[] = {"unknown", "up", "down", "drain"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "unknown";
}

const char *verdict_reason_text(enum verdict_reason reason)
{
    static const char *const text[] = {
#define VERDICT_TEXT(name, text) text,
        VERDICT_REASONS(VERDICT_TEXT)
#undef VERDICT_TEXT
    };
    return (unsigned)reason < VERDICT_REASON_COUNT ? text[reason] : "unknown reason";
}

// ---- the table for people ----

struct cell_name {
    uint8_t cell;
    const char *name;
};

// The values of each column, in the order of their bits.
static const struct cell_name names[VERDICT_COLUMN_COUNT][6] = {
    [VERDICT_OPERATOR] = {{CELL_AUTO, "auto"},
                          {CELL_SAYS_UP, "up"},
                          {CELL_SAYS_DOWN, "down"},
                          {CELL_SAYS_DRAIN, "drain"}},
    [VERDICT_SERVERS] =
        {{CELL_NONE, "none"}, {CELL_GOOD, "good"}, {CELL_BAD, "bad"}, {CELL_NEVER, "not yet"}, {CELL_OLD, "old"}},
    [VERDICT_PAGE] =
        {{CELL_NONE, "none"}, {CELL_GOOD, "good"}, {CELL_BAD, "bad"}, {CELL_NEVER, "not yet"}, {CELL_OLD, "old"}},
    [VERDICT_BALANCER] = {{CELL_NONE, "none"},
                          {CELL_GOOD, "good"},
                          {CELL_BAD, "bad"},
                          {CELL_NEVER, "not yet"},
                          {CELL_OLD, "old"},
                          {CELL_VOUCHES, "vouches"}},
    [VERDICT_HEARTBEAT] = {{CELL_NONE, "none"},
                           {CELL_GOOD, "heard"},
                           {CELL_BAD, "lost"},
                           {CELL_NEVER, "not yet"},
                           {CELL_EXCUSED, "lost here only"}},
    [VERDICT_OWN_NODE] = {{CELL_NONE, "none"},
                          {CELL_WORD_UP, "up"},
                          {CELL_WORD_DOWN, "down"},
                          {CELL_WORD_DRAIN, "drain"}},
    [VERDICT_THIRD_PARTY] = {{CELL_NONE, "none"}, {CELL_WORD_UP, "up"}, {CELL_WORD_DOWN, "down"}},
};

static void write_cell(FILE *out, enum verdict_column column, uint8_t cell)
{
    uint8_t all = 0;
    unsigned in = 0, outside = 0;
    const char *left_out = "";
    for (unsigned i = 0; i < 6 && names[column][i].name; i++) {
        all |= names[column][i].cell;
        in += (cell & names[column][i].cell) != 0;
        if (!(cell & names[column][i].cell)) {
            outside++;
            left_out = names[column][i].name;
        }
    }
    if ((cell & all) == all) {
        fputs(" |", out);
        return;
    }
    if (outside == 1 && in > 1) {
        fprintf(out, " not %s |", left_out);
        return;
    }
    const char *separator = " ";
    for (unsigned i = 0; i < 6 && names[column][i].name; i++)
        if (cell & names[column][i].cell) {
            fprintf(out, "%s%s", separator, names[column][i].name);
            separator = ", ";
        }
    fputs(" |", out);
}

int verdict_rules_write(FILE *out)
{
    static const char *const outcome[] = {"up", "down", "drain", "unknown", "as it was"};
    fputs("| # | operator | servers | page | balancer | heartbeat | own node | third party | verdict | reason | why |\n"
          "|---|---|---|---|---|---|---|---|---|---|---|\n",
          out);
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        fprintf(out, "| %u |", i + 1);
        for (unsigned c = 0; c < VERDICT_COLUMN_COUNT; c++)
            write_cell(out, (enum verdict_column)c, rules[i].cell[c]);
        fprintf(out, " **%s** | %s | %s |\n", outcome[rules[i].outcome], verdict_reason_text(rules[i].reason),
                rules[i].why);
    }
    return ferror(out) ? -EIO : 0;
}
