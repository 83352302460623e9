// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/command.h"

enum command_exit command_init(struct command_call *c)
{
    struct problem problem;
    struct door_identity own;
    const struct door_ops *ops = c->door->ops;
    bool was_there = ops->identity(c->door, &own, &problem) == 0;
    if (c->is_dry)
        return command_done(c, json_pack("{s:b}", "would_init", !was_there), "%s",
                            was_there ? "nothing to do: the database is prepared"
                                      : "would create the synchroniser's own tables");
    if (ops->init(c->door, c->config->site, c->config->name, &problem) < 0)
        return command_fail("%s", problem.text);
    for (unsigned i = 0; i < c->config->peer_count; i++)
        if (ops->peer_add(c->door, c->config->peer[i].site, c->config->peer[i].name, &problem) < 0)
            return command_fail("%s", problem.text);
    command_nudge(c);
    return command_done(c,
                        json_pack("{s:i, s:s, s:b, s:i}", "site", c->config->site, "name", c->config->name, "created",
                                  !was_there, "peers", (int)c->config->peer_count),
                        "site %u (%s) is %s, with %u peer%s; next: signpost-dbsync add", c->config->site,
                        c->config->name, was_there ? "prepared already" : "prepared", c->config->peer_count,
                        c->config->peer_count == 1 ? "" : "s");
}

// ---- tables ----

// The options of a table: of the configuration, else the defaults; overruled by the command line. False when the
// command line is wrong.
static bool options_of(const struct command_call *c, const char *table, struct door_table_options *o)
{
    *o = (struct door_table_options){0};
    for (unsigned i = 0; i < c->config->table_count; i++)
        if (strcmp(c->config->table[i].name, table) == 0)
            *o = c->config->table[i].options;
    if (c->granularity && strcmp(c->granularity, "column") != 0 && strcmp(c->granularity, "row") != 0)
        return fputs("signpost-dbsync: --granularity: allowed: column, row\n", stderr), false;
    if (c->granularity)
        o->granularity = c->granularity[0] == 'r' ? GRANULARITY_ROW : GRANULARITY_COLUMN;
    if (!c->unique)
        return true;
    if (strcmp(c->unique, "park") == 0)
        o->unique = UNIQUE_PARK;
    else if (strcmp(c->unique, "null") == 0)
        o->unique = UNIQUE_NULL;
    else if (strcmp(c->unique, "suffix") == 0)
        o->unique = UNIQUE_SUFFIX;
    else
        return fputs("signpost-dbsync: --unique: allowed: park, null, suffix\n", stderr), false;
    return true;
}

static enum command_exit add_one(struct command_call *c, const char *table, json_t *added)
{
    struct problem problem;
    struct door_table_options options;
    if (!options_of(c, table, &options))
        return COMMAND_USAGE;
    if (c->is_dry) {
        char *sql = NULL;
        if (!c->door->ops->table_sql || c->door->ops->table_sql(c->door, table, &options, &sql, &problem) < 0)
            return command_fail("%s: %s", table, c->door->ops->table_sql ? problem.text : "not supported here");
        if (c->is_json)
            json_array_append_new(added, json_pack("{s:s, s:s}", "table", table, "sql", sql));
        else
            printf("-- %s\n%s\n", table, sql);
        free(sql);
        return COMMAND_OK;
    }
    if (c->door->ops->add_table(c->door, table, &options, &problem) < 0)
        return command_fail("%s: %s", table, problem.text);
    json_array_append_new(added, json_string(table));
    if (!c->is_json)
        printf("%s is captured\n", table);
    return COMMAND_OK;
}

