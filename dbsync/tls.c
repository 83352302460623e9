// SPDX-License-Identifier: Apache-2.0
#include "dbsync/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "dbsync/arena.h"

struct tls_context {
    SSL_CTX *ssl;
    int64_t not_after_s; // since 1970
};

struct tls_session {
    SSL *ssl;
    BIO *in, *out; // owned by ssl
    char identity[TLS_NAME_CAP];
    bool is_server;
};

// The reason at the bottom of OpenSSL's error stack: the one that names the cause.
static void last_error(char *out, size_t cap)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(out, cap, "%s", reason ? reason : "unknown error");
    ERR_clear_error();
}

static int context_error(struct problem *problem, int error, const char *path, const char *what)
{
    char reason[160];
    last_error(reason, sizeof reason);
    return problem_set(problem, error, "%s: %s: %s", path, what, reason);
}

// ---- the context ----

static int64_t seconds_of(const ASN1_TIME *time_of)
{
    struct tm tm = {0};
    return time_of && ASN1_TIME_to_tm(time_of, &tm) ? (int64_t)timegm(&tm) : 0;
}

static bool holds_identity(X509 *certificate, const char *identity)
{
    unsigned flags = X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    return X509_check_host(certificate, identity, strlen(identity), flags, NULL) == 1;
}

// What a peer would find wrong with our own certificate is told at start, in our own log.
static int check_own(struct tls_context *c, const char *certificate, const char *authority, const char *identity,
                     struct problem *problem)
{
    X509 *own = SSL_CTX_get0_certificate(c->ssl);
    c->not_after_s = seconds_of(X509_get0_notAfter(own));
    if (!holds_identity(own, identity))
        return problem_set(problem, EINVAL,
                           "%s: the certificate has no subject alternative name DNS:%s; issue one with it, or set "
                           "`identity` of this site on all sites",
                           certificate, identity);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (!check)
        return problem_set(problem, ENOMEM, "out of memory");
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(c->ssl, &chain);
    int result = 0;
    X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(c->ssl), own, chain);
    if (X509_verify_cert(check) != 1)
        result = problem_set(problem, EINVAL, "%s: not acceptable under %s: %s", certificate, authority,
                             X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
    X509_STORE_CTX_free(check);
    return result;
}

int tls_context_new(const char *certificate, const char *key, const char *authority, const char *identity,
                    struct tls_context **context, struct problem *problem)
{
    ERR_clear_error();
    struct tls_context *c = memory_take(sizeof *c);
    int result = 0;
    c->ssl = SSL_CTX_new(TLS_method());
    if (!c->ssl || !SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION))
        result = context_error(problem, EPROTO, "TLS", "TLS 1.3 is not available");
    else if (SSL_CTX_use_certificate_chain_file(c->ssl, certificate) != 1)
        result = context_error(problem, EINVAL, certificate, "no usable certificate in PEM form");
    else if (SSL_CTX_use_PrivateKey_file(c->ssl, key, SSL_FILETYPE_PEM) != 1)
        result = context_error(problem, EINVAL, key, "no usable private key in PEM form that fits the certificate");
    else if (SSL_CTX_check_private_key(c->ssl) != 1)
        result = context_error(problem, EINVAL, key, "the key does not belong to the certificate");
    else if (SSL_CTX_load_verify_file(c->ssl, authority) != 1)
        result = context_error(problem, EINVAL, authority, "no usable authority in PEM form");
    else
        result = check_own(c, certificate, authority, identity, problem);
    if (result < 0) {
        tls_context_free(c);
        return result;
    }
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(c->ssl, 0);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *context = c;
    return 0;
}

void tls_context_free(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ssl);
    free(c);
}

int64_t tls_context_expires_s(const struct tls_context *c)
{
    return c->not_after_s - (int64_t)time(NULL);
}

// ---- sessions ----

int tls_session_new(struct tls_context *context, const char *identity, struct tls_session **session,
                    struct problem *problem)
{
    struct tls_session *s = memory_take(sizeof *s);
    s->ssl = SSL_new(context->ssl);
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    s->is_server = !identity;
    if (!s->ssl || !s->in || !s->out) {
        BIO_free(s->in);
        BIO_free(s->out);
        SSL_free(s->ssl);
        free(s);
        return problem_set(problem, ENOMEM, "TLS: out of memory");
    }
    BIO_set_mem_eof_return(s->in, -1);
    SSL_set_bio(s->ssl, s->in, s->out);
    if (identity) {
        snprintf(s->identity, sizeof s->identity, "%s", identity);
        SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        SSL_set1_host(s->ssl, identity);
        SSL_set_tlsext_host_name(s->ssl, identity);
        SSL_set_connect_state(s->ssl);
    } else {
        SSL_set_accept_state(s->ssl);
    }
    *session = s;
    return 0;
}

