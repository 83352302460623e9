// SPDX-License-Identifier: Apache-2.0
// Which sites are nearest, for any place of the world: places that see the sites in the same order are one class.
//
// The sites' coordinates alone say which orders there are (two for two sites, at most six for three), so the classes
// are known when the configuration is read and become regions of their own; the networks of a City database, which may
// be millions and are read later on a worker thread, are then sorted into them. With many sites the classes tell only
// the nearest few apart, as many as NEAREST_CLASS_MAX allows. Pure; reading is safe from any thread.
#pragma once

#include "control/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    NEAREST_SITE_MAX = 64,
    NEAREST_CLASS_MAX = 250 // the order image has a row for each and tailored service: its building time grows with it
};

struct nearest_class {
    uint8_t order[NEAREST_SITE_MAX];       // places in nearest.site, the nearest first; `depth` of them
    struct config_coordinates coordinates; // a place of it
};

struct nearest {
    unsigned site_count; // those with coordinates
    unsigned site[NEAREST_SITE_MAX];
    double at[NEAREST_SITE_MAX][3]; // unit vectors
    unsigned depth, class_count;
    struct nearest_class class_of[NEAREST_CLASS_MAX]; // by `order`
};

// Does the configuration ask for it: a City or Country database, `geoip.nearest`, two sites with coordinates, a stage
// `locality`?
bool nearest_is_wanted(const struct config *config);

// Finds the classes: the order at each degree of latitude and longitude, and at the sites. Some 10 ms. Equal
// coordinates give equal classes with equal numbers.
void nearest_init(struct nearest *n, const struct config *config);

// Number of the class of a place, below class_count. A sliver between two orders that has no class of its own gets the
// one that agrees longest.
unsigned nearest_find(const struct nearest *n, double latitude, double longitude);

#ifdef __cplusplus
}
#endif
