// SPDX-License-Identifier: Apache-2.0
// The entry: which kind of response a message gets, header, OPT record, size limit, counters.
#include "dataplane/answer.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/cookie.h"
#include "dataplane/rate_limit.h"
#include "dataplane/resolve.h"

enum {
    NEGATIVE_RATIO = 4
}; // an NXDOMAIN behind an alias stays below so many times its query; lower: TC for usual ones

static void put_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void count_query(struct answer_context *context, const struct answer_client *client)
{
    const enum counter udp = client->is_ipv6 ? COUNTER_queries_udp6 : COUNTER_queries_udp4;
    const enum counter tcp = client->is_ipv6 ? COUNTER_queries_tcp6 : COUNTER_queries_tcp4;
    counters_add(context->counters, client->is_tcp ? tcp : udp, 1);
}

static void count_rcode(struct answer_context *context, unsigned rcode)
{
    static const uint8_t by_rcode[RCODE_REFUSED + 1] = {COUNTER_answers_noerror,  COUNTER_answers_formerr,
                                                        COUNTER_answers_servfail, COUNTER_answers_nxdomain,
                                                        COUNTER_answers_notimp,   COUNTER_answers_refused};
    static_assert(COUNTER_answers_refused < 256, "fits the table");
    enum counter counter = COUNTER_answers_other;
    if (rcode <= RCODE_REFUSED)
        counter = (enum counter)by_rcode[rcode];
    else if (rcode == RCODE_BADVERS)
        counter = COUNTER_answers_badvers;
    counters_add(context->counters, counter, 1);
}

// Options of the response that depend on the query and the settings only.
static enum cookie_verdict plan_edns(struct response *r, const struct zone_settings *settings)
{
    const struct edns *e = &r->query->edns;
    enum cookie_verdict cookie = COOKIE_NONE;
    r->edns.udp_size = settings->udp_max;
    r->edns.wants_dnssec = e->wants_dnssec;
    counters_add(r->context->counters, COUNTER_edns_queries, 1);
    if (e->wants_nsid && settings->nsid_len) {
        r->edns.nsid = settings->nsid;
        r->edns.nsid_len = settings->nsid_len;
    }
    if (e->has_subnet && settings->flags & SETTING_CLIENT_SUBNET) {
        r->edns.has_subnet = true;
        counters_add(r->context->counters, COUNTER_client_subnet_queries, 1);
    }
    if (e->has_cookie && settings->flags & SETTING_COOKIES && settings->cookie_secret_count) {
        const struct cookie_query query = {e->cookie_client, e->cookie_server, e->cookie_server_len};
        cookie = cookie_answer(r->edns.cookie + EDNS_COOKIE_CLIENT_LEN, query, r->client->address, r->client->is_ipv6,
                               r->context->now_s, settings->cookie_secret, settings->cookie_secret_count);
        counters_add(r->context->counters,
                     cookie == COOKIE_GOOD  ? COUNTER_cookie_good
                     : cookie == COOKIE_BAD ? COUNTER_cookie_bad
                                            : COUNTER_cookie_none,
                     1);
        r->edns.has_cookie = true;
        memcpy(r->edns.cookie, e->cookie_client, EDNS_COOKIE_CLIENT_LEN);
    }
    if (e->has_keepalive && r->client->is_tcp && r->context->tcp_keepalive_ds) {
        r->edns.has_keepalive = true;
        r->edns.keepalive_ds = r->context->tcp_keepalive_ds;
    }
    return cookie;
}

static void add_chaos_text(struct response *r, const uint8_t *text, unsigned len)
{
    wire_put_u16(&r->writer, 0xc00c);
    wire_put_u16(&r->writer, DNS_TXT);
    wire_put_u16(&r->writer, DNS_CH);
    wire_put_u32(&r->writer, 0);
    wire_put_u16(&r->writer, (uint16_t)(len + 1));
    wire_put_u8(&r->writer, (uint8_t)len);
    wire_put(&r->writer, text, len);
    r->is_truncated = r->writer.failed;
    r->count[SECTION_ANSWER] = !r->writer.failed;
    r->is_authoritative = true;
}

