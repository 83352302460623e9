// SPDX-License-Identifier: Apache-2.0
#include "dataplane/stream_connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PREFIX_LEN = 2, HEADER_LEN = 12 }; // RFC 1035 section 4.2.2; section 4.1.1

void stream_connection_init(struct stream_connection *c, int fd, const struct answer_client *client, uint64_t now_ns)
{
    memset(c, 0, sizeof *c);
    c->fd = fd;
    c->client = *client;
    c->accepted_ns = c->active_ns = now_ns;
}

void stream_connection_fini(struct stream_connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    free(c->out);
    c->in = c->out = NULL;
    c->in_len = c->in_cap = c->out_len = c->out_at = 0;
    c->fd = -1;
}

// Bytes of the first message with its prefix; a chunk when not even the prefix is there.
static uint32_t wanted(const struct stream_connection *c)
{
    return c->in_len < PREFIX_LEN ? STREAM_CHUNK : PREFIX_LEN + (uint32_t)(c->in[0] << 8 | c->in[1]);
}

bool stream_connection_has_message(const struct stream_connection *c)
{
    return c->in_len >= PREFIX_LEN && c->in_len >= wanted(c);
}

static int make_room(struct stream_connection *c)
{
    const uint32_t need = wanted(c) > STREAM_CHUNK ? wanted(c) : STREAM_CHUNK;
    if (c->in_cap >= need)
        return 0;
    uint8_t *more = realloc(c->in, need);
    if (!more)
        return -ENOMEM;
    c->in = more;
    c->in_cap = need;
    return 0;
}

int stream_connection_read(struct stream_connection *c, uint64_t now_ns)
{
    int rc = make_room(c);
    if (rc < 0)
        return rc;
    const ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
    c->has_ended = n == 0;
    c->in_len += (uint32_t)n;
    if (c->in_len && !c->partial_ns) // cleared when the message is answered
        c->partial_ns = now_ns;
    return 1;
}

// One message at in[at..]; its answer with prefix at `out`. Bytes made; 0 ends the connection.
static unsigned answer_one(struct stream_connection *c, struct answer_context *context, uint32_t at, unsigned len,
                           uint8_t *out)
{
    if (len < HEADER_LEN)
        return 0;
    uint8_t *msg = out + PREFIX_LEN;
    memcpy(msg, c->in + at + PREFIX_LEN, len);
    memset(msg + len, 0, ANSWER_SLACK);
    const unsigned reply = answer_message(context, &c->client, msg, len, ANSWER_TCP_MAX + ANSWER_SLACK);
    if (reply == 0)
        return 0;
    out[0] = (uint8_t)(reply >> 8);
    out[1] = (uint8_t)reply;
    return PREFIX_LEN + reply;
}

unsigned stream_connection_answer(struct stream_connection *c, struct answer_context *context, uint8_t *out)
{
    uint32_t at = 0;
    unsigned made = 0;
    while (made < STREAM_BATCH && !c->is_broken && c->in_len - at >= PREFIX_LEN) {
        const unsigned len = (unsigned)(c->in[at] << 8 | c->in[at + 1]);
        if (c->in_len - at - PREFIX_LEN < len)
            break;
        const unsigned n = answer_one(c, context, at, len, out + made);
        c->is_broken = n == 0; // a response or less than a header: RFC 7766 section 8 lets us close
        made += n;
        at += PREFIX_LEN + len;
    }
    if (at == 0)
        return 0;
    c->in_len = c->is_broken ? 0 : c->in_len - at;
    memmove(c->in, c->in + at, c->in_len);
    c->active_ns = context->now_ns;
    c->partial_ns = c->in_len ? context->now_ns : 0;
    if (c->in_len == 0 && c->in_cap > STREAM_CHUNK) { // a long message was an exception
        free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    }
    return made;
}

static int keep(struct stream_connection *c, const uint8_t *bytes, unsigned len)
{
    uint8_t *copy = malloc(len);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, bytes, len);
    c->out = copy;
    c->out_len = len;
    c->out_at = 0;
    return 0;
}

int stream_connection_write(struct stream_connection *c, const uint8_t *bytes, unsigned len, uint64_t now_ns)
{
    const bool is_rest = len == 0;
    if (is_rest) {
        bytes = c->out + c->out_at;
        len = c->out_len - c->out_at;
    }
    ssize_t n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return -errno;
    n = n < 0 ? 0 : n;
    if ((unsigned)n == len) {
        free(c->out);
        c->out = NULL;
        c->out_len = c->out_at = 0;
        c->blocked_ns = 0;
        return 0;
    }
    if (!c->blocked_ns) // progress does not help: a client may take its time once, not byte by byte
        c->blocked_ns = now_ns;
    if (!is_rest)
        return keep(c, bytes + n, len - (unsigned)n);
    c->out_at += (uint32_t)n;
    return 0;
}
