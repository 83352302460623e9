// SPDX-License-Identifier: Apache-2.0
// The status page for people: sites, services, latest changes. Loop thread only.
#pragma once

struct daemon;

#ifdef __cplusplus
extern "C" {
#endif

// A whole HTML page, malloc'ed, the caller frees it; null: out of memory. Everything that comes from elsewhere is
// escaped.
char *status_page_html(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
