// SPDX-License-Identifier: Apache-2.0
#include "health/probe_http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "health/probe_kind.h"

enum {
    TEXT_CAP = 4096, // the schema's longest path and host fit
    BODY_FIRST_BYTES = 4096,
    RECEIVE_BUFFER_BYTES = 4096, // libcurl keeps one for each handle; pages of probes are small
    HEADER_MAX_BYTES = 65536,    // of all header lines of a response
    // Above what can be under way at once: at the limit libcurl looks through all connections for each new one. Idle
    // ones are bounded by themselves: a fetch keeps one at most, and most keep none.
    CONNECTIONS_MAX = 1 << 17
};

struct watch { // one socket of libcurl's
    uv_poll_t poll;
    struct http_engine *engine;
    curl_socket_t socket;
};

struct http_engine {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct watch **watch; // by descriptor; null: not watched
    size_t watch_cap;
    struct http_fetch *running; // list
    unsigned open_handles;
    uint64_t rebuilt;
    bool is_closing;
    void (*closed)(void *user);
    void *closed_user;
};

struct http_fetch {
    struct http_engine *engine;
    struct http_fetch *next, **link; // in the list of running ones
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    bool (*take)(void *user, const char *data, size_t len);
    void (*done)(void *user, struct http_response *response);
    void *user;
    bool is_running, is_keep_alive, is_cut, is_enough;
    uint64_t body_max_bytes;
    size_t header_bytes;
    char *body;
    size_t len, cap;
    char error[CURL_ERROR_SIZE];
};

// ---- the engine: libcurl's sockets and timer on libuv's loop ----

static void release_engine(struct http_engine *e)
{
    if (!e->is_closing || e->open_handles)
        return;
    void (*closed)(void *) = e->closed;
    void *user = e->closed_user;
    free(e->watch);
    free(e);
    if (closed)
        closed(user);
}

static void watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    struct http_engine *e = w->engine;
    free(w);
    e->open_handles--;
    release_engine(e);
}

static void timer_closed(uv_handle_t *handle)
{
    struct http_engine *e = handle->data;
    e->open_handles--;
    release_engine(e);
}

static enum evidence_reason reason_of(CURLcode code, long os_error)
{
    switch ((int)code) { // as a number: libcurl has a hundred codes, those not named are protocol errors
    case CURLE_OK:
        return EVIDENCE_REASON_OK;
    case CURLE_COULDNT_CONNECT:
        return os_error == ECONNREFUSED || os_error == 0 ? EVIDENCE_REASON_REFUSED
               : os_error == ETIMEDOUT                   ? EVIDENCE_REASON_TIMEOUT
                                                         : EVIDENCE_REASON_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return EVIDENCE_REASON_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return EVIDENCE_REASON_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return EVIDENCE_REASON_RESET;
    default:
        return EVIDENCE_REASON_PROTOCOL;
    }
}

static bool is_local_fault(CURLcode code, long os_error)
{
    return code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT || code == CURLE_INTERFACE_FAILED ||
           code == CURLE_SSL_CACERT_BADFILE || os_error == EMFILE || os_error == ENFILE || os_error == EADDRNOTAVAIL;
}

static void leave_running(struct http_fetch *f)
{
    curl_multi_remove_handle(f->engine->multi, f->easy);
    f->is_running = false;
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
}

static void finish(struct http_fetch *f, CURLcode code)
{
    long status = 0, os_error = 0;
    curl_off_t took_us = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &os_error);
    curl_easy_getinfo(f->easy, CURLINFO_STARTTRANSFER_TIME_T, &took_us);
    leave_running(f);
    if (code == CURLE_WRITE_ERROR && f->is_enough)
        code = CURLE_OK;
    char none[1] = "";
    struct http_response r = {.reason = reason_of(code, os_error),
                              .is_local = code != CURLE_OK && is_local_fault(code, os_error),
                              .status = (unsigned)status,
                              .body = f->body ? f->body : none,
                              .len = f->len,
                              .is_cut = f->is_cut,
                              .response_ns = (uint64_t)(took_us > 0 ? took_us : 1) * 1000};
    if (code != CURLE_OK)
        snprintf(r.detail, sizeof r.detail, "%.95s", f->error[0] ? f->error : curl_easy_strerror(code));
    char *body = f->body; // `done` may start the next run or free the fetch
    f->body = NULL;
    f->len = f->cap = 0;
    f->done(f->user, &r);
    free(body);
}

