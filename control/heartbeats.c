// SPDX-License-Identifier: Apache-2.0
#include "control/heartbeats.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/file_replace.h"
#include "shared/clock.h"
#include "shared/log.h"

struct heartbeats {
    struct heartbeat_link *link; // null: nothing to send or hear
    struct steering *steering;
    struct worker_watch *watch;
    void (*before)(void *user);
    void *user;
    uv_poll_t *poll;
    int64_t lag_ms, lag_told_ms; // as heard; as our own site's verdict has it
    uint64_t lag_at_ns;          // when it was told
    struct heartbeats_peer peer[HEARTBEAT_PEER_MAX];
    unsigned peer_count;
};

static bool may_send(void *user) // on the link's thread
{
    return worker_watch_is_alive(user, clock_ns(CLOCK_MONOTONIC));
}

static int find_site(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->site_count; i++)
        if (strcmp(config->sites[i].name, name) == 0)
            return (int)i;
    return CONFIG_NONE;
}

// What a node says about the sites, as evidence.
static void pass_words(struct heartbeats *h, unsigned voice, const struct heartbeat_received *received)
{
    const struct config *config = steering_config(h->steering);
    for (unsigned i = 0; config->heartbeat.share_verdicts && i < received->message.site_count; i++) {
        const struct heartbeat_site *said = &received->message.site[i];
        const int site = find_site(config, said->name);
        if (site == CONFIG_NONE || said->state > VERDICT_DRAIN)
            continue;
        const struct evidence_event word =
            heartbeat_word_event(received->event.at_ns, (unsigned)site, voice, (enum verdict_state)said->state);
        steering_event(h->steering, &word);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct heartbeats *h = poll->data;
    struct heartbeat_received received;
    (void)events;
    h->before(h->user);
    for (unsigned i = 0; status == 0 && i < HEARTBEAT_QUEUE_CAP && heartbeat_link_next(h->link, &received); i++) {
        struct heartbeats_peer *p = &h->peer[received.sender];
        p->heard_ns = received.event.at_ns;
        p->messages++;
        p->last = received.message;
        pass_words(h, received.sender, &received);
        if (received.event.site != HEARTBEAT_NO_SITE)
            steering_event(h->steering, &received.event);
    }
}

static void add_peer(struct heartbeats *h, struct heartbeat_link_config *link, const struct config *config,
                     const struct config_peer *from, int site_at, unsigned node_at)
{
    if (h->peer_count == HEARTBEAT_PEER_MAX || strcmp(from->name, config->node.name) == 0)
        return;
    struct heartbeat_peer *p = &link->peer[link->peer_count++];
    snprintf(p->name, sizeof p->name, "%s", from->name);
    p->address_len = config_socket_address(&from->address.address, from->address.port, &p->address);
    p->site = site_at == CONFIG_NONE ? HEARTBEAT_NO_SITE : (uint16_t)site_at;
    p->node = (uint16_t)node_at;
    struct heartbeats_peer *shown = &h->peer[h->peer_count++];
    snprintf(shown->name, sizeof shown->name, "%s", from->name);
    shown->site_at = site_at;
    shown->node_at = node_at;
}

// Greater than any before, also when the wall clock went back: peers refuse an older one as a replay.
static uint64_t next_incarnation(const struct config *config)
{
    char path[PATH_MAX];
    unsigned long long last = 0;
    struct file_replace replace;
    uint64_t incarnation = clock_wall_us();
    snprintf(path, sizeof path, "%s/incarnation", config->control.state_dir);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%llu", &last) == 1 && last >= incarnation)
        incarnation = last + 1;
    if (file)
        fclose(file);
    int rc = file_replace_open(&replace, path);
    if (rc == 0) {
        fprintf(replace.file, "%llu\n", (unsigned long long)incarnation);
        rc = file_replace_commit(&replace);
    }
    if (rc)
        log_warning("heartbeats: cannot save %s: %s; after a clock that goes back peers may not hear this node", path,
                    strerror(-rc));
    return incarnation;
}

static void set_link(struct heartbeats *h, struct heartbeat_link_config *link, const struct config *config)
{
    const struct config_heartbeat *from = &config->heartbeat;
    snprintf(link->node, sizeof link->node, "%s", config->node.name);
    link->listen_len = config_socket_address(&from->listen.address, from->listen.port, &link->listen);
    memcpy(link->key, from->key, sizeof link->key);
    link->key_count = from->key_count;
    link->incarnation = next_incarnation(config);
    link->interval_ns = from->interval_ns;
    link->clock_tolerance_ns = from->clock_tolerance_ns;
    link->may_send = may_send;
    link->user = h->watch;
    for (unsigned s = 0; s < config->site_count; s++)
        for (unsigned i = 0; i < config->sites[s].node_count; i++)
            add_peer(h, link, config, &config->sites[s].nodes[i], (int)s, i);
    for (unsigned i = 0; i < from->witness_count; i++)
        add_peer(h, link, config, &from->witnesses[i], CONFIG_NONE, i);
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static int start_link(struct heartbeats *h, uv_loop_t *loop, const struct config *config, char why[256])
{
    struct heartbeat_link_config *link = calloc(1, sizeof *link);
    char text[CONFIG_ENDPOINT_TEXT_CAP];
    if (!link)
        return -ENOMEM;
    set_link(h, link, config);
    int rc = 0;
    if (link->peer_count && link->key_count) {
        h->link = heartbeat_link_start(link);
        rc = h->link ? 0 : -errno;
        if (rc)
            snprintf(why, 256, "heartbeats: cannot listen on %s: %s",
                     config_endpoint_text(&config->heartbeat.listen, text), strerror(-rc));
    }
    free(link);
    if (!h->link)
        return rc;
    h->poll = calloc(1, sizeof *h->poll);
    if (!h->poll || uv_poll_init(loop, h->poll, heartbeat_link_fd(h->link)) < 0)
        return -ENOMEM;
    h->poll->data = h;
    return uv_poll_start(h->poll, UV_READABLE, on_readable);
}

struct heartbeats *heartbeats_start(uv_loop_t *loop, const struct config *config, struct steering *steering,
                                    struct worker_watch *watch, void (*before)(void *user), void *user, char why[256])
{
    struct heartbeats *h = calloc(1, sizeof *h);
    snprintf(why, 256, "heartbeats: no memory");
    if (!h)
        return NULL;
    h->steering = steering;
    h->watch = watch;
    h->before = before;
    h->user = user;
    h->lag_ms = h->lag_told_ms = -1;
    if (start_link(h, loop, config, why) == 0) {
        heartbeats_update(h);
        return h;
    }
    heartbeats_close(h);
    return NULL;
}

void heartbeats_close(struct heartbeats *h)
{
    if (!h)
        return;
    if (h->poll && h->poll->data) {
        uv_poll_stop(h->poll);
        uv_close((uv_handle_t *)h->poll, poll_closed);
    } else {
        free(h->poll);
    }
    heartbeat_link_stop(h->link);
    free(h);
}

static bool peers_differ(const struct config_peer *a, unsigned a_count, const struct config_peer *b, unsigned b_count)
{
    if (a_count != b_count)
        return true;
    for (unsigned i = 0; i < a_count; i++)
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].address.port != b[i].address.port ||
            !config_address_equal(&a[i].address.address, &b[i].address.address))
            return true;
    return false;
}

