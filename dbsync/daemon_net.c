// SPDX-License-Identifier: Apache-2.0
// TCP and TLS under the links.
//
// Who connects: the site with the lower number at once; the other, if it was given an address, a moment later, in case
// the first has none. A connection that shows a peer's certificate takes the place of an older one of that peer: the
// other end would not have made it if the old one were any good.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "dbsync/daemon.h"
#include "shared/log.h"

enum {
    GUEST_MAX = 32,       // connections that have not shown a certificate yet
    GUEST_MS = 10000,     // how long they may take
    WIRE_MAX = 512 << 10, // octets waiting for the kernel, beyond which the link is not asked for more
    DIAL_FIRST_MS = 100,
    DIAL_LAST_MS = 5000,
    DIAL_HIGHER_MS = 2000, // what the site with the higher number waits
    READ_BYTES = 64 << 10
};

struct connection {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct daemon *daemon;
    struct connection *next;
    struct tls_session *tls;
    struct peer *peer; // dialed, or known by its certificate; null: a guest
    bool is_adopted;   // it is peer->connection
    bool is_linked;    // the link knows
    bool is_closing, is_reading, is_dialed, closes_after_write;
    uint64_t since_ms;
    struct buffer plain;  // decrypted before the link was ready
    struct buffer wire;   // to be written
    struct buffer flight; // being written
    bool is_writing;
    char from[80];
};

struct link_time net_now(void)
{
    struct timespec wall, mono;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (struct link_time){(int64_t)mono.tv_sec * 1000000 + mono.tv_nsec / 1000,
                              (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000};
}

// ---- certificates ----

static int64_t newest_change(const struct config *c)
{
    const char *const path[] = {c->certificate, c->key, c->authority};
    int64_t newest = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct stat st;
        if (stat(path[i], &st) != 0)
            continue;
        int64_t at = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        newest = at > newest ? at : newest;
    }
    return newest;
}

// The context of the files as they are now; the old one when they cannot be used.
static struct tls_context *context_of(struct daemon *d)
{
    int64_t changed = newest_change(d->config);
    if (d->tls && changed == d->tls_mtime_ns)
        return d->tls;
    struct tls_context *fresh;
    struct problem problem;
    d->tls_mtime_ns = changed;
    if (tls_context_new(d->config->certificate, d->config->key, d->config->authority, d->config->identity, &fresh,
                        &problem) < 0) {
        snprintf(d->tls_problem, sizeof d->tls_problem, "%.250s", problem.text);
        log_error("%s%s", problem.text, d->tls ? "; the certificate in use stays" : "");
        return d->tls;
    }
    d->tls_problem[0] = 0;
    if (d->tls)
        log_notice("certificates were read again");
    tls_context_free(d->tls); // sessions hold what they need
    d->tls = fresh;
    return fresh;
}

// ---- closing ----

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct connection **at = &c->daemon->connection;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    tls_session_free(c->tls);
    buffer_fini(&c->plain);
    buffer_fini(&c->wire);
    buffer_fini(&c->flight);
    free(c);
}

static void flush(struct connection *c);

void net_close(struct connection *c, const char *reason)
{
    if (!c || c->is_closing)
        return;
    c->is_closing = true;
    c->since_ms = uv_now(c->daemon->loop);
    struct peer *p = c->peer;
    if (!c->is_adopted && !c->is_dialed)
        c->daemon->guest_count--;
    if (c->is_dialed && p && !c->is_adopted)
        p->is_dialing = false;
    if (c->is_adopted && p->connection == c) {
        struct link_order rest;
        if (link_drain(p->link, &rest))
            job_spool(p, &rest);
        p->connection = NULL;
        p->epoch++;
        link_disconnected(p->link);
        peer_down(p, reason);
    }
    uv_read_stop((uv_stream_t *)&c->tcp);
    tls_close(c->tls, &c->wire);
    c->closes_after_write = true;
    flush(c);
}

void net_close_all(struct daemon *d)
{
    for (struct connection *c = d->connection; c; c = c->next)
        net_close(c, "this daemon stops");
}

// ---- writing ----

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;
    c->is_writing = false;
    buffer_reset(&c->flight);
    if (status < 0 && !c->is_closing) {
        net_close(c, uv_strerror(status));
        return;
    }
    if (status < 0)
        buffer_reset(&c->wire);
    flush(c);
    if (!c->is_closing && c->is_linked)
        net_pump(c->peer);
}

static void flush(struct connection *c)
{
    uv_handle_t *handle = (uv_handle_t *)&c->tcp;
    if (c->is_writing || uv_is_closing(handle))
        return;
    if (c->wire.len) {
        struct buffer swap = c->flight;
        c->flight = c->wire;
        c->wire = swap;
        uv_buf_t bytes = uv_buf_init((char *)c->flight.data, (unsigned)c->flight.len);
        c->write.data = c;
        c->is_writing = uv_write(&c->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_written) == 0;
        if (c->is_writing)
            return;
        buffer_reset(&c->flight);
    }
    if (c->closes_after_write)
        uv_close(handle, on_closed);
}

