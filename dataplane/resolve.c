// SPDX-License-Identifier: Apache-2.0
#include "dataplane/resolve.h"

#include <string.h>

#include "dataplane/steer.h"

enum { CHAIN_MAX = 16 }; // CNAME and DNAME steps inside a zone; a longer chain is answered as far as it goes

// Where the walk along a chain of aliases stands.
struct walk {
    struct response *r;
    uint32_t zone;
    unsigned owner_at;  // where the current name starts in the message
    unsigned tail_from; // from here on, the current name stands elsewhere in the message, at tail_at; 0: it stands in
    unsigned tail_at;   // one piece, up to the apex at least
    unsigned apex_at;   // where the zone's apex starts in the message
    unsigned suffix_at; // of the closest encloser in the current name
    unsigned hops;
    uint64_t seen[CHAIN_MAX]; // hashes of names already followed: a loop ends
    unsigned dname_count;
    const struct zone_node *dname[CHAIN_MAX]; // whose DNAME is in the answer already: once is enough
    unsigned dname_target_at[CHAIN_MAX];      // where its target stands in the message
    const struct zone_key *key;
    struct zone_key target;
};

static const struct zone_node *apex_of(const struct walk *w)
{
    const void *image = w->r->context->zone_image;
    return (const struct zone_node *)image_at(image, response_zone(w->r, w->zone)->apex_at);
}

// Where in the message the current name stands from its octet `from` on.
static unsigned name_at(const struct walk *w, unsigned from)
{
    return w->tail_from && from >= w->tail_from ? w->tail_at + from - w->tail_from : w->owner_at + from;
}

// Makes the name in a record's rdata, as stored in an image, the walk's next name. False when it leaves what a name can
// be.
static bool take_target(struct walk *w, const uint8_t *rdata, unsigned rdata_len)
{
    unsigned head = 0;
    while (head < rdata_len && rdata[head] != 0 && rdata[head] <= LABEL_MAX_LEN)
        head += rdata[head] + 1u;
    uint8_t name[NAME_MAX_LEN + 1];
    unsigned len = head;
    if (head >= rdata_len || head >= NAME_MAX_LEN)
        return false;
    memcpy(name, rdata, head);
    if (rdata[head] == 0) {
        name[len++] = 0;
    } else { // the open pointer to the apex
        const struct zone_node *apex = apex_of(w);
        if (len + apex->name_len > NAME_MAX_LEN)
            return false;
        memcpy(name + len, zone_node_name(apex), apex->name_len);
        len += apex->name_len;
    }
    zone_key_init(&w->target, name, len);
    w->key = &w->target;
    return true;
}

// Notes the current name before it is left. False when it was left before (a loop) or the chain is too long.
static bool may_follow(struct walk *w)
{
    const uint64_t hash = name_hash(w->key->name, w->key->len, 0);
    for (unsigned i = 0; i < w->hops; i++)
        if (w->seen[i] == hash)
            return false;
    if (w->hops >= CHAIN_MAX)
        return false;
    w->seen[w->hops++] = hash;
    return true;
}

static void add_referral(struct walk *w, const struct zone_node *cut, unsigned owner_at)
{
    struct response *r = w->r;
    const struct rrset *ns = zone_node_rrset(r->context->zone_image, cut, DNS_NS);
    const unsigned set_at = (unsigned)r->writer.at;
    if (w->hops == 0)
        r->is_authoritative =
            false; // RFC 1034 section 4.3.2 step 3b; AA speaks of the first owner (RFC 1035 section 4.1.1)
    counters_add(r->context->counters, COUNTER_answers_referral, 1);
    if (!ns || !response_add(r, SECTION_AUTHORITY, ns, owner_at, w->apex_at)) {
        r->is_truncated = true;
        return;
    }
    // No DS, also with DO: without signatures nobody could use it (RFC 4035 section 3.1.4 speaks of signed zones).
    response_add_extras(r, ns, set_at, w->apex_at);
}

static void add_hinfo(struct walk *w)
{
    static const uint8_t rdata[] = {7, 'R', 'F', 'C', '8', '4', '8', '2', 0}; // RFC 8482 section 4.2
    struct response *r = w->r;
    uint8_t *p = wire_reserve(&r->writer, RECORD_FRAME_LEN + sizeof rdata);
    if (!p) {
        r->is_truncated = true;
        return;
    }
    struct wire_writer out = wire_writer_init(p, RECORD_FRAME_LEN + sizeof rdata);
    wire_put_u16(&out, (uint16_t)(0xc000 | w->owner_at));
    wire_put_u16(&out, DNS_HINFO);
    wire_put_u16(&out, DNS_IN);
    wire_put_u32(&out, zone_image_settings(r->context->zone_image)->any_ttl);
    wire_put_u16(&out, sizeof rdata);
    wire_put(&out, rdata, sizeof rdata);
    r->count[SECTION_ANSWER]++;
}

