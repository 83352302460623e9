// SPDX-License-Identifier: Apache-2.0
#include "dbsync/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FILE_MAX = 256, NAME_CAP = 64, FORMAT = 1 };
static const char magic[4] = {'S', 'P', 'D', 'B'};

struct spool_file {
    enum spool_side side;
    uint16_t peer;
    uint64_t number;
    uint64_t size; // octets of the batch
};

struct open_file {
    int fd; // -1: none
    enum spool_side side;
    uint16_t peer;
    uint64_t number, incarnation, size, synced;
    XXH3_state_t *sum;
};

struct spool {
    char *directory;
    int directory_fd;
    uint64_t quota, bytes;
    uint8_t boot[16];
    struct spool_file file[FILE_MAX]; // on disk
    unsigned file_count;
    struct open_file open[2 * WINDOW_SITE_MAX];
    unsigned open_count;
};

// ---- heads ----

void spool_head_encode(uint8_t out[SPOOL_HEAD_LEN], const struct spool_head *head)
{
    struct buffer b = {0};
    buffer_put(&b, magic, sizeof magic);
    buffer_u32(&b, FORMAT);
    buffer_u64(&b, head->incarnation);
    buffer_u64(&b, head->number);
    buffer_u64(&b, head->len);
    buffer_put(&b, head->boot, sizeof head->boot);
    buffer_put(&b, head->digest, sizeof head->digest);
    memset(buffer_extend(&b, SPOOL_HEAD_LEN - 8 - b.len), 0, SPOOL_HEAD_LEN - 8 - b.len);
    buffer_u64(&b, XXH3_64bits(b.data, b.len));
    memcpy(out, b.data, SPOOL_HEAD_LEN);
    buffer_fini(&b);
}

int spool_head_decode(const uint8_t in[SPOOL_HEAD_LEN], struct spool_head *head)
{
    struct bytes_reader r = bytes_reader_init(in, SPOOL_HEAD_LEN);
    const uint8_t *own = bytes_take(&r, sizeof magic);
    uint32_t format = bytes_u32(&r);
    head->incarnation = bytes_u64(&r);
    head->number = bytes_u64(&r);
    head->len = bytes_u64(&r);
    memcpy(head->boot, bytes_take(&r, sizeof head->boot), sizeof head->boot);
    memcpy(head->digest, bytes_take(&r, sizeof head->digest), sizeof head->digest);
    r.at = SPOOL_HEAD_LEN - 8;
    uint64_t sum = bytes_u64(&r);
    bool is_ours = memcmp(own, magic, sizeof magic) == 0 && format == FORMAT &&
                   sum == XXH3_64bits(in, SPOOL_HEAD_LEN - 8) && head->number != 0;
    return is_ours ? 0 : -EBADMSG;
}

static void read_boot(uint8_t boot[16])
{
    char text[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f) {
        if (!fgets(text, sizeof text, f))
            text[0] = 0;
        fclose(f);
    }
    XXH128_hash_t sum = XXH3_128bits(text, strlen(text));
    memcpy(boot, &sum, 16);
}

// ---- the directory ----

static char *file_name(char out[NAME_CAP], enum spool_side side, uint16_t peer, uint64_t number)
{
    snprintf(out, NAME_CAP, "%s-%u-%" PRIu64, side == SPOOL_OUT ? "out" : "in", peer, number);
    return out;
}

static bool parse_name(const char *name, struct spool_file *f)
{
    char side[4], check[NAME_CAP];
    if (sscanf(name, "%3[a-z]-%" SCNu16 "-%" SCNu64, side, &f->peer, &f->number) != 3)
        return false;
    f->side = side[0] == 'o' ? SPOOL_OUT : SPOOL_IN;
    return strcmp(file_name(check, f->side, f->peer, f->number), name) == 0;
}

static struct spool_file *find_file(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number)
{
    for (unsigned i = 0; i < s->file_count; i++) {
        struct spool_file *f = &s->file[i];
        if (f->side == side && f->peer == peer && f->number == number)
            return f;
    }
    return NULL;
}

