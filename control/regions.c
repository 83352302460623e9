// SPDX-License-Identifier: Apache-2.0
#include "control/regions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/region_geoip.h"
#include "control/region_list.h"

static int add_config_prefix(struct region_list *list, unsigned region, const struct config_prefix *from)
{
    struct region_prefix prefix = {
        .is_ipv6 = from->address.is_ipv6, .prefix_len = from->prefix_len, .region = (uint16_t)(region + 1)};
    memcpy(prefix.address, from->address.address, sizeof prefix.address);
    return region_list_add(list, &prefix);
}

static char *trim(char *line)
{
    line[strcspn(line, "#\r\n")] = 0;
    line += strspn(line, " \t");
    size_t len = strlen(line);
    while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        line[--len] = 0;
    return line;
}

static int add_file(struct region_list *list, unsigned at, const struct config_region *region,
                    struct config_errors *errors)
{
    FILE *file = fopen(region->file, "re");
    if (!file) {
        config_errors_add(errors, CONFIG_ERROR, region->origin.file, region->origin.line, region->name, NULL,
                          "cannot read %s: %s", region->file, strerror(errno));
        return -EINVAL;
    }
    char line[256];
    int rc = 0;
    bool is_bad = false;
    for (unsigned number = 1; rc == 0 && fgets(line, sizeof line, file); number++) {
        const char *text = trim(line);
        struct config_prefix prefix;
        if (!*text)
            continue;
        if (config_parse_prefix(text, &prefix) < 0) {
            config_errors_add(errors, CONFIG_ERROR, region->file, number, region->name, NULL,
                              "\"%s\" is no network; write 192.0.2.0/24 or 2001:db8::/32, host bits zero", text);
            is_bad = true;
            continue;
        }
        rc = add_config_prefix(list, at, &prefix);
    }
    fclose(file);
    return rc ? rc : (is_bad ? -EINVAL : 0);
}

static int add_all(struct region_list *list, const struct config *config, struct config_errors *errors)
{
    int bad = region_geoip_add(list, config, errors);
    if (bad && bad != -EINVAL)
        return bad;
    for (unsigned i = 0; i < config->region_count; i++) {
        const struct config_region *region = &config->regions[i];
        const int rc = region->file && region->file[0] ? add_file(list, i, region, errors) : 0;
        if (rc && rc != -EINVAL)
            return rc;
        bad = rc ? rc : bad;
    }
    for (unsigned i = 0; i < config->region_count; i++)
        for (unsigned k = 0; k < config->regions[i].prefix_count; k++) {
            const int rc = add_config_prefix(list, i, &config->regions[i].prefixes[k]);
            if (rc)
                return rc;
        }
    return bad;
}

int regions_prefixes(const struct config *config, struct config_errors *errors, struct region_prefix **prefix,
                     size_t *count)
{
    struct region_list list = {0};
    const int rc = add_all(&list, config, errors);
    *prefix = rc ? NULL : list.prefix;
    *count = rc ? 0 : list.count;
    if (rc)
        free(list.prefix);
    if (rc == -E2BIG)
        config_errors_add(errors, CONFIG_ERROR, config->path, 0, "regions", NULL, "more than %d networks in all",
                          REGION_PREFIX_MAX);
    return rc;
}