// Answers from a node that has the name, or stands for it as a wildcard. True: an alias was added, go on with its
// target.
static bool answer_at(struct walk *w, const struct zone_node *node)
{
    struct response *r = w->r;
    const void *image = r->context->zone_image;
    const uint16_t qtype = r->query->qtype;
    if (node->flags & NODE_CNAME && qtype != DNS_CNAME) {
        const struct rrset *cname = zone_node_rrset(image, node, DNS_CNAME);
        const unsigned set_at = (unsigned)r->writer.at;
        if (!cname || !may_follow(w))
            return false;
        if (!response_add(r, SECTION_ANSWER, cname, w->owner_at, w->apex_at))
            r->is_truncated = true; // the walk goes on for the rcode's sake, and writes nothing more
        w->owner_at = set_at + RECORD_FRAME_LEN;
        w->tail_from = 0;
        return qtype != DNS_ANY &&
               take_target(w, rrset_wire(cname) + RECORD_FRAME_LEN, cname->wire_len - RECORD_FRAME_LEN);
    }
    if (qtype == DNS_ANY && (node->rrset_count || node->flags & NODE_SERVICE)) {
        add_hinfo(w);
        return false;
    }
    if (node->flags & NODE_SERVICE && steer(r, node, w->owner_at, w->apex_at))
        return false;
    const struct rrset *set = zone_node_rrset(image, node, qtype);
    if (!set) {
        response_add_soa(r, node->zone, w->apex_at);
        return false;
    }
    const unsigned set_at = (unsigned)r->writer.at;
    if (!response_add(r, SECTION_ANSWER, set, w->owner_at, w->apex_at))
        r->is_truncated = true;
    else if (set->extra_count)
        response_add_extras(r, set, set_at, w->apex_at);
    return false;
}

// Puts a node's DNAME into the answer unless it is there. Where its target stands in the message; 0: there is no room.
static unsigned add_dname(struct walk *w, const struct zone_node *node, const struct rrset *dname)
{
    for (unsigned i = 0; i < w->dname_count; i++)
        if (w->dname[i] == node)
            return w->dname_target_at[i];
    const unsigned set_at = (unsigned)w->r->writer.at;
    if (!response_add(w->r, SECTION_ANSWER, dname, name_at(w, w->suffix_at), w->apex_at))
        return 0;
    w->dname[w->dname_count] = node; // each takes a hop: at most CHAIN_MAX
    return w->dname_target_at[w->dname_count++] = set_at + RECORD_FRAME_LEN;
}

// The CNAME made from a DNAME whose target stands at `target_at`, to `name`, of which the first suffix_at octets are
// new: the rest is compressed to the DNAME's target, if a pointer reaches it. False when there is no room.
static bool add_made_cname(struct walk *w, const uint8_t *name, unsigned name_len, unsigned target_at, uint32_t ttl)
{
    struct wire_writer *out = &w->r->writer;
    const unsigned set_at = (unsigned)out->at;
    const bool is_compressed = target_at <= POINTER_MAX;
    const unsigned rdata_len = is_compressed ? w->suffix_at + 2 : name_len;
    if (w->r->is_truncated || w->owner_at > POINTER_MAX || out->cap - out->at < RECORD_FRAME_LEN + rdata_len)
        return false;
    wire_put_u16(out, (uint16_t)(0xc000 | w->owner_at));
    wire_put_u16(out, DNS_CNAME);
    wire_put_u16(out, DNS_IN);
    wire_put_u32(out, ttl); // section 3.1
    wire_put_u16(out, (uint16_t)rdata_len);
    wire_put(out, name, is_compressed ? w->suffix_at : name_len);
    if (is_compressed)
        wire_put_u16(out, (uint16_t)(0xc000 | target_at));
    w->r->count[SECTION_ANSWER]++;
    w->owner_at = set_at + RECORD_FRAME_LEN;
    w->tail_from = is_compressed ? w->suffix_at : 0;
    w->tail_at = target_at;
    return true;
}

