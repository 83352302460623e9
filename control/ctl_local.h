// SPDX-License-Identifier: Apache-2.0
// The commands of signpostctl that need no daemon: they work on files. Each takes its arguments after its name and
// returns the exit status.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CTL_SET_MAX = 64 };

// What stands on the command line beside the command and its arguments.
struct options {
    const char *socket;
    bool is_json, is_forced;
    const char *client, *reason, *duration;
    const char *dataplane, *address, *name, *verdict; // capture
    long long max;                                    // 0: the daemon's choice
    json_t *down, *up;                                // simulate
    const char *set[CTL_SET_MAX];                     // replay
    unsigned set_count;
};

// check FILE: configuration and zones, all problems in one run.
int ctl_check(int argc, char **argv, const struct options *options);

// dataplane-args FILE: one argument a line.
int ctl_dataplane_args(int argc, char **argv, const struct options *options);

// standby-args FILE: one argument a line.
int ctl_standby_args(int argc, char **argv, const struct options *options);

// doctor [FILE]: what of this machine stands in the way. ctl_doctor.c.
int ctl_doctor(int argc, char **argv, const struct options *options);

// capture FILE. ctl_capture.c.
int ctl_capture(int argc, char **argv, const struct options *options);

// manual [verdicts]: Markdown.
int ctl_manual(int argc, char **argv, const struct options *options);

// replay JOURNAL FILE. ctl_replay.c.
int ctl_replay(int argc, char **argv, const struct options *options);

#ifdef __cplusplus
}
#endif
