// SPDX-License-Identifier: Apache-2.0
// A validated image in this process's memory, read-only, shared by counting references.
//
// Made from a sealed memfd (image socket) or from a file (last good images); both copy nothing that could change behind
// our back: a memfd must carry the seals against writing and resizing, a file is read into private memory. Every image
// that exists has passed its check, so its readers never leave it. Any thread may take and drop references.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "table/image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct image_map {
    const void *base;
    size_t bytes;
    uint32_t kind; // enum image_kind
    uint32_t references;
    bool is_shared; // still the memfd's own pages
    uint64_t generation, pairing_id, built_at_us;
};

// Maps the memfd, `bytes` long, after checking its seals and size, without validating the contents: image_map_check
// must follow before anything else looks at it. The descriptor stays the caller's. 0 or a negative errno with a
// sentence in `why`.
int image_map_from_memfd(int fd, uint64_t bytes, enum image_kind kind, struct image_map **map,
                         char why[IMAGE_TEXT_CAP]);

// Reads a file into private memory and validates it. 0; -ENOENT; another negative errno with a sentence in `why`.
int image_map_from_file(const char *path, enum image_kind kind, struct image_map **map, char why[IMAGE_TEXT_CAP]);

// Validates (zone_image_check or order_image_check) and fills generation, pairing_id and built_at_us. May take long for
// a large zone image, which also moves to private memory on huge pages, every page of it touched: the workers meet
// neither page faults nor, with four or five random places an answer, a translation miss at each. 0, -EBADMSG or
// -ENOMEM with a sentence in `why`.
int image_map_check(struct image_map *map, char why[IMAGE_TEXT_CAP]);

// One more reference, the map itself for convenience; null stays null.
struct image_map *image_map_take(struct image_map *map);
// One reference less; the last unmaps. Null is legal.
void image_map_drop(struct image_map *map);

#ifdef __cplusplus
}
#endif
