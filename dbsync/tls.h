// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 with certificates on both sides, over memory: the caller moves the octets.
//
// Both ends must show a certificate that the cluster's authority signed, that is valid now, and whose subject
// alternative name (DNS) is the identity of a configured peer: the authority alone is not enough. Nothing older than
// TLS 1.3, no resumption, no early data: a peer proves itself anew on each connection. One thread for each context and
// its sessions.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dbsync/bytes.h"
#include "dbsync/problem.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls_context;
struct tls_session;

enum { TLS_NAME_CAP = 256 };

// PEM files: own certificate with its chain, its key, the authority. Checked here: the key belongs to the certificate,
// the certificate is in its time, was signed by the authority and holds `identity`.
int tls_context_new(const char *certificate, const char *key, const char *authority, const char *identity,
                    struct tls_context **context, struct problem *problem);
void tls_context_free(struct tls_context *context);
// Seconds until our certificate ends; negative: it has.
int64_t tls_context_expires_s(const struct tls_context *context);

// `identity`: who must answer (client side); null: whoever calls, to be looked up with tls_is (server side).
int tls_session_new(struct tls_context *context, const char *identity, struct tls_session **session,
                    struct problem *problem);
void tls_session_free(struct tls_session *session);

// Octets from the wire. What was decrypted is appended to `plain`; what must go out is appended to `wire`. 0;
// -ECONNRESET when the peer closed; -EPROTO with the reason when the session is broken (a last alert may be in `wire`).
int tls_receive(struct tls_session *session, const void *bytes, size_t len, struct buffer *plain, struct buffer *wire,
                struct problem *problem);
// Encrypts. Only when tls_is_open.
int tls_send(struct tls_session *session, const void *bytes, size_t len, struct buffer *wire, struct problem *problem);
// Client: the first flight. Server: nothing.
int tls_start(struct tls_session *session, struct buffer *wire, struct problem *problem);
// Says goodbye.
void tls_close(struct tls_session *session, struct buffer *wire);

bool tls_is_open(const struct tls_session *session); // the handshake is done
// Whether the peer's certificate holds this identity (DNS name, compared without wildcards).
bool tls_is(const struct tls_session *session, const char *identity);
// "TLSv1.3 TLS_AES_256_GCM_SHA384, CN=fra, until 2027-01-01" for status.
void tls_describe(const struct tls_session *session, char out[TLS_NAME_CAP]);

#ifdef __cplusplus
}
#endif
