// SPDX-License-Identifier: Apache-2.0
// Batches on disk: outbound from the cut until the acknowledgement, inbound from the first octet until applied.
//
// A directory of the daemon's own; one file for each batch, "<out|in>-<peer>-<number>": a head (magic, format,
// incarnation, number, length or 0 while it is written), then the batch's bytes. Outbound files are only a cache: a
// lost or damaged one is read from the database again. Inbound files are trusted up to their last fsync (each megabyte)
// after a crash: the rest is cut off, and the digest at the end decides.
//
// Quota: appending beyond it returns -ENOSPC, and the caller stops taking octets (the credit window closes); nothing is
// lost. One thread for each spool.
#pragma once

#include "dbsync/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SPOOL_SYNC_BYTES = 1 << 20 };

enum spool_side { SPOOL_OUT, SPOOL_IN };

struct spool;

int spool_open(const char *directory, uint64_t quota_bytes, struct spool **spool, struct problem *problem);
void spool_close(struct spool *spool);

// Starts or reopens a batch; *offset: octets already there.
int spool_begin(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t incarnation, uint64_t number,
                uint64_t *offset, struct problem *problem);
int spool_append(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number, const void *bytes,
                 size_t len, struct problem *problem);
// All octets are there: synced, length written. Fills the digest.
int spool_finish(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number,
                 uint8_t digest[FRAME_DIGEST_LEN], struct problem *problem);
// Digest of the first `len` octets.
int spool_digest(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number, uint64_t len,
                 uint8_t digest[FRAME_DIGEST_LEN], struct problem *problem);
// The batch's bytes, mapped read-only until spool_unmap or spool_drop.
int spool_map(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number, const uint8_t **bytes,
              size_t *len, struct problem *problem);
void spool_unmap(struct spool *spool);
// Removes every batch up to `number`.
void spool_drop(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number);
// The inbound batch that is incomplete or not applied: 0 when there is none.
uint64_t spool_pending(const struct spool *spool, uint16_t peer);
uint64_t spool_bytes(const struct spool *spool);

#ifdef __cplusplus
}
#endif
