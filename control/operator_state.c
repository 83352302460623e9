// SPDX-License-Identifier: Apache-2.0
#include "control/operator_state.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "control/file_replace.h"

enum { LINE_CAP = 1024, KEY_CAP = 400 };

static const char *const state_names[] = {
    [OPERATOR_AUTO] = "auto", [OPERATOR_UP] = "up", [OPERATOR_DOWN] = "down", [OPERATOR_DRAIN] = "drain"};
static const char *const kind_names[OPERATOR_KIND_COUNT] = {"site", "service", "address"};

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

struct evidence_event operator_state_event(const struct operator_entry *entry, unsigned site, uint64_t now_ns,
                                           uint64_t now_s)
{
    struct evidence_event event = {.at_ns = now_ns,
                                   .kind = EVIDENCE_OPERATOR,
                                   .site = (uint16_t)site,
                                   .operator_state = entry ? entry->state : OPERATOR_AUTO,
                                   .load_permille = -1,
                                   .lag_ms = -1};
    if (entry && entry->until_s)
        event.duration_ns = (entry->until_s > now_s ? entry->until_s - now_s : 1) * 1000000000u;
    if (entry)
        memcpy(event.detail, entry->reason, sizeof event.detail);
    return event;
}

const char *operator_kind_name(enum operator_kind kind)
{
    return kind_names[kind];
}

int operator_kind_parse(const char *text, enum operator_kind *kind)
{
    for (unsigned i = 0; i < OPERATOR_KIND_COUNT; i++)
        if (strcmp(text, kind_names[i]) == 0) {
            *kind = (enum operator_kind)i;
            return 0;
        }
    return -EINVAL;
}

void operator_states_fini(struct operator_states *states)
{
    free(states->entry);
    *states = (struct operator_states){0};
}

int operator_states_copy(struct operator_states *to, const struct operator_states *from)
{
    *to = (struct operator_states){0};
    if (from->count == 0)
        return 0;
    to->entry = malloc(from->count * sizeof *to->entry);
    if (!to->entry)
        return -ENOMEM;
    memcpy(to->entry, from->entry, from->count * sizeof *to->entry);
    to->count = to->cap = from->count;
    return 0;
}

// Where the entry is, or, with *is_found false, where it belongs.
static unsigned find(const struct operator_states *states, enum operator_kind kind, const char *name, bool *is_found)
{
    unsigned low = 0, high = states->count;
    *is_found = false;
    while (low < high) {
        const unsigned middle = low + (high - low) / 2;
        const struct operator_entry *e = &states->entry[middle];
        const int order = e->kind != kind ? (e->kind < kind ? -1 : 1) : strcasecmp(e->name, name);
        if (order == 0) {
            *is_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct operator_entry *operator_states_find(const struct operator_states *states, enum operator_kind kind,
                                                  const char *name)
{
    bool is_found;
    const unsigned at = find(states, kind, name, &is_found);
    return is_found ? &states->entry[at] : NULL;
}

static void drop(struct operator_states *states, unsigned at)
{
    states->count--;
    memmove(&states->entry[at], &states->entry[at + 1], (states->count - at) * sizeof states->entry[0]);
}

static int make_room(struct operator_states *states, unsigned at)
{
    if (states->count == OPERATOR_STATES_MAX)
        return -ENOSPC;
    if (states->count == states->cap) {
        const unsigned cap = states->cap ? 2 * states->cap : 8;
        struct operator_entry *grown = realloc(states->entry, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        states->entry = grown;
        states->cap = cap;
    }
    memmove(&states->entry[at + 1], &states->entry[at], (states->count - at) * sizeof states->entry[0]);
    states->count++;
    return 0;
}

int operator_states_set(struct operator_states *states, const struct operator_entry *entry)
{
    bool is_found;
    const unsigned at = find(states, entry->kind, entry->name, &is_found);
    if (entry->state == OPERATOR_AUTO) {
        if (is_found)
            drop(states, at);
        return 0;
    }
    const int rc = is_found ? 0 : make_room(states, at);
    if (rc)
        return rc;
    struct operator_entry *to = &states->entry[at];
    *to = *entry;
    for (char *p = to->reason; *p; p++)
        *p = (unsigned char)*p < 0x20 ? ' ' : *p; // it stays one line of the file
    return 0;
}

unsigned operator_states_expire(struct operator_states *states, uint64_t now_s,
                                void (*gone)(void *user, const struct operator_entry *entry), void *user)
{
    unsigned count = 0;
    for (unsigned i = states->count; i-- > 0;) {
        if (states->entry[i].until_s == 0 || states->entry[i].until_s > now_s)
            continue;
        if (gone)
            gone(user, &states->entry[i]);
        drop(states, i);
        count++;
    }
    return count;
}

// ---- the file ----

// "service:www.example.com/ams" and so on; a site's name alone is a site.
static int parse_key(struct operator_entry *entry, const char *key)
{
    for (unsigned kind = OPERATOR_OF_SERVICE; kind < OPERATOR_KIND_COUNT; kind++) {
        const size_t len = strlen(kind_names[kind]);
        if (strncmp(key, kind_names[kind], len) == 0 && key[len] == ':') {
            entry->kind = (enum operator_kind)kind;
            key += len + 1;
            break;
        }
    }
    const int len = snprintf(entry->name, sizeof entry->name, "%s", key);
    return len > 0 && len < (int)sizeof entry->name ? 0 : -EBADMSG;
}

static int parse_line(struct operator_entry *entry, char *line)
{
    char state[8], key[KEY_CAP];
    int at = 0;
    memset(entry, 0, sizeof *entry);
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%399s %7s %" SCNu64 " %" SCNu64 " %n", key, state, &entry->until_s, &entry->said_s, &at) < 4 ||
        operator_state_parse(state, &entry->state) < 0 || parse_key(entry, key) < 0)
        return -EBADMSG;
    snprintf(entry->reason, sizeof entry->reason, "%.*s", EVIDENCE_DETAIL_CAP - 1, at ? line + at : "");
    return 0;
}

int operator_states_load(struct operator_states *states, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    char line[LINE_CAP];
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
    fputs("# what state until said reason; written by signpost-control\n", replace.file);
    for (unsigned i = 0; i < states->count; i++) {
        const struct operator_entry *e = &states->entry[i];
        fprintf(replace.file, "%s%s%s %s %" PRIu64 " %" PRIu64 " %s\n",
                e->kind == OPERATOR_OF_SITE ? "" : kind_names[e->kind], e->kind == OPERATOR_OF_SITE ? "" : ":", e->name,
                state_names[e->state], e->until_s, e->said_s, e->reason);
    }
    return file_replace_commit(&replace);
}
