// SPDX-License-Identifier: Apache-2.0
// The daemon's replies as text for people. Pure but for standard output; missing members print as "-".
#pragma once

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

void ctl_text_status(const json_t *result);
void ctl_text_sites(const json_t *result);
void ctl_text_services(const json_t *result);
void ctl_text_explain(const json_t *result);
void ctl_text_simulate(const json_t *result);
void ctl_text_stats(const json_t *result);
void ctl_text_history(const json_t *result);
void ctl_text_history_entry(const json_t *entry);
void ctl_text_operator(const json_t *result);
void ctl_text_reload(const json_t *result);
void ctl_text_problems(const json_t *result);
void ctl_text_metrics(const json_t *result);

#ifdef __cplusplus
}
#endif
