// SPDX-License-Identifier: Apache-2.0
#include "control/order_build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/name.h"
#include "table/wire.h"

enum { ARENA_CHUNK_BYTES = 256 << 10, RDATA_CAP = 1024, TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33 };
enum { TYPE_SVCB = 64, TYPE_HTTPS = 65, SVC_ALPN = 1, SVC_PORT = 3, SVC_IPV4_HINT = 4, SVC_IPV6_HINT = 6 };

// ---- memory for one build, freed as a whole ----

struct chunk {
    struct chunk *next;
    size_t used, cap;
    uint8_t bytes[] __attribute__((aligned(16)));
};

struct arena {
    struct chunk *chunk;
};

static void *arena_get(struct arena *a, size_t len)
{
    len = (len + 15) & ~(size_t)15;
    if (!a->chunk || a->chunk->cap - a->chunk->used < len) {
        const size_t cap = len > ARENA_CHUNK_BYTES ? len : ARENA_CHUNK_BYTES;
        struct chunk *c = malloc(sizeof *c + cap);
        if (!c)
            return NULL;
        *c = (struct chunk){.next = a->chunk, .cap = cap};
        a->chunk = c;
    }
    void *p = a->chunk->bytes + a->chunk->used;
    a->chunk->used += len;
    return p;
}

static void arena_free(struct arena *a)
{
    while (a->chunk) {
        struct chunk *next = a->chunk->next;
        free(a->chunk);
        a->chunk = next;
    }
}

// ---- the list of services ----

static bool has_debug_names(const struct config_service *service)
{
    return service->debug_names && service->name[0] != '*';
}

unsigned order_service_count(const struct config *config)
{
    unsigned count = config->service_count;
    for (unsigned i = 0; i < config->service_count; i++)
        if (has_debug_names(&config->services[i]))
            count += config->services[i].site_count;
    return count;
}

// The configured service and, for a debug name, the place in its list of sites (else CONFIG_NONE).
static const struct config_service *service_of(const struct config *config, unsigned number, int *place)
{
    *place = CONFIG_NONE;
    if (number < config->service_count)
        return &config->services[number];
    number -= config->service_count;
    for (unsigned i = 0; i < config->service_count; i++) {
        if (!has_debug_names(&config->services[i]))
            continue;
        if (number < config->services[i].site_count) {
            *place = (int)number;
            return &config->services[i];
        }
        number -= config->services[i].site_count;
    }
    return NULL;
}

const char *order_service_owner(const struct config *config, unsigned number, char out[ORDER_OWNER_CAP])
{
    int place;
    const struct config_service *service = service_of(config, number, &place);
    out[0] = 0;
    if (service && place == CONFIG_NONE)
        snprintf(out, ORDER_OWNER_CAP, "%s", service->name);
    else if (service)
        snprintf(out, ORDER_OWNER_CAP, "%s.%s", service->sites[place].site, service->name);
    return out;
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    for (const char *p = text;; p++) { // FNV-1a, the final zero included as a separator
        h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
        if (!*p)
            return h;
    }
}

uint64_t order_pairing_id(const struct config *config)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (unsigned i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        h = hash_text(h, service->name);
        for (unsigned k = 0; has_debug_names(service) && k < service->site_count; k++)
            h = hash_text(h, service->sites[k].site);
    }
    h = hash_text(h, "regions");
    for (unsigned i = 0; i < config->region_count; i++)
        h = hash_text(h, config->regions[i].name);
    return h;
}

// ---- records of one order ----

static unsigned add_members(const struct config_service *service, const struct policy_order *order,
                            const struct overrides *overrides, bool is_ipv6, unsigned max,
                            const struct config_address *out[ORDER_ADDRESS_MAX])
{
    unsigned count = 0;
    for (unsigned p = 0; p < order->site_count; p++) {
        const struct config_member *member = &service->sites[order->place[p]];
        for (unsigned i = 0; i < member->address_count && count < max; i++)
            if (member->addresses[i].is_ipv6 == is_ipv6 && !overrides_is_withdrawn(overrides, &member->addresses[i]))
                out[count++] = &member->addresses[i];
    }
    return count;
}

