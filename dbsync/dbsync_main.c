// SPDX-License-Identifier: Apache-2.0
// signpost-dbsync: the daemon and its commands.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/command.h"
#include "dbsync/daemon.h"

#define CONFIG_DEFAULT "/etc/signpost/signpost.conf"

enum needs { NEEDS_NOTHING, NEEDS_CONFIG, NEEDS_DOOR };

struct command {
    const char *name, *arguments, *help;
    int least, most; // arguments
    enum needs needs;
    enum command_exit (*run)(struct command_call *call);
};

static enum command_exit run_daemon(struct command_call *c)
{
    struct problem problem = {"stopped"};
    return daemon_run(c->config, &problem) < 0 ? command_fail("%s", problem.text) : COMMAND_OK;
}

static enum command_exit check(struct command_call *c)
{
    return command_done(
        c, json_pack("{s:i, s:i}", "peers", (int)c->config->peer_count, "tables", (int)c->config->table_count),
        "site %u (%s), %u peers, %u tables: no error", c->config->site, c->config->name, c->config->peer_count,
        c->config->table_count);
}

static enum command_exit manual(struct command_call *c)
{
    (void)c;
    config_manual(stdout);
    return COMMAND_OK;
}

static const struct command commands[] = {
    {"init", "[--dry-run]", "prepares the database: our own tables, this site, its peers", 0, 0, NEEDS_DOOR,
     command_init},
    {"add", "[TABLE]... [--granularity column|row] [--unique park|null|suffix] [--dry-run]",
     "captures tables (those of the configuration when none is named); again after ALTER TABLE", 0, 4096, NEEDS_DOOR,
     command_add},
    {"remove", "TABLE [--force] [--dry-run]", "captures a table no longer", 1, 1, NEEDS_DOOR, command_remove},
    {"doctor", "", "what an operator should know: sequences, triggers, rights, missing tables", 0, 0, NEEDS_DOOR,
     command_doctor},
    {"bootstrap", "PEER [--pull] [--mode keep|source] [--table TABLE] [--wait]",
     "sends all rows to a peer, or with --pull asks it for all of its rows", 1, 1, NEEDS_DOOR, command_bootstrap},
    {"run", "", "the daemon, in the foreground; TERM stops it, HUP reads the certificates again", 0, 0, NEEDS_CONFIG,
     run_daemon},
    {"status", "", "the daemon and its peers at a glance", 0, 0, NEEDS_CONFIG, command_status},
    {"conflicts", "[--limit N]", "what lost against a later write, with both images", 0, 0, NEEDS_DOOR,
     command_conflicts},
    {"parked", "[--limit N]", "rows kept aside, with the reason", 0, 0, NEEDS_DOOR, command_parked},
    {"retry", "[ID]", "tries a parked row again, or all", 0, 1, NEEDS_DOOR, command_retry},
    {"resolve", "ID keep|take-loser|discard", "decides a conflict, or a parked row (parked:ID), by hand", 2, 2,
     NEEDS_DOOR, command_resolve},
    {"pause", "[PEER]", "stops sending and applying; changes collect", 0, 1, NEEDS_DOOR, command_pause},
    {"resume", "[PEER]", "goes on", 0, 1, NEEDS_DOOR, command_resume},
    {"verify", "PEER", "lets the peer compare its rows with ours", 1, 1, NEEDS_DOOR, command_verify},
    {"compact", "", "folds changes that wait for an absent peer", 0, 0, NEEDS_DOOR, command_compact},
    {"gc", "", "drops what is stable now; the daemon does it by itself", 0, 0, NEEDS_DOOR, command_gc},
    {"wait", "[PEER] [--timeout 30s]", "until what is committed here now is applied there", 0, 1, NEEDS_DOOR,
     command_wait},
    {"resync", "[PEER] --force", "after a restore: a new identity for this database; with PEER: accepts the peer's", 0,
     1, NEEDS_DOOR, command_resync},
    {"metrics", "", "all metrics in the Prometheus text format", 0, 0, NEEDS_CONFIG, command_metrics},
    {"check", "", "checks the configuration", 0, 0, NEEDS_CONFIG, check},
    {"manual", "", "the manual of the configuration, Markdown", 0, 0, NEEDS_NOTHING, manual},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fputs("Usage: signpost-dbsync [--config FILE] [--json] COMMAND [ARGUMENTS]\n\n"
          "Keeps this site's database and the peers' in step.\n\nCommands:\n",
          out);
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %s%s%s\n        %s\n", commands[i].name, *commands[i].arguments ? " " : "",
                commands[i].arguments, commands[i].help);
    fputs("\nOptions:\n"
          "  -c, --config FILE   configuration (default: SIGNPOST_CONFIG, else " CONFIG_DEFAULT ")\n"
          "  --json              results as JSON, lists as one object a line\n"
          "  -h, --help          this text\n"
          "  -V, --version       the version\n\n"
          "Exit status: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 the daemon cannot be reached,\n"
          "4 not reached within --timeout, or errors found by doctor.\n",
          out);
}