void tls_session_free(struct tls_session *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    free(s);
}

static void take_wire(struct tls_session *s, struct buffer *wire)
{
    char *data;
    long len = BIO_get_mem_data(s->out, &data);
    if (len > 0)
        buffer_put(wire, data, (size_t)len);
    (void)BIO_reset(s->out);
}

static int session_error(struct tls_session *s, struct problem *problem)
{
    char reason[160];
    long verify = SSL_get_verify_result(s->ssl);
    last_error(reason, sizeof reason);
    if (verify != X509_V_OK)
        return problem_set(problem, EPROTO, "the peer's certificate is refused: %s%s%s",
                           X509_verify_cert_error_string(verify), s->identity[0] ? "; expected identity " : "",
                           s->identity);
    return problem_set(problem, EPROTO, "TLS: %s", reason);
}

// What an SSL call's result means: 0: go on later; else the session ended.
static int judge(struct tls_session *s, int result, struct problem *problem)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return problem_set(problem, ECONNRESET, "the peer closed the connection");
    default:
        return session_error(s, problem);
    }
}

static int shake(struct tls_session *s, struct buffer *wire, struct problem *problem)
{
    int result = SSL_do_handshake(s->ssl);
    int status = result == 1 ? 0 : judge(s, result, problem);
    take_wire(s, wire);
    return status;
}

int tls_start(struct tls_session *s, struct buffer *wire, struct problem *problem)
{
    ERR_clear_error();
    return s->is_server ? 0 : shake(s, wire, problem);
}

int tls_receive(struct tls_session *s, const void *bytes, size_t len, struct buffer *plain, struct buffer *wire,
                struct problem *problem)
{
    enum { PIECE = 16 << 10 };
    ERR_clear_error();
    if (len > INT32_MAX || BIO_write(s->in, bytes, (int)len) != (int)len)
        return problem_set(problem, ENOMEM, "TLS: out of memory");
    if (!SSL_is_init_finished(s->ssl)) {
        int status = shake(s, wire, problem);
        if (status < 0 || !SSL_is_init_finished(s->ssl))
            return status;
    }
    for (;;) { // ends with the octets given
        size_t room = plain->len;
        uint8_t *to = buffer_extend(plain, PIECE);
        int got = SSL_read(s->ssl, to, PIECE);
        plain->len = room + (got > 0 ? (size_t)got : 0);
        if (got > 0)
            continue;
        int status = judge(s, got, problem);
        take_wire(s, wire);
        return status;
    }
}

int tls_send(struct tls_session *s, const void *bytes, size_t len, struct buffer *wire, struct problem *problem)
{
    const uint8_t *p = bytes;
    ERR_clear_error();
    while (len) { // memory takes everything
        int n = SSL_write(s->ssl, p, len < INT32_MAX ? (int)len : INT32_MAX);
        if (n <= 0) {
            int status = judge(s, n, problem);
            return status < 0 ? status : problem_set(problem, EPROTO, "TLS: nothing can be sent yet");
        }
        p += n;
        len -= (size_t)n;
    }
    take_wire(s, wire);
    return 0;
}

void tls_close(struct tls_session *s, struct buffer *wire)
{
    ERR_clear_error();
    if (SSL_is_init_finished(s->ssl))
        SSL_shutdown(s->ssl);
    take_wire(s, wire);
    ERR_clear_error();
}

bool tls_is_open(const struct tls_session *s)
{
    return SSL_is_init_finished(s->ssl);
}

bool tls_is(const struct tls_session *s, const char *identity)
{
    X509 *peer = SSL_get0_peer_certificate(s->ssl);
    return peer && SSL_get_verify_result(s->ssl) == X509_V_OK && holds_identity(peer, identity);
}

void tls_describe(const struct tls_session *s, char out[TLS_NAME_CAP])
{
    X509 *peer = SSL_get0_peer_certificate(s->ssl);
    char name[128] = "?", until[32] = "?";
    if (peer) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
        time_t end = (time_t)seconds_of(X509_get0_notAfter(peer));
        struct tm tm;
        if (gmtime_r(&end, &tm))
            strftime(until, sizeof until, "%Y-%m-%d", &tm);
    }
    snprintf(out, TLS_NAME_CAP, "%s %s, CN=%s, until %s", SSL_get_version(s->ssl), SSL_get_cipher_name(s->ssl), name,
             until);
}
