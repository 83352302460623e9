// SPDX-License-Identifier: Apache-2.0
// The commands of signpostctl that need no daemon: they work on files. Each takes its arguments after its name and
// returns the exit status.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

int ctl_check(int argc, char **argv);          // check FILE: configuration and zones, all problems in one run
int ctl_dataplane_args(int argc, char **argv); // dataplane-args FILE: one argument a line
int ctl_manual(int argc, char **argv);         // manual: the configuration manual, Markdown

#ifdef __cplusplus
}
#endif
