// SPDX-License-Identifier: Apache-2.0
// Batches on disk: outbound from the cut until the acknowledgement, inbound from the first octet until applied.
//
// A directory of the daemon's own; one file for each batch, "<out|in>-<peer>-<number>": a head of SPOOL_HEAD_LEN octets
// (magic, format, incarnation, number, boot, length or 0 while it is written, digest, checksum of the head), then the
// batch's bytes. Outbound files are only a cache: a lost or damaged one is read from the database again. Of an inbound
// file everything is kept when the daemon was killed; when the machine went down (another boot) only what was synced,
// whole megabytes, and the rest is cut off. The digest at the end decides in any case.
//
// A file whose head is not ours, of another incarnation, or of another size than its head says is removed when it is
// met. Quota: appending beyond it returns -ENOSPC, and the caller stops taking octets (the credit window closes);
// nothing is lost. One thread for each spool; two spools must not share a directory (locked: -EBUSY).
#pragma once

#include <stdint.h>

#include "dbsync/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SPOOL_SYNC_BYTES = 1 << 20, SPOOL_HEAD_LEN = 96 };

enum spool_side { SPOOL_OUT, SPOOL_IN };

struct spool;

// The directory is made when it is not there (its parent must be).
int spool_open(const char *directory, uint64_t quota_bytes, struct spool **spool, struct problem *problem);
void spool_close(struct spool *spool);

// Starts or reopens a batch; *offset: octets already there. One batch for each side and peer is open at a time: the one
// before it stays on disk.
int spool_begin(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t incarnation, uint64_t number,
                uint64_t *offset, struct problem *problem);
int spool_append(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number, const void *bytes,
                 size_t len, struct problem *problem);
// All octets are there: the length is written. Fills the digest. Nothing is synced for this: whoever has not applied
// the batch when the power fails gets what follows the last whole megabyte again.
int spool_finish(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number,
                 uint8_t digest[FRAME_DIGEST_LEN], struct problem *problem);
// Digest of the first `len` octets; -ERANGE when there are fewer.
int spool_digest(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number, uint64_t len,
                 uint8_t digest[FRAME_DIGEST_LEN], struct problem *problem);
// The batch's bytes, mapped read-only until spool_unmap of the pointer; the file may be dropped before.
int spool_map(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number, const uint8_t **bytes,
              size_t *len, struct problem *problem);
void spool_unmap(const uint8_t *bytes, size_t len);
// Removes every batch up to `number`.
void spool_drop(struct spool *spool, enum spool_side side, uint16_t peer, uint64_t number);
// The latest inbound batch that is on disk, complete or not: 0 when there is none.
uint64_t spool_pending(const struct spool *spool, uint16_t peer);
uint64_t spool_bytes(const struct spool *spool);
uint64_t spool_quota(const struct spool *spool);
uint64_t spool_room(const struct spool *spool); // octets that may still be appended

// What a head says: 0, or -EBADMSG. For spool.c and its tests; pure.
struct spool_head {
    uint64_t incarnation, number, len; // len 0: being written
    uint8_t boot[16];
    uint8_t digest[FRAME_DIGEST_LEN];
};
void spool_head_encode(uint8_t out[SPOOL_HEAD_LEN], const struct spool_head *head);
int spool_head_decode(const uint8_t in[SPOOL_HEAD_LEN], struct spool_head *head);

#ifdef __cplusplus
}
#endif
