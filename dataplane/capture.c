// SPDX-License-Identifier: Apache-2.0
#include "dataplane/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "table/counters.h"

enum {
    ETHERNET_LEN = 14,
    VLAN_LEN = 4,
    VLAN_MAX = 2,
    IPV4_LEN = 20,
    IPV6_LEN = 40,
    UDP_LEN = 8,
    DNS_HEADER = 12,
    NAME_MAX = 255
};

// ---- matching ----

static unsigned u16_at(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

struct place {
    const uint8_t *source, *destination; // null: no IP packet
    bool is_ipv6;
    unsigned question_at; // offset of the first question's name; 0: none
};

static void find_place(struct place *p, const uint8_t *frame, unsigned len)
{
    unsigned at = ETHERNET_LEN;
    memset(p, 0, sizeof *p);
    if (len < ETHERNET_LEN)
        return;
    unsigned type = u16_at(frame + 12);
    for (unsigned tags = 0; tags < VLAN_MAX && (type == 0x8100 || type == 0x88a8) && len >= at + VLAN_LEN; tags++) {
        type = u16_at(frame + at + 2);
        at += VLAN_LEN;
    }
    unsigned protocol, header;
    if (type == 0x0800 && len >= at + IPV4_LEN) {
        p->source = frame + at + 12;
        p->destination = frame + at + 16;
        protocol = frame[at + 9];
        header = (frame[at] & 0xfu) * 4;
    } else if (type == 0x86dd && len >= at + IPV6_LEN) {
        p->source = frame + at + 8;
        p->destination = frame + at + 24;
        p->is_ipv6 = true;
        protocol = frame[at + 6];
        header = IPV6_LEN;
    } else {
        return;
    }
    at += header + UDP_LEN + DNS_HEADER;
    if (protocol == 17 && header >= IPV4_LEN && at < len)
        p->question_at = at;
}

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

// The name of frame[at..len) ends with the filter's labels.
static bool has_name(const struct capture_filter *f, const uint8_t *frame, unsigned len, unsigned at)
{
    unsigned end = at;
    while (end < len && frame[end] && frame[end] < 64 && end - at < NAME_MAX) // each turn passes one label
        end += frame[end] + 1u;
    if (end >= len || frame[end] != 0)
        return false;
    for (end++; at < end; at += frame[at] + 1u) { // tails at label borders, until one has the filter's length
        if (end - at > f->name_len)
            continue;
        unsigned i = 0;
        while (i < f->name_len && fold(frame[at + i]) == f->name[i])
            i++;
        return end - at == f->name_len && i == f->name_len;
    }
    return false;
}

bool capture_matches(const struct capture_filter *f, const uint8_t *frame, unsigned len)
{
    struct place p;
    if (!f->has_address && !f->name_len)
        return true;
    find_place(&p, frame, len);
    if (f->has_address) {
        const size_t size = f->is_ipv6 ? 16 : 4;
        if (!p.source || p.is_ipv6 != (bool)f->is_ipv6 ||
            (memcmp(p.source, f->address, size) != 0 && memcmp(p.destination, f->address, size) != 0))
            return false;
    }
    return !f->name_len || (p.question_at && has_name(f, frame, len, p.question_at));
}

// ---- the ring ----

static bool is_full(const struct capture_ring *ring)
{
    const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&ring->head, __ATOMIC_RELAXED) - tail >= CAPTURE_SLOTS; // also for a tail that nobody should
                                                                                   // have written
}

// The slot to fill next, or null when the reader has not kept up.
static struct capture_slot *reserve(struct capture_ring *ring)
{
    return is_full(ring) ? NULL : &ring->slot[ring->head % CAPTURE_SLOTS];
}

// The slot is the reader's; without one, a packet that was wanted is lost.
static void commit(struct capture_ring *ring, const struct capture_slot *slot)
{
    if (slot)
        __atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&ring->lost, ring->lost + 1, __ATOMIC_RELAXED);
}

static void fill(struct capture_slot *s, const uint8_t *frame, unsigned len, uint64_t wall_us)
{
    s->at_us = wall_us;
    s->len = (uint16_t)len;
    s->kept = (uint16_t)(len < CAPTURE_SNAP ? len : CAPTURE_SNAP);
    s->counter = CAPTURE_NO_COUNTER;
    memcpy(s->frame, frame, s->kept);
}

static bool is_wanted(const struct capture_filter *f, enum capture_kind kind)
{
    return f->kinds >> kind & 1;
}

