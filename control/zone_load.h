// SPDX-License-Identifier: Apache-2.0
// Master files (RFC 1035 section 5) into a zone builder.
//
// Reading is bounded: file size, $INCLUDE depth and count, records, and includes must lie inside the zone directory,
// also behind symbolic links. Every problem is reported with file, line and owner; an error leaves the zone out, the
// others load. Any thread, one at a time per builder; blocks on the file system, takes seconds for a million names.
#pragma once

#include "control/config_errors.h"
#include "table/zone_builder.h"

#ifdef __cplusplus
extern "C" {
#endif

struct zone_load;

struct zone_load_limits {
    uint64_t file_bytes;    // of one file
    unsigned include_depth; // nested $INCLUDE
    unsigned include_count; // in one zone
    uint64_t record_count;  // in one zone
};
extern const struct zone_load_limits zone_load_limits_default;

// A loader for one set of zones; it makes and owns the builder. `errors` outlives it. Null: out of memory.
struct zone_load *zone_load_new(struct config_errors *errors, const struct zone_load_limits *limits);
void zone_load_free(struct zone_load *load);

// The builder, for settings, regions and services. Owned by the loader.
struct zone_builder *zone_load_builder(struct zone_load *load);

// Reads the master file at `path` as the zone `apex` (presentation form), `zone_dir` being the directory that it and
// its includes may not leave. Number of the zone in the builder (>= 0); -EINVAL when the file has errors, which are in
// `errors` (the zone is then not in the builder); -EEXIST for a second zone of that name; -ENOMEM.
// Relative paths of $INCLUDE start at `zone_dir`. A record's TTL is its own, else that of $TTL, else the last one
// stated (RFC 2308 section 4). Only class IN. Behind 100 errors the rest of a zone is not read.
int zone_load_file(struct zone_load *load, const char *apex, const char *path, const char *zone_dir);

// The same from memory; `name` stands for the file in messages, includes are refused.
int zone_load_text(struct zone_load *load, const char *apex, const char *name, const char *text, size_t len);

// From now on each zone that is read is also written to `folder` (zone_cache.h), and becomes the last good version in
// zone_load_check when it turned out good. Troubles with that are warnings.
void zone_load_set_cache(struct zone_load *load, const char *folder);

// Takes the last good version of a zone instead of its file. As zone_load_file; -ENOENT when there is none.
int zone_load_cached(struct zone_load *load, const char *apex, const char *folder, uint64_t *saved_s);

// True when the zone (a number that zone_load_file gave) was dropped by zone_load_check.
bool zone_load_is_dropped(const struct zone_load *load, unsigned zone);

// Checks across records and zones, after all zones and services are in: zone_builder_check, and warnings for NS and MX
// that point to aliases. Drops the zones with errors and returns their number, or -ENOMEM.
int zone_load_check(struct zone_load *load);

#ifdef __cplusplus
}
#endif