// ---- from the wire to the link ----

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    static char room[READ_BYTES]; // one loop: used up before the next read
    (void)handle, (void)wanted;
    *out = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *bytes);

static void set_reading(struct connection *c, bool reads)
{
    if (c->is_closing || c->is_reading == reads)
        return;
    c->is_reading = reads;
    if (reads)
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

static void adopt(struct connection *c, struct peer *p)
{
    if (!c->is_dialed)
        c->daemon->guest_count--;
    if (c->is_dialed)
        p->is_dialing = false;
    c->peer = p;
    c->is_adopted = true;
    if (p->connection)
        net_close(p->connection, "the peer has connected anew");
    p->connection = c;
    p->epoch++;
    char description[TLS_NAME_CAP];
    tls_describe(c->tls, description);
    log_info("%s: connected (%s, %s)", p->config->name, c->from, description);
    set_reading(c, false);
    job_start(p);
}

// The handshake is done: who is it?
static void identify(struct connection *c)
{
    struct daemon *d = c->daemon;
    if (c->is_dialed) {
        struct connection *other = c->peer->connection;
        if (other && other->is_linked && !other->is_dialed) {
            net_close(c, "the peer has connected itself meanwhile");
            return;
        }
        adopt(c, c->peer);
        return;
    }
    for (unsigned i = 0; i < d->peer_count; i++) {
        if (tls_is(c->tls, d->peer[i].config->identity)) {
            adopt(c, &d->peer[i]);
            return;
        }
    }
    char description[TLS_NAME_CAP];
    tls_describe(c->tls, description);
    d->refused_certificates++;
    log_warning("%s: the certificate (%s) is of the authority, but of no peer of this configuration", c->from,
                description);
    net_close(c, "no peer of ours");
}

static void refuse(struct connection *c, const struct problem *problem)
{
    struct daemon *d = c->daemon;
    bool shook = !tls_is_open(c->tls);
    d->refused_certificates += shook;
    if (c->peer)
        peer_problem(c->peer, problem->text);
    else
        log_warning("%s: %s", c->from, problem->text);
    net_close(c, problem->text);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *bytes)
{
    struct connection *c = stream->data;
    struct problem problem;
    if (len == 0)
        return;
    if (len < 0) {
        net_close(c, len == UV_EOF ? "the peer closed the connection" : uv_strerror((int)len));
        return;
    }
    bool was_open = tls_is_open(c->tls);
    int result = tls_receive(c->tls, bytes->base, (size_t)len, &c->plain, &c->wire, &problem);
    flush(c);
    if (c->is_linked && c->plain.len) {
        link_received(c->peer->link, c->plain.data, c->plain.len, net_now());
        buffer_reset(&c->plain);
        net_pump(c->peer);
        if (c->is_closing)
            return;
    }
    if (!was_open && tls_is_open(c->tls))
        identify(c);
    if (c->is_closing)
        return;
    if (result == -ECONNRESET)
        net_close(c, "the peer closed the connection");
    else if (result < 0)
        refuse(c, &problem);
}

void net_connected(struct peer *p, const struct link_start *start)
{
    struct connection *c = p->connection;
    link_connected(p->link, net_now(), start);
    c->is_linked = true;
    p->up_since_ms = uv_now(p->daemon->loop);
    p->dial_wait_ms = DIAL_FIRST_MS;
    if (c->plain.len)
        link_received(p->link, c->plain.data, c->plain.len, net_now());
    buffer_reset(&c->plain);
    set_reading(c, true);
    net_pump(p);
}

void net_pump(struct peer *p)
{
    struct connection *c = p->connection;
    struct link_order order;
    struct problem problem;
    if (!c || !c->is_linked || c->is_closing)
        return;
    for (;;) { // ends when the link has nothing more, or the wire is full
        link_next(p->link, &order);
        if (order.wish == LINK_NOTHING)
            break;
        if (order.wish == LINK_CLOSE) {
            peer_problem(p, order.text);
            net_close(c, order.text);
            return;
        }
        if (order.wish != LINK_SEND) {
            peer_order(p, &order);
            continue;
        }
        if (c->wire.len >= WIRE_MAX)
            break;
        if (tls_send(c->tls, order.bytes, order.len, &c->wire, &problem) < 0) {
            refuse(c, &problem);
            return;
        }
        link_sent(p->link, order.len);
    }
    flush(c);
    set_reading(c, !link_is_full(p->link));
}

const char *net_describe(const struct peer *p)
{
    static char text[TLS_NAME_CAP];
    text[0] = 0;
    if (p->connection)
        tls_describe(p->connection->tls, text);
    return text;
}

// ---- making connections ----

static struct connection *new_connection(struct daemon *d, const char *identity)
{
    struct tls_context *context = context_of(d);
    struct problem problem;
    if (!context)
        return NULL;
    struct connection *c = memory_take(sizeof *c);
    c->daemon = d;
    c->since_ms = uv_now(d->loop);
    if (tls_session_new(context, identity, &c->tls, &problem) < 0) {
        log_error("%s", problem.text);
        free(c);
        return NULL;
    }
    uv_tcp_init(d->loop, &c->tcp);
    c->tcp.data = c;
    c->next = d->connection;
    d->connection = c;
    return c;
}

static void set_options(struct connection *c)
{
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, 30);
}

