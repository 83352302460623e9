// SPDX-License-Identifier: Apache-2.0
#include "control/daemon_operator.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/config_schema.h"
#include "shared/log.h"

enum { SUGGESTION_CAP = 256 };

static uint64_t wall_s(void)
{
    return (uint64_t)time(NULL);
}

// ---- telling those who decide ----

static void tell(struct daemon *d, unsigned site, const struct operator_entry *entry)
{
    const struct evidence_event event = operator_state_event(entry, site, uv_hrtime(), wall_s());
    steering_event(d->steering, &event);
}

void daemon_operator_apply(struct daemon *d)
{
    for (unsigned i = 0; i < daemon_config(d)->site_count; i++) {
        const struct operator_entry *entry =
            operator_states_find(&d->operators, OPERATOR_OF_SITE, daemon_config(d)->sites[i].name);
        if (entry)
            tell(d, i, entry);
    }
}

// For replay; what is said of sites is an event.
static void journal_entry(struct daemon *d, const struct operator_entry *e, enum evidence_operator state)
{
    if (e->kind != OPERATOR_OF_SITE)
        journal_line(d->journal, "operator %" PRIu64 " %s %s %s %s", uv_hrtime(), operator_kind_name(e->kind), e->name,
                     operator_state_name(state), e->reason);
}

static void note_change(struct daemon *d, enum operator_kind kind, const char *name, const char *from, const char *to,
                        const char *why)
{
    struct history_entry *h = history_add(steering_history(d->steering));
    h->kind = HISTORY_OPERATOR;
    h->at_ns = uv_hrtime();
    h->wall_us = wall_s() * 1000000u;
    snprintf(h->name, sizeof h->name, "%s %.240s", operator_kind_name(kind), name);
    snprintf(h->from, sizeof h->from, "%s", from);
    snprintf(h->to, sizeof h->to, "%s", to);
    snprintf(h->why, sizeof h->why, "%s", why);
    log_notice("operator: %s %s: %s%s%s", operator_kind_name(kind), name, to, why[0] ? ": " : "", why);
}

void daemon_operator_load(struct daemon *d)
{
    const int rc = operator_states_load(&d->operators, d->operators_path);
    if (rc)
        log_error("operator states: %s: %s; what could be read is used", d->operators_path, strerror(-rc));
    operator_states_expire(&d->operators, wall_s(), NULL, NULL);
    for (unsigned i = 0; i < d->operators.count; i++) {
        const struct operator_entry *e = &d->operators.entry[i];
        journal_entry(d, e, e->state);
        log_notice("%s %s is kept %s by an operator: %s", operator_kind_name(e->kind), e->name,
                   operator_state_name(e->state), e->reason);
    }
    daemon_operator_apply(d); // before anything is judged: the first order must know of a drained site
    if (steering_operators(d->steering, &d->operators) < 0)
        log_error("operator states: no memory; those of services and addresses are not followed");
}

static void on_gone(void *user, const struct operator_entry *entry)
{
    struct daemon *d = user;
    journal_entry(d, entry, OPERATOR_AUTO);
    note_change(d, entry->kind, entry->name, operator_state_name(entry->state), "auto", "its time is over");
}

void daemon_operator_expire(struct daemon *d)
{
    if (!operator_states_expire(&d->operators, wall_s(), on_gone, d)) // the engine has its own clock for sites
        return;
    steering_operators(d->steering, &d->operators);
    const int rc = operator_states_save(&d->operators, d->operators_path);
    if (rc)
        log_error("operator states: cannot save %s: %s", d->operators_path, strerror(-rc));
}

// ---- a request ----

// One request being carried out on a copy of the states.
struct change {
    struct daemon *daemon;
    const struct daemon_operator_request *request;
    struct operator_states states;
    uint64_t now_s;
    unsigned count; // what it speaks of
    int rc;
};

static bool is_meant(const struct daemon_operator_request *request, const char *site)
{
    return fnmatch(request->pattern, site, 0) == 0;
}

static void change_one(struct change *c, const char *name)
{
    struct operator_entry entry = {.kind = c->request->kind, .state = c->request->state, .said_s = c->now_s};
    snprintf(entry.name, sizeof entry.name, "%s", name);
    snprintf(entry.reason, sizeof entry.reason, "%s", c->request->reason);
    if (c->request->duration_ns)
        entry.until_s = c->now_s + (c->request->duration_ns + 999999999u) / 1000000000u;
    c->count++;
    if (c->rc == 0)
        c->rc = operator_states_set(&c->states, &entry);
}

