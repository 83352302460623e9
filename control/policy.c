// SPDX-License-Identifier: Apache-2.0
#include "control/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct run {
    const struct policy_input *input;
    const struct policy_state *state;
    const struct config_service *service;
    unsigned region, bucket;
    unsigned *place; // the order so far
    unsigned count;
    char *note;
};

static const struct verdict_site *site_at(const struct policy_input *input, const struct config_service *service,
                                          unsigned place)
{
    return &input->verdict[service->sites[place].verdict_at];
}

static const char *site_name(const struct run *r, unsigned place)
{
    return r->service->sites[place].site;
}

// Stable: places of smaller key first.
static void sort_by_key(unsigned *place, unsigned count, const double *key)
{
    for (unsigned i = 1; i < count; i++) {
        const unsigned p = place[i];
        unsigned k = i;
        for (; k > 0 && key[place[k - 1]] > key[p]; k--)
            place[k] = place[k - 1];
        place[k] = p;
    }
}

// Great-circle distance in kilometres.
static double distance_km(const struct config_coordinates *a, const struct config_coordinates *b)
{
    const double rad = M_PI / 180, lat1 = a->latitude * rad, lat2 = b->latitude * rad;
    const double s = sin((lat2 - lat1) / 2), t = sin((b->longitude - a->longitude) * rad / 2);
    const double h = s * s + cos(lat1) * cos(lat2) * t * t;
    return 2 * 6371 * asin(sqrt(h > 1 ? 1 : h));
}

static void stage_locality(struct run *r, const struct config_stage *stage)
{
    const struct config *config = r->input->config;
    double key[POLICY_SITE_MAX];
    if (r->region == REGION_UNKNOWN || r->region > config->region_count) {
        snprintf(r->note, POLICY_NOTE_CAP, "the client is in no region");
        return;
    }
    const struct config_region *region = &config->regions[r->region - 1];
    const bool by_distance =
        stage->by == CONFIG_LOCALITY_DISTANCE || (region->site_count == 0 && config->geoip.nearest);
    for (unsigned i = 0; i < r->service->site_count; i++) {
        const unsigned site = r->service->sites[i].site_at;
        const struct config_coordinates *at = &config->sites[site].coordinates;
        key[i] = 1e9;
        if (by_distance && region->coordinates.is_set && at->is_set)
            key[i] = distance_km(&region->coordinates, at);
        for (unsigned k = 0; !by_distance && k < region->site_count; k++)
            if (region->site_at[k] == (int)site && key[i] > k)
                key[i] = k;
    }
    sort_by_key(r->place, r->count, key);
    snprintf(r->note, POLICY_NOTE_CAP, "region %s, by %s", region->name,
             by_distance ? "distance" : "its list of sites");
}

// Share of the clients, in percent, that go past an overloaded site: between the watermarks it grows with the load.
static unsigned spill_percent(const struct config_stage *stage, int32_t load_permille)
{
    const int32_t low = (int32_t)stage->low_percent * 10, high = (int32_t)stage->high_percent * 10;
    if (load_permille <= low)
        return 0;
    if (load_permille >= high || high <= low)
        return 100;
    return (unsigned)((load_permille - low) * 100 / (high - low));
}

static void stage_load(struct run *r, const struct config_stage *stage)
{
    double key[POLICY_SITE_MAX] = {0};
    unsigned moved = 0, first = 0;
    for (unsigned i = 0; i < r->service->site_count; i++) {
        const int32_t load = site_at(r->input, r->service, i)->load_permille;
        bool is_over = r->state->is_over[i];
        if (stage->spill && load >= 0)
            is_over = r->bucket * 100 / ORDER_BUCKET_MAX < spill_percent(stage, load);
        key[i] = is_over;
        first = is_over && !moved ? i : first;
        moved += is_over;
    }
    if (moved == 0 || moved == r->service->site_count) {
        snprintf(r->note, POLICY_NOTE_CAP,
                 moved ? "all sites are over the watermark" : "no site is over the watermark");
        return;
    }
    sort_by_key(r->place, r->count, key);
    snprintf(r->note, POLICY_NOTE_CAP, "%s at %d.%d %% of its load goes last", site_name(r, first),
             site_at(r->input, r->service, first)->load_permille / 10,
             site_at(r->input, r->service, first)->load_permille % 10);
}