unsigned order_addresses(const struct config_service *service, const struct policy_order *order,
                         const struct overrides *overrides, bool is_ipv6,
                         const struct config_address *out[ORDER_ADDRESS_MAX])
{
    const unsigned max =
        service->answer_max && service->answer_max < ORDER_ADDRESS_MAX ? service->answer_max : ORDER_ADDRESS_MAX;
    unsigned count = 0;
    if (order->is_last_resort)
        for (unsigned i = 0; i < service->last_resort_count && count < max; i++)
            if (service->last_resort[i].is_ipv6 == is_ipv6)
                out[count++] = &service->last_resort[i];
    if (!order->is_last_resort)
        count = add_members(service, order, overrides, is_ipv6, max, out);
    if (count == 0 && order->is_fail_open)
        count = add_members(service, order, NULL, is_ipv6, max, out);
    return count;
}

struct records {
    struct order_rrset rrset[ORDER_RRSET_MAX];
    unsigned count;
};

static int add_addresses(struct arena *a, struct records *r, const struct config_service *service,
                         const struct policy_order *order, const struct overrides *overrides, bool is_ipv6)
{
    const struct config_address *address[ORDER_ADDRESS_MAX];
    const unsigned count = order_addresses(service, order, overrides, is_ipv6, address);
    if (count == 0)
        return 0;
    struct order_record *record = arena_get(a, count * sizeof *record);
    if (!record)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) // the configuration outlives the build
        record[i] = (struct order_record){address[i]->address, is_ipv6 ? 16 : 4};
    r->rrset[r->count++] = (struct order_rrset){is_ipv6 ? TYPE_AAAA : TYPE_A, order->ttl_s, record, count};
    return 0;
}

static void put_param(struct wire_writer *w, uint16_t key, const void *value, size_t len)
{
    wire_put_u16(w, key);
    wire_put_u16(w, (uint16_t)len);
    wire_put(w, value, len);
}

static void put_hints(struct wire_writer *w, const struct config_member *member, const struct overrides *overrides,
                      bool is_ipv6)
{
    uint8_t value[32 * 16];
    size_t len = 0;
    const size_t size = is_ipv6 ? 16 : 4;
    for (unsigned i = 0; i < member->address_count && len + size <= sizeof value; i++) {
        if (member->addresses[i].is_ipv6 != is_ipv6 || overrides_is_withdrawn(overrides, &member->addresses[i]))
            continue;
        memcpy(value + len, member->addresses[i].address, size);
        len += size;
    }
    if (len)
        put_param(w, is_ipv6 ? SVC_IPV6_HINT : SVC_IPV4_HINT, value, len);
}

// RFC 9460 section 2.2: parameters in ascending order of their keys.
static void put_params(struct wire_writer *w, const struct config_service *service, const struct config_member *member,
                       const struct overrides *overrides)
{
    uint8_t alpn[RDATA_CAP / 2];
    size_t len = 0;
    for (unsigned i = 0; i < service->alpn_count; i++) {
        const size_t n = strlen(service->alpn[i]);
        if (n > 255 || len + 1 + n > sizeof alpn)
            break;
        alpn[len++] = (uint8_t)n;
        memcpy(alpn + len, service->alpn[i], n);
        len += n;
    }
    if (len)
        put_param(w, SVC_ALPN, alpn, len);
    if (service->port) {
        const uint8_t port[2] = {(uint8_t)(service->port >> 8), (uint8_t)service->port};
        put_param(w, SVC_PORT, port, sizeof port);
    }
    put_hints(w, member, overrides, false);
    put_hints(w, member, overrides, true);
}

