// SPDX-License-Identifier: Apache-2.0
// The value of a label in the Prometheus text format: a backslash, a quote or a line's end in a name would make the
// whole page unreadable for the scraper, and DNS names may have them. Pure.
#pragma once

#include "table/name.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { METRIC_LABEL_CAP = 2 * NAME_TEXT_CAP }; // every character escaped

// `text` as it stands between the quotes; cut where there is no room. Returns `out`.
const char *metric_label(const char *text, char out[METRIC_LABEL_CAP]);

#ifdef __cplusplus
}
#endif
