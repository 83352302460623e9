// SPDX-License-Identifier: Apache-2.0
#include "dataplane/counters_page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE // Linux 5.1; Debian's headers have it only behind <linux/fcntl.h>
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int map_and_seal(struct counters_memory *memory)
{
    if (ftruncate(memory->fd, (off_t)memory->bytes) < 0)
        return -errno;
    void *at = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    memory->page = at;
    if (fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0 ||
        fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SEAL) < 0) {
        int rc = -errno;
        munmap(at, memory->bytes);
        return rc;
    }
    return 0;
}

int counters_page_init(struct counters_memory *memory, unsigned block_count, uint64_t ticks_per_s)
{
    if (block_count == 0 || block_count > COUNTERS_BLOCK_MAX)
        return -EINVAL;
    memset(memory, 0, sizeof *memory);
    memory->bytes = sizeof(struct counters_page) + block_count * sizeof(struct counters_block);
    memory->fd = memfd_create("signpost-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory->fd < 0)
        return -errno;
    int rc = map_and_seal(memory);
    if (rc < 0) {
        close(memory->fd);
        return rc;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct counters_page *p = memory->page;
    p->version = COUNTERS_VERSION;
    p->block_count = block_count;
    p->counter_count = COUNTER_COUNT;
    p->block_bytes = sizeof(struct counters_block);
    p->pid = (uint32_t)getpid();
    p->started_at_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    p->ticks_per_s = ticks_per_s;
    p->magic = COUNTERS_MAGIC;
    return 0;
}

void counters_page_fini(struct counters_memory *memory)
{
    if (!memory->page)
        return;
    munmap(memory->page, memory->bytes);
    close(memory->fd);
    memset(memory, 0, sizeof *memory);
}
