// SPDX-License-Identifier: Apache-2.0
// One column's value, exactly as the database holds it: a type and its bits. Nothing here converts.
//
// SQLite's five storage classes map to the first five types. PostgreSQL uses VALUE_NULL and VALUE_NATIVE: the binary
// form of the column's own type (typsend), whose meaning only the schema fingerprint knows. Octets of TEXT, BLOB and
// NATIVE are borrowed: from the batch's bytes, the change row read, or an arena. Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dbsync/arena.h"
#include "dbsync/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

enum value_type {
    VALUE_NULL,
    VALUE_INTEGER,
    VALUE_REAL, // IEEE 754 double, compared and kept by its bits
    VALUE_TEXT, // may hold zero octets
    VALUE_BLOB,
    VALUE_NATIVE,
    VALUE_TYPE_COUNT
};

enum { VALUE_BYTES_MAX = 1 << 30 }; // both engines' own limit of one value

struct value {
    uint8_t type; // enum value_type
    uint32_t len; // octets of TEXT, BLOB, NATIVE; else 0
    union {
        int64_t integer;
        double real;
        const uint8_t *bytes;
    };
};

static inline struct value value_null(void)
{
    struct value v = {VALUE_NULL, 0, {0}};
    return v;
}

struct value value_integer(int64_t integer);
struct value value_real(double real);
struct value value_bytes(enum value_type type, const void *bytes, size_t len);

// Same type, same bits. 1 and 1.0 differ; so do 0.0 and -0.0.
bool value_equal(const struct value *a, const struct value *b);

// A total order over all values (by type, then bits); the last resort of `row_join`, so that it can never depend on who
// asks. Not the database's order.
int value_compare(const struct value *a, const struct value *b);

// Copies borrowed octets into the arena.
struct value value_copy(struct arena *arena, const struct value *v);

// type (1), then: nothing, 8 octets, or length and octets.
void value_encode(struct buffer *out, const struct value *v);
// Borrows from the reader's data; a malformed value fails the reader.
struct value value_decode(struct bytes_reader *in);

// ---- row identifiers ----

// The values of the primary key, encoded in key order. Two keys are the same row exactly when their bytes are equal: a
// REAL that is a whole number is written as INTEGER, since SQLite holds 1 and 1.0 to be one key.
struct key {
    const uint8_t *bytes;
    uint32_t len;
};

enum { KEY_BYTES_MAX = 1 << 20 };

void key_encode(struct buffer *out, const struct value *values, unsigned count);
// Exactly `count` values; 0, or -EBADMSG.
int key_decode(const struct key *key, struct value *values, unsigned count);
int key_compare(const struct key *a, const struct key *b);
uint64_t key_hash(const struct key *key);

#ifdef __cplusplus
}
#endif