bool heartbeats_differ(const struct config *a, const struct config *b)
{
    const struct config_heartbeat *x = &a->heartbeat, *y = &b->heartbeat;
    bool differ = strcmp(a->node.name, b->node.name) != 0 || a->site_count != b->site_count ||
                  x->key_count != y->key_count || memcmp(x->key, y->key, sizeof x->key) != 0 ||
                  x->interval_ns != y->interval_ns || x->clock_tolerance_ns != y->clock_tolerance_ns ||
                  x->listen.port != y->listen.port || !config_address_equal(&x->listen.address, &y->listen.address) ||
                  peers_differ(x->witnesses, x->witness_count, y->witnesses, y->witness_count);
    for (unsigned i = 0; !differ && i < a->site_count; i++)
        differ = strcmp(a->sites[i].name, b->sites[i].name) != 0 ||
                 peers_differ(a->sites[i].nodes, a->sites[i].node_count, b->sites[i].nodes, b->sites[i].node_count);
    return differ;
}

// Our own site's verdict has its figure like the others', so that every node puts the sites in the same order.
static void tell_own_lag(struct heartbeats *h)
{
    const int own = steering_config(h->steering)->node.site_at;
    if (own == CONFIG_NONE || h->lag_ms == h->lag_told_ms)
        return;
    const struct evidence_event event = {.at_ns = uv_hrtime(),
                                         .kind = EVIDENCE_FIGURES,
                                         .site = (uint16_t)own,
                                         .load_permille = -1,
                                         .lag_ms = h->lag_ms};
    h->lag_told_ms = h->lag_ms;
    steering_event(h->steering, &event);
}

void heartbeats_update(struct heartbeats *h)
{
    if (!h || !h->link)
        return;
    const struct config *config = steering_config(h->steering);
    // Who told the figure may be gone: an old one is not known.
    if (h->lag_at_ns && uv_hrtime() - h->lag_at_ns >= HEARTBEATS_LAG_MAX_AGE_NS) {
        h->lag_ms = -1;
        tell_own_lag(h);
    }
    struct heartbeat_message m = {.load_permille = -1, .lag_ms = h->lag_ms};
    if (config->node.site_at != CONFIG_NONE) {
        const struct verdict_site *own = steering_site(h->steering, (unsigned)config->node.site_at);
        m.load_permille = own->load_permille;
        m.response_us = (uint32_t)(own->response_ns / 1000);
    }
    for (unsigned i = 0; config->heartbeat.share_verdicts && i < config->site_count && i < HEARTBEAT_SITE_MAX; i++) {
        snprintf(m.site[i].name, sizeof m.site[i].name, "%s", config->sites[i].name);
        m.site[i].state = (uint8_t)heartbeat_word(steering_site(h->steering, i), config->node.site_at == (int)i);
        m.site_count++;
    }
    heartbeat_link_set_message(h->link, &m);
}

void heartbeats_set_lag(struct heartbeats *h, int64_t lag_ms)
{
    if (!h)
        return;
    h->lag_ms = lag_ms;
    h->lag_at_ns = uv_hrtime();
    tell_own_lag(h);
}

unsigned heartbeats_peer_count(const struct heartbeats *h)
{
    return h->peer_count;
}

const struct heartbeats_peer *heartbeats_peer(const struct heartbeats *h, unsigned number)
{
    return &h->peer[number];
}

void heartbeats_stats(struct heartbeats *h, struct heartbeat_link_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (h->link)
        heartbeat_link_stats(h->link, stats);
}