static void take_messages(struct http_engine *e)
{
    int left;
    for (CURLMsg *m; !e->is_closing && (m = curl_multi_info_read(e->multi, &left));) {
        struct http_fetch *f;
        const CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        finish(f, code);
    }
}

static CURLM *new_multi(struct http_engine *e);

// After an error of its own a multi handle's state is undefined: what runs ends as a local fault, and a new one goes
// on.
static void rebuild(struct http_engine *e)
{
    CURLM *fresh = new_multi(e);
    e->rebuilt++;
    if (!fresh)
        return; // the next error tries again
    struct http_fetch *failed = e->running;
    for (struct http_fetch *f = failed; f; f = f->next)
        curl_multi_remove_handle(e->multi, f->easy);
    curl_multi_cleanup(e->multi);
    e->multi = fresh;
    while (e->running && !e->is_closing)
        finish(e->running, CURLE_FAILED_INIT);
}

static void act(struct http_engine *e, curl_socket_t socket, int flags)
{
    int running;
    if (e->is_closing)
        return;
    const CURLMcode code = curl_multi_socket_action(e->multi, socket, flags, &running);
    take_messages(e);
    if (code != CURLM_OK && code != CURLM_BAD_SOCKET && !e->is_closing)
        rebuild(e);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct http_engine *e = user;
    (void)multi;
    if (timeout_ms < 0 || e->is_closing)
        uv_timer_stop(&e->timer);
    else
        uv_timer_start(&e->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    const struct watch *w = poll->data;
    act(w->engine, w->socket,
        (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
            (status < 0 ? CURL_CSELECT_ERR : 0));
}

static struct watch *find_watch(const struct http_engine *e, curl_socket_t socket)
{
    return (size_t)socket < e->watch_cap ? e->watch[socket] : NULL;
}

static struct watch *new_watch(struct http_engine *e, curl_socket_t socket)
{
    if ((size_t)socket >= e->watch_cap) {
        const size_t cap = ((size_t)socket + 64) * 2;
        struct watch **grown = realloc(e->watch, cap * sizeof(struct watch *));
        if (!grown)
            return NULL;
        memset(grown + e->watch_cap, 0, (cap - e->watch_cap) * sizeof(struct watch *));
        e->watch = grown;
        e->watch_cap = cap;
    }
    struct watch *w = calloc(1, sizeof *w);
    if (!w || uv_poll_init_socket(e->loop, &w->poll, socket) < 0) {
        free(w);
        return NULL;
    }
    w->engine = e;
    w->socket = socket;
    w->poll.data = w;
    e->open_handles++;
    e->watch[socket] = w;
    return w;
}

static void drop_watch(struct http_engine *e, curl_socket_t socket)
{
    struct watch *w = find_watch(e, socket);
    if (!w)
        return;
    e->watch[socket] = NULL;
    uv_close((uv_handle_t *)&w->poll,
             watch_closed); // off the loop at once: the descriptor may be closed and come again
}

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *socket_user)
{
    struct http_engine *e = user;
    struct watch *w = find_watch(e, socket);
    (void)easy;
    (void)socket_user;
    if (what == CURL_POLL_REMOVE) {
        drop_watch(e, socket);
        return 0;
    }
    w = w ? w : new_watch(e, socket);
    if (!w)
        return -1; // libcurl ends the transfer
    const int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_socket) < 0 ? -1 : 0;
}

// libcurl may close a socket that it never took off the loop (a connection evicted from its cache).
static int close_socket(void *user, curl_socket_t socket)
{
    drop_watch(user, socket);
    return close(socket);
}

