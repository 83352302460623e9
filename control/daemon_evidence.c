// SPDX-License-Identifier: Apache-2.0
#include "control/daemon_evidence.h"

#include <errno.h>

#include "control/probe_setup.h"
#include "health/prober.h"
#include "shared/log.h"

static void on_evidence(void *user, const struct evidence_event *event)
{
    struct daemon *d = user;
    if (!d->is_stopping)
        steering_event(d->steering, event);
}

void daemon_start_probes(struct daemon *d)
{
    char why[256];
    d->prober = probe_setup_start(d->loop, daemon_config(d), on_evidence, d, why);
    if (!d->prober)
        log_error("probes: %s; sites are judged without them", why);
}

static void before_heartbeats(void *user)
{
    struct daemon *d = user;
    if (d->prober)
        prober_notice_stall(d->prober);
}

int daemon_start_heartbeats(struct daemon *d)
{
    char why[256];
    d->heartbeats = heartbeats_start(d->loop, daemon_config(d), d->steering, d->watch, before_heartbeats, d, why);
    if (d->heartbeats)
        return 0;
    log_error("%s", why);
    return -EADDRNOTAVAIL;
}
