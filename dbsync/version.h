// SPDX-License-Identifier: Apache-2.0
// When and by whom a register was written; the order that decides every conflict.
//
// (hlc, kind, site), compared left to right. `hlc` is the hybrid clock in microseconds since 1970, so a later write
// wins as long as clocks agree and a write that saw another always beats it (hybrid_clock.h). A repair (a write that
// dbsync makes to keep a constraint) beats the user's write of the same instant. Sites have different numbers by
// construction (refused at HELLO otherwise), so no two user writes of different sites are equal.
//
// hlc 0 is "stable": older than everything in the open window, the same on all sites, its real version forgotten.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum version_kind { VERSION_USER, VERSION_REPAIR };

enum { SITE_MAX = 5 }; // sites of one cluster that the core is tested with; numbers are 1..65535

struct version {
    int64_t hlc;
    uint16_t site;
    uint8_t kind; // enum version_kind
};

static inline struct version version_make(int64_t hlc, enum version_kind kind, uint16_t site)
{
    struct version v = {hlc, site, (uint8_t)kind};
    return v;
}

static inline bool version_is_stable(struct version v)
{
    return v.hlc == 0;
}

static inline int version_compare(struct version a, struct version b)
{
    if (a.hlc != b.hlc)
        return a.hlc < b.hlc ? -1 : 1;
    if (a.kind != b.kind)
        return a.kind < b.kind ? -1 : 1;
    return (a.site > b.site) - (a.site < b.site);
}

static inline struct version version_max(struct version a, struct version b)
{
    return version_compare(a, b) < 0 ? b : a;
}

// The version of a repair that `cause` (the winner's version) forces on a register last written at `beaten`: the
// smallest repair version of the cause's site that is later than both. A function of its arguments alone, so that sites
// which know the same two writes make the same repair.
static inline struct version version_repair(struct version cause, struct version beaten)
{
    struct version v = version_max(cause, beaten);
    v.kind = VERSION_REPAIR;
    v.site = cause.site;
    if (v.hlc == 0 || version_compare(v, beaten) <= 0 || version_compare(v, cause) <= 0)
        v.hlc++; // also of two stable writes: a repair is never stable itself
    return v;
}

#ifdef __cplusplus
}
#endif