enum command_exit command_add(struct command_call *c)
{
    json_t *added = json_array();
    enum command_exit status = COMMAND_OK, one;
    unsigned count = c->argc ? (unsigned)c->argc : c->config->table_count;
    if (count == 0) {
        json_decref(added);
        fputs("signpost-dbsync: wanted: add TABLE..., or `tables` in the configuration\n", stderr);
        return COMMAND_USAGE;
    }
    for (unsigned i = 0; i < count; i++) { // one bad table does not keep the others out
        one = add_one(c, c->argc ? c->argv[i] : c->config->table[i].name, added);
        status = one > status ? one : status;
    }
    if (c->is_json) {
        json_dumpf(added, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(added);
    if (!c->is_dry)
        command_nudge(c);
    return status;
}

enum command_exit command_remove(struct command_call *c)
{
    struct problem problem;
    if (c->is_dry)
        return command_done(c, json_pack("{s:s}", "would_remove", c->argv[0]),
                            "would drop the triggers and the change table of %s", c->argv[0]);
    if (c->door->ops->remove_table(c->door, c->argv[0], c->is_forced, &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    return command_done(c, json_pack("{s:s}", "removed", c->argv[0]), "%s is no longer captured", c->argv[0]);
}

// ---- doctor ----

struct findings {
    const struct command_call *call;
    unsigned errors, warnings;
};

static void show_finding(struct findings *f, const char *level, const char *table, const char *finding,
                         const char *remedy)
{
    f->errors += strcmp(level, "error") == 0;
    f->warnings += strcmp(level, "warning") == 0;
    if (!f->call->is_json) {
        printf("%-8s %s%s%s\n", level, table, *table ? ": " : "", finding);
        if (*remedy)
            printf("         %s\n", remedy);
        return;
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "level", level, "table", table, "finding", finding, "remedy", remedy);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static int on_finding(void *context, const char *json)
{
    json_error_t where;
    json_t *o = json_loads(json, 0, &where);
    if (o)
        show_finding(context, text_of(o, "level"), text_of(o, "table"), text_of(o, "finding"), text_of(o, "remedy"));
    json_decref(o);
    return 0;
}

// Tables of the configuration that are not captured.
static void check_tables(struct findings *f)
{
    const struct schema *schema;
    struct problem problem;
    int result = f->call->door->ops->schema(f->call->door, &schema, &problem);
    if (result < 0) {
        show_finding(f, "error", "", problem.text, "run `add` for the table again");
        return;
    }
    for (unsigned i = 0; i < f->call->config->table_count; i++)
        if (schema_find(schema, f->call->config->table[i].name) < 0)
            show_finding(f, "warning", f->call->config->table[i].name, "is in the configuration but not captured",
                         "signpost-dbsync add");
    if (schema->table_count == 0)
        show_finding(f, "warning", "", "no table is captured", "signpost-dbsync add TABLE...");
}

enum command_exit command_doctor(struct command_call *c)
{
    struct findings f = {.call = c};
    struct problem problem;
    check_tables(&f);
    if (c->door->ops->doctor && c->door->ops->doctor(c->door, on_finding, &f, &problem) < 0)
        return command_fail("%s", problem.text);
    if (!c->is_json)
        printf("%u errors, %u warnings\n", f.errors, f.warnings);
    return f.errors ? COMMAND_NOT_YET : COMMAND_OK;
}

// ---- bootstrap ----

static bool mode_of(const char *text, enum merge_base_mode *mode)
{
    static const char *const name[] = {"keep", "source"};
    for (unsigned i = 0; i < 2; i++) {
        if (strcmp(text, name[i]) == 0) {
            *mode = (enum merge_base_mode)i;
            return true;
        }
    }
    return false;
}

static bool is_done(struct command_call *c, const struct config_peer *peer, char progress[160])
{
    struct door_peer list[WINDOW_SITE_MAX];
    struct problem problem;
    unsigned count = 0;
    if (c->door->ops->peers(c->door, list, WINDOW_SITE_MAX, &count, &problem) < 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (list[i].site != peer->site)
            continue;
        snprintf(progress, 160, "%.100s: %llu rows sent", list[i].boot_table, (unsigned long long)list[i].boot_rows);
        return !list[i].is_bootstrapping && list[i].acked >= list[i].cut;
    }
    return false;
}

static enum command_exit push(struct command_call *c, const struct config_peer *peer)
{
    struct problem problem;
    char progress[160] = "";
    uint64_t started = command_now_us();
    if (!c->door->ops->bootstrap)
        return command_fail("bootstrap is not supported by this engine yet");
    if (c->door->ops->bootstrap(c->door, peer->site, c->table, &problem) < 0 ||
        c->door->ops->peer_set_state(c->door, peer->site, PEER_RUNNING, "", &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    while (c->waits && !is_done(c, peer, progress))
        if (!command_pause_for(c, started, progress))
            return command_fail("not done within the time; it goes on"), COMMAND_NOT_YET;
    command_pause_for(c, started, NULL);
    return command_done(c, json_pack("{s:s, s:b}", "peer", peer->name, "done", c->waits), "%s %s to %s",
                        c->table ? c->table : "all tables", c->waits ? "are sent" : "will be sent", peer->name);
}

enum command_exit command_bootstrap(struct command_call *c)
{
    const struct config_peer *peer = command_peer(c, c->argv[0]);
    enum merge_base_mode mode = (enum merge_base_mode)0;
    enum command_exit status;
    struct problem problem;
    if (!peer)
        return COMMAND_USAGE;
    if (!c->pulls)
        return push(c, peer);
    if (c->mode && !mode_of(c->mode, &mode)) {
        fputs("signpost-dbsync: --mode: allowed: keep, source\n", stderr);
        return COMMAND_USAGE;
    }
    if (!c->door->ops->set_base_mode)
        return command_fail("bootstrap is not supported by this engine yet");
    if (c->door->ops->set_base_mode(c->door, peer->site, mode, &problem) < 0 ||
        c->door->ops->peer_set_state(c->door, peer->site, PEER_RUNNING, "", &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    json_t *answer = command_ask(c, "pull", peer->name, c->table, false, &status);
    json_decref(answer);
    if (status != COMMAND_OK)
        return status;
    return command_done(c, json_pack("{s:s}", "asked", peer->name), "%s was asked for %s; `status` shows how far it is",
                        peer->name, c->table ? c->table : "all tables");
}

// The peer's database is a new one (restored, cloned), and that is meant: it is met as if for the first time.
static enum command_exit accept_peer(struct command_call *c)
{
    const struct config_peer *peer = command_peer(c, c->argv[0]);
    struct problem problem;
    if (!peer)
        return COMMAND_USAGE;
    if (!c->is_forced)
        return command_fail(
            "resync %s takes its database for a new one: what it has applied of ours is forgotten, and it "
            "must be bootstrapped; say --force",
            peer->name);
    if (c->door->ops->peer_remove(c->door, peer->site, &problem) < 0 ||
        c->door->ops->peer_add(c->door, peer->site, peer->name, &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    return command_done(c, json_pack("{s:s}", "accepted", peer->name), "%s is met anew; next: bootstrap %s", peer->name,
                        peer->name);
}

enum command_exit command_resync(struct command_call *c)
{
    struct problem problem;
    if (c->argc)
        return accept_peer(c);
    if (!c->is_forced)
        return command_fail(
            "resync makes this database a new one for its peers (after a restore, or for a copy); all of "
            "them must accept it; say --force");
    if (c->door->ops->renew(c->door, &problem) < 0)
        return command_fail("%s", problem.text);
    return command_done(
        c, json_pack("{s:b}", "renewed", 1),
        "this database has a new identity; restart the daemon, then say `resync %s --force` on each peer "
        "and bootstrap",
        c->config->name);
}