static void stage_response_time(struct run *r, const struct config_stage *stage)
{
    double key[POLICY_SITE_MAX] = {0};
    uint64_t fastest = UINT64_MAX;
    for (unsigned i = 0; i < r->count; i++) {
        const uint64_t ns = (uint64_t)r->state->response_ns[r->place[i]];
        fastest = ns && ns < fastest ? ns : fastest;
    }
    if (fastest == UINT64_MAX) {
        snprintf(r->note, POLICY_NOTE_CAP, "no response time is known");
        return;
    }
    const uint64_t by_share = fastest + fastest / 100 * stage->tolerance_percent,
                   by_time = fastest + stage->tolerance_ns;
    const uint64_t bound = by_share > by_time ? by_share : by_time;
    unsigned slower = 0;
    for (unsigned i = 0; i < r->service->site_count; i++) {
        const uint64_t ns = (uint64_t)r->state->response_ns[i];
        key[i] = ns > bound ? (double)ns : 0;
        slower += ns > bound;
    }
    sort_by_key(r->place, r->count, key);
    snprintf(r->note, POLICY_NOTE_CAP, "%u slower than %.1f ms (fastest %.1f ms and tolerance)", slower,
             (double)bound / 1e6, (double)fastest / 1e6);
}

static void stage_lag(struct run *r, const struct config_stage *stage)
{
    double key[POLICY_SITE_MAX] = {0};
    unsigned behind = 0;
    for (unsigned i = 0; i < r->service->site_count; i++) {
        const int64_t lag_ms = site_at(r->input, r->service, i)->lag_ms;
        key[i] = lag_ms >= 0 && (uint64_t)lag_ms * 1000000u > stage->limit_ns;
        behind += key[i] > 0;
    }
    sort_by_key(r->place, r->count, key);
    snprintf(r->note, POLICY_NOTE_CAP, "%u lag more than %.3f s", behind, (double)stage->limit_ns / 1e9);
}

// Where a bucket stands: always in the same place, or in another one for each lifetime of an answer.
static unsigned spread_place(const struct run *r, const struct config_stage *stage)
{
    const uint64_t lifetime_ns = (uint64_t)(r->service->ttl_s ? r->service->ttl_s : 1) * 1000000000u;
    const uint64_t turn = stage->sticky ? 0 : r->input->now_ns / lifetime_ns;
    return (unsigned)((r->bucket + turn * 157) % ORDER_BUCKET_MAX); // odd: goes through all places
}

static void stage_spread(struct run *r, const struct config_stage *stage)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < r->count; i++)
        total += r->service->sites[r->place[i]].weight;
    if (total == 0) {
        snprintf(r->note, POLICY_NOTE_CAP, "all weights are zero");
        return;
    }
    // The bucket's place on the scale of weights draws the first site; the others keep their order.
    uint64_t at = (uint64_t)spread_place(r, stage) * total / ORDER_BUCKET_MAX;
    unsigned chosen = 0;
    while (chosen + 1 < r->count && at >= r->service->sites[r->place[chosen]].weight)
        at -= r->service->sites[r->place[chosen++]].weight;
    const unsigned p = r->place[chosen];
    memmove(r->place + 1, r->place, chosen * sizeof *r->place);
    r->place[0] = p;
    snprintf(r->note, POLICY_NOTE_CAP, "bucket %u draws %s", r->bucket, site_name(r, p));
}

static void run_stage(struct run *r, const struct config_stage *stage)
{
    switch (stage->type) {
    case CONFIG_STAGE_LOCALITY:
        stage_locality(r, stage);
        break;
    case CONFIG_STAGE_LOAD:
        stage_load(r, stage);
        break;
    case CONFIG_STAGE_RESPONSE_TIME:
        stage_response_time(r, stage);
        break;
    case CONFIG_STAGE_REPLICATION_LAG:
        stage_lag(r, stage);
        break;
    case CONFIG_STAGE_SPREAD:
        stage_spread(r, stage);
        break;
    }
}

// Exponential moving average: after one half-life a change has been followed half of its way.
static void average_responses(struct policy_state *state, const struct policy_input *input,
                              const struct config_service *service, const struct config_stage *stage)
{
    const double passed = (double)(input->now_ns - state->updated_ns), half_life = (double)stage->half_life_ns;
    const float weight = state->updated_ns && half_life > 0 ? (float)(1 - exp2(-passed / half_life)) : 1;
    for (unsigned i = 0; i < service->site_count && i < POLICY_SITE_MAX; i++) {
        const float now = (float)site_at(input, service, i)->response_ns;
        float *average = &state->response_ns[i];
        *average = now > 0 && *average > 0 ? *average + (now - *average) * weight : now;
    }
    state->updated_ns = input->now_ns;
}

void policy_update(struct policy_state *state, const struct policy_input *input)
{
    const struct config_service *service = &input->config->services[input->service];
    for (unsigned s = 0; s < service->policy_count; s++) {
        const struct config_stage *stage = &service->policy[s];
        if (stage->type == CONFIG_STAGE_RESPONSE_TIME)
            average_responses(state, input, service, stage);
        for (unsigned i = 0; stage->type == CONFIG_STAGE_LOAD && i < service->site_count && i < POLICY_SITE_MAX; i++) {
            const int32_t load = site_at(input, service, i)->load_permille;
            if (load >= (int32_t)stage->high_percent * 10)
                state->is_over[i] = true;
            else if (load < (int32_t)stage->low_percent * 10) // also when it is not known
                state->is_over[i] = false;
        }
    }
}

