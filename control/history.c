// SPDX-License-Identifier: Apache-2.0
#include "control/history.h"

#include <stdlib.h>
#include <string.h>

struct history_entry *history_add(struct history *h)
{
    struct history_entry *e = &h->entry[h->count % HISTORY_CAP];
    memset(e, 0, sizeof *e);
    e->number = ++h->count;
    return e;
}

void history_published(struct history *h, uint64_t generation, uint64_t decided_ns, uint64_t wire_ns)
{
    for (unsigned n = 0; n < HISTORY_CAP && n < h->count; n++) {
        struct history_entry *e = &h->entry[(h->count - 1 - n) % HISTORY_CAP];
        // An image that was overtaken before it was published carried on in the later one.
        if (e->kind == HISTORY_ORDER && e->wire_ns == 0 && e->generation && e->generation <= generation)
            e->wire_ns = wire_ns;
        else if (e->kind == HISTORY_ORDER && e->wire_ns)
            break;
    }
    if (wire_ns >= decided_ns)
        h->latency_ns[h->latency_count++ % HISTORY_LATENCY_CAP] = wire_ns - decided_ns;
}

const struct history_entry *history_latest(const struct history *h, unsigned n)
{
    return n < HISTORY_CAP && n < h->count ? &h->entry[(h->count - 1 - n) % HISTORY_CAP] : NULL;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void history_measure(const struct history *h, struct history_latency *latency)
{
    uint64_t sorted[HISTORY_LATENCY_CAP];
    const size_t count = h->latency_count < HISTORY_LATENCY_CAP ? h->latency_count : HISTORY_LATENCY_CAP;
    memset(latency, 0, sizeof *latency);
    latency->count = h->latency_count;
    if (count == 0)
        return;
    memcpy(sorted, h->latency_ns, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    latency->median_ns = sorted[count / 2];
    latency->p99_ns = sorted[(count - 1) * 99 / 100];
    latency->max_ns = sorted[count - 1];
    latency->last_ns = h->latency_ns[(h->latency_count - 1) % HISTORY_LATENCY_CAP];
}

const char *history_kind_name(enum history_kind kind)
{
    static const char *const names[] = {"verdict", "order", "config", "operator"};
    return names[kind];
}