// CHAOS class: who answers (RFC 4892), which program, and which tables are in use. What is not configured is refused.
static void answer_chaos(struct response *r, const struct zone_settings *s)
{
    static const uint8_t version_bind[] = "\7version\4bind", version_server[] = "\7version\6server";
    static const uint8_t id_server[] = "\2id\6server", hostname_bind[] = "\10hostname\4bind",
                         generation[] = "\12generation\10signpost";
    const uint8_t *name = r->query->key.name;
    r->rcode = RCODE_REFUSED;
    if (r->query->qtype != DNS_TXT && r->query->qtype != DNS_ANY)
        return;
    const bool is_version = name_equal(name, version_bind) || name_equal(name, version_server);
    const bool is_id = name_equal(name, id_server) || name_equal(name, hostname_bind);
    if (is_version && s->chaos_version_len) {
        r->rcode = RCODE_NOERROR;
        add_chaos_text(r, s->chaos_version, s->chaos_version_len);
    } else if (is_id && s->chaos_id_len) {
        r->rcode = RCODE_NOERROR;
        add_chaos_text(r, s->chaos_id, s->chaos_id_len);
    } else if (s->chaos_id_len && name_equal(name, generation)) {
        char text[64];
        const struct image_header *zone = r->context->zone_image, *order = r->context->order_image;
        int len = snprintf(text, sizeof text, "zone=%llu order=%llu", (unsigned long long)zone->generation,
                           (unsigned long long)order->generation);
        r->rcode = RCODE_NOERROR;
        add_chaos_text(r, (const uint8_t *)text, (unsigned)len);
    }
}

static void answer_question(struct response *r, const struct zone_settings *settings)
{
    const struct query *q = r->query;
    if (q->qclass == DNS_CH)
        answer_chaos(r, settings);
    else if (q->qclass != DNS_IN || (q->qtype >= DNS_TKEY && q->qtype <= DNS_MAILA))
        r->rcode = RCODE_REFUSED; // other classes; transfers, TKEY, TSIG and the mail types nobody has
    else if (q->qtype == DNS_OPT)
        r->rcode = RCODE_FORMERR; // a meta type that no question may ask for
    else
        resolve(r);
}

// Drops every section but the question: TC tells the client to come again over TCP.
static void keep_question_only(struct response *r)
{
    r->writer.at = r->query->has_question ? r->query->question_end : DNS_HEADER_LEN;
    memset(r->count, 0, sizeof r->count);
}

// Bytes that the response may have.
static unsigned size_limit(const struct response *r, const struct zone_settings *settings, unsigned cap)
{
    unsigned limit = ANSWER_TCP_MAX;
    if (!r->client->is_tcp) {
        limit = ANSWER_UDP_MIN;
        if (r->query->edns.is_present && r->query->edns.udp_size > limit)
            limit = r->query->edns.udp_size < settings->udp_max ? r->query->edns.udp_size : settings->udp_max;
    }
    return limit < cap ? limit : cap;
}

// An error over UDP is never larger than its query: whoever lies about his address gains nothing by it. Options that do
// not fit are left out.
static void shrink_error(struct response *r)
{
    if (r->rcode == RCODE_NOERROR || r->rcode == RCODE_NXDOMAIN || r->rcode == RCODE_YXDOMAIN || r->client->is_tcp)
        return;
    const unsigned left = r->query_len > r->writer.at ? r->query_len - (unsigned)r->writer.at : 0;
    edns_response_fit(&r->edns, &r->query->edns, left);
}

// A negative answer behind an alias carries names of any length, that of a DNAME even uncompressed (RFC 6672
// section 2.5). Who has not shown his address by a cookie or by TCP never gets several times his query: TC sends him to
// TCP.
static void bound_negative(struct response *r, enum cookie_verdict cookie)
{
    const unsigned opt = r->query->edns.is_present ? (unsigned)edns_response_len(&r->edns, &r->query->edns) : 0;
    if (r->rcode != RCODE_NXDOMAIN || r->count[SECTION_ANSWER] == 0 || r->client->is_tcp || cookie == COOKIE_GOOD ||
        r->writer.at + opt < NEGATIVE_RATIO * r->query_len)
        return;
    keep_question_only(r);
    r->is_truncated = true;
}

// Header, OPT record, counters. Length of the response.
static unsigned finish(struct response *r, unsigned limit)
{
    const struct query *q = r->query;
    uint8_t *msg = r->writer.data;
    unsigned flags = DNS_FLAG_QR | (q->flags & (DNS_OPCODE_MASK | DNS_FLAG_RD | DNS_FLAG_CD)) | (r->rcode & 0xf);
    r->writer.failed = false;
    if (r->is_truncated) {
        flags |= DNS_FLAG_TC;
        counters_add(r->context->counters, COUNTER_answers_truncated, 1);
    }
    if (r->is_authoritative)
        flags |= DNS_FLAG_AA;
    if (q->edns.is_present) {
        shrink_error(r);
        r->edns.rcode = r->rcode;
        r->writer.cap = limit;
        const size_t opt_at = r->writer.at;
        edns_response_write(&r->writer, &r->edns, &q->edns);
        r->count[SECTION_ADDITIONAL] = (uint16_t)(r->count[SECTION_ADDITIONAL] + !r->writer.failed);
        if (r->writer.failed) // only where the caller's room is less than ANSWER_UDP_MIN
            r->writer.at = opt_at;
    }
    put_u16(msg + 2, flags);
    put_u16(msg + 4, q->has_question);
    put_u16(msg + 6, r->count[SECTION_ANSWER]);
    put_u16(msg + 8, r->count[SECTION_AUTHORITY]);
    put_u16(msg + 10, r->count[SECTION_ADDITIONAL]);
    count_rcode(r->context, r->rcode);
    return (unsigned)r->writer.at;
}

