// SPDX-License-Identifier: Apache-2.0
// For benchmarks: the OPT record of a query, with the options that resolvers send.
#pragma once

#include "dataplane/cookie.h"
#include "table/wire.h"

enum bench_options {       // in a query
    BENCH_COOKIE = 1,      // a client cookie alone
    BENCH_COOKIE_GOOD = 2, // and the server cookie of a minute ago, under the secret of bench_set_settings
    BENCH_SUBNET = 4       // a /24 of bench_set_regions
};

static inline void bench_put_cookie(struct wire_writer *w, bool is_good, const uint8_t client[4], uint32_t now_s)
{
    static const uint8_t secret[COOKIE_SECRET_LEN] = {0};
    uint8_t server[EDNS_COOKIE_SERVER_LEN];
    wire_put(w, is_good ? "\0\12\0\30cookie!!" : "\0\12\0\10cookie!!", 12);
    cookie_make(server, (const uint8_t *)"cookie!!", client, false, now_s - 60, secret);
    wire_put(w, server, is_good ? sizeof server : 0);
}

// The place of query `number` among the first `regions` prefixes: spread.
static inline void bench_put_subnet(struct wire_writer *w, unsigned number, unsigned regions)
{
    const unsigned place = (unsigned)((uint64_t)number * 2654435761u % regions);
    const uint8_t subnet[] = {
        0, 8, 0, 7, 0, 1, 24, 0, (uint8_t)(1 + (place >> 16)), (uint8_t)(place >> 8), (uint8_t)place};
    wire_put(w, subnet, sizeof subnet);
}

// With enum bench_options.
static inline void bench_put_opt(struct wire_writer *w, unsigned options, unsigned number, unsigned regions,
                                 const uint8_t client[4], uint32_t now_s)
{
    wire_put(w, "\0\0\51\4\320\0\0\0\0", 9);
    const size_t len_at = w->at;
    wire_put_u16(w, 0);
    if (options & (BENCH_COOKIE | BENCH_COOKIE_GOOD))
        bench_put_cookie(w, options & BENCH_COOKIE_GOOD, client, now_s);
    if (options & BENCH_SUBNET)
        bench_put_subnet(w, number, regions);
    w->data[len_at + 1] = (uint8_t)(w->at - len_at - 2);
}
