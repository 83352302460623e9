// SPDX-License-Identifier: Apache-2.0
#include "health/probe_identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t probe_identity_hash(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}

// Length-prefixed, so that no two lists of texts look the same.
static void put_text(FILE *out, const char *text)
{
    fprintf(out, "%zu:%s,", text ? strlen(text) : 0, text ? text : "");
}

static void put_texts(FILE *out, const char *const *texts, unsigned count)
{
    fprintf(out, "%u[", count);
    for (unsigned i = 0; i < count; i++)
        put_text(out, texts[i]);
    fputc(']', out);
}

static void put_address(FILE *out, const struct probe_address *address)
{
    const uint8_t *bytes = (const uint8_t *)&address->address;
    for (socklen_t i = 0; i < address->len; i++)
        fprintf(out, "%02x", bytes[i]);
    fputc(',', out);
}

static void put_tls(FILE *out, const struct probe_tls *tls)
{
    put_text(out, tls->name);
    fprintf(out, "%d,", tls->verify);
    put_text(out, tls->ca_file);
    put_text(out, tls->pin_sha256);
    put_text(out, tls->cert_file);
    put_text(out, tls->key_file);
}

static void put_http(FILE *out, const struct probe_http *http)
{
    put_text(out, http->method);
    put_text(out, http->path);
    put_text(out, http->host);
    put_texts(out, http->headers, http->header_count);
    for (unsigned i = 0; i < http->status_count; i++)
        fprintf(out, "%u-%u,", http->statuses[i].first, http->statuses[i].last);
    put_text(out, http->keyword);
    put_text(out, http->keyword_absent);
    fprintf(out, "%d,%" PRIu64 ",%d,", http->match, http->body_max_bytes, http->keep_alive);
    put_text(out, http->credentials);
    put_tls(out, &http->tls);
}

static char *finish(FILE *out, char **text)
{
    if (fclose(out) == 0)
        return *text;
    free(*text);
    return NULL;
}

char *probe_identity_of_probe(const struct probe_spec *spec)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fprintf(out, "probe %d,", spec->type);
    put_address(out, &spec->server);
    put_address(out, &spec->source);
    fprintf(out, "%" PRIu64 ",%" PRIu64 ",%u,", spec->interval_ns, spec->timeout_ns, spec->jitter_percent);
    put_text(out, spec->send);
    put_text(out, spec->expect);
    put_http(out, &spec->http);
    put_text(out, spec->dns_name);
    put_text(out, spec->dns_type);
    put_text(out, spec->dns_expect);
    put_texts(out, spec->command, spec->command_count);
    put_text(out, spec->file);
    return finish(out, &text);
}

char *probe_identity_of_balancer(const struct balancer_spec *spec)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fprintf(out, "balancer %d,", spec->type);
    put_text(out, spec->url);
    put_text(out, spec->host);
    put_text(out, spec->socket);
    put_address(out, &spec->address);
    put_text(out, spec->credentials);
    put_texts(out, spec->backends, spec->backend_count);
    fprintf(out, "%u,", spec->need);
    put_tls(out, &spec->tls);
    put_text(out, spec->status_path);
    put_text(out, spec->up_value);
    put_text(out, spec->servers_up_path);
    put_text(out, spec->load_path);
    put_text(out, spec->weight_path);
    fprintf(out, "%u,%" PRIu64 ",%" PRIu64, spec->sessions_max, spec->interval_ns, spec->timeout_ns);
    return finish(out, &text);
}