// Room for the OPT record is kept back before the sections are written: the extended error may still come.
static unsigned kept_back(const struct response *r)
{
    if (!r->query->edns.is_present)
        return 0;
    return edns_response_len(&r->edns, &r->query->edns) + 6;
}

static enum rate_limit_class rate_class(const struct response *r)
{
    if (r->rcode == RCODE_NXDOMAIN)
        return RATE_LIMIT_NXDOMAIN;
    if (r->rcode != RCODE_NOERROR)
        return RATE_LIMIT_ERROR;
    return r->count[SECTION_ANSWER] ? RATE_LIMIT_ANSWER : RATE_LIMIT_EMPTY;
}

static enum rate_limit_verdict count_response(const struct response *r, const struct zone_settings *settings,
                                              uint64_t name)
{
    const struct answer_client *client = r->client;
    const struct rate_limit_response response = {client->address, name, client->is_ipv6, (uint8_t)rate_class(r)};
    return rate_limit_check(r->context->rate_limit, settings, r->context->now_ns, &response);
}

// False: drop the response. May turn it into a truncated one.
static bool pass_rate_limit(struct response *r, const struct zone_settings *settings, uint64_t name_hash_value)
{
    struct counters_block *counters = r->context->counters;
    const uint8_t decided = r->context->rate_decided;
    const enum rate_limit_verdict verdict =
        decided ? (enum rate_limit_verdict)(decided - 1) : count_response(r, settings, name_hash_value);
    if (verdict == RATE_LIMIT_PASS)
        return true;
    if (settings->flags & SETTING_RATE_LIMIT_DRY_RUN) {
        counters_add(counters, COUNTER_rate_dry_run, 1);
        return true;
    }
    if (verdict == RATE_LIMIT_DROP) {
        counters_add(counters, COUNTER_drop_rate_limited, 1);
        return false;
    }
    counters_add(counters, COUNTER_rate_slipped, 1);
    keep_question_only(r);
    r->is_truncated = true;
    r->is_authoritative = false;
    r->rcode = RCODE_NOERROR;
    return true;
}

// What the rate limit takes for "the same name": the name of an answer, the zone's part of a name that does not exist,
// so that random names below one zone share a counter.
static uint64_t rate_name(const struct response *r)
{
    const struct zone_key *key = &r->query->key;
    unsigned suffix_at = 0;
    if (r->rcode == RCODE_REFUSED || !r->query->has_question)
        return 0;
    const struct zone_node *node = zone_image_find_closest(r->context->zone_image, key, &suffix_at);
    return node ? node->tag : 0;
}

unsigned answer_message(struct answer_context *context, const struct answer_client *client, uint8_t *msg, unsigned len,
                        unsigned cap)
{
    struct query query;
    const enum query_verdict verdict = query_parse(&query, msg, len);
    if (verdict == QUERY_DROP_SHORT || verdict == QUERY_DROP_RESPONSE) {
        counters_add(context->counters, verdict == QUERY_DROP_SHORT ? COUNTER_drop_short : COUNTER_drop_response, 1);
        return 0;
    }
    if (!context->zone_image || !context->order_image) {
        counters_add(context->counters, COUNTER_drop_not_ready, 1);
        return 0;
    }
    count_query(context, client);
    const struct zone_settings *settings = zone_image_settings(context->zone_image);
    struct response r = {
        .context = context, .client = client, .query = &query, .rcode = RCODE_NOERROR, .query_len = (uint16_t)len};
    const unsigned limit = size_limit(&r, settings, cap);
    enum cookie_verdict cookie = COOKIE_NONE;
    r.writer = wire_writer_init(msg, limit);
    r.writer.at = query.has_question ? query.question_end : DNS_HEADER_LEN;
    if (query.edns.is_present)
        cookie = plan_edns(&r, settings);
    const unsigned kept = kept_back(&r);
    r.writer.cap = limit - (kept < limit - r.writer.at ? kept : limit - r.writer.at);
    if (verdict == QUERY_ERROR)
        r.rcode = query.rcode;
    else if (verdict == QUERY_ANSWER)
        answer_question(&r, settings);
    bound_negative(&r, cookie);
    if (settings->flags & SETTING_RATE_LIMIT && context->rate_limit && !client->is_tcp && cookie != COOKIE_GOOD &&
        !pass_rate_limit(&r, settings, rate_name(&r)))
        return 0;
    return finish(&r, limit);
}