// rdata of SRV (RFC 2782), SVCB and HTTPS (RFC 9460); `rank` from 0. Length, or negative.
static int target_rdata(uint8_t out[RDATA_CAP], const struct config_service *service,
                        const struct config_member *member, const struct overrides *overrides, uint16_t type,
                        unsigned rank)
{
    uint8_t target[NAME_MAX_LEN];
    const int target_len = name_from_text(target, member->target && member->target[0] ? member->target : ".");
    if (target_len < 0)
        return target_len;
    struct wire_writer w = wire_writer_init(out, RDATA_CAP);
    if (type == TYPE_SRV) {
        wire_put_u16(&w, (uint16_t)rank);
        wire_put_u16(&w, (uint16_t)member->weight);
        wire_put_u16(&w, (uint16_t)service->port);
    } else {
        wire_put_u16(&w, (uint16_t)(rank + 1)); // 0 would be the alias form
    }
    wire_put(&w, target, (size_t)target_len);
    if (type != TYPE_SRV)
        put_params(&w, service, member, overrides);
    return w.failed ? -E2BIG : (int)w.at;
}

static int add_targets(struct arena *a, struct records *r, const struct config_service *service,
                       const struct policy_order *order, const struct overrides *overrides, uint16_t type)
{
    const unsigned max =
        service->answer_max && service->answer_max < order->site_count ? service->answer_max : order->site_count;
    if (max == 0)
        return 0;
    struct order_record *record = arena_get(a, max * sizeof *record);
    if (!record)
        return -ENOMEM;
    for (unsigned i = 0; i < max; i++) {
        uint8_t rdata[RDATA_CAP];
        const int len = target_rdata(rdata, service, &service->sites[order->place[i]], overrides, type, i);
        if (len < 0)
            return len;
        uint8_t *copy = arena_get(a, (size_t)len);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, rdata, (size_t)len);
        record[i] = (struct order_record){copy, (uint16_t)len};
    }
    r->rrset[r->count++] = (struct order_rrset){type, order->ttl_s, record, max};
    return 0;
}

static bool has_record(const struct config_service *service, enum config_record record)
{
    for (unsigned i = 0; i < service->record_count; i++)
        if (service->records[i] == record)
            return true;
    return service->record_count == 0 && record == CONFIG_RECORD_ADDRESS;
}

static uint64_t owned_types(const struct config_service *service)
{
    return (has_record(service, CONFIG_RECORD_ADDRESS) ? 1ull << TYPE_A | 1ull << TYPE_AAAA : 0) |
           (has_record(service, CONFIG_RECORD_SRV) ? 1ull << TYPE_SRV : 0) |
           (has_record(service, CONFIG_RECORD_SVCB) ? 1ull << 62 : 0) |
           (has_record(service, CONFIG_RECORD_HTTPS) ? 1ull << 63 : 0);
}

static int add_records(struct arena *a, struct records *r, const struct config_service *service,
                       const struct policy_order *order, const struct overrides *overrides)
{
    int rc = 0;
    if (order->mode != ORDER_ANSWER)
        return 0;
    if (has_record(service, CONFIG_RECORD_ADDRESS)) {
        rc = add_addresses(a, r, service, order, overrides, false);
        rc = rc ? rc : add_addresses(a, r, service, order, overrides, true);
    }
    if (rc == 0 && has_record(service, CONFIG_RECORD_SRV))
        rc = add_targets(a, r, service, order, overrides, TYPE_SRV);
    if (rc == 0 && has_record(service, CONFIG_RECORD_SVCB))
        rc = add_targets(a, r, service, order, overrides, TYPE_SVCB);
    if (rc == 0 && has_record(service, CONFIG_RECORD_HTTPS))
        rc = add_targets(a, r, service, order, overrides, TYPE_HTTPS);
    return rc;
}

// ---- the answers of one service ----

struct orders { // the distinct orders of a service
    struct policy_order *order;
    unsigned count, cap;
    unsigned last; // the one found most recently: neighbouring classes are mostly equal
};

