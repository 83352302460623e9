// SPDX-License-Identifier: Apache-2.0
// The commands of the admin socket. Loop thread only.
//
// Each reads its arguments from the request with the helpers below, and fills the result. Names and meaning are
// documented by `signpostctl help` and docs/signpostctl.md.
#pragma once

#include "control/admin.h"
#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

// Finds the command of the request and runs it.
enum admin_status admin_command_run(struct admin_call *call);

// Argument of the request: null or `otherwise` when it is absent; *is_bad is set when it is of another type or longer
// than `max`.
const char *admin_text(const struct admin_call *call, const char *name, size_t max, bool *is_bad);
bool admin_flag(const struct admin_call *call, const char *name, bool *is_bad);
int64_t admin_number(const struct admin_call *call, const char *name, int64_t otherwise, bool *is_bad);

// Fills call->error; returns ADMIN_USAGE or ADMIN_REFUSED.
enum admin_status admin_usage(struct admin_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum admin_status admin_refuse(struct admin_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The commands, one file a topic.
enum admin_status admin_status_command(struct admin_call *call);   // admin_status.c
enum admin_status admin_sites_command(struct admin_call *call);    // admin_sites.c
enum admin_status admin_services_command(struct admin_call *call); // admin_services.c
enum admin_status admin_explain_command(struct admin_call *call);  // admin_explain.c
enum admin_status admin_simulate_command(struct admin_call *call);
enum admin_status admin_stats_command(struct admin_call *call); // admin_stats.c
enum admin_status admin_metrics_command(struct admin_call *call);
enum admin_status admin_history_command(struct admin_call *call); // admin_history.c
enum admin_status admin_watch_command(struct admin_call *call);
enum admin_status admin_operator_command(struct admin_call *call); // admin_act.c
enum admin_status admin_reload_command(struct admin_call *call);
enum admin_status admin_lag_command(struct admin_call *call);
enum admin_status admin_problems_command(struct admin_call *call);

// New references; json null stands for what is not known.
json_t *admin_address(const struct config_address *address);
json_t *admin_seconds(uint64_t ns);                                               // a number with fractions
json_t *admin_age(uint64_t at_ns);                                                // seconds since; 0: null
json_t *admin_sites(struct daemon *daemon, bool is_full);                         // array
json_t *admin_services(struct daemon *daemon, const char *pattern, unsigned max); // array
json_t *admin_operator_entry(const struct operator_entry *entry);
json_t *admin_problems(const struct config_errors *errors); // array

#ifdef __cplusplus
}
#endif
