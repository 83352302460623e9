// SPDX-License-Identifier: Apache-2.0
#include "health/http_reply.h"

#include <string.h>
#include <strings.h>

enum part { STATUS_LINE, HEADER, BODY_TO_LENGTH, BODY_TO_END, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER };

static const char *value_of(const char *line, const char *name)
{
    const size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    return line + len + 1 + strspn(line + len + 1, " \t");
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t")] == 0;
}

// "HTTP/1.1 200 OK"; the reason may be missing.
static bool take_status(struct http_reply *r)
{
    const char *s = r->line;
    if (r->line_len < 8 || s[7] < '0' || s[7] > '9' || s[8] != ' ')
        return false;
    unsigned status = 0;
    for (int i = 9; i < 12; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        status = 10 * status + (unsigned)(s[i] - '0');
    }
    r->status = status;
    r->part = HEADER;
    return status >= 100 && (s[12] == ' ' || s[12] == 0);
}

static bool take_length(struct http_reply *r, const char *text)
{
    uint64_t length = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (length > UINT64_MAX / 20)
            return false;
        length = 10 * length + (uint64_t)(*p - '0');
    }
    if (p == text || !is_blank(p) || (r->has_length && length != r->left))
        return false;
    r->has_length = true;
    r->left = length;
    return true;
}

static bool take_coding(struct http_reply *r, const char *text)
{
    if (strncasecmp(text, "chunked", 7) == 0 && is_blank(text + 7) && !r->is_chunked)
        return r->is_chunked = true;
    return strncasecmp(text, "identity", 8) == 0 && is_blank(text + 8);
}

static bool take_header(struct http_reply *r)
{
    const char *length = value_of(r->line, "Content-Length"), *coding = value_of(r->line, "Transfer-Encoding");
    if (r->line[0] == ' ' || r->line[0] == '\t')
        return !r->is_folded; // the rest of a line that we do not read
    r->is_folded = length || coding;
    if (length)
        return take_length(r, length);
    return !coding || take_coding(r, coding);
}

static bool end_head(struct http_reply *r)
{
    if (r->status < 200 && r->status != 101) { // provisional: another head follows
        r->part = STATUS_LINE;
        r->status = 0;
        r->has_length = r->is_chunked = false;
        r->left = 0;
        return true;
    }
    const bool is_empty = r->has_length && !r->is_chunked && r->left == 0;
    if (r->is_head || r->status == 204 || r->status == 304 || r->status == 101 || is_empty)
        r->state = HTTP_REPLY_DONE;
    r->part = r->is_chunked ? CHUNK_SIZE : r->has_length ? BODY_TO_LENGTH : BODY_TO_END;
    return true;
}

static bool take_chunk_size(struct http_reply *r)
{
    uint64_t size = 0;
    const char *p = r->line;
    for (; (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'f'); p++) {
        if (size >> 56)
            return false;
        size = size << 4 | (unsigned)(*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
    }
    if (p == r->line || (*p != ';' && !is_blank(p)))
        return false;
    r->left = size;
    r->part = size ? CHUNK : TRAILER;
    return true;
}

// A line is complete, its end taken off.
static bool take_line(struct http_reply *r)
{
    const bool is_empty = r->line_len == 0;
    switch ((enum part)r->part) {
    case STATUS_LINE:
        return take_status(r);
    case HEADER:
        return is_empty ? end_head(r) : take_header(r);
    case CHUNK_SIZE:
        return take_chunk_size(r);
    case CHUNK_END:
        r->part = CHUNK_SIZE;
        return is_empty;
    case TRAILER:
        r->state = is_empty ? HTTP_REPLY_DONE : r->state;
        return true;
    case BODY_TO_LENGTH:
    case BODY_TO_END:
    case CHUNK:
        break;
    }
    return false;
}

// Octets of a line, up to its newline; how many were used. Long lines are read to their end and kept in part.
static size_t feed_line(struct http_reply *r, const char *data, size_t len)
{
    const char *newline = memchr(data, '\n', len);
    const size_t used = newline ? (size_t)(newline - data) + 1 : len, text = newline ? used - 1 : used;
    const size_t room = sizeof r->line - 1 - r->line_len, kept = text < room ? text : room;
    memcpy(r->line + r->line_len, data, kept);
    r->line_len += kept;
    // Lines that only frame chunks come as often as chunks do: only what is too long for them is counted.
    const bool is_frame = r->part == CHUNK_SIZE || r->part == CHUNK_END;
    r->head_octets += is_frame ? text - kept : used;
    const size_t known = r->line_len < 7 ? r->line_len : 7; // what is no HTTP need not send a whole line
    if (r->head_octets > HTTP_REPLY_HEAD_MAX || memchr(data, 0, text) ||
        (r->part == STATUS_LINE && memcmp(r->line, "HTTP/1.", known) != 0))
        r->state = HTTP_REPLY_BAD;
    if (!newline || r->state == HTTP_REPLY_BAD)
        return used;
    if (r->line_len > 0 && r->line[r->line_len - 1] == '\r')
        r->line_len--;
    r->line[r->line_len] = 0;
    if (!take_line(r))
        r->state = HTTP_REPLY_BAD;
    r->line_len = 0;
    return used;
}

static size_t feed_body(struct http_reply *r, const char *data, size_t len,
                        bool (*take)(void *user, const char *data, size_t len), void *user)
{
    const size_t used = r->part == BODY_TO_END || r->left > len ? len : (size_t)r->left;
    if (r->part != BODY_TO_END)
        r->left -= used;
    if (!take(user, data, used))
        r->state = HTTP_REPLY_DONE;
    else if (r->part == CHUNK && r->left == 0)
        r->part = CHUNK_END;
    else if (r->part == BODY_TO_LENGTH && r->left == 0)
        r->state = HTTP_REPLY_DONE;
    return used;
}

void http_reply_begin(struct http_reply *r, bool is_head)
{
    memset(r, 0, offsetof(struct http_reply, line));
    r->is_head = is_head;
}

enum http_reply_state http_reply_feed(struct http_reply *r, const char *data, size_t len,
                                      bool (*take)(void *user, const char *data, size_t len), void *user)
{
    for (size_t at = 0; at < len && r->state == HTTP_REPLY_MORE;) { // each turn uses at least one octet
        if (r->part == BODY_TO_LENGTH || r->part == BODY_TO_END || r->part == CHUNK)
            at += feed_body(r, data + at, len - at, take, user);
        else
            at += feed_line(r, data + at, len - at);
    }
    return r->state;
}

enum http_reply_state http_reply_end(struct http_reply *r)
{
    if (r->state == HTTP_REPLY_MORE)
        r->state = r->part == BODY_TO_END ? HTTP_REPLY_DONE : HTTP_REPLY_BAD;
    return r->state;
}
