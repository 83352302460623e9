// SPDX-License-Identifier: Apache-2.0
#include "control/zone_load_lex.h"

#include <string.h>
#include <strings.h>

void zone_lex_init(struct zone_lex *lex, const char *text, size_t len)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; // some editors put one in front of UTF-8
    *lex = (struct zone_lex){.p = text, .end = text + len, .line = 1};
    if (len >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        lex->p += 3;
}

bool zone_token_is(const struct zone_token *token, const char *text)
{
    return strlen(text) == token->len && strncasecmp(token->text, text, token->len) == 0;
}

static void fail(struct zone_lex_entry *e, unsigned line, const char *text)
{
    if (e->error)
        return;
    e->error = text;
    e->error_line = line;
}

// Behind an escaped character: "\X" or, as two steps, "\DDD". A line end is never escaped.
static const char *skip_escape(const struct zone_lex *lex, const char *p)
{
    p++;
    return p < lex->end && *p != '\n' ? p + 1 : p;
}

// From the quote at p to behind the closing one, which must stand on the same line.
static const char *skip_quoted(const struct zone_lex *lex, struct zone_lex_entry *e, const char *p)
{
    p++;
    while (p < lex->end && *p != '"' && *p != '\n' && *p)
        p = *p == '\\' ? skip_escape(lex, p) : p + 1;
    if (p < lex->end && *p == '"')
        return p + 1;
    fail(e, lex->line, "a quote (\") is not closed on this line");
    return p;
}

static bool ends_token(char c)
{
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ';':
    case '(':
    case ')':
    case 0:
        return true;
    default:
        return false;
    }
}

static void take_token(struct zone_lex *lex, struct zone_lex_entry *e)
{
    const char *p = lex->p;
    const bool is_quoted = *p == '"';
    if (is_quoted)
        p = skip_quoted(lex, e, p);
    while (!is_quoted && p < lex->end && !ends_token(*p)) {
        if (*p == '\\')
            p = skip_escape(lex, p);
        else if (*p == '"') // key="a value" is one token (RFC 9460 section 2.1)
            p = skip_quoted(lex, e, p);
        else
            p++;
    }
    if (e->token_count == ZONE_TOKENS_MAX)
        fail(e, lex->line, "too many values in one record");
    else
        e->token[e->token_count++] = (struct zone_token){
            .text = lex->p, .len = (unsigned)(p - lex->p), .line = lex->line, .is_quoted = is_quoted};
    lex->p = p;
}

static void skip_comment(struct zone_lex *lex)
{
    const char *end = memchr(lex->p, '\n', (size_t)(lex->end - lex->p));
    lex->p = end ? end : lex->end;
}

// Reads to the end of one entry: a line end outside parentheses, or the end of the text.
static void take_entry(struct zone_lex *lex, struct zone_lex_entry *e)
{
    unsigned open_line = 0; // 0: outside
    while (lex->p < lex->end) {
        switch (*lex->p) {
        case '\n':
            lex->p++;
            lex->line++;
            if (!open_line)
                return;
            break;
        case ' ':
        case '\t':
        case '\r':
            lex->p++;
            break;
        case ';':
            skip_comment(lex);
            break;
        case '(':
            if (open_line)
                fail(e, lex->line, "a parenthesis inside a parenthesis");
            open_line = open_line ? open_line : lex->line;
            lex->p++;
            break;
        case ')':
            if (!open_line)
                fail(e, lex->line, "\")\" closes nothing");
            open_line = 0;
            lex->p++;
            break;
        case 0:
            fail(e, lex->line, "a zero octet: this is not a text file");
            lex->p++;
            break;
        default:
            take_token(lex, e);
        }
    }
    if (open_line)
        fail(e, open_line, "the parenthesis that opens on this line is not closed");
}

bool zone_lex_next(struct zone_lex *lex, struct zone_lex_entry *e)
{
    while (lex->p < lex->end) {
        e->line = lex->line;
        e->source = lex->p;
        e->has_owner = *lex->p != ' ' && *lex->p != '\t';
        e->token_count = 0;
        e->error = NULL;
        take_entry(lex, e);
        if (e->token_count || e->error)
            return true;
    }
    return false;
}
