// SPDX-License-Identifier: Apache-2.0
#include "control/steering_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/log.h"

enum { LINES_PER_SECOND = 50 };

void steering_report_init(struct steering_report *r, const struct config *config, const struct verdict_engine *engine,
                          struct history *history, struct journal *journal)
{
    memset(r, 0, sizeof *r);
    r->config = config;
    r->engine = engine;
    r->history = history;
    r->journal = journal;
}

static bool may_log(struct steering_report *r, uint64_t now_ns)
{
    if (now_ns >= r->window_ns + 1000000000u) {
        if (r->suppressed)
            log_warning("%u more changes were not logged one by one", r->suppressed);
        r->window_ns = now_ns;
        r->lines = r->suppressed = 0;
    }
    if (r->lines++ < LINES_PER_SECOND)
        return true;
    r->suppressed++;
    return false;
}

static const char *group_name(const struct config_site *site, unsigned group)
{
    return group < site->group_count ? site->groups[group].name : "?";
}

char *steering_verdict_why(const struct config *config, unsigned site_at, const struct verdict_site *v, char *out,
                           size_t cap)
{
    const struct config_site *site = &config->sites[site_at];
    char server[CONFIG_ENDPOINT_TEXT_CAP] = "";
    const char *evidence = v->evidence == EVIDENCE_REASON_NONE ? "" : evidence_reason_text(v->evidence);
    int n = snprintf(out, cap, "%s", verdict_reason_text(v->reason));
    if ((v->reason == VERDICT_REASON_GROUP_DOWN || v->reason == VERDICT_REASON_PAGE_DOWN) &&
        v->group < site->group_count) {
        const struct config_group *g = &site->groups[v->group];
        if (v->member < g->server_count)
            config_endpoint_text(&g->servers[v->member], server);
        n = snprintf(out, cap, "group %s: too few good servers%s%s%s%s", group_name(site, v->group),
                     server[0] ? "; " : "", server, evidence[0] ? ": " : "", evidence);
    } else if (evidence[0] && n >= 0 && (size_t)n < cap) {
        n += snprintf(out + n, cap - (size_t)n, ": %s", evidence);
    }
    if (v->detail[0] && n >= 0 && (size_t)n < cap)
        snprintf(out + n, cap - (size_t)n, " (%s)", v->detail);
    return out;
}

// "ams", or "ams (web, database)" for a verdict by some groups only.
static void verdict_name(const struct config *config, unsigned number, char out[HISTORY_NAME_CAP])
{
    const struct config_verdict *v = &config->verdicts[number];
    const struct config_site *site = &config->sites[v->site_at];
    int at = snprintf(out, HISTORY_NAME_CAP, "%s", site->name);
    const char *separator = " (";
    for (unsigned i = 0; v->mask != UINT64_MAX && i < site->group_count && at < HISTORY_NAME_CAP; i++)
        if (v->mask >> i & 1) {
            at += snprintf(out + at, HISTORY_NAME_CAP - (size_t)at, "%s%s", separator, site->groups[i].name);
            separator = ", ";
        }
    if (separator[0] == ',' && at < HISTORY_NAME_CAP)
        snprintf(out + at, HISTORY_NAME_CAP - (size_t)at, ")");
}

static void report_verdict(struct steering_report *r, unsigned number, const struct verdict_site *before,
                           const struct verdict_site *after, uint64_t evidence_ns, uint64_t now_ns)
{
    char name[HISTORY_NAME_CAP];
    verdict_name(r->config, number, name);
    struct history_entry *e = history_add(r->history);
    e->kind = HISTORY_VERDICT;
    e->at_ns = now_ns;
    e->wall_us = clock_wall_us();
    e->evidence_ns = evidence_ns;
    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->from, sizeof e->from, "%s", verdict_state_text(before->state));
    snprintf(e->to, sizeof e->to, "%s", verdict_state_text(after->state));
    steering_verdict_why(r->config, r->config->verdicts[number].site_at, after, e->why, sizeof e->why);
    journal_line(r->journal, "verdict %" PRIu64 " %s %s %s", now_ns, name, e->to, e->why);
    if (may_log(r, now_ns))
        log_notice("site %s: %s -> %s: %s", name, e->from, e->to, e->why);
}

unsigned steering_report_verdicts(struct steering_report *r, struct verdict_site *reported, uint64_t evidence_ns,
                                  uint64_t now_ns)
{
    unsigned changes = 0;
    for (unsigned i = 0; i < r->config->verdict_count; i++) {
        const struct verdict_site *now = verdict_view(r->engine, i);
        if (now->state != reported[i].state || now->reason != reported[i].reason) {
            changes += now->state != reported[i].state;
            report_verdict(r, i, &reported[i], now, evidence_ns, now_ns);
        }
        reported[i] = *now;
    }
    return changes;
}

