// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "control/config_check.h"
#include "control/nearest.h"
#include "table/region_map.h"

enum { NAME_CAP = 4096 };

// "nearest:ams,fra". The order images of two configurations are told apart by it.
static const char *class_name(struct config_reader *r, const struct config *config, const struct nearest *n,
                              const struct nearest_class *class)
{
    char name[NAME_CAP] = "nearest:";
    size_t len = strlen(name);
    for (unsigned i = 0; i < n->depth; i++) {
        const char *site = config->sites[n->site[class->order[i]]].name;
        const size_t more = strlen(site);
        if (len + more + 2 > sizeof name)
            break;
        if (i)
            name[len++] = ',';
        memcpy(name + len, site, more);
        len += more;
    }
    return config_reader_copy(r, name, len);
}

static void add_classes(struct config_reader *r, struct config *config, const struct nearest *n)
{
    const unsigned count = config->region_count;
    struct config_region *regions = config_reader_take(r, (count + n->class_count) * sizeof *regions);
    if (!regions)
        return;
    if (count)
        memcpy(regions, config->regions, count * sizeof *regions);
    for (unsigned i = 0; i < n->class_count; i++)
        regions[count + i] = (struct config_region){
            .name = class_name(r, config, n, &n->class_of[i]), .file = "", .coordinates = n->class_of[i].coordinates};
    config->regions = regions;
    config->region_count = count + n->class_count;
    config->geoip.nearest_at = count;
    config->geoip.nearest_count = n->class_count;
}

void config_gather_nearest(struct config_reader *r, struct config *config)
{
    struct nearest *n = nearest_is_wanted(config) ? malloc(sizeof *n) : NULL;
    if (!n) {
        r->out_of_memory |= nearest_is_wanted(config);
        return;
    }
    nearest_init(n, config);
    if (config->region_count + n->class_count > REGION_MAX)
        config_report(r, CONFIG_ERROR, &config->geoip, "nearest",
                      "needs %u regions more, and there are %u of %u; false goes without", n->class_count,
                      config->region_count, REGION_MAX);
    else
        add_classes(r, config, n);
    free(n);
}
