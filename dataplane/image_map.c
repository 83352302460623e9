// SPDX-License-Identifier: Apache-2.0
#include "dataplane/image_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/order_image.h"
#include "table/zone_image.h"

#define HUGE_PAGE_BYTES (2ull << 20)
enum { SEALS_NEEDED = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };

static int refuse(int rc, char why[IMAGE_TEXT_CAP], const char *text)
{
    snprintf(why, IMAGE_TEXT_CAP, rc == -EBADMSG || rc == -EINVAL ? "%s" : "%s: %s", text, strerror(-rc));
    return rc;
}

static int map_new(void *base, size_t bytes, enum image_kind kind, struct image_map **map, char why[IMAGE_TEXT_CAP])
{
    struct image_map *m = calloc(1, sizeof *m);
    if (!m) {
        munmap(base, bytes);
        return refuse(-ENOMEM, why, "no memory for the image");
    }
    m->base = base;
    m->bytes = bytes;
    m->kind = kind;
    m->references = 1;
    *map = m;
    return 0;
}

int image_map_from_memfd(int fd, uint64_t bytes, enum image_kind kind, struct image_map **map, char why[IMAGE_TEXT_CAP])
{
    if (kind != IMAGE_ZONE && kind != IMAGE_ORDER)
        return refuse(-EINVAL, why, "unknown kind of image");
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return refuse(-EBADMSG, why, "the descriptor is not a memfd that can be sealed");
    if ((seals & SEALS_NEEDED) != SEALS_NEEDED)
        return refuse(-EBADMSG, why, "the memfd is not sealed against writing, shrinking and growing");
    struct stat st;
    if (fstat(fd, &st) < 0)
        return refuse(-errno, why, "fstat");
    if (bytes < sizeof(struct image_header) || bytes > IMAGE_MAX_BYTES || (uint64_t)st.st_size != bytes)
        return refuse(-EBADMSG, why, "the memfd has not the size that the message says");
    // Not MAP_POPULATE: the check copies or touches every page, on a thread that may take its time.
    void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return refuse(-errno, why, "mmap");
    const int rc = map_new(base, bytes, kind, map, why);
    if (rc == 0)
        (*map)->is_shared = true;
    return rc;
}

// Private memory for an image, on huge pages where the kernel gives them: look-ups at random places of a large image
// would miss the translation buffer at nearly every step. Null when there is none.
static void *map_private(size_t bytes)
{
    const size_t spare = bytes < HUGE_PAGE_BYTES ? 0 : HUGE_PAGE_BYTES;
    uint8_t *base = mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    if (!spare)
        return base;
    // From a boundary of huge pages on; what is before and behind is given back.
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) & ~(page - 1);
    const size_t before = (size_t)(-(uintptr_t)base & (HUGE_PAGE_BYTES - 1));
    const size_t mapped = (bytes + spare + page - 1) & ~(page - 1);
    if (before)
        munmap(base, before);
    if (mapped - before > whole)
        munmap(base + before + whole, mapped - before - whole);
    madvise(base + before, whole, MADV_HUGEPAGE); // refused where there are none: small pages do
    return base + before;
}

// A large image out of the memfd's small pages. Without memory for a copy the memfd stays in use.
static void settle(struct image_map *map)
{
    if (!map->is_shared || map->bytes < HUGE_PAGE_BYTES)
        return;
    void *copy = map_private(map->bytes);
    if (!copy)
        return;
    memcpy(copy, map->base, map->bytes);
    mprotect(copy, map->bytes, PROT_READ);
    munmap((void *)(uintptr_t)map->base, map->bytes);
    map->base = copy;
    map->is_shared = false;
}

static int read_all(int fd, uint8_t *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, to + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EBADMSG;
        at += (size_t)n;
    }
    return 0;
}

static int read_file(int fd, enum image_kind kind, struct image_map **map, char why[IMAGE_TEXT_CAP])
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return refuse(-errno, why, "fstat");
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct image_header) ||
        (uint64_t)st.st_size > IMAGE_MAX_BYTES)
        return refuse(-EBADMSG, why, "not a regular file of an image's size");
    const size_t bytes = (size_t)st.st_size;
    void *base = map_private(bytes);
    if (!base)
        return refuse(-ENOMEM, why, "no memory for the image");
    int rc = read_all(fd, base, bytes);
    if (rc < 0 || mprotect(base, bytes, PROT_READ) < 0) {
        munmap(base, bytes);
        return refuse(rc < 0 ? rc : -errno, why, "the file cannot be read to its end");
    }
    return map_new(base, bytes, kind, map, why);
}

int image_map_from_file(const char *path, enum image_kind kind, struct image_map **map, char why[IMAGE_TEXT_CAP])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return refuse(-errno, why, "open");
    struct image_map *m = NULL;
    int rc = read_file(fd, kind, &m, why);
    close(fd);
    if (rc == 0)
        rc = image_map_check(m, why);
    if (rc == 0)
        *map = m;
    else
        image_map_drop(m);
    return rc;
}

int image_map_check(struct image_map *map, char why[IMAGE_TEXT_CAP])
{
    settle(map);
    int rc = map->kind == IMAGE_ZONE ? zone_image_check(map->base, map->bytes, why)
                                     : order_image_check(map->base, map->bytes, why);
    if (rc < 0)
        return rc;
    const struct image_header *h = map->base;
    map->generation = h->generation;
    map->pairing_id = h->pairing_id;
    map->built_at_us = h->built_at_us;
    return 0;
}

struct image_map *image_map_take(struct image_map *map)
{
    if (map)
        __atomic_add_fetch(&map->references, 1, __ATOMIC_RELAXED); // the caller's own reference keeps it alive
    return map;
}

void image_map_drop(struct image_map *map)
{
    // Release our last accesses, and acquire everybody's before unmapping.
    if (!map || __atomic_sub_fetch(&map->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    munmap((void *)(uintptr_t)map->base, map->bytes);
    free(map);
}