static void remove_file(struct spool *s, struct spool_file *f)
{
    char name[NAME_CAP];
    unlinkat(s->directory_fd, file_name(name, f->side, f->peer, f->number), 0);
    s->bytes -= f->size;
    *f = s->file[--s->file_count];
}

// Files of an earlier run. More than FILE_MAX, or strange ones: removed, as everything here can be had again.
static int scan(struct spool *s, struct problem *problem)
{
    int fd = openat(s->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return problem_set(problem, error, "%s: %s", s->directory, strerror(error));
    }
    for (struct dirent *e; (e = readdir(d));) { // ends with the directory
        struct spool_file f;
        struct stat st;
        if (!parse_name(e->d_name, &f))
            continue;
        if (s->file_count == FILE_MAX || fstatat(s->directory_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode) || st.st_size < SPOOL_HEAD_LEN) {
            unlinkat(s->directory_fd, e->d_name, 0);
            continue;
        }
        f.size = (uint64_t)st.st_size - SPOOL_HEAD_LEN;
        s->bytes += f.size;
        s->file[s->file_count++] = f;
    }
    closedir(d);
    return 0;
}

int spool_open(const char *directory, uint64_t quota_bytes, struct spool **spool, struct problem *problem)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return problem_set(problem, errno, "%s: %s; make the directory, or set `spool`", directory, strerror(errno));
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return problem_set(problem, errno, "%s: %s", directory, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return problem_set(problem, EBUSY, "%s: another daemon uses this directory", directory);
    }
    struct spool *s = memory_take(sizeof *s);
    s->directory = memory_text(directory);
    s->directory_fd = fd;
    s->quota = quota_bytes;
    read_boot(s->boot);
    int result = scan(s, problem);
    if (result < 0) {
        spool_close(s);
        return result;
    }
    *spool = s;
    return 0;
}

static void close_open(struct open_file *o)
{
    if (o->fd >= 0)
        close(o->fd);
    XXH3_freeState(o->sum);
    o->fd = -1;
    o->sum = NULL;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->open_count; i++)
        close_open(&s->open[i]);
    close(s->directory_fd);
    free(s->directory);
    free(s);
}

// ---- one file ----

static struct open_file *find_open(struct spool *s, enum spool_side side, uint16_t peer)
{
    for (unsigned i = 0; i < s->open_count; i++)
        if (s->open[i].side == side && s->open[i].peer == peer)
            return &s->open[i];
    return NULL;
}

static struct open_file *open_of(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number,
                                 struct problem *problem)
{
    struct open_file *o = find_open(s, side, peer);
    if (o && o->fd >= 0 && o->number == number)
        return o;
    problem_set(problem, EINVAL, "%s: batch %" PRIu64 " is not open", s->directory, number);
    return NULL;
}

static int failed(struct spool *s, const struct open_file *o, const char *what, struct problem *problem)
{
    int error = errno ? errno : EIO;
    char name[NAME_CAP];
    return problem_set(problem, error, "%s/%s: %s: %s", s->directory, file_name(name, o->side, o->peer, o->number),
                       what, strerror(error));
}

