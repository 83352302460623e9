// SPDX-License-Identifier: Apache-2.0
// signpost-control: reads the configuration, then runs the daemon on libuv's loop until it is told to stop.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"

enum { EXIT_CONFIG = 2 };

static const char help[] = "Usage: signpost-control [--config FILE]\n"
                           "\n"
                           "Judges the sites and keeps the data plane's tables true. Runs in the foreground.\n"
                           "\n"
                           "  -c, --config FILE   configuration (default: /etc/signpost/signpost.conf)\n"
                           "  -h, --help          this text\n"
                           "  -V, --version       the version\n"
                           "\n"
                           "Signals: HUP reloads, TERM and INT stop (the data plane goes on answering).\n"
                           "Exit status: 0 stopped, 1 could not start, 2 wrong usage or configuration.\n"
                           "`signpostctl check FILE` checks a configuration, `signpostctl manual` documents it.\n";

static int run(const char *path, struct config *config)
{
    static struct daemon daemon;
    uv_loop_t *loop = uv_default_loop();
    const int rc = daemon_start(&daemon, loop, path, config);
    if (rc)
        daemon_stop(&daemon);
    uv_run(loop, UV_RUN_DEFAULT);
    daemon_fini(&daemon);
    const int left = uv_loop_close(loop);
    return rc || left ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    const char *path = "/etc/signpost/signpost.conf";
    for (int option; (option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
        if (option == 'c') {
            path = optarg;
            continue;
        }
        if (option == 'h')
            fputs(help, stdout);
        else if (option == 'V')
            puts("signpost-control " SIGNPOST_VERSION);
        else
            fputs(help, stderr);
        return option == '?' ? EXIT_CONFIG : EXIT_SUCCESS;
    }
    if (optind < argc) {
        fputs(help, stderr);
        return EXIT_CONFIG;
    }
    struct config_errors errors = {0};
    struct config *config = NULL;
    const int rc = config_load(path, &config, &errors);
    config_errors_print(&errors, stderr);
    if (rc)
        fprintf(stderr, "signpost-control: %s: %u error%s, not started\n", path, errors.error_count,
                errors.error_count == 1 ? "" : "s");
    config_errors_fini(&errors);
    return rc ? EXIT_CONFIG : run(path, config);
}
