// SPDX-License-Identifier: Apache-2.0
// The reader's side of the site-order image: classes, look-up, validation.
#include "table/order_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned order_bucket(const uint8_t *address, bool is_ipv6)
{
    // Multiply and shift over the prefix octets; spread must be even, not secret.
    uint64_t prefix = 0;
    memcpy(&prefix, address, is_ipv6 ? 7 : 3);
    return (unsigned)((prefix + 1) * 0x9e3779b97f4a7c15ull >> 56) & (ORDER_BUCKET_MAX - 1);
}

const struct rrset *order_answer_rrset(const void *image, const struct order_answer *answer, uint16_t type)
{
    if (type == 1 || type == 28) {
        uint32_t at = type == 1 ? answer->a_at : answer->aaaa_at;
        return at ? (const struct rrset *)image_at(image, at) : NULL;
    }
    const struct rrset_ref *ref = (const struct rrset_ref *)(answer + 1);
    for (unsigned i = 0; i < answer->other_count; i++)
        if (ref[i].type == type)
            return (const struct rrset *)image_at(image, ref[i].rrset_at);
    return NULL;
}

struct check {
    const void *image;
    size_t len;
    const struct order_index *index;
    char *why;
};

static int refuse(const struct check *c, const char *text)
{
    snprintf(c->why, IMAGE_TEXT_CAP, "%s", text);
    return -EBADMSG;
}

static bool is_inside(const struct check *c, uint32_t at, uint64_t bytes)
{
    return (uint64_t)at * 8 >= sizeof(struct image_header) + sizeof(struct order_index) && (uint64_t)at * 8 <= c->len &&
           bytes <= c->len - (uint64_t)at * 8;
}

static int check_answer_rrset(const struct check *c, uint32_t at, uint16_t type)
{
    if (at < c->index->answer_at || at >= c->index->answer_end)
        return refuse(c, "an answer's record set lies outside its section");
    int rc = image_check_rrset(c->image, c->len, at, c->why);
    if (rc < 0)
        return rc;
    const struct rrset *set = (const struct rrset *)image_at(c->image, at);
    if (set->type != type || set->patch_count || set->extra_count)
        return refuse(c, "an answer's record set is of the wrong kind");
    return 0;
}

static int check_answer(const struct check *c, uint32_t at)
{
    if (at < c->index->answer_at || at >= c->index->answer_end || !is_inside(c, at, sizeof(struct order_answer)))
        return refuse(c, "an answer lies outside its section");
    const struct order_answer *a = (const struct order_answer *)image_at(c->image, at);
    if (a->mode > ORDER_SERVFAIL || a->other_count > ORDER_RRSET_MAX ||
        !is_inside(c, at, sizeof *a + a->other_count * sizeof(struct rrset_ref)))
        return refuse(c, "an answer is damaged");
    int rc = a->a_at ? check_answer_rrset(c, a->a_at, 1) : 0;
    if (rc == 0 && a->aaaa_at)
        rc = check_answer_rrset(c, a->aaaa_at, 28);
    const struct rrset_ref *ref = (const struct rrset_ref *)(a + 1);
    for (unsigned i = 0; i < a->other_count && rc == 0; i++)
        rc = check_answer_rrset(c, ref[i].rrset_at, ref[i].type);
    return rc;
}

static int check_only_answer(const struct check *c, const struct order_service *s, const struct order_group *group)
{
    const int rc = check_answer(c, group->answer_at);
    if (rc < 0)
        return rc;
    const struct order_answer *answer = (const struct order_answer *)image_at(c->image, group->answer_at);
    for (unsigned family = 0; family < 2; family++)
        if (group->plain_at[family] != order_plain_at(s->owned_types, answer, family))
            return refuse(c, "a group's plain answer is not its answer");
    return 0;
}

static int check_buckets(const struct check *c, const struct order_service *s, const struct order_group *group)
{
    const uint32_t bucket_count = s->bucket_mask + 1u;
    if (group->answer_at)
        return group->bucket_at ? refuse(c, "a group has an answer and buckets") : check_only_answer(c, s, group);
    if (group->plain_at[0] | group->plain_at[1])
        return refuse(c, "a group with buckets has a plain answer");
    if (!is_inside(c, group->bucket_at, bucket_count * sizeof(uint32_t)))
        return refuse(c, "the buckets of a group lie outside the image");
    const uint32_t *answer_at = (const uint32_t *)image_at(c->image, group->bucket_at);
    uint32_t last = 0; // equal neighbours are checked once: most buckets share an answer
    int rc = 0;
    for (uint32_t i = 0; i < bucket_count && rc == 0; i++) {
        rc = answer_at[i] && answer_at[i] == last ? 0 : check_answer(c, answer_at[i]);
        last = answer_at[i];
    }
    return rc;
}

