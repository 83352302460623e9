// SPDX-License-Identifier: Apache-2.0
// signpostctl: the command line. Parses arguments, asks the daemon, prints.
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_schema.h"
#include "control/config_units.h"
#include "control/ctl_client.h"
#include "control/ctl_local.h"
#include "control/ctl_text.h"

#define SOCKET_DEFAULT    "/run/signpost/control.sock"
#define DATAPLANE_DEFAULT "/run/signpost/dataplane.sock"

struct command {
    const char *name, *arguments, *help;
    int least, most;                                                                     // arguments
    int (*local)(int argc, char **argv, const struct options *options);                  // needs no daemon
    bool (*fill)(json_t *request, int argc, char **argv, const struct options *options); // null: no arguments to send
    void (*print)(const json_t *result);
};

// ---- requests ----

static bool fill_services(json_t *request, int argc, char **argv, const struct options *o)
{
    if (argc)
        json_object_set_new(request, "pattern", json_string(argv[0]));
    if (o->max)
        json_object_set_new(request, "max", json_integer(o->max));
    return true;
}

static bool fill_history(json_t *request, int argc, char **argv, const struct options *o)
{
    (void)argc, (void)argv;
    if (o->max)
        json_object_set_new(request, "max", json_integer(o->max));
    return true;
}

static bool fill_explain(json_t *request, int argc, char **argv, const struct options *o)
{
    (void)argc;
    json_object_set_new(request, "name", json_string(argv[0]));
    if (o->client)
        json_object_set_new(request, "client", json_string(o->client));
    return true;
}

static bool fill_simulate(json_t *request, int argc, char **argv, const struct options *o)
{
    (void)argc, (void)argv;
    json_object_set(request, "down", o->down);
    json_object_set(request, "up", o->up);
    return true;
}

static bool fill_operator(json_t *request, const char *kind, char **argv, const struct options *o)
{
    uint64_t duration_ns = 0;
    json_object_set_new(request, "command", json_string("operator"));
    json_object_set_new(request, "kind", json_string(kind));
    json_object_set_new(request, "name", json_string(argv[0]));
    json_object_set_new(request, "state", json_string(argv[1]));
    json_object_set_new(request, "force", json_boolean(o->is_forced));
    if (o->reason)
        json_object_set_new(request, "reason", json_string(o->reason));
    if (o->duration &&
        (config_parse_duration(o->duration, &duration_ns) < 0 || duration_ns == 0)) { // 0 is no "for ever"
        fprintf(stderr, "signpostctl: --for: \"%s\" is no duration; write for instance 90s, 30m, 2h, 1d\n",
                o->duration);
        return false;
    }
    if (o->duration)
        json_object_set_new(request, "for", json_integer((json_int_t)((duration_ns + 999999999u) / 1000000000u)));
    return true;
}

static bool fill_site(json_t *request, int argc, char **argv, const struct options *o)
{
    (void)argc;
    return fill_operator(request, "site", argv, o);
}

static bool fill_service(json_t *request, int argc, char **argv, const struct options *o)
{
    (void)argc;
    return fill_operator(request, "service", argv, o);
}

static bool fill_address(json_t *request, int argc, char **argv, const struct options *o)
{
    (void)argc;
    return fill_operator(request, "address", argv, o);
}