static void change_sites(struct change *c)
{
    const struct config *config = daemon_config(c->daemon);
    for (unsigned i = 0; i < config->site_count; i++)
        if (is_meant(c->request, config->sites[i].name))
            change_one(c, config->sites[i].name);
}

// The pattern is of a service, or of a service, '/' and a site.
static void change_services(struct change *c)
{
    const struct config *config = daemon_config(c->daemon);
    char service[OPERATOR_NAME_CAP], name[OPERATOR_NAME_CAP];
    const char *slash = strrchr(c->request->pattern, '/'), *site = slash ? slash + 1 : "*";
    snprintf(service, sizeof service, "%.*s", slash ? (int)(slash - c->request->pattern) : (int)sizeof service - 1,
             c->request->pattern);
    for (unsigned i = 0; i < config->service_count && c->rc == 0; i++)
        for (unsigned k = 0; k < config->services[i].site_count; k++)
            if (fnmatch(service, config->services[i].name, FNM_CASEFOLD) == 0 &&
                fnmatch(site, config->services[i].sites[k].site, 0) == 0)
                change_one(c, overrides_member_name(&config->services[i], k, name));
}

static void change_list(struct change *c, const char *pattern, const struct config_address *address, unsigned count)
{
    char text[CONFIG_ADDRESS_TEXT_CAP];
    for (unsigned i = 0; i < count && c->rc == 0; i++)
        if (fnmatch(pattern, config_address_text(&address[i], text), FNM_CASEFOLD) == 0)
            change_one(c, text);
}

static void change_addresses(struct change *c)
{
    const struct config *config = daemon_config(c->daemon);
    struct config_address one;
    char text[CONFIG_ADDRESS_TEXT_CAP];
    const char *pattern = c->request->pattern;
    if (config_parse_address(pattern, &one) == 0)
        pattern = config_address_text(&one, text); // IPv6 has many ways to write one address
    for (unsigned i = 0; i < config->site_count; i++)
        change_list(c, pattern, config->sites[i].addresses, config->sites[i].address_count);
    for (unsigned i = 0; i < config->service_count; i++)
        for (unsigned k = 0; k < config->services[i].site_count; k++) {
            const struct config_member *m = &config->services[i].sites[k];
            if (m->addresses != config->sites[m->site_at].addresses)
                change_list(c, pattern, m->addresses, m->address_count);
        }
}

// Would the site be available to the service, as far as operators have a say in it?
static bool would_serve(const struct change *c, const struct overrides *overrides, unsigned service, unsigned place)
{
    const struct config_member *m = &daemon_config(c->daemon)->services[service].sites[place];
    const bool is_up = verdict_view(steering_engine(c->daemon->steering), m->verdict_at)->state == VERDICT_UP;
    if (overrides_is_emptied(overrides, m))
        return false;
    switch (overrides_member(overrides, service, place)) {
    case OPERATOR_UP:
        return true;
    case OPERATOR_DOWN:
    case OPERATOR_DRAIN:
        return false;
    case OPERATOR_AUTO:
        break;
    }
    return is_up && (c->request->kind != OPERATOR_OF_SITE || c->request->state == OPERATOR_AUTO ||
                     c->request->state == OPERATOR_UP || !is_meant(c->request, m->site));
}

// The first service that would have no site available; null when all would have one, or have none already.
static const struct config_service *left_without(const struct change *c, const struct overrides *overrides)
{
    const struct config *config = daemon_config(c->daemon);
    const struct daemon_operator_request none = {.kind = OPERATOR_OF_SERVICE};
    const struct change before = {.daemon = c->daemon, .request = &none};
    for (unsigned i = 0; i < config->service_count; i++) {
        unsigned now = 0, then = 0;
        for (unsigned k = 0; k < config->services[i].site_count; k++) {
            now += would_serve(&before, steering_overrides(c->daemon->steering), i, k);
            then += would_serve(c, overrides, i, k);
        }
        if (now > 0 && then == 0)
            return &config->services[i];
    }
    return NULL;
}