enum {
    OPT_JSON = 256,
    OPT_DRY,
    OPT_FORCE,
    OPT_WAIT,
    OPT_PULL,
    OPT_TABLE,
    OPT_MODE,
    OPT_GRANULARITY,
    OPT_UNIQUE,
    OPT_LIMIT,
    OPT_TIMEOUT
};

static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"dry-run", no_argument, NULL, OPT_DRY},
                                        {"force", no_argument, NULL, OPT_FORCE},
                                        {"wait", no_argument, NULL, OPT_WAIT},
                                        {"pull", no_argument, NULL, OPT_PULL},
                                        {"table", required_argument, NULL, OPT_TABLE},
                                        {"mode", required_argument, NULL, OPT_MODE},
                                        {"granularity", required_argument, NULL, OPT_GRANULARITY},
                                        {"unique", required_argument, NULL, OPT_UNIQUE},
                                        {"limit", required_argument, NULL, OPT_LIMIT},
                                        {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {NULL, 0, NULL, 0}};

static bool take_limit(struct command_call *c, const char *text)
{
    char *end;
    errno = 0;
    c->limit = strtoull(text, &end, 10);
    if (errno == 0 && *text && !*end && c->limit > 0 && c->limit <= 1000000)
        return true;
    fprintf(stderr, "signpost-dbsync: --limit: \"%s\": allowed: 1 to 1000000\n", text);
    return false;
}

static bool take_timeout(struct command_call *c, const char *text)
{
    if (config_duration(text, &c->timeout_us) == 0 && c->timeout_us > 0)
        return true;
    fprintf(stderr, "signpost-dbsync: --timeout: \"%s\": allowed: a duration such as 500ms, 30s, 5m\n", text);
    return false;
}

// 0: go on; 1: done; -1: wrong.
static int take_option(struct command_call *c, int option, const char **path)
{
    switch (option) {
    case 'c':
        *path = optarg;
        return 0;
    case OPT_JSON:
        c->is_json = true;
        return 0;
    case OPT_DRY:
        c->is_dry = true;
        return 0;
    case OPT_FORCE:
        c->is_forced = true;
        return 0;
    case OPT_WAIT:
        c->waits = true;
        return 0;
    case OPT_PULL:
        c->pulls = true;
        return 0;
    case OPT_TABLE:
        c->table = optarg;
        return 0;
    case OPT_MODE:
        c->mode = optarg;
        return 0;
    case OPT_GRANULARITY:
        c->granularity = optarg;
        return 0;
    case OPT_UNIQUE:
        c->unique = optarg;
        return 0;
    case OPT_LIMIT:
        return take_limit(c, optarg) ? 0 : -1;
    case OPT_TIMEOUT:
        return take_timeout(c, optarg) ? 0 : -1;
    case 'h':
        print_help(stdout);
        return 1;
    case 'V':
        puts("signpost-dbsync " SIGNPOST_VERSION);
        return 1;
    default:
        fputs("signpost-dbsync --help lists the options\n", stderr);
        return -1;
    }
}

static const struct command *find_command(const char *name)
{
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    fprintf(stderr, "signpost-dbsync: there is no command \"%s\"; --help lists them\n", name);
    return NULL;
}

static enum command_exit run_command(const struct command *command, struct command_call *c, const char *path)
{
    struct config *config = NULL;
    struct problem problem;
    if (c->argc < command->least || c->argc > command->most) {
        fprintf(stderr, "signpost-dbsync: wanted: signpost-dbsync %s %s\n", command->name, command->arguments);
        return COMMAND_USAGE;
    }
    if (command->needs == NEEDS_NOTHING)
        return command->run(c);
    int errors = config_load(path, &config, stderr);
    if (errors) {
        fprintf(stderr, "signpost-dbsync: %s: %d error%s\n", path, errors, errors == 1 ? "" : "s");
        return COMMAND_USAGE;
    }
    c->config = config;
    enum command_exit status;
    if (command->needs == NEEDS_DOOR && door_open(config->database, &c->door, &problem) < 0)
        status = command_fail("%s", problem.text);
    else
        status = command->run(c);
    if (c->door)
        c->door->ops->close(c->door);
    config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    struct command_call c = {0};
    const char *from_environment = getenv("SIGNPOST_CONFIG");
    const char *path = from_environment ? from_environment : CONFIG_DEFAULT;
    for (int option; (option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
        int taken = take_option(&c, option, &path);
        if (taken)
            return taken > 0 ? COMMAND_OK : COMMAND_USAGE;
    }
    if (optind >= argc) {
        print_help(stderr);
        return COMMAND_USAGE;
    }
    const struct command *command = find_command(argv[optind]);
    if (!command)
        return COMMAND_USAGE;
    c.argc = argc - optind - 1;
    c.argv = argv + optind + 1;
    return run_command(command, &c, path);
}
