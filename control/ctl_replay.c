// SPDX-License-Identifier: Apache-2.0
// signpostctl replay: last night's events under this or another configuration.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ctl_client.h"
#include "control/ctl_local.h"
#include "control/replay.h"

static void print_time(uint64_t wall_us)
{
    char text[32];
    const time_t seconds = (time_t)(wall_us / 1000000u);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    printf("%s.%03uZ", text, (unsigned)(wall_us / 1000u % 1000u));
}

static void print_change(void *user, const struct replay_change *c)
{
    (void)user;
    print_time(c->wall_us);
    printf("  %-8s %-7s %s: ", c->source == REPLAY_NOW ? "now" : "recorded", c->is_order ? "order" : "verdict",
           c->name);
    if (c->source == REPLAY_NOW)
        printf("%s -> ", c->from[0] ? c->from : "nothing");
    printf("%s%s%s\n", c->to, c->why[0] ? ": " : "", c->why);
}

static void collect_change(void *user, const struct replay_change *c)
{
    json_array_append_new(user, json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "source",
                                          c->source == REPLAY_NOW ? "now" : "recorded", "kind",
                                          c->is_order ? "order" : "verdict", "time_us", (json_int_t)c->wall_us, "name",
                                          c->name, "from", c->from, "to", c->to, "why", c->why));
}

static void print_summary(const struct replay_summary *s, json_t *changes)
{
    if (!changes) {
        printf("%llu events; now %llu changes of verdicts and %llu of orders, recorded %llu and %llu\n",
               (unsigned long long)s->events, (unsigned long long)s->verdict_changes,
               (unsigned long long)s->order_changes, (unsigned long long)s->recorded_verdict_changes,
               (unsigned long long)s->recorded_order_changes);
        if (s->unknown)
            printf("%llu lines speak of what the configuration does not have\n", (unsigned long long)s->unknown);
        return;
    }
    json_t *all =
        json_pack("{s:O, s:I, s:I, s:I, s:I, s:I, s:I}", "changes", changes, "events", (json_int_t)s->events, "unknown",
                  (json_int_t)s->unknown, "verdict_changes", (json_int_t)s->verdict_changes, "order_changes",
                  (json_int_t)s->order_changes, "recorded_verdict_changes", (json_int_t)s->recorded_verdict_changes,
                  "recorded_order_changes", (json_int_t)s->recorded_order_changes);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(all);
}

int ctl_replay(int argc, char **argv, const struct options *o)
{
    struct config_errors errors = {0};
    struct config *config = NULL;
    (void)argc;
    const int loaded = config_load_changed(argv[1], o->set, o->set_count, &config, &errors);
    config_errors_print(&errors, stderr);
    config_errors_fini(&errors);
    if (loaded < 0)
        return CTL_USAGE;
    FILE *journal = strcmp(argv[0], "-") == 0 ? stdin : fopen(argv[0], "re");
    if (!journal) {
        fprintf(stderr, "signpostctl: %s: %s\n", argv[0], strerror(errno));
        config_free(config);
        return CTL_REFUSED;
    }
    struct replay_summary summary;
    json_t *changes = o->is_json ? json_array() : NULL;
    const int rc = replay_run(journal, config, changes ? collect_change : print_change, changes, &summary);
    if (rc == 0)
        print_summary(&summary, changes);
    else
        fprintf(stderr, "signpostctl: %s: %s\n", argv[0], rc == -EINVAL ? "this is no journal" : strerror(-rc));
    if (journal != stdin)
        fclose(journal);
    json_decref(changes);
    config_free(config);
    return rc == 0 ? CTL_OK : CTL_REFUSED;
}
