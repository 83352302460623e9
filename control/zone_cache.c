// SPDX-License-Identifier: Apache-2.0
#include "control/zone_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "control/file_replace.h"
#include "table/name.h"
#include "table/wire.h"

enum { RECORD_HEAD_LEN = 10, NAME_FILE_CAP = 1100 };

static const char magic[8] = "SPZONE1";
static const char suffix[] = ".zone";

struct zone_cache_writer {
    struct file_replace replace;
    XXH3_state_t *hash;
    int rc;
};

// The zone's name as a file's: what is no letter, digit, '-', '_' or '.' is written as %hh.
static void file_name(const char *apex, char out[NAME_FILE_CAP])
{
    size_t at = 0;
    for (const char *p = apex; *p && at + sizeof suffix + 4 < NAME_FILE_CAP; p++) {
        const char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        const int is_plain =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || (c == '.' && p != apex);
        at += (size_t)snprintf(out + at, NAME_FILE_CAP - at, is_plain ? "%c" : "%%%02x", (unsigned char)c);
    }
    snprintf(out + at, NAME_FILE_CAP - at, "%s", suffix);
}

static int path_of(const char *folder, const char *apex, char out[PATH_MAX])
{
    char name[NAME_FILE_CAP];
    file_name(apex, name);
    return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

// ---- writing ----

static void put(struct zone_cache_writer *w, const void *bytes, size_t len)
{
    if (w->rc == 0 && fwrite(bytes, 1, len, w->replace.file) != len)
        w->rc = errno ? -errno : -EIO;
    XXH3_64bits_update(w->hash, bytes, len);
}

struct zone_cache_writer *zone_cache_begin(const char *folder, const char *apex)
{
    char path[PATH_MAX];
    struct zone_cache_writer *w = calloc(1, sizeof *w);
    int rc = w ? path_of(folder, apex, path) : -ENOMEM;
    if (rc == 0 && mkdir(folder, 0750) < 0 && errno != EEXIST)
        rc = -errno;
    rc = rc ? rc : file_replace_open(&w->replace, path);
    if (rc == 0) {
        w->hash = XXH3_createState();
        if (w->hash) {
            XXH3_64bits_reset(w->hash);
            put(w, magic, sizeof magic);
            return w;
        }
        fclose(w->replace.file);
        rc = -ENOMEM;
    }
    free(w);
    errno = -rc;
    return NULL;
}

void zone_cache_put(struct zone_cache_writer *w, const uint8_t *owner, size_t owner_len, uint16_t type, uint32_t ttl,
                    const uint8_t *rdata, uint16_t rdata_len)
{
    uint8_t head[RECORD_HEAD_LEN];
    if (!w)
        return;
    struct wire_writer out = wire_writer_init(head, sizeof head);
    wire_put_u16(&out, (uint16_t)owner_len);
    wire_put_u16(&out, type);
    wire_put_u32(&out, ttl);
    wire_put_u16(&out, rdata_len);
    put(w, head, sizeof head);
    put(w, owner, owner_len);
    put(w, rdata, rdata_len);
}

static void free_writer(struct zone_cache_writer *w)
{
    XXH3_freeState(w->hash);
    free(w);
}

int zone_cache_commit(struct zone_cache_writer *w)
{
    if (!w)
        return 0;
    const uint64_t sum = XXH3_64bits_digest(w->hash);
    if (w->rc == 0 && fwrite(&sum, 1, sizeof sum, w->replace.file) != sizeof sum)
        w->rc = -EIO;
    if (w->rc) {
        const int rc = w->rc;
        zone_cache_discard(w);
        return rc;
    }
    const int rc = file_replace_commit(&w->replace);
    free_writer(w);
    return rc;
}

void zone_cache_discard(struct zone_cache_writer *w)
{
    if (!w)
        return;
    fclose(w->replace.file);
    unlink(w->replace.temporary);
    free_writer(w);
}

// ---- reading ----

static int take_record(struct wire_reader *r, zone_cache_take_fn take, void *user)
{
    const uint16_t owner_len = wire_u16(r), type = wire_u16(r);
    const uint32_t ttl = wire_u32(r);
    const uint16_t rdata_len = wire_u16(r);
    const uint8_t *owner = wire_take(r, owner_len), *rdata = wire_take(r, rdata_len);
    if (r->failed || name_check(owner, owner_len, NULL) != owner_len)
        return -EBADMSG;
    return take(user, owner, type, ttl, rdata, rdata_len);
}

static int read_mapped(const uint8_t *bytes, size_t len, zone_cache_take_fn take, void *user)
{
    uint64_t sum;
    if (len < sizeof magic + sizeof sum || memcmp(bytes, magic, sizeof magic) != 0)
        return -EBADMSG;
    memcpy(&sum, bytes + len - sizeof sum, sizeof sum);
    if (XXH3_64bits(bytes, len - sizeof sum) != sum)
        return -EBADMSG;
    struct wire_reader r = wire_reader_init(bytes, len - sizeof sum);
    wire_take(&r, sizeof magic);
    int rc = 0;
    while (rc == 0 && wire_left(&r) > 0)
        rc = take_record(&r, take, user);
    return rc;
}

int zone_cache_read(const char *folder, const char *apex, zone_cache_take_fn take, void *user, uint64_t *saved_s)
{
    char path[PATH_MAX];
    struct stat info;
    int rc = path_of(folder, apex, path);
    const int fd = rc ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rc ? rc : -errno;
    if (fstat(fd, &info) < 0 || info.st_size == 0) {
        close(fd);
        return -EBADMSG;
    }
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return -errno;
    *saved_s = (uint64_t)info.st_mtim.tv_sec;
    rc = read_mapped(bytes, (size_t)info.st_size, take, user);
    munmap(bytes, (size_t)info.st_size);
    return rc;
}

void zone_cache_sweep(const char *folder, const char *const *apex, unsigned count)
{
    char name[NAME_FILE_CAP];
    DIR *all = opendir(folder);
    for (struct dirent *entry; all && (entry = readdir(all));) {
        const size_t len = strlen(entry->d_name);
        unsigned i = 0;
        if (len < sizeof suffix || strcmp(entry->d_name + len - (sizeof suffix - 1), suffix) != 0)
            continue;
        for (; i < count; i++) {
            file_name(apex[i], name);
            if (strcmp(name, entry->d_name) == 0)
                break;
        }
        if (i == count)
            unlinkat(dirfd(all), entry->d_name, 0);
    }
    if (all)
        closedir(all);
}