static bool orders_equal(const struct policy_order *a, const struct policy_order *b)
{
    return a->mode == b->mode && a->ede == b->ede && a->ttl_s == b->ttl_s && a->is_fail_open == b->is_fail_open &&
           a->is_last_resort == b->is_last_resort && a->site_count == b->site_count &&
           memcmp(a->place, b->place, a->site_count * sizeof *a->place) == 0;
}

// Number of the order among the distinct ones, or -ENOMEM.
static int orders_intern(struct orders *o, const struct policy_order *order)
{
    if (o->count && orders_equal(&o->order[o->last], order))
        return (int)o->last;
    for (unsigned i = 0; i < o->count; i++)
        if (orders_equal(&o->order[i], order))
            return (int)(o->last = i);
    if (o->count == o->cap) {
        const unsigned cap = o->cap ? o->cap * 2 : 8;
        struct policy_order *grown = realloc(o->order, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        o->order = grown;
        o->cap = cap;
    }
    o->order[o->count] = *order;
    return (int)(o->last = o->count++);
}

static enum order_reason reason_of(const struct policy_order *order)
{
    return order->is_fail_open ? ORDER_REASON_FAIL_OPEN
                               : (order->is_last_resort ? ORDER_REASON_LAST_RESORT : ORDER_REASON_NORMAL);
}

static int set_answers(struct arena *a, struct order_service_input *out, const struct config_service *service,
                       const struct policy_order *order, unsigned count, const struct overrides *overrides)
{
    struct order_answer_input *answer = arena_get(a, count * sizeof *answer);
    if (!answer)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        struct records *r = arena_get(a, sizeof *r);
        if (!r)
            return -ENOMEM;
        r->count = 0;
        const int rc = add_records(a, r, service, &order[i], overrides);
        if (rc)
            return rc;
        answer[i] = (struct order_answer_input){.mode = order[i].mode,
                                                .reason = (uint8_t)reason_of(&order[i]),
                                                .ede = order[i].ede,
                                                .site_count = (uint16_t)order[i].site_count,
                                                .rrset = r->rrset,
                                                .rrset_count = r->count};
    }
    out->answer = answer;
    out->answer_count = count;
    return 0;
}

static bool sets_equal(const struct order_rrset *a, const struct order_rrset *b)
{
    if (a->type != b->type || a->ttl != b->ttl || a->record_count != b->record_count)
        return false;
    for (unsigned i = 0; i < a->record_count; i++)
        if (a->record[i].rdata_len != b->record[i].rdata_len ||
            memcmp(a->record[i].rdata, b->record[i].rdata, a->record[i].rdata_len) != 0)
            return false;
    return true;
}

static bool answers_equal(const struct order_answer_input *a, const struct order_answer_input *b)
{
    if (a->mode != b->mode || a->reason != b->reason || a->ede != b->ede || a->site_count != b->site_count ||
        a->rrset_count != b->rrset_count)
        return false;
    for (unsigned i = 0; i < a->rrset_count; i++)
        if (!sets_equal(&a->rrset[i], &b->rrset[i]))
            return false;
    return true;
}

// Different orders may give equal answers: with `answer_max` their tails do not show. Their classes are to be one, for
// the scope's sake (RFC 7871 section 7.2.1): each class gets the first of its equals.
static int merge_equal_answers(struct arena *a, const struct order_service_input *out, uint32_t *class_answer,
                               size_t class_count)
{
    uint32_t *first = arena_get(a, out->answer_count * sizeof *first);
    if (!first)
        return -ENOMEM;
    for (unsigned i = 0; i < out->answer_count; i++)
        for (first[i] = 0; !answers_equal(&out->answer[first[i]], &out->answer[i]);)
            first[i]++;
    for (size_t i = 0; i < class_count; i++)
        class_answer[i] = first[class_answer[i]];
    return 0;
}