struct steering_order steering_order_of(const struct policy_order *order)
{
    struct steering_order out = {.mode = (uint8_t)order->mode,
                                 .is_fail_open = order->is_fail_open,
                                 .is_last_resort = order->is_last_resort,
                                 .ttl_s = order->ttl_s};
    out.count = (uint8_t)(order->site_count < STEERING_PLACES ? order->site_count : STEERING_PLACES);
    for (unsigned i = 0; i < out.count; i++)
        out.place[i] = (uint8_t)order->place[i];
    return out;
}

char *steering_order_text(const struct config_service *service, const struct steering_order *order, char *out,
                          size_t cap)
{
    static const char *const mode_text[] = {[ORDER_NODATA] = "NODATA", [ORDER_SERVFAIL] = "SERVFAIL"};
    size_t at = 0;
    out[0] = 0;
    if (order->mode != ORDER_ANSWER)
        snprintf(out, cap, "%s", mode_text[order->mode]);
    for (unsigned i = 0; order->mode == ORDER_ANSWER && i < order->count && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? " " : "", service->sites[order->place[i]].site);
    if (at < cap && (order->is_fail_open || order->is_last_resort))
        snprintf(out + at, cap - at, "%s",
                 order->is_fail_open ? " (fail-open: no site is available)" : "last resort (no site is available)");
    return out;
}

static bool is_same_order(const struct steering_order *a, const struct steering_order *b)
{
    return a->count == b->count && a->mode == b->mode && a->is_fail_open == b->is_fail_open &&
           a->is_last_resort == b->is_last_resort && memcmp(a->place, b->place, a->count) == 0;
}

unsigned steering_report_orders(struct steering_report *r, const struct steering_order *before,
                                const struct steering_order *after, uint64_t generation, uint64_t evidence_ns,
                                uint64_t decided_ns)
{
    unsigned changes = 0;
    for (unsigned i = 0; i < r->config->service_count; i++) {
        const struct config_service *service = &r->config->services[i];
        if (before && is_same_order(&before[i], &after[i]))
            continue;
        changes++;
        if (changes > HISTORY_CAP / 2) // the history keeps room for what came before; the journal has all
            continue;
        struct history_entry *e = history_add(r->history);
        e->kind = HISTORY_ORDER;
        e->at_ns = decided_ns;
        e->wall_us = clock_wall_us();
        e->evidence_ns = evidence_ns;
        e->generation = generation;
        snprintf(e->name, sizeof e->name, "%s", service->name);
        if (before)
            steering_order_text(service, &before[i], e->from, sizeof e->from);
        steering_order_text(service, &after[i], e->to, sizeof e->to);
        journal_line(r->journal, "order %" PRIu64 " %s %s", decided_ns, service->name, e->to);
        if (may_log(r, uv_hrtime()))
            log_write(after[i].is_fail_open ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTICE, "service %s: [%s] -> [%s]",
                      service->name, e->from, e->to);
    }
    return changes;
}

void steering_report_carry(const struct config *from, const struct verdict_site *old, const struct config *to,
                           struct verdict_site *reported)
{
    char name[HISTORY_NAME_CAP], old_name[HISTORY_NAME_CAP];
    for (unsigned i = 0; i < to->verdict_count; i++) {
        verdict_name(to, i, name);
        for (unsigned k = 0; k < from->verdict_count; k++) {
            verdict_name(from, k, old_name);
            if (strcmp(name, old_name) == 0)
                reported[i] = old[k];
        }
    }
}

bool steering_report_is_journalled(struct steering_report *r, const struct evidence_event *event)
{
    if (event->kind == EVIDENCE_WORD) { // said with each heartbeat: what it says anew, and now and then
        if (event->site >= VERDICT_SITE_MAX || event->group >= VERDICT_VOICE_MAX)
            return false;
        const uint8_t word = (uint8_t)(1 + event->result + 4 * (unsigned)event->operator_state);
        const bool is_news = r->last_word[event->site][event->group] != word;
        r->last_word[event->site][event->group] = word;
        return is_news;
    }
    if (event->kind != EVIDENCE_HEARTBEAT || event->site >= VERDICT_SITE_MAX || event->group >= VERDICT_NODE_MAX)
        return true;
    uint64_t *last_ns = &r->last_heartbeat_ns[event->site][event->group];
    if (*last_ns && event->at_ns < *last_ns + r->config->heartbeat.period_ns / 2)
        return false;
    *last_ns = event->at_ns;
    return true;
}
