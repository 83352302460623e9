// SPDX-License-Identifier: Apache-2.0
// The short way for the common query, in stages over a burst: an untagged frame, UDP over IPv4 or IPv6, one question of
// type A or AAAA and class IN, at most a few EDNS options, a name that has a plain set or a service or is not there, an
// answer that every client takes. Everything else, and every doubt, is left to packet_handle_plain, to which the short
// way is held equal by a test.
//
//   fast_begin   what is the same for the whole burst
//   fast_parse   frame and message: are they of the common kind? fold and hash the name, ask for its slot
//   fast_find    slot, node, record set; each asked for a pass before it is read, so that a burst's misses overlap
//   fast_steer   only for services whose answer depends on the client: which one?
//   fast_miss    only for names and types that were not found: NXDOMAIN, NODATA, REFUSED, wildcards
//   fast_cookies only for queries with cookies: hashed side by side where fast_parse put them, and read there later
//   fast_limit   only under a rate limit: who has had enough?
//   fast_write   the answer, headers and checksums, in place
//
// Nothing is written into a frame before its answer is certain, so that giving one up costs nothing but its own
// instructions. Numbers of the frames that are given up are listed in `plain`.
#pragma once

#include "dataplane/fast_burst.h"

#ifdef __cplusplus
extern "C" {
#endif

// False when the whole burst has to take the plain way: no tables, or an old one.
bool fast_begin(struct fast_burst *burst, const struct answer_context *context, const struct packet_port *port);

// Fills burst->family[is_ipv6].
void fast_expect(struct fast_burst *burst, bool is_ipv6);

// Fills the queries.
void fast_parse(struct fast_burst *burst, struct packet_slot *slot, unsigned count);

// Leaves in each query's `at` the set to append; one that fits nowhere if there is none.
void fast_find(struct fast_burst *burst, unsigned count);

// For fast_parse: finds the shape of the OPT record at `opt`. The record's length, with the query's marks set, or 0:
// leave it to the plain way. `client` is the sender's address. By family; in this order the compiler moves
// fewer of them between registers.
unsigned fast_take_options4(struct fast_query *query, const uint8_t *opt, struct fast_burst *burst,
                            const uint8_t *client);
unsigned fast_take_options6(struct fast_query *query, const uint8_t *opt, struct fast_burst *burst,
                            const uint8_t *client);

// Chooses the sets of the queries in burst->tailored whose answer depends on the client.
void fast_steer(struct fast_burst *burst, const struct packet_slot *slot);

// Answers those of burst->missed that it can; the others leave the list.
void fast_miss(struct fast_burst *burst, const struct packet_slot *slot);

// Checks the cookies of burst->cookies and writes the answers'.
void fast_cookies(struct fast_burst *burst);

// Takes what is over burst->rate_limit, which is not null, out of the short way.
void fast_limit(struct fast_burst *burst, const struct packet_slot *slot, unsigned count);

// Writes the answers; sets verdict and reply_len of their slots, the counts and `plain`.
void fast_write(struct fast_burst *burst, struct packet_slot *slot, unsigned count);

#ifdef __cplusplus
}
#endif
