// SPDX-License-Identifier: Apache-2.0
#include "dbsync/window.h"

#include <errno.h>

uint64_t window_get(const struct window_vector *v, uint16_t site)
{
    for (unsigned i = 0; i < v->count; i++) {
        if (v->entry[i].site == site)
            return v->entry[i].cut;
    }
    return 0;
}

int window_set(struct window_vector *v, uint16_t site, uint64_t cut)
{
    unsigned at = 0;
    while (at < v->count && v->entry[at].site < site)
        at++;
    if (at == v->count || v->entry[at].site != site) {
        if (v->count == WINDOW_SITE_MAX)
            return -ENOSPC;
        memmove(&v->entry[at + 1], &v->entry[at], (v->count - at) * sizeof v->entry[0]);
        v->count++;
        v->entry[at].site = site;
    }
    v->entry[at].cut = cut;
    return 0;
}

bool window_reached(const struct window_vector *a, const struct window_vector *b, uint16_t except_a, uint16_t except_b)
{
    for (unsigned i = 0; i < a->count; i++) {
        uint16_t site = a->entry[i].site;
        if (site != except_a && site != except_b && window_get(b, site) < a->entry[i].cut)
            return false;
    }
    return true;
}

void window_encode(struct buffer *out, const struct window_vector *v)
{
    buffer_varint(out, v->count);
    for (unsigned i = 0; i < v->count; i++) {
        buffer_varint(out, v->entry[i].site);
        buffer_varint(out, v->entry[i].cut);
    }
}

struct window_vector window_decode(struct bytes_reader *in)
{
    struct window_vector v = {0};
    unsigned count = (unsigned)bytes_bounded(in, WINDOW_SITE_MAX);
    uint16_t last = 0;
    for (unsigned i = 0; i < count && !in->failed; i++) {
        uint16_t site = (uint16_t)bytes_bounded(in, UINT16_MAX);
        if (site <= last)
            in->failed = true;
        last = site;
        v.entry[v.count++] = (struct window_entry){site, bytes_varint(in)};
    }
    return v;
}

uint64_t window_stable(uint16_t self, uint16_t origin, const uint16_t *peer, const struct window_vector *seen,
                       unsigned peer_count)
{
    uint64_t stable = UINT64_MAX;
    for (unsigned i = 0; i < peer_count; i++) {
        uint64_t cut = window_get(&seen[i], origin);
        if (peer[i] != self && peer[i] != origin && cut < stable)
            stable = cut;
    }
    return stable;
}
