// SPDX-License-Identifier: Apache-2.0
// A row with its registers and context as bytes, for our own tables (remembered registers, parked rows, losers of
// conflicts), and as JSON for people. On the link rows travel in batch.h's shorter form. Pure.
#pragma once

#include "dbsync/row.h"

#ifdef __cplusplus
extern "C" {
#endif

void row_encode(struct buffer *out, const struct row *row);

// Borrows values from `bytes`. Columns that the table got since are unknown. Null when malformed or of another shape.
struct row *row_decode(struct arena *arena, const struct table *table, struct key key, const void *bytes, size_t len);

// Versions alone: life and one version for each column with a mark whether it is known; the values stand elsewhere (in
// the columns of a change row).
void row_encode_versions(struct buffer *out, const struct row *row);
// Sets life, versions and known in `row`, whose values are already there. 0 or -EBADMSG.
int row_decode_versions(struct row *row, const void *bytes, size_t len);

// {"column": value, ...} of what is known. INTEGER and REAL as numbers, TEXT and NATIVE that is UTF-8 as strings (zero
// octets as \u0000), other octets as "\\x<hex>". Appended without a final zero.
void row_json(struct buffer *out, const struct row *row);
void row_key_json(struct buffer *out, const struct row *row);
// A string with its quotes.
void row_json_string(struct buffer *out, const void *text, size_t len);

#ifdef __cplusplus
}
#endif