static void on_guest(uv_stream_t *listener, int status)
{
    struct daemon *d = listener->data;
    if (status < 0)
        return;
    struct connection *c = new_connection(d, NULL);
    if (!c)
        return;
    struct sockaddr_storage address;
    int len = sizeof address;
    d->guest_count++;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
        net_close(c, "accept");
        return;
    }
    snprintf(c->from, sizeof c->from, "?");
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&address, &len) == 0)
        uv_ip_name((struct sockaddr *)&address, c->from, sizeof c->from);
    if (d->guest_count > GUEST_MAX || d->is_stopping) {
        d->refused_connections++;
        net_close(c, "too many connections without a certificate");
        return;
    }
    set_options(c);
    set_reading(c, true);
}

static void on_dialed(uv_connect_t *connect, int status)
{
    struct connection *c = connect->data;
    struct problem problem;
    if (c->is_closing)
        return;
    if (status < 0) {
        snprintf(c->peer->down_reason, sizeof c->peer->down_reason, "%s: %s", c->from, uv_strerror(status));
        net_close(c, uv_strerror(status));
        return;
    }
    set_options(c);
    if (tls_start(c->tls, &c->wire, &problem) < 0) {
        refuse(c, &problem);
        return;
    }
    flush(c);
    set_reading(c, true);
}

static int parse_endpoint(const char *text, struct sockaddr_storage *out)
{
    char host[64];
    uint16_t port;
    if (config_endpoint(text, host, &port) < 0)
        return -EINVAL;
    return strchr(host, ':') ? uv_ip6_addr(host, port, (struct sockaddr_in6 *)out)
                             : uv_ip4_addr(host, port, (struct sockaddr_in *)out);
}

static void dial(struct peer *p)
{
    struct daemon *d = p->daemon;
    struct sockaddr_storage to;
    struct connection *c = new_connection(d, p->config->identity);
    p->dial_wait_ms = p->dial_wait_ms * 2 < DIAL_LAST_MS ? p->dial_wait_ms * 2 : DIAL_LAST_MS;
    p->dial_at_ms = uv_now(d->loop) + p->dial_wait_ms + (uint64_t)(rand() % 100);
    if (!c)
        return;
    c->peer = p;
    c->is_dialed = true;
    p->is_dialing = true;
    snprintf(c->from, sizeof c->from, "%s", p->config->address);
    c->connect.data = c;
    int result = parse_endpoint(p->config->address, &to);
    if (result == 0)
        result = uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&to, on_dialed);
    if (result < 0)
        net_close(c, uv_strerror(result));
}

void net_tick(struct daemon *d)
{
    uint64_t now = uv_now(d->loop);
    for (struct connection *c = d->connection; c; c = c->next) {
        if (!c->is_adopted && !c->is_closing && now - c->since_ms > GUEST_MS)
            net_close(c, "no TLS handshake within 10 s");
        else if (c->is_closing && !uv_is_closing((uv_handle_t *)&c->tcp) && now - c->since_ms > GUEST_MS)
            uv_close((uv_handle_t *)&c->tcp, on_closed); // its last octets do not leave
    }
    for (unsigned i = 0; i < d->peer_count && !d->is_stopping; i++) {
        struct peer *p = &d->peer[i];
        if (!p->connection && !p->is_dialing && p->config->address && now >= p->dial_at_ms)
            dial(p);
    }
}

void net_wait_to_dial(struct peer *p)
{
    bool is_higher = p->daemon->config->site > p->config->site && p->daemon->config->listen;
    p->dial_at_ms = uv_now(p->daemon->loop) + p->dial_wait_ms + (is_higher ? DIAL_HIGHER_MS : 0);
}

int net_listen(struct daemon *d, struct problem *problem)
{
    struct sockaddr_storage address;
    if (!context_of(d))
        return problem_set(problem, EINVAL, "%s", d->tls_problem);
    for (unsigned i = 0; i < d->peer_count; i++) {
        d->peer[i].dial_wait_ms = DIAL_FIRST_MS;
        net_wait_to_dial(&d->peer[i]);
    }
    if (!d->config->listen)
        return 0;
    uv_tcp_init(d->loop, &d->listener);
    d->listener.data = d;
    d->is_listening = true;
    int result = parse_endpoint(d->config->listen, &address);
    if (result == 0)
        result = uv_tcp_bind(&d->listener, (struct sockaddr *)&address, 0);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&d->listener, GUEST_MAX, on_guest);
    return result < 0 ? problem_set(problem, EADDRNOTAVAIL, "listen %s: %s", d->config->listen, uv_strerror(result))
                      : 0;
}
