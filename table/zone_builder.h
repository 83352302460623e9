// SPDX-License-Identifier: Apache-2.0
// Builds a zone image from records. One thread; everything it is given is copied.
//
// Order of calls: new, settings, regions, zones, records, services, finish, free. Problems in the data are reported
// through the issue callback with the zone and the owner; the caller, who read the file, adds file and line. An error
// in a zone makes `zone_builder_finish` fail unless the caller removes that zone first (zone_builder_drop_zone), so
// that one bad zone need not take the others with it.
#pragma once

#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct zone_builder;

enum zone_issue_level { ZONE_ISSUE_WARNING, ZONE_ISSUE_ERROR };

// `owner` is a valid wire name, `record` the number the caller gave with zone_builder_add_record (0 when there is
// none).
typedef void (*zone_issue_fn)(void *user, enum zone_issue_level level, unsigned zone, const uint8_t *owner,
                              uint64_t record, const char *text);

struct zone_builder *zone_builder_new(zone_issue_fn issue, void *user);
void zone_builder_free(struct zone_builder *b);

void zone_builder_set_settings(struct zone_builder *b, const struct zone_settings *settings);

// Copies the prefixes' map (see region_map.h). 0, -EINVAL, -E2BIG, -ENOMEM.
int zone_builder_set_regions(struct zone_builder *b, const struct region_prefix *prefixes, size_t count);

// Index of the new zone, or -EEXIST when the apex is there already, -ENOMEM. `apex` is a valid wire name.
int zone_builder_add_zone(struct zone_builder *b, const uint8_t *apex);

// One record of class IN; `owner` at or below the apex. Equal records are dropped with a warning (RFC 2181 section 5),
// differing TTLs in a set are lowered to the least with a warning (section 5.2). `record` is the caller's number for
// messages (for instance file and line packed). rdata without compression. 0; -EINVAL when the owner is outside the
// zone or rdata is malformed for a type whose names we must know (also reported); -ENOMEM.
int zone_builder_add_record(struct zone_builder *b, unsigned zone, const uint8_t *owner, uint16_t type, uint32_t ttl,
                            const uint8_t *rdata, uint16_t rdata_len, uint64_t record);

// Lays service number `service` (its index in the order image) over `owner`, which may start with `*.` and must lie in
// a zone, not below a delegation. Static A and AAAA there are an error; other types stay. 0, -ENOENT when no zone holds
// the owner, -EEXIST, -ENOMEM.
int zone_builder_add_service(struct zone_builder *b, const uint8_t *owner, unsigned service);

// Forgets a zone and all its records.
void zone_builder_drop_zone(struct zone_builder *b, unsigned zone);

// Checks the structure across records: exactly one SOA at each apex and an NS set (warning when missing), CNAME alone
// at its owner, one DNAME, nothing below a DNAME, in-domain glue present (warning). Reports every issue; number of
// errors, also for a given zone.
unsigned zone_builder_check(struct zone_builder *b);
unsigned zone_builder_zone_errors(const struct zone_builder *b, unsigned zone);

// Builds the image: *image is malloc'ed, the caller frees it. 0, -EINVAL when a zone has errors,
// -E2BIG, -ENOMEM.
int zone_builder_finish(struct zone_builder *b, uint64_t generation, uint64_t pairing_id, uint64_t built_at_us,
                        void **image, size_t *len);

#ifdef __cplusplus
}
#endif
