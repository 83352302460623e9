// SPDX-License-Identifier: Apache-2.0
#include "control/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/log.h"

enum { LINE_CAP = 1024, BUFFER_BYTES = 64 << 10 };

struct journal {
    char path[PATH_MAX - 8];
    FILE *file; // null after an error, until the next rotation or configuration
    uint64_t max_bytes, file_bytes;
    const struct config *config;
    uint64_t opened_us; // wall clock: tells one life of the process from the next
    bool is_trouble_told;
    struct journal_stats stats;
};

static void trouble(struct journal *j, const char *what)
{
    j->stats.errors++;
    if (!j->is_trouble_told)
        log_warning("journal: %s %s: %s; events are not recorded meanwhile", what, j->path, strerror(errno));
    j->is_trouble_told = true;
    if (j->file)
        fclose(j->file);
    j->file = NULL;
}

static void open_file(struct journal *j)
{
    struct stat st;
    j->file = fopen(j->path, "ae");
    if (!j->file || fstat(fileno(j->file), &st) < 0) {
        trouble(j, "cannot open");
        return;
    }
    setvbuf(j->file, NULL, _IOFBF, BUFFER_BYTES);
    j->file_bytes = (uint64_t)st.st_size;
    j->is_trouble_told = false;
}

static void put(struct journal *j, const char *line, size_t len)
{
    if (j->file && fwrite(line, 1, len, j->file) != len)
        trouble(j, "cannot write");
    if (!j->file)
        return;
    j->file_bytes += len;
    j->stats.bytes += len;
    j->stats.lines++;
}

static void put_format(struct journal *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_format(struct journal *j, const char *format, ...)
{
    char line[LINE_CAP];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (len < 0)
        return;
    len = len > (int)sizeof line - 2 ? (int)sizeof line - 2 : len;
    for (int i = 0; i < len; i++)
        line[i] = line[i] == '\n' ? ' ' : line[i];
    line[len] = '\n';
    put(j, line, (size_t)len + 1);
}

// The other nodes, by the numbers that EVIDENCE_WORD events have (verdict_setup.c).
static void put_voices(struct journal *j)
{
    unsigned number = 0;
    for (unsigned s = 0; j->config && s < j->config->site_count; s++)
        for (unsigned i = 0; i < j->config->sites[s].node_count; i++)
            if (strcmp(j->config->sites[s].nodes[i].name, j->config->node.name) != 0)
                put_format(j, "voice %u %s", number++, j->config->sites[s].nodes[i].name);
    for (unsigned i = 0; j->config && i < j->config->heartbeat.witness_count; i++)
        put_format(j, "voice %u %s", number++, j->config->heartbeat.witnesses[i].name);
}

static void put_head(struct journal *j, uint64_t now_ns)
{
    put_format(j, "signpost-journal 1 %" PRIu64 " %" PRIu64 " %" PRIu64, now_ns, clock_wall_us(), j->opened_us);
    put_voices(j);
    for (unsigned s = 0; j->config && s < j->config->site_count; s++) {
        const struct config_site *site = &j->config->sites[s];
        put_format(j, "site %u %s", s, site->name);
        for (unsigned i = 0; i < site->group_count; i++)
            put_format(j, "group %u %u %s", s, i, site->groups[i].name);
        for (unsigned i = 0; i < site->balancer_count; i++)
            put_format(j, "balancer %u %u", s, i);
        for (unsigned i = 0; i < site->node_count; i++)
            put_format(j, "node %u %u %s", s, i, site->nodes[i].name);
    }
}

static void rotate(struct journal *j)
{
    char old[PATH_MAX];
    snprintf(old, sizeof old, "%s.1", j->path);
    if (j->file && fclose(j->file))
        j->stats.errors++;
    j->file = NULL;
    if (rename(j->path, old) < 0 && errno != ENOENT) {
        trouble(j, "cannot rename");
        return;
    }
    j->stats.rotations++;
    open_file(j);
    put_head(j, clock_ns(CLOCK_MONOTONIC));
}

static void rotate_when_full(struct journal *j)
{
    if (j->file && j->file_bytes > j->max_bytes / 2)
        rotate(j);
}

struct journal *journal_open(const char *path, uint64_t max_bytes, char why[256])
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j || snprintf(j->path, sizeof j->path, "%s", path) >= (int)sizeof j->path) {
        snprintf(why, 256, "no memory, or a path that is too long");
        free(j);
        return NULL;
    }
    j->max_bytes = max_bytes;
    j->opened_us = clock_wall_us();
    open_file(j);
    if (j->file)
        return j;
    snprintf(why, 256, "cannot open %.200s", path);
    free(j);
    return NULL;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->file)
        fclose(j->file);
    free(j);
}

void journal_config(struct journal *j, const struct config *config, uint64_t now_ns)
{
    if (!j)
        return;
    j->config = config;
    if (!j->file)
        open_file(j);
    rotate_when_full(j);
    put_head(j, now_ns);
}

void journal_event(struct journal *j, const struct evidence_event *event)
{
    char line[EVIDENCE_LINE_CAP + 8];
    if (!j)
        return;
    memcpy(line, "event ", 6);
    const int len = evidence_format(line + 6, event);
    if (len < 0)
        return;
    line[6 + len] = '\n';
    put(j, line, (size_t)len + 7);
    rotate_when_full(j);
}

void journal_line(struct journal *j, const char *format, ...)
{
    char line[LINE_CAP];
    if (!j)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put_format(j, "%s", line);
    rotate_when_full(j);
}

void journal_flush(struct journal *j)
{
    if (j && j->file && fflush(j->file))
        trouble(j, "cannot write");
}

void journal_count(const struct journal *j, struct journal_stats *stats)
{
    *stats = j ? j->stats : (struct journal_stats){0};
}