static const struct command commands[] = {
    {"status", "", "the whole node at a glance, alarms first", 0, 0, NULL, NULL, ctl_text_status},
    {"sites", "", "each site's verdict and the evidence for it", 0, 0, NULL, NULL, ctl_text_sites},
    {"services", "[PATTERN] [--max N]", "each service's present order", 0, 1, NULL, fill_services, ctl_text_services},
    {"explain", "NAME [--client ADDRESS]", "why a name is answered as it is, stage by stage", 1, 1, NULL, fill_explain,
     ctl_text_explain},
    {"simulate", "[--down SITE]... [--up SITE]...", "what would be answered then", 0, 0, NULL, fill_simulate,
     ctl_text_simulate},
    {"site", "NAME up|down|drain|auto [--reason TEXT] [--for 2h] [--force]",
     "says what a site is, whatever the evidence; NAME may be a glob", 2, 2, NULL, fill_site, ctl_text_operator},
    {"service", "NAME[/SITE] up|down|drain|auto [--reason TEXT] [--for 2h] [--force]",
     "the same for a site (without /SITE: all of them) within one service; NAME and SITE may be globs", 2, 2, NULL,
     fill_service, ctl_text_operator},
    {"address", "ADDRESS down|drain|auto [--reason TEXT] [--for 2h] [--force]",
     "withdraws an address from all answers; ADDRESS may be a glob", 2, 2, NULL, fill_address, ctl_text_operator},
    {"reload", "", "reads configuration and zones again: all or nothing", 0, 0, NULL, NULL, ctl_text_reload},
    {"problems", "", "errors and warnings of the last load", 0, 0, NULL, NULL, ctl_text_problems},
    {"stats", "", "counters of the control process, heartbeats and workers", 0, 0, NULL, NULL, ctl_text_stats},
    {"history", "[--max N]", "the latest changes with their causes", 0, 0, NULL, fill_history, ctl_text_history},
    {"watch", "", "prints changes as they happen, until interrupted", 0, 0, NULL, NULL, NULL},
    {"metrics", "", "all metrics in the Prometheus text format", 0, 0, NULL, NULL, ctl_text_metrics},
    {"check", "FILE", "checks a configuration file and its zones; needs no daemon", 1, 1, ctl_check, NULL, NULL},
    {"dataplane-args", "FILE", "the arguments of signpost-dataplane for this file; needs no daemon", 1, 1,
     ctl_dataplane_args, NULL, NULL},
    {"capture", "FILE [--for 60s] [--max N] [--address IP] [--name NAME] [--verdict WORD]",
     "packets as the workers saw them, with what became of each, as pcapng; `-` is standard output", 1, 1, ctl_capture,
     NULL, NULL},
    {"doctor", "[FILE]", "what of this machine stands in the way of a node, with remedies; needs no daemon", 0, 1,
     ctl_doctor, NULL, NULL},
    {"standby-args", "FILE", "the arguments of signpost-standby for this file; needs no daemon", 1, 1, ctl_standby_args,
     NULL, NULL},
    {"replay", "JOURNAL FILE [--set PATH=VALUE]...",
     "runs recorded events under a configuration again and says when answers would have changed; needs no daemon", 2, 2,
     ctl_replay, NULL, NULL},
    {"manual", "[verdicts]", "the manual of the configuration file, or of verdicts, Markdown; needs no daemon", 0, 1,
     ctl_manual, NULL, NULL},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fputs("Usage: signpostctl [--socket PATH] [--json] COMMAND [ARGUMENTS]\n\nCommands:\n", out);
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %s%s%s\n        %s\n", commands[i].name, *commands[i].arguments ? " " : "",
                commands[i].arguments, commands[i].help);
    fputs("  version\n        versions of this program and of the daemon\n\n"
          "Options:\n"
          "  --socket PATH   admin socket (default: SIGNPOST_SOCKET, else " SOCKET_DEFAULT ")\n"
          "  --dataplane PATH  the data plane's socket, for capture (default " DATAPLANE_DEFAULT ")\n"
          "  --json          the daemon's reply as one JSON object\n"
          "  -h, --help      this text\n\n"
          "Exit status: 0 done, 1 refused, 2 wrong usage or configuration, 3 the daemon cannot be reached.\n",
          out);
}

// ---- running ----

static int print_result(const struct command *command, const json_t *result, bool is_json)
{
    if (is_json) {
        json_dumpf(result, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        command->print(result);
    }
    return fflush(stdout) ? CTL_REFUSED : CTL_OK;
}

static int watch(struct ctl_client *client, bool is_json)
{
    for (;;) { // until the daemon or the user ends it
        json_t *entry = ctl_client_next(client);
        if (!entry)
            break;
        if (is_json) {
            json_dumpf(entry, stdout, JSON_COMPACT);
            putchar('\n');
            fflush(stdout);
        } else {
            ctl_text_history_entry(entry);
        }
        json_decref(entry);
    }
    fputs("signpostctl: the daemon closed the connection\n", stderr);
    return CTL_UNREACHABLE;
}

static int ask(const struct command *command, int argc, char **argv, const struct options *o)
{
    json_t *request = json_pack("{s:s}", "command", command->name), *result = NULL;
    if (command->fill && !command->fill(request, argc, argv, o)) {
        json_decref(request);
        return CTL_USAGE;
    }
    struct ctl_client *client = ctl_client_open(o->socket);
    if (!client) {
        json_decref(request);
        return CTL_UNREACHABLE;
    }
    int status = (int)ctl_client_call(client, request, &result);
    if (status == CTL_OK && !command->print)
        status = watch(client, o->is_json);
    else if (status == CTL_OK)
        status = print_result(command, result, o->is_json);
    else if (result)
        print_result(command, result, o->is_json);
    json_decref(result);
    json_decref(request);
    ctl_client_close(client);
    return status;
}

static int print_version(const struct options *o)
{
    static const struct command status = {.name = "status"};
    json_t *request = json_pack("{s:s}", "command", status.name), *result = NULL;
    printf("signpostctl %s\n", SIGNPOST_VERSION);
    struct ctl_client *client = ctl_client_open(o->socket);
    const int rc = client ? (int)ctl_client_call(client, request, &result) : CTL_UNREACHABLE;
    if (rc == CTL_OK) {
        const char *dataplane = json_string_value(json_object_get(json_object_get(result, "dataplane"), "version"));
        printf("signpost-control %s\nsignpost-dataplane %s\n", json_string_value(json_object_get(result, "version")),
               dataplane && dataplane[0] ? dataplane : "not connected");
    }
    json_decref(result);
    json_decref(request);
    ctl_client_close(client);
    return rc;
}

static int run(int argc, char **argv, const struct options *o)
{
    if (strcmp(argv[0], "version") == 0 && argc == 1)
        return print_version(o);
    if (strcmp(argv[0], "help") == 0) {
        print_help(stdout);
        return CTL_OK;
    }
    unsigned best = 0, least = UINT32_MAX;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, argv[0]) != 0) {
            if (config_schema_is_nearer(argv[0], c->name, &least))
                best = i + 1;
            continue;
        }
        if (argc - 1 >= c->least && argc - 1 <= c->most)
            return c->local ? c->local(argc - 1, argv + 1, o) : ask(c, argc - 1, argv + 1, o);
        fprintf(stderr, "signpostctl: wanted: signpostctl %s %s\n", c->name, c->arguments);
        return CTL_USAGE;
    }
    fprintf(stderr, "signpostctl: there is no command \"%s\"", argv[0]);
    fprintf(stderr, best ? "; is \"%s\" meant?\n" : "; signpostctl --help lists them\n",
            best ? commands[best - 1].name : "");
    return CTL_USAGE;
}

