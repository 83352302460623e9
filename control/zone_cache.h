// SPDX-License-Identifier: Apache-2.0
// The last good version of each zone, so that a zone whose file got errors goes on being served, also over restarts.
//
// One file per zone in a folder of our own: its records as the builder got them, and a checksum over all. Written
// beside the old one and renamed only when the zone turned out good. One thread; blocks on the file system.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zone_cache_writer;

// Starts the new version of a zone, `apex` in presentation form. Null when it cannot be written (errno).
struct zone_cache_writer *zone_cache_begin(const char *folder, const char *apex);

// Adds a record. After a failure nothing more is written and the commit fails. Null writer: does nothing.
void zone_cache_put(struct zone_cache_writer *writer, const uint8_t *owner, size_t owner_len, uint16_t type,
                    uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len);

// Makes it the last good version. 0 or a negative errno. Frees the writer.
int zone_cache_commit(struct zone_cache_writer *writer);
void zone_cache_discard(struct zone_cache_writer *writer); // null is legal

typedef int (*zone_cache_take_fn)(void *user, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                                  uint16_t rdata_len);

// Gives the records of the last good version to `take`, after all of it was found intact. 0; -ENOENT: there is none;
// -EBADMSG: it is damaged; else what `take` returned, or another negative errno. *saved_s: when it was saved.
int zone_cache_read(const char *folder, const char *apex, zone_cache_take_fn take, void *user, uint64_t *saved_s);

// Removes versions of zones that are no longer configured.
void zone_cache_sweep(const char *folder, const char *const *apex, unsigned count);

#ifdef __cplusplus
}
#endif
