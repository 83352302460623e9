// SPDX-License-Identifier: Apache-2.0
#include "control/nearest.h"

#include <math.h>
#include <string.h>

bool nearest_is_wanted(const struct config *config)
{
    unsigned sites = 0;
    if (!config->geoip.nearest || !config->geoip.file || !config->geoip.file[0])
        return false;
    for (unsigned i = 0; i < config->site_count; i++)
        sites += config->sites[i].coordinates.is_set;
    for (unsigned i = 0; sites > 1 && i < config->service_count; i++)
        for (unsigned k = 0; k < config->services[i].policy_count; k++)
            if (config->services[i].policy[k].type == CONFIG_STAGE_LOCALITY)
                return true;
    return false;
}

static void unit_vector(double out[3], double latitude, double longitude)
{
    const double lat = latitude * M_PI / 180, lon = longitude * M_PI / 180;
    out[0] = cos(lat) * cos(lon);
    out[1] = cos(lat) * sin(lon);
    out[2] = sin(lat);
}

// The `depth` sites nearest to a place: the smaller the distance, the larger the product of the vectors. Stable.
static void order_at(const struct nearest *n, double latitude, double longitude, uint8_t order[NEAREST_SITE_MAX])
{
    double closeness[NEAREST_SITE_MAX], place[3];
    unsigned count = 0;
    unit_vector(place, latitude, longitude);
    memset(order, 0, NEAREST_SITE_MAX);
    for (unsigned i = 0; i < n->site_count; i++) {
        const double c = n->at[i][0] * place[0] + n->at[i][1] * place[1] + n->at[i][2] * place[2];
        unsigned k = count < n->depth ? count++ : n->depth;
        if (k == n->depth && c <= closeness[k - 1])
            continue;
        k -= k == n->depth;
        for (; k > 0 && closeness[k - 1] < c; k--) {
            closeness[k] = closeness[k - 1];
            order[k] = order[k - 1];
        }
        closeness[k] = c;
        order[k] = (uint8_t)i;
    }
}

// The first class whose order is not before this one.
static unsigned lower_bound(const struct nearest *n, const uint8_t order[NEAREST_SITE_MAX])
{
    unsigned first = 0, end = n->class_count;
    while (first < end) {
        const unsigned middle = (first + end) / 2;
        if (memcmp(n->class_of[middle].order, order, NEAREST_SITE_MAX) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static bool has_class(const struct nearest *n, unsigned at, const uint8_t order[NEAREST_SITE_MAX])
{
    return at < n->class_count && memcmp(n->class_of[at].order, order, NEAREST_SITE_MAX) == 0;
}

// False when there are too many classes.
static bool add_place(struct nearest *n, double latitude, double longitude)
{
    uint8_t order[NEAREST_SITE_MAX];
    order_at(n, latitude, longitude, order);
    const unsigned at = lower_bound(n, order);
    if (has_class(n, at, order))
        return true;
    if (n->class_count == NEAREST_CLASS_MAX)
        return false;
    memmove(&n->class_of[at + 1], &n->class_of[at], (n->class_count - at) * sizeof n->class_of[0]);
    memcpy(n->class_of[at].order, order, sizeof order);
    n->class_of[at].coordinates = (struct config_coordinates){latitude, longitude, true};
    n->class_count++;
    return true;
}

static bool add_world(struct nearest *n, const struct config *config)
{
    n->class_count = 0;
    for (unsigned i = 0; i < n->site_count; i++) {
        const struct config_coordinates *at = &config->sites[n->site[i]].coordinates;
        if (!add_place(n, at->latitude, at->longitude))
            return false;
    }
    for (int latitude = -90; latitude <= 90; latitude++)
        for (int longitude = -180; longitude < 180; longitude++)
            if (!add_place(n, latitude, longitude))
                return false;
    return true;
}

void nearest_init(struct nearest *n, const struct config *config)
{
    memset(n, 0, sizeof *n);
    for (unsigned i = 0; i < config->site_count && n->site_count < NEAREST_SITE_MAX; i++) {
        const struct config_coordinates *at = &config->sites[i].coordinates;
        if (!at->is_set)
            continue;
        unit_vector(n->at[n->site_count], at->latitude, at->longitude);
        n->site[n->site_count++] = i;
    }
    for (n->depth = n->site_count; n->depth > 0 && !add_world(n, config);)
        n->depth--; // one site each is at most NEAREST_SITE_MAX classes
}

static unsigned equal_sites(const struct nearest *n, const uint8_t *a, const uint8_t *b)
{
    unsigned equal = 0;
    while (equal < n->depth && a[equal] == b[equal])
        equal++;
    return equal;
}

unsigned nearest_find(const struct nearest *n, double latitude, double longitude)
{
    uint8_t order[NEAREST_SITE_MAX];
    order_at(n, latitude, longitude, order);
    const unsigned at = lower_bound(n, order);
    if (has_class(n, at, order))
        return at;
    unsigned best = 0, longest = 0;
    for (unsigned i = 0; i < n->class_count; i++) {
        const unsigned equal = equal_sites(n, n->class_of[i].order, order);
        if (equal > longest) {
            longest = equal;
            best = i;
        }
    }
    return best;
}
