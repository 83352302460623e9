// SPDX-License-Identifier: Apache-2.0
// Who has seen what: cut numbers, vectors of them, and what follows: stability and owed news.
//
// A site cuts its log at a transaction snapshot; cuts are numbered 1, 2, ... for the whole site, whichever peer the
// batch is for. The batch for a peer holds the changes between the previous cut made for that peer and this one, so the
// batches of a link have rising numbers with gaps, each naming its predecessor. "Applied n of site s" means: everything
// that s committed before its cut n is in my tables.
//
// Two vectors travel with each batch: `seen`, what the sender had applied at the PREVIOUS cut of this link (everything
// in the batch was committed after that), and `needs`, what it had applied at this cut (the next batch's `seen`).
//
// - Stable is a cut of mine that every peer's `seen` has reached. Whatever a peer sends later was written knowing it,
// so
//   its change rows and tombstones can decide nothing any more. An acknowledgement is not enough: an older change may
//   still be on its way.
// - Owed is news to a peer when I have applied rows that the vectors it got do not show yet; then an empty batch is
// cut,
//   whose `seen` equals its `needs`, since it holds no rows. Batches without rows owe nothing: talk ends.
//
// With third sites a cut number must stand for a position of the log, so that "seen 7" means the same whoever says it:
// cuts with rows at the same position get the same number on all links; cuts without rows take a new one. A batch may
// then build on rows of others that are not here yet. It is applied all the same: registers wait for their row
// (remembered), children for their parents (parked). Waiting for batches of others instead could dead-lock, as the
// borders of batches differ from link to link.
//
// Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dbsync/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { WINDOW_SITE_MAX = 16 };

struct window_entry {
    uint16_t site;
    uint64_t cut;
};

// Absent sites are at cut 0.
struct window_vector {
    unsigned count;
    struct window_entry entry[WINDOW_SITE_MAX]; // in order of site
};

uint64_t window_get(const struct window_vector *v, uint16_t site);
// -ENOSPC beyond WINDOW_SITE_MAX sites.
int window_set(struct window_vector *v, uint16_t site, uint64_t cut);
// Every entry of `a` is reached by `b`, leaving out the two sites given (0: none).
bool window_reached(const struct window_vector *a, const struct window_vector *b, uint16_t except_a, uint16_t except_b);

void window_encode(struct buffer *out, const struct window_vector *v);
// Fails the reader unless sites rise and are not 0.
struct window_vector window_decode(struct bytes_reader *in);

// The sites that must have seen a cut of `origin` before `self` may forget it: all but these two, and for its own cuts
// all peers. `seen[i]` is the latest vector applied from peer[i]. The highest stable cut of `origin`; UINT64_MAX when
// nobody else could still write without knowing it.
uint64_t window_stable(uint16_t self, uint16_t origin, const uint16_t *peer, const struct window_vector *seen,
                       unsigned peer_count);

#ifdef __cplusplus
}
#endif
