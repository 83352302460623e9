// SPDX-License-Identifier: Apache-2.0
// A file that somebody or a crash left in the spool's directory: reopened, continued, finished, mapped.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dbsync/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64], file[96];

static void clean(void)
{
    unlink(file);
    rmdir(directory);
}

static void use(struct spool *s, size_t size)
{
    struct problem problem;
    uint8_t digest[FRAME_DIGEST_LEN];
    const uint8_t *bytes;
    uint64_t offset = 0;
    size_t len;
    if (spool_begin(s, SPOOL_IN, 2, 1, 1, &offset, &problem) != 0)
        return;
    if (offset > size)
        abort();
    if (spool_append(s, SPOOL_IN, 2, 1, "more", 4, &problem) == 0 &&
        spool_finish(s, SPOOL_IN, 2, 1, digest, &problem) == 0 &&
        spool_map(s, SPOOL_IN, 2, 1, &bytes, &len, &problem) == 0) {
        if (len != offset + 4 || memcmp(bytes + offset, "more", 4) != 0)
            abort();
        spool_unmap(bytes, len);
    }
    spool_drop(s, SPOOL_IN, 2, 1);
    if (spool_bytes(s) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spool_head head;
    struct spool *s;
    struct problem problem;
    if (!directory[0]) {
        snprintf(directory, sizeof directory, "/tmp/fuzz_spoolXXXXXX");
        if (!mkdtemp(directory))
            abort();
        snprintf(file, sizeof file, "%s/in-2-1", directory);
        atexit(clean);
    }
    if (size >= SPOOL_HEAD_LEN && spool_head_decode(data, &head) == 0) {
        uint8_t again[SPOOL_HEAD_LEN];
        spool_head_encode(again, &head);
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    if (spool_open(directory, 1 << 20, &s, &problem) != 0)
        abort();
    use(s, size);
    spool_close(s);
    return 0;
}
