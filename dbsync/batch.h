// SPDX-License-Identifier: Apache-2.0
// The batch: what one cut of one link carries, as bytes. The same bytes lie in the spool, cross the link and are
// applied.
//
//   header    magic, format, sender, number, previous, seen, needs, clock and incarnation
//   records   TABLE    name and fingerprint; later records name it by its index (0, 1, ... in order of appearance)
//             CHANGE   a row's registers: life, changed groups, their versions
//             BASE     a whole row as it was at the cut: bootstrap and answers to requests (all columns, registers or
//             not) RANGE    closes a run of BASE rows of a table: between these two keys there were no others at the
//             cut DIGEST   number and sum of the rows between two keys at the cut: `verify`
//   end       counts and a checksum over everything before it
//
// What stands after the header is in the order in which it must be applied, but for CHANGEs, which have no order among
// themselves. BASE, RANGE and DIGEST describe the sender at the cut, with the batch's own CHANGEs included; so
// bootstrap and verification need no watermarks: they come in the stream at the place where they are true.
//
// Everything read is checked: lengths, counts, known tables, whole groups, values in range, the checksum before the
// first record is given out. A malformed batch is refused as a whole (-EBADMSG, with the octet where it broke). Pure;
// one thread.
#pragma once

#include "dbsync/problem.h"
#include "dbsync/row.h"
#include "dbsync/window.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BATCH_FORMAT = 1,
    BATCH_TABLE_MAX = SCHEMA_TABLE_MAX,
    BATCH_VERSION_MAX = 65535 // distinct versions in one row
};

struct batch_header {
    uint16_t from;             // site
    uint64_t incarnation;      // of the sender's database (door.h)
    uint64_t number, previous; // cuts of the sender, for this link
    struct window_vector seen, needs;
    int64_t max_hlc; // the sender's clock at the cut; no version in the batch is later
    bool moves_log;  // holds a part of the sender's log, even if nothing was left of it: the receiver owes news of it
};

// ---- writing ----

// Zeroed, then batch_begin. The bytes collect in `out`; to stream a huge batch, take and reset `out` between calls (the
// checksum is kept apart).
struct batch_writer {
    struct buffer out;
    size_t summed; // octets of `out` already in the checksum
    void *sum;
    uint16_t from;
    int64_t base_hlc;
    const struct table **table; // in order of appearance
    unsigned table_count;
    uint64_t row_count, change_count, base_count;
    uint64_t bytes; // already taken from `out` by batch_drain
};

void batch_begin(struct batch_writer *w, const struct batch_header *header);
// Registers only; context is left out. A row that a repair brought back to life travels whole, as a BASE row.
void batch_change(struct batch_writer *w, const struct row *row);
void batch_base(struct batch_writer *w, const struct row *row); // every known column
void batch_range(struct batch_writer *w, const struct table *table, struct key after, struct key upto, bool is_last);
void batch_digest(struct batch_writer *w, const struct table *table, struct key after, struct key upto, uint64_t rows,
                  uint64_t sum);
void batch_end(struct batch_writer *w);
// Hands out what was written so far and makes room. `sink` returns 0 or a negative errno, which is passed on.
int batch_drain(struct batch_writer *w, int (*sink)(void *context, const void *bytes, size_t len), void *context);
void batch_writer_fini(struct batch_writer *w);

// ---- reading ----

enum batch_record_type { BATCH_TABLE = 1, BATCH_CHANGE, BATCH_BASE, BATCH_RANGE, BATCH_DIGEST, BATCH_END };

struct batch_record {
    enum batch_record_type type;
    unsigned table_at;      // index in the receiver's schema
    struct row *row;        // CHANGE, BASE
    struct key after, upto; // RANGE, DIGEST: (after, upto]; an empty key is the open end
    bool is_last;           // RANGE: the table is complete
    uint64_t rows, sum;     // DIGEST
};

struct batch_reader {
    struct bytes_reader in;
    const struct schema *schema;
    struct batch_header header;
    uint64_t row_count, change_count, base_count; // as the end record says
    int *table_at;                                // wire index -> schema index
    unsigned table_count;
    int64_t base_hlc;
};

// Checks magic, format and checksum and reads the header. The bytes must outlive the reader and every row read.
// -EBADMSG; -EPROTONOSUPPORT for another format.
int batch_open(struct batch_reader *r, const void *bytes, size_t len, const struct schema *schema,
               struct problem *problem);
// The next record but TABLE and END, its row in `arena`. 1: one was read; 0: the end; -EBADMSG; -ESTALE when a table's
// fingerprint differs from the schema's or a table is unknown (schema drift: the stream must stop, nothing is corrupt).
int batch_next(struct batch_reader *r, struct arena *arena, struct batch_record *record, struct problem *problem);
void batch_close(struct batch_reader *r);

#ifdef __cplusplus
}
#endif