enum {
    OPT_SOCKET = 256,
    OPT_JSON,
    OPT_FORCE,
    OPT_CLIENT,
    OPT_REASON,
    OPT_FOR,
    OPT_MAX,
    OPT_DOWN,
    OPT_UP,
    OPT_SET,
    OPT_DATAPLANE,
    OPT_ADDRESS,
    OPT_NAME,
    OPT_VERDICT
};

static const struct option long_options[] = {{"socket", required_argument, NULL, OPT_SOCKET},
                                             {"json", no_argument, NULL, OPT_JSON},
                                             {"force", no_argument, NULL, OPT_FORCE},
                                             {"client", required_argument, NULL, OPT_CLIENT},
                                             {"reason", required_argument, NULL, OPT_REASON},
                                             {"for", required_argument, NULL, OPT_FOR},
                                             {"max", required_argument, NULL, OPT_MAX},
                                             {"down", required_argument, NULL, OPT_DOWN},
                                             {"up", required_argument, NULL, OPT_UP},
                                             {"set", required_argument, NULL, OPT_SET},
                                             {"dataplane", required_argument, NULL, OPT_DATAPLANE},
                                             {"address", required_argument, NULL, OPT_ADDRESS},
                                             {"name", required_argument, NULL, OPT_NAME},
                                             {"verdict", required_argument, NULL, OPT_VERDICT},
                                             {"help", no_argument, NULL, 'h'},
                                             {"version", no_argument, NULL, 'V'},
                                             {NULL, 0, NULL, 0}};

static bool take_max(struct options *o, const char *text)
{
    char *end;
    errno = 0;
    o->max = strtoll(text, &end, 10);
    if (errno == 0 && *text && !*end && o->max > 0)
        return true;
    fprintf(stderr, "signpostctl: --max: \"%s\" is no positive number\n", text);
    return false;
}

// True to go on; false with the exit status in *status.
static bool take_option(struct options *o, int option, int *status)
{
    *status = CTL_USAGE;
    switch (option) {
    case OPT_SOCKET:
        o->socket = optarg;
        return true;
    case OPT_JSON:
        return o->is_json = true;
    case OPT_FORCE:
        return o->is_forced = true;
    case OPT_CLIENT:
        o->client = optarg;
        return true;
    case OPT_REASON:
        o->reason = optarg;
        return true;
    case OPT_FOR:
        o->duration = optarg;
        return true;
    case OPT_MAX:
        return take_max(o, optarg);
    case OPT_DOWN:
        return json_array_append_new(o->down, json_string(optarg)) == 0;
    case OPT_UP:
        return json_array_append_new(o->up, json_string(optarg)) == 0;
    case OPT_SET:
        if (o->set_count == CTL_SET_MAX)
            return fprintf(stderr, "signpostctl: more than %d times --set\n", CTL_SET_MAX), false;
        o->set[o->set_count++] = optarg;
        return true;
    case OPT_DATAPLANE:
        o->dataplane = optarg;
        return true;
    case OPT_ADDRESS:
        o->address = optarg;
        return true;
    case OPT_NAME:
        o->name = optarg;
        return true;
    case OPT_VERDICT:
        o->verdict = optarg;
        return true;
    case 'h':
        print_help(stdout);
        *status = CTL_OK;
        return false;
    case 'V':
        puts("signpostctl " SIGNPOST_VERSION);
        *status = CTL_OK;
        return false;
    default:
        fputs("signpostctl --help lists the options\n", stderr);
        return false;
    }
}

int main(int argc, char **argv)
{
    const char *from_environment = getenv("SIGNPOST_SOCKET");
    struct options o = {.socket = from_environment ? from_environment : SOCKET_DEFAULT, .dataplane = DATAPLANE_DEFAULT};
    o.down = json_array();
    o.up = json_array();
    int status = CTL_OK, option;
    while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
        if (!take_option(&o, option, &status))
            break;
    if (option == -1 && optind >= argc) {
        print_help(stderr);
        status = CTL_USAGE;
    } else if (option == -1) {
        status = run(argc - optind, argv + optind, &o);
    }
    json_decref(o.down);
    json_decref(o.up);
    return status;
}