// The site or service whose name is nearest to the one that there is not, as a question; empty when none is near.
static void suggest(const struct change *c, char text[SUGGESTION_CAP])
{
    const struct config *config = daemon_config(c->daemon);
    const bool is_site = c->request->kind == OPERATOR_OF_SITE;
    const unsigned count = is_site                                   ? config->site_count
                           : c->request->kind == OPERATOR_OF_SERVICE ? config->service_count
                                                                     : 0;
    unsigned best = UINT_MAX;
    const char *nearest = NULL;
    for (unsigned i = 0; i < count; i++) {
        const char *name = is_site ? config->sites[i].name : config->services[i].name;
        if (config_schema_is_nearer(c->request->pattern, name, &best))
            nearest = name;
    }
    text[0] = 0;
    if (nearest)
        snprintf(text, SUGGESTION_CAP, "did you mean \"%.200s\"? ", nearest);
}

static int may_be_done(struct change *c, char why[512])
{
    static const char *const lists[OPERATOR_KIND_COUNT] = {"sites", "services", "sites"};
    const struct daemon_operator_request *request = c->request;
    if (c->rc == -ENOSPC) {
        snprintf(why, 512, "operators may speak of %d things at once; say it of whole sites", OPERATOR_STATES_MAX);
        return c->rc;
    }
    if (c->rc == 0 && c->count == 0) {
        char meant[SUGGESTION_CAP];
        suggest(c, meant);
        snprintf(why, 512, "no %s is called \"%.200s\"; %s`signpostctl %s` lists them",
                 operator_kind_name(request->kind), request->pattern, meant, lists[request->kind]);
        return -ENOENT;
    }
    struct overrides *overrides = c->rc ? NULL : overrides_new(daemon_config(c->daemon), &c->states);
    if (!overrides) {
        snprintf(why, 512, "no memory; nothing was changed");
        return -ENOMEM;
    }
    const struct config_service *alone = left_without(c, overrides);
    overrides_drop(overrides);
    if (!alone || request->is_forced)
        return 0;
    snprintf(why, 512, "service %.255s would have no site left; say --force if that is meant", alone->name);
    return -EPERM;
}

static void tell_all(struct daemon *d, const struct daemon_operator_request *request)
{
    for (unsigned i = 0; request->kind == OPERATOR_OF_SITE && i < daemon_config(d)->site_count; i++) {
        const char *name = daemon_config(d)->sites[i].name;
        if (is_meant(request, name))
            tell(d, i, operator_states_find(&d->operators, OPERATOR_OF_SITE, name));
    }
    if (request->kind != OPERATOR_OF_SITE && steering_operators(d->steering, &d->operators) < 0)
        log_error("operator states: no memory; they are followed after the next change or restart");
}

// What became of each entry: journalled one by one.
static void journal_changes(struct daemon *d, const struct operator_states *before, const struct operator_states *after)
{
    for (unsigned i = 0; i < before->count; i++)
        if (!operator_states_find(after, before->entry[i].kind, before->entry[i].name))
            journal_entry(d, &before->entry[i], OPERATOR_AUTO);
    for (unsigned i = 0; i < after->count; i++) {
        const struct operator_entry *e = &after->entry[i], *was = operator_states_find(before, e->kind, e->name);
        if (!was || was->state != e->state)
            journal_entry(d, e, e->state);
    }
}

int daemon_operator(struct daemon *d, const struct daemon_operator_request *request, char why[512])
{
    static void (*const change[OPERATOR_KIND_COUNT])(struct change *) = {change_sites, change_services,
                                                                         change_addresses};
    struct change c = {.daemon = d, .request = request, .now_s = wall_s()};
    why[0] = 0;
    c.rc = operator_states_copy(&c.states, &d->operators);
    if (c.rc == 0)
        change[request->kind](&c);
    int rc = may_be_done(&c, why);
    if (rc == 0) {
        rc = operator_states_save(&c.states, d->operators_path);
        if (rc)
            snprintf(why, 512, "cannot save %.300s: %s; nothing was changed", d->operators_path, strerror(-rc));
    }
    if (rc) {
        operator_states_fini(&c.states);
        return rc;
    }
    journal_changes(d, &d->operators, &c.states);
    operator_states_fini(&d->operators);
    d->operators = c.states;
    note_change(d, request->kind, request->pattern, "", operator_state_name(request->state), request->reason);
    tell_all(d, request);
    return (int)c.count;
}
