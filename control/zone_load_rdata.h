// SPDX-License-Identifier: Apache-2.0
// Private to control/zone_load*.c: record data from text to wire. The only door to ldns.
//
// ldns knows the types; it also takes numbers that do not fit, quoted names and parameters given twice, and stores
// something else. So names and numbers are read here first, and what it made is looked at again. One thread.
#pragma once

#include <stdint.h>

#include "control/zone_load_lex.h"
#include "table/name.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ZONE_RDATA_MAX = 65535,       // RFC 1035 section 3.2.1
    ZONE_RECORD_TEXT_MAX = 65000, // what ldns reads of one record; RFC 3597's form is read here and may be longer
    ZONE_WHY_CAP = 256
};

struct zone_rdata; // buffers

struct zone_rdata *zone_rdata_new(void); // null: out of memory
void zone_rdata_free(struct zone_rdata *z);

// Absolute or relative name: appends `origin` (wire, may be null: there is none). Length, or -EINVAL and `why`.
int zone_name_parse(const struct zone_token *token, const uint8_t *origin, uint8_t out[NAME_MAX_LEN],
                    char why[ZONE_WHY_CAP]);

// "3600" or "1h30m": seconds, at most 2^31-1 (RFC 2181 section 8). 0, -EINVAL, -ERANGE.
int zone_ttl_parse(const struct zone_token *token, uint32_t *ttl);

// Type number of "MX" or "TYPE65280"; -EINVAL when it is none. Types that never stand in zones are found as well.
int zone_type_parse(const struct zone_token *token);

// True for types that are only asked for or belong to messages (RFC 6895 section 3.1).
bool zone_type_is_meta(uint16_t type);

// Data of a record of `type`, written as `name`. The wire form is at *wire until the next call, its length in *len.
// 0; -EINVAL and `why`; -ENOMEM.
int zone_rdata_parse(struct zone_rdata *z, uint16_t type, const struct zone_token *name, const struct zone_token *token,
                     unsigned count, const uint8_t *origin, const uint8_t **wire, uint16_t *len,
                     char why[ZONE_WHY_CAP]);

#ifdef __cplusplus
}
#endif
