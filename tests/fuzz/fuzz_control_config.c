// SPDX-License-Identifier: Apache-2.0
// Hostile configuration text: it is loaded or refused with a reason, and what was loaded keeps its promises.
#include <stdlib.h>
#include <string.h>

#include "control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// libconfig 1.5 loses the text it was scanning when it meets a syntax error; once per refused file.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static void check(bool is_good)
{
    if (!is_good)
        abort();
}

static void check_site(const struct config_site *s)
{
    check(s->name && *s->name);
    check(s->group_count == s->web_count + s->database_count + s->check_count);
    for (unsigned i = 0; i < s->group_count; i++) {
        const struct config_group *g = &s->groups[i];
        check(g->need >= 1 && g->need <= g->server_count && g->timeout_ns <= g->interval_ns && *g->name);
        for (unsigned k = 0; k < g->server_count; k++)
            check(g->servers[k].address.is_set);
        for (unsigned k = 0; k < g->status_count; k++)
            check(g->statuses[k].first <= g->statuses[k].last && g->statuses[k].last <= 599);
    }
}

static void check_service(const struct config *c, const struct config_service *s)
{
    check(s->name && *s->name && s->zone_at >= 0 && (unsigned)s->zone_at < c->zone_count && s->site_count > 0);
    check(s->ttl_min_s <= s->ttl_s && s->record_count > 0);
    for (unsigned i = 0; i < s->site_count; i++)
        check(s->sites[i].site_at < c->site_count && s->sites[i].address_count > 0 && s->sites[i].target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_errors errors = {0};
    struct config *c = NULL;
    const int rc = config_load_text("/f/f.conf", (const char *)data, size, CONFIG_LOAD_NO_FILES, &c, &errors);
    check((rc == 0) == (c != NULL) && (rc == 0) == (errors.error_count == 0));
    if (c) {
        check(c->node.name && c->node.site_at < (int)c->site_count &&
              c->heartbeat.period_ns >= 2 * c->heartbeat.interval_ns);
        for (unsigned i = 0; i < c->site_count; i++)
            check_site(&c->sites[i]);
        for (unsigned i = 0; i < c->service_count; i++)
            check_service(c, &c->services[i]);
    }
    for (unsigned i = 0; i < errors.count; i++) {
        char line[2048];
        check(errors.entry[i].text && *config_error_format(&errors.entry[i], line, sizeof(line)));
    }
    config_free(c);
    config_errors_fini(&errors);
    return 0;
}
