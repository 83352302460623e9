// SPDX-License-Identifier: Apache-2.0
// What a look-up in a region map costs: bench_regions PREFIXES LOOKUPS REGIONS. Half of the prefixes are IPv4 (/12 to
// /28), half IPv6 (/28 to /64). Prints nanoseconds a look-up for IPv4 and IPv6 addresses drawn near the prefixes (each
// waiting for the one before; of many that overlap; 32 at once), the seconds the map took to build, and its bytes. Then
// the same of the scopes: nanoseconds for a region and how far an answer reaches that every other region has, and that
// all but one have; seconds, and bytes.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "table/region_map.h"
#include "table/region_scope.h"

enum { ADDRESSES = 1 << 20, BURST = 32 };

#define HUGE_PAGE_BYTES (2ull << 20)

static uint64_t state = 0x9e3779b97f4a7c15ull;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fill(uint8_t address[16], bool is_ipv6)
{
    for (unsigned i = 0; i < 16; i += 8) {
        const uint64_t r = next_random();
        memcpy(address + i, &r, 8);
    }
    if (is_ipv6)
        address[0] = 0x20;
}

static void make_prefix(struct region_prefix *p, bool is_ipv6, unsigned regions)
{
    memset(p, 0, sizeof *p);
    fill(p->address, is_ipv6);
    p->is_ipv6 = is_ipv6;
    p->prefix_len = (uint8_t)(is_ipv6 ? 28 + next_random() % 37 : 12 + next_random() % 17);
    p->region = (uint16_t)(1 + next_random() % regions);
    for (unsigned bit = p->prefix_len; bit < 128; bit++)
        p->address[bit / 8] = (uint8_t)(p->address[bit / 8] & ~(1u << (7 - bit % 8)));
}

// Near one of the prefixes: what clients of a real map ask.
static void make_address(uint8_t out[16], const struct region_prefix *p)
{
    uint8_t noise[16];
    fill(noise, p->is_ipv6);
    for (unsigned i = 0; i < 16; i++) {
        const unsigned bits = p->prefix_len > 8 * i ? p->prefix_len - 8 * i : 0;
        const uint8_t kept = bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);
        out[i] = (uint8_t)((p->address[i] & kept) | (noise[i] & ~kept));
    }
}

// ADDRESSES of them, which the caller frees; null without memory.
static uint8_t (*make_addresses(const struct region_prefix *prefixes, size_t count, bool is_ipv6))[16]
{
    uint8_t(*address)[16] = malloc((size_t)ADDRESSES * 16);
    for (size_t i = 0; address && i < ADDRESSES; i++)
        make_address(address[i], &prefixes[2 * (next_random() % (count / 2)) + is_ipv6]);
    return address;
}

static double measure(const void *map, const struct region_prefix *prefixes, size_t count, bool is_ipv6,
                      bool is_chained, size_t lookups)
{
    uint8_t(*address)[16] = make_addresses(prefixes, count, is_ipv6);
    unsigned sum = 0;
    if (!address)
        return -1;
    const double start = seconds();
    for (size_t i = 0; i < lookups; i++) {
        const uint8_t *a = address[(i + (is_chained ? sum & 1 : 0)) % ADDRESSES];
        sum += is_ipv6 ? region_map_find_ipv6(map, a).region : region_map_find_ipv4(map, a).region;
    }
    const double took = seconds() - start;
    free(address);
    return sum == 1 ? -1 : took / (double)lookups * 1e9;
}

static double measure_many(const void *map, const struct region_prefix *prefixes, size_t count, bool is_ipv6,
                           size_t lookups)
{
    uint8_t(*address)[16] = make_addresses(prefixes, count, is_ipv6);
    unsigned sum = 0;
    if (!address)
        return -1;
    const double start = seconds();
    for (size_t i = 0; i < lookups; i += BURST) {
        const uint8_t *at[BURST];
        struct region_match match[BURST];
        for (unsigned k = 0; k < BURST; k++)
            at[k] = address[(i + k) % ADDRESSES];
        region_map_find_many(map, at, is_ipv6 ? ~0ull : 0, BURST, match);
        sum += match[sum % BURST].region;
    }
    const double took = seconds() - start;
    free(address);
    return sum == 1 ? -1 : took / (double)lookups * 1e9;
}

struct world {
    const struct region_prefix *prefixes;
    size_t count, lookups;
    const void *map, *scope;
    uint64_t set[2][(REGION_MAX + 64) / 64]; // of regions with one answer
};

static double measure_scope(const struct world *w, bool is_ipv6)
{
    uint8_t(*address)[16] = make_addresses(w->prefixes, w->count, is_ipv6);
    unsigned sum = 0;
    if (!address)
        return -1;
    const double start = seconds();
    for (size_t i = 0; i < w->lookups; i++) {
        const uint8_t *a = address[i % ADDRESSES];
        const unsigned region =
            is_ipv6 ? region_map_find_ipv6(w->map, a).region : region_map_find_ipv4(w->map, a).region;
        const uint64_t *same = w->set[!region_set_has(w->set[0], region)];
        sum += is_ipv6 ? region_scope_ipv6(w->scope, a, same) : region_scope_ipv4(w->scope, a, same);
    }
    const double took = seconds() - start;
    free(address);
    return sum == 1 ? -1 : took / (double)w->lookups * 1e9;
}

static int measure_scopes(struct world *w, unsigned regions)
{
    void *scope;
    size_t len;
    const double start = seconds();
    if (region_scope_build(w->prefixes, w->count, &scope, &len) != 0)
        return -1;
    const double built = seconds() - start;
    w->scope = scope;
    for (unsigned way = 0; way < 2; way++) {
        memset(w->set, 0, sizeof w->set);
        for (unsigned region = 0; region <= regions; region++)
            region_set_add(w->set[way ? region == regions : region % 2], region);
        printf("%.2f %.2f ", measure_scope(w, false), measure_scope(w, true));
    }
    printf("%.3f %zu\n", built, len);
    free(scope);
    return 0;
}

// As the data plane holds it: in huge pages where there are any.
static void *in_huge_pages(void *map, size_t len)
{
    const size_t whole = (len + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
    void *moved = aligned_alloc(HUGE_PAGE_BYTES, whole);
    if (!moved)
        return map;
    madvise(moved, whole, MADV_HUGEPAGE);
    memcpy(moved, map, len);
    free(map);
    return moved;
}

int main(int argc, char **argv)
{
    const size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, lookups = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    const unsigned regions = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    const bool is_sane = count >= 2 && lookups && regions >= 2 && regions <= REGION_MAX;
    struct region_prefix *prefixes = is_sane ? calloc(count, sizeof *prefixes) : NULL;
    void *map;
    size_t len;
    if (!prefixes)
        return 2;
    for (size_t i = 0; i < count; i++)
        make_prefix(&prefixes[i], i % 2, regions);
    const double start = seconds();
    if (region_map_build(prefixes, count, &map, &len) != 0)
        return 1;
    const double built = seconds() - start;
    map = in_huge_pages(map, len);
    for (unsigned way = 0; way < 4; way++)
        printf("%.2f ", measure(map, prefixes, count, way & 1, way < 2, lookups));
    for (unsigned way = 0; way < 2; way++)
        printf("%.2f ", measure_many(map, prefixes, count, way, lookups));
    printf("%.3f %zu ", built, len);
    struct world w = {.prefixes = prefixes, .count = count, .lookups = lookups, .map = map};
    const int rc = measure_scopes(&w, regions);
    free(map);
    free(prefixes);
    return rc < 0;
}