// Does the name end in this node's name, or is it that?
static bool is_below(const uint8_t *name, unsigned len, const struct zone_node *node)
{
    unsigned at = 0;
    while (at + node->name_len < len) // a label a round
        at += name[at] + 1u;
    return at + node->name_len == len && name_equal(name + at, zone_node_name(node));
}

// RFC 6672 section 3.2: the DNAME and a CNAME made from it. True: go on with the target, unless the DNAME points
// below itself: the name would be redirected for ever, longer each time. The resolver may go on until there is no room.
static bool follow_dname(struct walk *w, const struct zone_node *node)
{
    struct response *r = w->r;
    const struct rrset *dname = zone_node_rrset(r->context->zone_image, node, DNS_DNAME);
    if (!dname || !may_follow(w))
        return false;
    const uint8_t *target = rrset_wire(dname) + RECORD_FRAME_LEN;
    const unsigned target_len = dname->wire_len - RECORD_FRAME_LEN, name_len = w->suffix_at + target_len;
    const unsigned target_at = add_dname(w, node, dname);
    if (target_at == 0)
        r->is_truncated = true;
    if (name_len > NAME_MAX_LEN) {
        r->rcode = RCODE_YXDOMAIN; // section 2.2
        return false;
    }
    // The leading labels are copied as the client wrote them when the name is the question's, else as the zone has
    // them.
    uint8_t name[NAME_MAX_LEN];
    memcpy(name, w->hops == 1 ? r->writer.data + DNS_HEADER_LEN : w->key->name, w->suffix_at);
    memcpy(name + w->suffix_at, target, target_len);
    if (!add_made_cname(w, name, name_len, target_at, dname->ttl))
        r->is_truncated = true;
    const bool goes_on = r->query->qtype != DNS_CNAME && r->query->qtype != DNS_ANY;
    return goes_on && !is_below(target, target_len, node) && take_target(w, name, name_len);
}

// One name of the chain, whose closest encloser is `node`. True: go on with the walk's next name.
static bool walk_step(struct walk *w, const struct zone_node *node)
{
    struct response *r = w->r;
    const void *image = r->context->zone_image;
    const bool is_exact = w->suffix_at == 0;
    if (node->cut_at && !(is_exact && r->query->qtype == DNS_DS && node->flags & NODE_CUT)) {
        const struct zone_node *cut = (const struct zone_node *)image_at(image, node->cut_at);
        add_referral(w, cut, name_at(w, w->key->len - cut->name_len));
        return false;
    }
    if (is_exact)
        return answer_at(w, node);
    if (node->flags & NODE_DNAME)
        return follow_dname(w, node);
    if (!node->wildcard_at) {
        r->rcode = RCODE_NXDOMAIN;
        response_add_soa(r, node->zone, w->apex_at);
        return false;
    }
    const struct zone_node *wildcard = (const struct zone_node *)image_at(image, node->wildcard_at);
    counters_add(r->context->counters, COUNTER_answers_wildcard, 1);
    if (wildcard->flags & NODE_CUT && r->query->qtype != DNS_DS) {
        add_referral(w, wildcard, w->owner_at); // RFC 4592 section 4.2: the owner is the name asked for
        return false;
    }
    return answer_at(w, wildcard);
}

void resolve(struct response *r)
{
    const void *image = r->context->zone_image;
    struct walk w = {.r = r, .owner_at = DNS_HEADER_LEN, .key = &r->query->key};
    const struct zone_node *node = zone_image_find_closest(image, w.key, &w.suffix_at);
    if (!node) {
        r->rcode = RCODE_REFUSED;
        return;
    }
    if (r->query->qtype == DNS_DS && node->flags & NODE_APEX && w.suffix_at == 0) {
        const uint32_t parent_at =
            response_zone(r, node->zone)->parent_cut_at; // DS lives on the parent's side (RFC 4034 section 5)
        node = parent_at ? (const struct zone_node *)image_at(image, parent_at) : node;
    }
    w.zone = node->zone;
    w.apex_at = DNS_HEADER_LEN + w.key->len - apex_of(&w)->name_len;
    r->is_authoritative = true;
    while (walk_step(&w, node)) { // at most CHAIN_MAX rounds: may_follow counts
        node = zone_image_find_closest(image, w.key, &w.suffix_at);
        if (!node || node->zone != w.zone)
            return; // the target lies outside the zone: the resolver goes on by itself
    }
}
