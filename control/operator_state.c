// SPDX-License-Identifier: Apache-2.0
#include "control/operator_state.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/file_replace.h"

static const char *const state_names[] = {
    [OPERATOR_AUTO] = "auto", [OPERATOR_UP] = "up", [OPERATOR_DOWN] = "down", [OPERATOR_DRAIN] = "drain"};

const char *operator_state_name(enum evidence_operator state)
{
    return state_names[state];
}

int operator_state_parse(const char *text, enum evidence_operator *state)
{
    for (unsigned i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
        if (strcmp(text, state_names[i]) == 0) {
            *state = (enum evidence_operator)i;
            return 0;
        }
    return -EINVAL;
}

static int find(const struct operator_states *states, const char *site)
{
    for (unsigned i = 0; i < states->count; i++)
        if (strcmp(states->entry[i].site, site) == 0)
            return (int)i;
    return -1;
}

const struct operator_entry *operator_states_find(const struct operator_states *states, const char *site)
{
    const int at = find(states, site);
    return at < 0 ? NULL : &states->entry[at];
}

static void drop(struct operator_states *states, unsigned at)
{
    states->count--;
    memmove(&states->entry[at], &states->entry[at + 1], (states->count - at) * sizeof states->entry[0]);
}

int operator_states_set(struct operator_states *states, const struct operator_entry *entry)
{
    const int at = find(states, entry->site);
    if (entry->state == OPERATOR_AUTO) {
        if (at >= 0)
            drop(states, (unsigned)at);
        return 0;
    }
    if (at < 0 && states->count == VERDICT_SITE_MAX)
        return -ENOSPC;
    struct operator_entry *to = at < 0 ? &states->entry[states->count++] : &states->entry[at];
    *to = *entry;
    for (char *p = to->reason; *p; p++)
        *p = (unsigned char)*p < 0x20 ? ' ' : *p; // it stays one line of the file
    return 0;
}

bool operator_states_expire(struct operator_states *states, uint64_t now_s)
{
    bool is_changed = false;
    for (unsigned i = states->count; i-- > 0;)
        if (states->entry[i].until_s && states->entry[i].until_s <= now_s) {
            drop(states, i);
            is_changed = true;
        }
    return is_changed;
}

static int parse_line(struct operator_entry *entry, char *line)
{
    char state[8];
    int at = 0;
    memset(entry, 0, sizeof *entry);
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%63s %7s %" SCNu64 " %" SCNu64 " %n", entry->site, state, &entry->until_s, &entry->said_s, &at) <
            4 ||
        operator_state_parse(state, &entry->state) < 0)
        return -EBADMSG;
    snprintf(entry->reason, sizeof entry->reason, "%.*s", EVIDENCE_DETAIL_CAP - 1, at ? line + at : "");
    return 0;
}

int operator_states_load(struct operator_states *states, const char *path)
{
    states->count = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    char line[512];
    int rc = 0;
    while (fgets(line, sizeof line, file)) {
        struct operator_entry entry;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (parse_line(&entry, line) < 0 || operator_states_set(states, &entry) < 0)
            rc = -EBADMSG;
    }
    fclose(file);
    return rc;
}

int operator_states_save(const struct operator_states *states, const char *path)
{
    struct file_replace replace;
    int rc = file_replace_open(&replace, path);
    if (rc)
        return rc;
    fputs("# site state until said reason; written by signpost-control\n", replace.file);
    for (unsigned i = 0; i < states->count; i++) {
        const struct operator_entry *e = &states->entry[i];
        fprintf(replace.file, "%s %s %" PRIu64 " %" PRIu64 " %s\n", e->site, state_names[e->state], e->until_s,
                e->said_s, e->reason);
    }
    return file_replace_commit(&replace);
}