static CURLM *new_multi(struct http_engine *e)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, e);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, e);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return multi;
}

struct http_engine *http_engine_new(uv_loop_t *loop)
{
    static bool is_initialised;
    struct http_engine *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    if (!is_initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(e);
        return NULL;
    }
    is_initialised = true;
    e->loop = loop;
    e->multi = new_multi(e);
    if (!e->multi) {
        free(e);
        return NULL;
    }
    uv_timer_init(loop, &e->timer);
    e->timer.data = e;
    e->open_handles = 1;
    return e;
}

void http_engine_close(struct http_engine *e, void (*closed)(void *user), void *user)
{
    e->is_closing = true;
    e->closed = closed;
    e->closed_user = user;
    curl_multi_cleanup(e->multi); // closes idle connections; takes their sockets off the loop
    e->multi = NULL;
    uv_timer_stop(&e->timer);
    uv_close((uv_handle_t *)&e->timer, timer_closed);
}

// ---- one fetch ----

static bool grow(struct http_fetch *f, size_t wanted)
{
    if (wanted <= f->cap)
        return true;
    size_t cap = f->cap ? f->cap : BODY_FIRST_BYTES;
    while (cap < wanted)
        cap *= 2;
    char *body = realloc(f->body, cap);
    if (!body)
        return false;
    f->body = body;
    f->cap = cap;
    return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct http_fetch *f = user;
    const size_t len = size * count;
    if (f->take) {
        f->is_enough = !f->take(f->user, data, len);
        return f->is_enough ? 0 : len; // 0 ends the transfer
    }
    const size_t room = f->body_max_bytes > f->len ? (size_t)(f->body_max_bytes - f->len) : 0;
    const size_t take = len < room ? len : room;
    if (!grow(f, f->len + take + 1))
        return 0;
    memcpy(f->body + f->len, data, take);
    f->len += take;
    f->body[f->len] = 0;
    f->is_cut = f->is_enough = take < len;
    return take;
}

// Counts only: neither a header without an end nor provisional responses without an end may occupy us.
static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct http_fetch *f = user;
    (void)data;
    f->header_bytes += size * count;
    return f->header_bytes <= HEADER_MAX_BYTES ? size * count : 0;
}

static const char *address_text(const struct probe_address *address, bool has_brackets, char out[64])
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address->address.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->address)->sin6_addr, text, sizeof text);
        snprintf(out, 64, has_brackets ? "[%s]" : "%s", text);
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->address)->sin_addr, text, sizeof text);
        snprintf(out, 64, "%s", text);
    }
    return out;
}

static unsigned port_of(const struct probe_address *address)
{
    return ntohs(address->address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address->address)->sin6_port
                                                        : ((const struct sockaddr_in *)&address->address)->sin_port);
}

static bool has_text(const char *text)
{
    return text && text[0];
}

// The name in the URL: it becomes SNI and the certificate's name. Where the connection goes is said by CONNECT_TO.
static void set_url(struct http_fetch *f, const struct http_fetch_spec *spec)
{
    char url[2 * TEXT_CAP], target[TEXT_CAP], address[64], name[TEXT_CAP] = "localhost";
    const struct probe_http *http = spec->http;
    const char *path = has_text(http->path) ? http->path : "/";
    const unsigned port = spec->server.len ? port_of(&spec->server) : (spec->is_https ? 443 : 80);
    if (has_text(http->tls.name))
        snprintf(name, sizeof name, "%s", http->tls.name);
    else if (has_text(http->host) && http->host[0] != '[')
        snprintf(name, sizeof name, "%.*s", (int)strcspn(http->host, ":"), http->host);
    else if (spec->server.len)
        address_text(&spec->server, true, name);
    snprintf(url, sizeof url, "%s://%s:%u%s%s", spec->is_https ? "https" : "http", name, port,
             path[0] == '/' ? "" : "/", path);
    curl_easy_setopt(f->easy, CURLOPT_URL, url);
    if (has_text(spec->unix_socket))
        curl_easy_setopt(f->easy, CURLOPT_UNIX_SOCKET_PATH, spec->unix_socket);
    else {
        snprintf(target, sizeof target, "::%s:%u", address_text(&spec->server, true, address), port);
        f->connect_to = curl_slist_append(NULL, target);
        curl_easy_setopt(f->easy, CURLOPT_CONNECT_TO, f->connect_to);
    }
    if (spec->source.len) {
        snprintf(target, sizeof target, "host!%s", address_text(&spec->source, false, address));
        curl_easy_setopt(f->easy, CURLOPT_INTERFACE, target);
    }
}

