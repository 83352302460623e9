// SPDX-License-Identifier: Apache-2.0
#include "control/region_list.h"

#include <errno.h>
#include <stdlib.h>

int region_list_add(struct region_list *list, const struct region_prefix *prefix)
{
    if (list->count == REGION_PREFIX_MAX)
        return -E2BIG;
    if (list->count == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 1024;
        struct region_prefix *grown = realloc(list->prefix, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        list->prefix = grown;
        list->cap = cap;
    }
    list->prefix[list->count++] = *prefix;
    return 0;
}
