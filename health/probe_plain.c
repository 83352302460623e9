// SPDX-License-Identifier: Apache-2.0
// HTTP probe without TLS over a connection of its own: the common one, of which there may be thousands a second.
//
// Beside libcurl (probe_web.c), which does everything else, because it takes half the time: measured with 10,000
// targets a second, libcurl's own work and its 28 system calls a request are more than the whole of this.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/http_match.h"
#include "health/http_reply.h"
#include "health/probe_kind.h"
#include "health/probe_stream.h"

// So much of a page is read although nothing depends on it: a server whose answers are cut off complains in its log.
enum { POLITE_BYTES = 16384, PIECE_BYTES = 4096 };

struct plain_probe {
    struct probe_callbacks callbacks;
    struct stream_exchange *exchange;
    struct http_match *match;
    struct http_reply reply;
    bool is_head;
    uint64_t started_ns, first_ns; // when the response began
    uint64_t body_bytes;
};

// ---- the response ----

static bool on_body(void *user, const char *data, size_t len)
{
    struct plain_probe *p = user;
    p->body_bytes += len;
    return http_match_feed(p->match, data, len) || p->body_bytes <= POLITE_BYTES;
}

static bool on_piece(void *user, const char *data, size_t len)
{
    struct plain_probe *p = user;
    if (!p->first_ns)
        p->first_ns = uv_hrtime();
    return http_reply_feed(&p->reply, data, len, on_body, p) == HTTP_REPLY_MORE;
}

static struct probe_result judge(struct plain_probe *p, const struct stream_reply *reply)
{
    if (reply->error)
        return probe_result_error(reply->error);
    struct probe_result r = probe_result_down(EVIDENCE_REASON_PROTOCOL);
    if (reply->is_ended && p->reply.state == HTTP_REPLY_MORE) {
        r.reason = EVIDENCE_REASON_RESET;
        probe_result_detail(&r, p->first_ns ? "the response was cut off" : "no response");
    }
    if (reply->is_ended)
        http_reply_end(&p->reply);
    if (p->reply.state != HTTP_REPLY_DONE)
        return r;
    const enum evidence_reason reason = http_match_end(p->match, p->reply.status);
    if (reason == EVIDENCE_REASON_OK)
        return probe_result_up(p->first_ns - p->started_ns);
    if (reason == EVIDENCE_REASON_NONE) // no memory for the page
        return probe_result_unknown(EVIDENCE_REASON_LOCAL);
    r = probe_result_down(reason);
    if (reason == EVIDENCE_REASON_STATUS)
        probe_result_detail(&r, "status %u", p->reply.status);
    return r;
}

static void on_reply(void *user, const struct stream_reply *reply)
{
    struct plain_probe *p = user;
    const struct probe_result result = judge(p, reply);
    p->callbacks.done(p->callbacks.user, &result);
}

// ---- the request ----

static bool has_text(const char *text)
{
    return text && text[0];
}

// No space or control character, which would end a word or a line of the request.
static bool is_word(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p > 0 && (*p <= ' ' || *p == 0x7f))
            return false;
    return true;
}

static bool is_line(const char *text)
{
    return text[strcspn(text, "\r\n")] == 0;
}

bool probe_plain_suits(const struct probe_spec *spec)
{
    const struct probe_http *http = &spec->http;
    if (spec->type != PROBE_HTTP || http->keep_alive || has_text(http->credentials) || spec->server.len == 0)
        return false;
    for (unsigned i = 0; i < http->header_count; i++)
        if (!is_line(http->headers[i]))
            return false;
    return (!http->path || (is_word(http->path) && !strchr(http->path, '#'))) && (!http->host || is_word(http->host)) &&
           (!http->method || is_word(http->method));
}

static void put_host(FILE *out, const struct probe_http *http, const struct probe_address *server)
{
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&server->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&server->address;
    if (has_text(http->host)) {
        fprintf(out, "Host: %s\r\n", http->host);
    } else if (server->address.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        fprintf(out, "Host: [%s]:%u\r\n", text, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        fprintf(out, "Host: %s:%u\r\n", text, ntohs(v4->sin_port));
    }
}

// malloc'ed; null: out of memory.
static char *request_of(const struct probe_spec *spec)
{
    const struct probe_http *http = &spec->http;
    const char *path = has_text(http->path) ? http->path : "/";
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fprintf(out, "%s %s%s HTTP/1.1\r\n", has_text(http->method) ? http->method : "GET", path[0] == '/' ? "" : "/",
            path);
    if (!probe_http_sets(http, "Host"))
        put_host(out, http, &spec->server);
    if (!probe_http_sets(http, "User-Agent"))
        fputs("User-Agent: signpost/" SIGNPOST_VERSION "\r\n", out);
    if (!probe_http_sets(http, "Accept"))
        fputs("Accept: */*\r\n", out);
    if (!probe_http_sets(http, "Connection"))
        fputs("Connection: close\r\n", out);
    for (unsigned i = 0; i < http->header_count; i++)
        fprintf(out, "%s\r\n", http->headers[i]);
    fputs("\r\n", out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

// ---- the kind ----

static void on_closed(void *user)
{
    struct plain_probe *p = user;
    const struct probe_callbacks callbacks = p->callbacks;
    http_match_free(p->match);
    free(p);
    callbacks.closed(callbacks.user);
}

static void *plain_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                        const struct probe_callbacks *callbacks)
{
    (void)balancer;
    struct plain_probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->callbacks = *callbacks;
    p->is_head = has_text(spec->http.method) && strcmp(spec->http.method, "HEAD") == 0;
    p->match = http_match_new(&spec->http);
    if (!p->match) {
        free(p);
        return NULL;
    }
    char *request = request_of(spec);
    const struct stream_spec stream = {.server = spec->server,
                                       .source = spec->source,
                                       .send = request,
                                       .reply_max = PIECE_BYTES,
                                       .take = on_piece,
                                       .done = on_reply,
                                       .closed = on_closed,
                                       .user = p};
    errno = ENOMEM;
    p->exchange = request ? stream_exchange_new(host->loop, &stream) : NULL;
    free(request);
    if (p->exchange)
        return p;
    const int error = errno;
    http_match_free(p->match);
    free(p);
    errno = error;
    return NULL;
}

static int plain_run(void *instance)
{
    struct plain_probe *p = instance;
    http_reply_begin(&p->reply, p->is_head);
    http_match_begin(p->match);
    p->first_ns = p->body_bytes = 0;
    p->started_ns = uv_hrtime();
    return stream_exchange_run(p->exchange);
}

static void plain_abort(void *instance)
{
    stream_exchange_abort(((struct plain_probe *)instance)->exchange);
}

static void plain_close(void *instance)
{
    stream_exchange_close(((struct plain_probe *)instance)->exchange);
}

const struct probe_kind probe_plain_kind = {plain_open, plain_run, plain_abort, plain_close};