static void set_headers(struct http_fetch *f, const struct http_fetch_spec *spec)
{
    char line[TEXT_CAP], address[64];
    if (probe_http_sets(spec->http, "Host"))
        line[0] = 0;
    else if (has_text(spec->http->host))
        snprintf(line, sizeof line, "Host: %s", spec->http->host);
    else
        snprintf(line, sizeof line, "Host: %s:%u",
                 spec->server.len ? address_text(&spec->server, true, address) : "localhost",
                 spec->server.len ? port_of(&spec->server) : 80);
    f->headers = line[0] ? curl_slist_append(NULL, line) : NULL;
    for (unsigned i = 0; i < spec->http->header_count; i++)
        f->headers = curl_slist_append(f->headers, spec->http->headers[i]);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
}

static void set_tls(CURL *easy, const struct probe_tls *tls)
{
    char pin[TEXT_CAP];
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->verify ? 2L : 0L);
    if (has_text(tls->ca_file))
        curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
    if (has_text(tls->pin_sha256)) {
        snprintf(pin, sizeof pin, "sha256//%s", tls->pin_sha256);
        curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, pin);
    }
    if (has_text(tls->cert_file))
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
    if (has_text(tls->key_file))
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); // a resumed session would not see a changed certificate
}

static void set_options(struct http_fetch *f, const struct http_fetch_spec *spec)
{
    CURL *easy = f->easy;
    const struct probe_http *http = spec->http;
    set_url(f, spec);
    set_headers(f, spec);
    set_tls(easy, &http->tls);
    if (has_text(http->method) && strcmp(http->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (has_text(http->method))
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http->method);
    if (has_text(http->credentials))
        curl_easy_setopt(easy, CURLOPT_USERPWD, http->credentials);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)f);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, f->engine);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "signpost/" SIGNPOST_VERSION);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(spec->timeout_ns / 1000000u + 1));
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    if (!http->keep_alive) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
}

struct http_fetch *http_fetch_new(struct http_engine *engine, const struct http_fetch_spec *spec,
                                  void (*done)(void *user, struct http_response *response), void *user)
{
    struct http_fetch *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->easy = curl_easy_init();
    if (!f->easy) {
        free(f);
        return NULL;
    }
    f->engine = engine;
    f->take = spec->take;
    f->done = done;
    f->user = user;
    f->is_keep_alive = spec->http->keep_alive;
    f->body_max_bytes = spec->http->body_max_bytes;
    set_options(f, spec);
    return f;
}

void http_fetch_free(struct http_fetch *f)
{
    if (!f)
        return;
    http_fetch_abort(f);
    curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->headers);
    curl_slist_free_all(f->connect_to);
    free(f->body);
    free(f);
}

int http_fetch_run(struct http_fetch *f)
{
    struct http_engine *e = f->engine;
    f->len = f->header_bytes = 0;
    f->is_cut = f->is_enough = false;
    f->error[0] = 0;
    if (curl_multi_add_handle(e->multi, f->easy) != CURLM_OK)
        return -ENOMEM;
    f->is_running = true;
    f->next = e->running;
    f->link = &e->running;
    if (f->next)
        f->next->link = &f->next;
    e->running = f;
    return 0;
}

void http_fetch_abort(struct http_fetch *f)
{
    if (!f->is_running)
        return;
    leave_running(f);
    free(f->body);
    f->body = NULL;
    f->len = f->cap = 0;
}