// ---- handling ----

// The one that says most among the counters that moved: why it was dropped, else the response's code, else the last.
static uint16_t find_counter(const struct counters_block *block, const uint64_t before[COUNTER_COUNT])
{
    uint16_t found = CAPTURE_NO_COUNTER;
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (block->value[i] == before[i])
            continue;
        found = (uint16_t)i;
        if (i >= COUNTER_answers_noerror && i <= COUNTER_answers_other)
            break;
    }
    return found;
}

static enum capture_kind kind_of(const struct packet_slot *slot)
{
    switch ((enum packet_verdict)slot->verdict) {
    case PACKET_SEND:
        return CAPTURE_ANSWERED;
    case PACKET_KERNEL:
        return CAPTURE_KERNEL;
    case PACKET_DROP:
        break;
    }
    return CAPTURE_DROPPED;
}

static void put_reply(struct capture_ring *ring, const struct packet_slot *slot, uint64_t wall_us)
{
    struct capture_slot *s = reserve(ring);
    if (s) {
        fill(s, slot->frame, slot->reply_len, wall_us);
        s->kind = CAPTURE_REPLY;
    }
    commit(ring, s);
}

static void handle_one(struct capture_ring *ring, const struct capture_filter *f, struct answer_context *context,
                       const struct packet_port *port, struct packet_slot *slot, uint64_t wall_us)
{
    uint64_t before[COUNTER_COUNT];
    struct capture_slot *s = NULL;
    const bool is_match = capture_matches(f, slot->frame, slot->len);
    if (is_match && (s = reserve(ring))) // the frame changes in place: its copy is made before
        fill(s, slot->frame, slot->len, wall_us);
    memcpy(before, context->counters->value, sizeof before);
    packet_handle_burst(context, port, slot, 1);
    if (!is_match)
        return;
    const enum capture_kind kind = kind_of(slot);
    const uint16_t counter = find_counter(context->counters, before);
    if (f->counter != CAPTURE_NO_COUNTER && f->counter != counter)
        return;
    if (s) {
        s->kind = (uint8_t)kind;
        s->counter = counter;
    }
    if (is_wanted(f, kind))
        commit(ring, s);
    if (kind == CAPTURE_ANSWERED && is_wanted(f, CAPTURE_REPLY))
        put_reply(ring, slot, wall_us);
}

void capture_handle_burst(struct capture_page *page, unsigned number, struct answer_context *context,
                          const struct packet_port *port, struct packet_slot *slot, unsigned count, uint64_t wall_us)
{
    const struct capture_filter filter = page->filter; // the asker may write it at any time: one copy, looked at once
    struct capture_ring *ring = &page->ring[number];
    __atomic_store_n(&ring->seen, ring->seen + count, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < count; i++)
        handle_one(ring, &filter, context, port, &slot[i], wall_us);
}

// ---- a reader that has stopped ----

bool capture_is_stalled(struct capture_watch *w, const struct capture_page *page, uint64_t now_ns)
{
    uint64_t read = 0;
    bool has_full = false;
    for (unsigned i = 0; i < page->ring_count; i++) {
        read += __atomic_load_n(&page->ring[i].tail, __ATOMIC_RELAXED);
        has_full |= is_full(&page->ring[i]);
    }
    if (!has_full || read != w->read || w->since_ns == 0)
        *w = (struct capture_watch){read, now_ns};
    return now_ns - w->since_ns >= CAPTURE_STALL_NS;
}

// ---- the page ----

int capture_init(struct capture_memory *memory, unsigned workers)
{
    const size_t bytes = capture_page_bytes(workers);
    memory->page = NULL;
    memory->fd = memfd_create("signpost-capture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory->fd < 0)
        return -errno;
    void *at = ftruncate(memory->fd, (off_t)bytes) < 0
                   ? MAP_FAILED
                   : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
    // A reader that could cut the file would make the workers fault.
    if (at == MAP_FAILED || fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        const int rc = -errno;
        close(memory->fd);
        return rc;
    }
    memory->page = at;
    memory->page->ring_count = workers;
    memory->page->version = CAPTURE_PAGE_VERSION;
    memory->page->magic = CAPTURE_PAGE_MAGIC;
    return 0;
}

void capture_fini(struct capture_memory *memory)
{
    if (!memory->page)
        return;
    munmap(memory->page, capture_page_bytes(memory->page->ring_count));
    close(memory->fd);
    memory->page = NULL;
}