// All octets, in as many pieces as the kernel likes; -1: an error, or the file's end. `bytes` are only read by a write.
static int move_at(int fd, bool is_write, void *bytes, size_t len, uint64_t at)
{
    uint8_t *p = bytes;
    while (len) { // each round moves something
        ssize_t n = is_write ? pwrite(fd, p, len, (off_t)at) : pread(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_at(int fd, const void *bytes, size_t len, uint64_t at)
{
    return move_at(fd, true, (void *)bytes, len, at);
}

static int read_at(int fd, void *bytes, size_t len, uint64_t at)
{
    return move_at(fd, false, bytes, len, at);
}

static int write_head(struct spool *s, const struct open_file *o, uint64_t len, const uint8_t *digest)
{
    uint8_t bytes[SPOOL_HEAD_LEN];
    struct spool_head head = {.incarnation = o->incarnation, .number = o->number, .len = len};
    memcpy(head.boot, s->boot, sizeof head.boot);
    if (digest)
        memcpy(head.digest, digest, FRAME_DIGEST_LEN);
    spool_head_encode(bytes, &head);
    return write_at(o->fd, bytes, sizeof bytes, 0);
}

// Sums the octets up to `len` from the file itself.
static int sum_file(int fd, XXH3_state_t *sum, uint64_t len)
{
    enum { PIECE = 256 << 10 };
    uint8_t *piece = memory_take(PIECE);
    int result = 0;
    XXH3_128bits_reset(sum);
    for (uint64_t at = 0; at < len && result == 0;) {
        size_t n = len - at < PIECE ? (size_t)(len - at) : PIECE;
        result = read_at(fd, piece, n, SPOOL_HEAD_LEN + at);
        if (result == 0)
            XXH3_128bits_update(sum, piece, n);
        at += n;
    }
    free(piece);
    return result;
}

static void take_digest(const XXH3_state_t *sum, uint8_t digest[FRAME_DIGEST_LEN])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(sum));
    memcpy(digest, canonical.digest, FRAME_DIGEST_LEN);
}

// How much of a file of an earlier run counts: everything after a kill, whole megabytes, which were synced, after
// another boot, nothing when the head is strange or speaks of something else.
static uint64_t usable(struct spool *s, const struct open_file *o, uint64_t size)
{
    uint8_t bytes[SPOOL_HEAD_LEN];
    struct spool_head head;
    if (read_at(o->fd, bytes, sizeof bytes, 0) != 0 || spool_head_decode(bytes, &head) != 0 ||
        head.incarnation != o->incarnation || head.number != o->number || (head.len && head.len != size))
        return 0;
    if (memcmp(head.boot, s->boot, sizeof s->boot) == 0)
        return size;
    return size - size % SPOOL_SYNC_BYTES;
}

static int take_over(struct spool *s, struct open_file *o, struct spool_file *f, struct problem *problem)
{
    uint64_t kept = usable(s, o, f->size);
    if (kept && sum_file(o->fd, o->sum, kept) != 0)
        kept = 0;
    if (kept == 0)
        XXH3_128bits_reset(o->sum);
    if (ftruncate(o->fd, (off_t)(SPOOL_HEAD_LEN + kept)) != 0 || write_head(s, o, 0, NULL) != 0)
        return failed(s, o, "reopen", problem);
    s->bytes -= f->size - kept;
    f->size = o->size = o->synced = kept;
    return 0;
}

int spool_begin(struct spool *s, enum spool_side side, uint16_t peer, uint64_t incarnation, uint64_t number,
                uint64_t *offset, struct problem *problem)
{
    struct open_file *o = find_open(s, side, peer);
    char name[NAME_CAP];
    if (o && o->fd >= 0 && o->number == number && o->incarnation == incarnation) {
        *offset = o->size;
        return 0;
    }
    if (!o) {
        if (s->open_count == 2 * WINDOW_SITE_MAX)
            return problem_set(problem, ENFILE, "%s: more than %d peers", s->directory, WINDOW_SITE_MAX);
        o = &s->open[s->open_count++];
        o->fd = -1;
        o->sum = NULL;
    }
    close_open(o);
    *o = (struct open_file){
        .fd = -1, .side = side, .peer = peer, .number = number, .incarnation = incarnation, .sum = XXH3_createState()};
    if (!o->sum)
        return problem_set(problem, ENOMEM, "%s: out of memory", s->directory);
    XXH3_128bits_reset(o->sum);
    struct spool_file *f = find_file(s, side, peer, number);
    if (!f && s->file_count == FILE_MAX)
        return problem_set(problem, ENFILE, "%s: more than %d batches", s->directory, FILE_MAX);
    o->fd =
        openat(s->directory_fd, file_name(name, side, peer, number), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (o->fd < 0)
        return failed(s, o, "open", problem);
    int result;
    if (f) {
        result = take_over(s, o, f, problem);
    } else {
        s->file[s->file_count++] = (struct spool_file){side, peer, number, 0};
        result = write_head(s, o, 0, NULL) != 0 ? failed(s, o, "write", problem) : 0;
    }
    if (result < 0)
        close_open(o);
    *offset = o->size;
    return result;
}

int spool_append(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number, const void *bytes, size_t len,
                 struct problem *problem)
{
    struct open_file *o = open_of(s, side, peer, number, problem);
    if (!o)
        return -EINVAL;
    if (len > spool_room(s))
        return problem_set(problem, ENOSPC,
                           "%s: a batch does not fit into the %" PRIu64
                           " octets that `spool_quota` leaves each peer and "
                           "direction (it cannot be divided: one transaction, or what came while the daemon was away); "
                           "raise `spool_quota` here and at the peer",
                           s->directory, s->quota);
    if (write_at(o->fd, bytes, len, SPOOL_HEAD_LEN + o->size) != 0) {
        int result = failed(s, o, "write", problem); // what was half written lies behind `size` and is written again
        return result;
    }
    XXH3_128bits_update(o->sum, bytes, len);
    o->size += len;
    s->bytes += len;
    find_file(s, side, peer, number)->size = o->size;
    if (side == SPOOL_IN && o->size / SPOOL_SYNC_BYTES > o->synced / SPOOL_SYNC_BYTES) {
        if (fdatasync(o->fd) != 0)
            return failed(s, o, "sync", problem);
        o->synced = o->size;
    }
    return 0;
}

int spool_finish(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number,
                 uint8_t digest[FRAME_DIGEST_LEN], struct problem *problem)
{
    struct open_file *o = open_of(s, side, peer, number, problem);
    if (!o)
        return -EINVAL;
    take_digest(o->sum, digest);
    if (write_head(s, o, o->size, digest) != 0)
        return failed(s, o, "write", problem);
    return 0;
}

int spool_digest(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number, uint64_t len,
                 uint8_t digest[FRAME_DIGEST_LEN], struct problem *problem)
{
    struct open_file *o = open_of(s, side, peer, number, problem);
    if (!o)
        return -EINVAL;
    if (len > o->size)
        return problem_set(problem, ERANGE, "%s: batch %" PRIu64 " has only %" PRIu64 " octets", s->directory, number,
                           o->size);
    if (len == o->size) {
        take_digest(o->sum, digest);
        return 0;
    }
    XXH3_state_t *sum = XXH3_createState();
    int result = sum && sum_file(o->fd, sum, len) == 0 ? 0 : failed(s, o, "read", problem);
    if (result == 0)
        take_digest(sum, digest);
    XXH3_freeState(sum);
    return result;
}

int spool_map(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number, const uint8_t **bytes, size_t *len,
              struct problem *problem)
{
    struct open_file *o = open_of(s, side, peer, number, problem);
    if (!o)
        return -EINVAL;
    void *at = mmap(NULL, SPOOL_HEAD_LEN + o->size, PROT_READ, MAP_SHARED, o->fd, 0);
    if (at == MAP_FAILED)
        return failed(s, o, "map", problem);
    *bytes = (const uint8_t *)at + SPOOL_HEAD_LEN;
    *len = o->size;
    return 0;
}

void spool_unmap(const uint8_t *bytes, size_t len)
{
    if (bytes)
        munmap((void *)((uintptr_t)bytes - SPOOL_HEAD_LEN), SPOOL_HEAD_LEN + len);
}

void spool_drop(struct spool *s, enum spool_side side, uint16_t peer, uint64_t number)
{
    struct open_file *o = find_open(s, side, peer);
    if (o && o->number <= number)
        close_open(o);
    for (unsigned i = s->file_count; i-- > 0;) {
        struct spool_file *f = &s->file[i];
        if (f->side == side && f->peer == peer && f->number <= number)
            remove_file(s, f);
    }
}

uint64_t spool_pending(const struct spool *s, uint16_t peer)
{
    uint64_t latest = 0;
    for (unsigned i = 0; i < s->file_count; i++)
        if (s->file[i].side == SPOOL_IN && s->file[i].peer == peer && s->file[i].number > latest)
            latest = s->file[i].number;
    return latest;
}

uint64_t spool_bytes(const struct spool *s)
{
    return s->bytes;
}

uint64_t spool_quota(const struct spool *s)
{
    return s->quota;
}

uint64_t spool_room(const struct spool *s)
{
    return s->quota > s->bytes ? s->quota - s->bytes : 0;
}
