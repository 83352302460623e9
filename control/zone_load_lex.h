// SPDX-License-Identifier: Apache-2.0
// Private to control/zone_load*.c: master files cut into entries (one record or directive each) and tokens.
//
// RFC 1035 section 5.1: comments, quotes, escapes, parentheses over several lines. Tokens point into the text and keep
// their escapes and quotes; nothing is copied. Errors do not stop the reading: the entry that holds one says so, and
// the next starts at the line behind it. Time is linear in the text. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ZONE_TOKENS_MAX = 8192 }; // of one entry; a record of 65,535 octets in strings of 8 has as many

struct zone_token {
    const char *text; // with quotes and escapes
    unsigned len;
    unsigned line;
    bool is_quoted; // the whole token stands in quotes
};

struct zone_lex {
    const char *p, *end; // *end is zero
    unsigned line;       // of p, from 1
};

struct zone_lex_entry {
    unsigned line;      // where it starts
    const char *source; // start of that line
    bool has_owner;     // the line does not start with a blank
    unsigned token_count;
    const char *error; // null: none; a sentence
    unsigned error_line;
    struct zone_token token[ZONE_TOKENS_MAX];
};

// `text[len]` must be zero. A byte order mark at its start is passed over.
void zone_lex_init(struct zone_lex *lex, const char *text, size_t len);

// The next entry that has tokens or an error; false at the end of the text.
bool zone_lex_next(struct zone_lex *lex, struct zone_lex_entry *entry);

// True when the token is `text`, without regard to case.
bool zone_token_is(const struct zone_token *token, const char *text);

#ifdef __cplusplus
}
#endif
