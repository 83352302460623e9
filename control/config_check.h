// SPDX-License-Identifier: Apache-2.0
// Private to control/config*.c: what happens between reading and giving out a configuration.
//
// Derived values first, then the checks across keys and sections; every finding is reported, none stops the others.
// One thread.
#pragma once

#include "control/config_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// Fills what depends on other keys: ports, servers, time-outs, zone files. config_derive.c.
void config_derive(struct config_reader *r, struct config *config);

// Resolves names to indices and checks. config_check_node.c, config_check_site.c, config_check_service.c.
void config_check_node(struct config_reader *r, struct config *config);
void config_check_sites(struct config_reader *r, struct config *config);
void config_check_services(struct config_reader *r, struct config *config);
void config_check_regions(struct config_reader *r, struct config *config);

// Reads the key and secret files. config_secret.c.
void config_read_secrets(struct config_reader *r, struct config *config);

// Gathers each site's groups; after the checks, since the copies have no place. config_derive.c.
void config_gather_groups(struct config_reader *r, struct config *config);

// Lists the verdicts that services ask for; after the groups, and only when nothing was wrong. config_derive.c.
void config_gather_verdicts(struct config_reader *r, struct config *config);

// Adds the regions of geoip.nearest; last of all, and only when nothing was wrong. config_nearest.c.
void config_gather_nearest(struct config_reader *r, struct config *config);
enum { CONFIG_VERDICT_MAX = 64 }; // per site

// Index of the site, or CONFIG_NONE.
int config_find_site(const struct config *config, const char *name);

// " (did you mean ...?)" or "" for a site's name that does not exist.
const char *config_site_hint(const struct config *config, const char *name, char *out, size_t cap);

// Default ports.
enum { CONFIG_HEARTBEAT_PORT = 7053, CONFIG_METRICS_PORT = 9153 };

#ifdef __cplusplus
}
#endif