// The table of classes, reduced to what differs: first the buckets, then the regions.
static void reduce_classes(struct order_service_input *out, uint32_t *class_answer, unsigned rows, unsigned buckets)
{
    bool by_bucket = false, by_region = false;
    for (unsigned i = 0; i < rows * buckets; i++) {
        by_bucket |= class_answer[i] != class_answer[i - i % buckets];
        by_region |= class_answer[i] != class_answer[i % buckets];
    }
    if (!by_bucket)
        for (unsigned i = 0; i < rows; i++)
            class_answer[i] = class_answer[i * buckets];
    out->flags = (by_region ? ORDER_BY_REGION : 0) | (by_bucket ? ORDER_BY_BUCKET : 0);
    out->bucket_count = by_bucket ? buckets : 1;
    out->class_answer = class_answer;
}

static int build_service(struct arena *a, const struct order_build_input *input, unsigned number,
                         struct order_service_input *out)
{
    const struct config_service *service = &input->config->services[number];
    const struct policy_input policy = {input->config, number, input->verdict, input->now_ns, input->overrides};
    const uint32_t flags = policy_flags(input->config, number);
    const unsigned rows = flags & ORDER_BY_REGION ? input->config->region_count + 1 : 1,
                   buckets = flags & ORDER_BY_BUCKET ? ORDER_BUCKET_MAX : 1;
    uint32_t *class_answer = arena_get(a, (size_t)rows * buckets * sizeof *class_answer);
    struct orders orders = {0};
    int rc = class_answer ? 0 : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < rows * buckets; i++) {
        struct policy_order order;
        policy_decide(&order, &input->state[number], &policy, i / buckets, i % buckets, NULL);
        const int at = orders_intern(&orders, &order);
        if (at < 0)
            rc = at;
        else
            class_answer[i] = (uint32_t)at;
    }
    if (rc == 0) {
        out->owned_types = owned_types(service);
        rc = set_answers(a, out, service, orders.order, orders.count, input->overrides);
    }
    if (rc == 0 && service->answer_max)
        rc = merge_equal_answers(a, out, class_answer, (size_t)rows * buckets);
    if (rc == 0)
        reduce_classes(out, class_answer, rows, buckets);
    free(orders.order);
    return rc;
}

// <site>.<service>: that site's addresses, whatever its state.
static int build_debug_name(struct arena *a, const struct order_build_input *input, unsigned number,
                            struct order_service_input *out)
{
    int place;
    const struct config_service *service = service_of(input->config, number, &place);
    const struct policy_order order = {
        .mode = ORDER_ANSWER, .ttl_s = service->ttl_min_s, .site_count = 1, .place = {(unsigned)place}};
    uint32_t *class_answer = arena_get(a, sizeof *class_answer);
    struct order_answer_input *answer = arena_get(a, sizeof *answer);
    struct records *r = arena_get(a, sizeof *r);
    if (!class_answer || !answer || !r)
        return -ENOMEM;
    *class_answer = 0;
    r->count = 0;
    int rc = add_addresses(a, r, service, &order, NULL, false);
    rc = rc ? rc : add_addresses(a, r, service, &order, NULL, true);
    *answer = (struct order_answer_input){.mode = ORDER_ANSWER,
                                          .reason = ORDER_REASON_DEBUG_NAME,
                                          .site_count = 1,
                                          .rrset = r->rrset,
                                          .rrset_count = r->count};
    *out = (struct order_service_input){.bucket_count = 1,
                                        .owned_types = 1ull << TYPE_A | 1ull << TYPE_AAAA,
                                        .answer = answer,
                                        .answer_count = 1,
                                        .class_answer = class_answer};
    return rc;
}

int order_build(const struct order_build_input *input, void **image, size_t *len)
{
    const struct config *config = input->config;
    const unsigned count = order_service_count(config);
    struct arena arena = {0};
    struct order_service_input *service = calloc(count ? count : 1, sizeof *service);
    int rc = service ? 0 : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = i < config->service_count ? build_service(&arena, input, i, &service[i])
                                       : build_debug_name(&arena, input, i, &service[i]);
    if (rc == 0)
        rc = order_image_build(service, count, config->region_count + 1, input->generation, order_pairing_id(config),
                               input->built_at_us, image, len);
    free(service);
    arena_free(&arena);
    return rc;
}