// A group's set has its regions and no others: it has each that is of the group, and as many as those are.
static int check_sets(const struct check *c, const struct order_service *s, const uint16_t *group_of,
                      uint32_t region_count)
{
    const unsigned words = region_set_words(c->index->region_count);
    const struct order_group *group = (const struct order_group *)image_at(c->image, s->group_at);
    uint64_t counted = 0;
    for (uint32_t i = 0; i < s->group_count; i++) {
        const uint32_t at = group[i].set_at;
        counted += group[i].region_count;
        if (group[i].region_count < 1 || !at != (group[i].region_count == 1 || !(s->flags & ORDER_BY_REGION)))
            return refuse(c, "a group's set of regions is missing");
        if (at && (!is_inside(c, at, words * sizeof(uint64_t)) ||
                   region_set_count((const uint64_t *)image_at(c->image, at), words) != group[i].region_count))
            return refuse(c, "a group's set of regions is damaged");
    }
    for (uint32_t region = 0; region < region_count; region++) {
        const uint32_t at = group[group_of[region]].set_at;
        if (at && !region_set_has((const uint64_t *)image_at(c->image, at), region))
            return refuse(c, "a group's set lacks a region of the group");
    }
    return counted == region_count ? 0 : refuse(c, "the groups have other regions than there are");
}

static int check_groups(const struct check *c, const struct order_service *s)
{
    static const uint16_t all_in_one[1];
    const bool by_region = s->flags & ORDER_BY_REGION;
    const uint32_t region_count = by_region ? c->index->region_count : 1;
    if (by_region && !is_inside(c, s->region_at, region_count * sizeof(uint16_t)))
        return refuse(c, "the regions of a service lie outside the image");
    const uint16_t *group_of = by_region ? (const uint16_t *)image_at(c->image, s->region_at) : all_in_one;
    for (uint32_t i = 0; i < region_count; i++)
        if (group_of[i] >= s->group_count)
            return refuse(c, "a region has no group");
    const struct order_group *group = (const struct order_group *)image_at(c->image, s->group_at);
    int rc = check_sets(c, s, group_of, region_count);
    for (uint32_t i = 0; i < s->group_count && rc == 0; i++)
        rc = check_buckets(c, s, &group[i]);
    return rc;
}

static int check_service(const struct check *c, const struct order_service *s)
{
    const uint32_t buckets = s->bucket_mask + 1u, group_max = s->flags & ORDER_BY_REGION ? c->index->region_count : 1;
    if (buckets > ORDER_BUCKET_MAX || (buckets & (buckets - 1)) || s->group_count < 1 || s->group_count > group_max ||
        (buckets > 1 && !(s->flags & ORDER_BY_BUCKET)))
        return refuse(c, "a service's classes are damaged");
    if (!is_inside(c, s->group_at, s->group_count * sizeof(struct order_group)))
        return refuse(c, "a service's groups lie outside the image");
    const int rc = check_groups(c, s);
    if (rc < 0)
        return rc;
    const struct order_group *group = (const struct order_group *)image_at(c->image, s->group_at);
    for (unsigned family = 0; family < 2; family++)
        if (s->plain_at[family] != (s->group_count == 1 ? group->plain_at[family] : 0))
            return refuse(c, "a service's plain answer is not that of its classes");
    return 0;
}

int order_image_check(const void *image, size_t len, char why[IMAGE_TEXT_CAP])
{
    int rc = image_check_header(image, len, IMAGE_ORDER, why);
    if (rc < 0)
        return rc;
    struct check c = {image, len, order_image_index(image), why};
    if (len < sizeof(struct image_header) + sizeof(struct order_index))
        return refuse(&c, "shorter than an order index");
    const struct order_index *x = c.index;
    if (x->service_count > ORDER_SERVICE_MAX || x->region_count < 1 || x->region_count > REGION_MAX + 1)
        return refuse(&c, "the number of services or regions is out of range");
    if (!is_inside(&c, x->service_at, (uint64_t)x->service_count * sizeof(struct order_service)))
        return refuse(&c, "the services lie outside the image");
    if (x->answer_at > x->answer_end || (uint64_t)x->answer_end * 8 > len)
        return refuse(&c, "the answers lie outside the image");
    const struct order_service *s = (const struct order_service *)image_at(image, x->service_at);
    for (uint32_t i = 0; i < x->service_count && rc == 0; i++)
        rc = check_service(&c, &s[i]);
    return rc;
}