// A site that came back takes up clients bucket by bucket while its ramp lasts.
static bool is_ramping(const struct policy_input *input, const struct config_member *member, unsigned bucket)
{
    const uint64_t ramp_ns = input->config->sites[member->site_at].ramp_ns,
                   came_up_ns = input->verdict[member->verdict_at].came_up_ns;
    if (ramp_ns == 0 || came_up_ns == 0 || input->now_ns >= came_up_ns + ramp_ns)
        return false;
    return bucket >= (input->now_ns - came_up_ns) * ORDER_BUCKET_MAX / ramp_ns;
}

static void nobody_left(struct policy_order *order, const struct config_service *service)
{
    order->ttl_s = service->ttl_min_s;
    order->ede = POLICY_EDE_FAIL_OPEN;
    switch (service->all_down) {
    case CONFIG_FAIL_OPEN:
        order->is_fail_open = true;
        for (unsigned i = 0; i < service->site_count && i < POLICY_SITE_MAX; i++)
            order->place[order->site_count++] = i;
        break;
    case CONFIG_NODATA:
        order->mode = ORDER_NODATA;
        break;
    case CONFIG_SERVFAIL:
        order->mode = ORDER_SERVFAIL;
        break;
    case CONFIG_LAST_RESORT:
        order->is_last_resort = true;
        break;
    }
}

enum verdict_state policy_member_state(const struct policy_input *input, unsigned place)
{
    const struct config_service *service = &input->config->services[input->service];
    enum verdict_state state = site_at(input, service, place)->state;
    switch (overrides_member(input->overrides, input->service, place)) {
    case OPERATOR_UP:
        state = VERDICT_UP;
        break;
    case OPERATOR_DOWN:
        state = VERDICT_DOWN;
        break;
    case OPERATOR_DRAIN:
        state = VERDICT_DRAIN;
        break;
    case OPERATOR_AUTO:
        break;
    }
    const bool is_emptied = state == VERDICT_UP && overrides_is_emptied(input->overrides, &service->sites[place]);
    return is_emptied ? VERDICT_DRAIN : state;
}

void policy_decide(struct policy_order *order, const struct policy_state *state, const struct policy_input *input,
                   unsigned region, unsigned bucket, struct policy_trace *trace)
{
    const struct config_service *service = &input->config->services[input->service];
    char unused[POLICY_NOTE_CAP];
    unsigned late[POLICY_SITE_MAX], late_count = 0;
    *order = (struct policy_order){.mode = ORDER_ANSWER, .ttl_s = service->ttl_s};
    if (trace)
        memset(trace, 0, sizeof *trace);
    for (unsigned i = 0; i < service->site_count && i < POLICY_SITE_MAX; i++) {
        const struct verdict_site *site = site_at(input, service, i);
        const bool is_told = overrides_member(input->overrides, input->service, i) != OPERATOR_AUTO;
        if (!is_told && (site->is_in_doubt || site->state == VERDICT_UNKNOWN))
            order->ttl_s = service->ttl_min_s;
        if (policy_member_state(input, i) != VERDICT_UP)
            continue;
        if (is_ramping(input, &service->sites[i], bucket))
            late[late_count++] = i;
        else
            order->place[order->site_count++] = i;
    }
    struct run r = {input, state, service, region, bucket, order->place, order->site_count, unused};
    for (unsigned i = 0; i < service->policy_count; i++) {
        const bool is_traced = trace && trace->stage_count < POLICY_STAGE_MAX;
        r.note = is_traced ? trace->stage[trace->stage_count].note : unused;
        run_stage(&r, &service->policy[i]);
        if (!is_traced)
            continue;
        trace->stage[trace->stage_count].type = service->policy[i].type;
        memcpy(trace->stage[trace->stage_count++].order, order->place, order->site_count * sizeof *order->place);
    }
    for (unsigned i = 0; i < late_count; i++)
        order->place[order->site_count++] = late[i];
    if (order->site_count == 0)
        nobody_left(order, service);
}

uint32_t policy_flags(const struct config *config, unsigned service_at)
{
    const struct config_service *service = &config->services[service_at];
    uint32_t flags = 0;
    for (unsigned i = 0; i < service->policy_count; i++) {
        const struct config_stage *stage = &service->policy[i];
        if (stage->type == CONFIG_STAGE_LOCALITY && config->region_count)
            flags |= ORDER_BY_REGION;
        if (stage->type == CONFIG_STAGE_SPREAD || (stage->type == CONFIG_STAGE_LOAD && stage->spill))
            flags |= ORDER_BY_BUCKET;
    }
    for (unsigned i = 0; i < service->site_count; i++)
        if (config->sites[service->sites[i].site_at].ramp_ns)
            flags |= ORDER_BY_BUCKET;
    return flags;
}
