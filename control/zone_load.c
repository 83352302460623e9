// SPDX-License-Identifier: Apache-2.0
#include "control/zone_load.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/zone_cache.h"
#include "control/zone_load_lex.h"
#include "control/zone_load_rdata.h"

enum {
    DEPTH_CAP = 16,          // hard limit of nested $INCLUDE, whatever the limits say
    ZONE_ERRORS_MAX = 100,   // of one zone; reading on would help nobody
    ZONE_WARNINGS_MAX = 100, // of one zone; a file of duplicates must not fill the list
    TYPE_SOA = 6
};

const struct zone_load_limits zone_load_limits_default = {
    .file_bytes = 4ull << 30,
    .include_depth = 8,
    .include_count = 1000,
    .record_count = 50000000,
};

struct loaded_zone {
    unsigned file; // of its master file
    unsigned warnings;
    bool is_dropped;
    struct zone_cache_writer *cache; // null: none
};

struct zone_load {
    struct config_errors *errors;
    struct zone_load_limits limits;
    struct zone_builder *builder;
    struct zone_rdata *rdata;
    struct zone_lex_entry *entry; // being read, and its line for messages
    const char *source;           // null: not reading
    char **file;                  // names, numbered from 0
    unsigned file_count;
    const char *cache_folder; // null: none
    struct loaded_zone *zone; // by the builder's number
    unsigned zone_count;
};

// ---- the record number of the builder: file and line ----

static uint64_t pack_place(unsigned file, unsigned line)
{
    return (uint64_t)(file + 1) << 32 | line;
}

static int add_file_name(struct zone_load *load, const char *name)
{
    char **grown = realloc(load->file, (load->file_count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    load->file = grown;
    load->file[load->file_count] = strdup(name);
    return load->file[load->file_count] ? (int)load->file_count++ : -ENOMEM;
}

static char *owner_text(const uint8_t *owner, char out[NAME_TEXT_CAP])
{
    return owner ? name_to_text(out, owner) : NULL;
}

// What the builder finds, in the operator's terms.
static void on_issue(void *user, enum zone_issue_level level, unsigned zone, const uint8_t *owner, uint64_t record,
                     const char *text)
{
    struct zone_load *load = user;
    char name[NAME_TEXT_CAP];
    unsigned file = record ? (unsigned)(record >> 32) - 1 : zone < load->zone_count ? load->zone[zone].file : 0;
    if (level == ZONE_ISSUE_WARNING && zone < load->zone_count && load->zone[zone].warnings++ >= ZONE_WARNINGS_MAX)
        return;
    config_errors_add(load->errors, level == ZONE_ISSUE_ERROR ? CONFIG_ERROR : CONFIG_WARNING,
                      file < load->file_count ? load->file[file] : NULL, (unsigned)(record & UINT32_MAX),
                      owner_text(owner, name), record ? load->source : NULL, "%s", text);
}

struct zone_load *zone_load_new(struct config_errors *errors, const struct zone_load_limits *limits)
{
    struct zone_load *load = calloc(1, sizeof(*load));
    if (!load)
        return NULL;
    load->errors = errors;
    load->limits = *limits;
    load->builder = zone_builder_new(on_issue, load);
    load->rdata = zone_rdata_new();
    load->entry = malloc(sizeof(*load->entry));
    if (load->builder && load->rdata && load->entry)
        return load;
    zone_load_free(load);
    return NULL;
}

void zone_load_free(struct zone_load *load)
{
    if (!load)
        return;
    zone_builder_free(load->builder);
    zone_rdata_free(load->rdata);
    free(load->entry);
    for (unsigned i = 0; i < load->file_count; i++)
        free(load->file[i]);
    free(load->file);
    for (unsigned i = 0; i < load->zone_count; i++)
        zone_cache_discard(load->zone[i].cache);
    free(load->zone);
    free(load);
}

struct zone_builder *zone_load_builder(struct zone_load *load)
{
    return load->builder;
}

// ---- reading one zone ----

// What a line means depends on these; $INCLUDE restores them behind the included file.
struct context {
    uint8_t origin[NAME_MAX_LEN];
    uint8_t owner[NAME_MAX_LEN];
    bool has_owner;
    bool has_default_ttl, has_last_ttl;
    uint32_t default_ttl, last_ttl;
};

struct source {
    struct zone_lex lex;
    char *text;
    unsigned file;
    struct context before; // the includer's
};

struct reading {
    struct zone_load *load;
    unsigned zone;
    const char *zone_dir; // resolved; null: no includes
    struct source source[DEPTH_CAP];
    unsigned depth; // sources open
    unsigned includes, errors;
    uint64_t records;
    struct context context;
};

static void report(struct reading *r, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void report(struct reading *r, unsigned line, const char *format, ...)
{
    char text[CONFIG_ERROR_TEXT_CAP], name[NAME_TEXT_CAP];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const struct source *s = &r->source[r->depth - 1];
    r->errors++;
    config_errors_add(r->load->errors, CONFIG_ERROR, r->load->file[s->file], line,
                      owner_text(r->context.has_owner ? r->context.owner : NULL, name), r->load->source, "%s", text);
}

// ---- files ----

// True when `path`, already resolved, lies in `dir`, already resolved.
static bool lies_in(const char *path, const char *dir)
{
    const size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || strcmp(dir, "/") == 0);
}

static bool is_unchanged(int fd, const struct stat *before)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

// Reads the file behind `path`, which must lie in `dir` once links are resolved. 0, or a negative errno: -EXDEV when
// it lies elsewhere, -EFBIG past the limit, -EAGAIN when it changed meanwhile. The text ends with a zero that is not
// counted.
static int read_inside(const char *path, const char *dir, uint64_t limit, char **text, size_t *len)
{
    char resolved[PATH_MAX];
    struct stat st;
    if (!realpath(path, resolved))
        return -errno;
    if (!lies_in(resolved, dir))
        return -EXDEV;
    // The resolved path has no links; one put there meanwhile is not followed.
    const int fd = open(resolved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) ? -EISDIR : 0;
    if (!rc && (uint64_t)st.st_size > limit)
        rc = -EFBIG;
    const size_t cap = rc ? 0 : (size_t)st.st_size;
    char *buffer = rc ? NULL : malloc(cap + 1);
    size_t used = 0;
    if (!rc && !buffer)
        rc = -ENOMEM;
    while (!rc && used < cap) { // a file that grows meanwhile is read up to its size at the start, for nothing
        const ssize_t n = read(fd, buffer + used, cap - used);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            rc = -errno;
        used += n > 0 ? (size_t)n : 0;
    }
    if (!rc && (used < cap || !is_unchanged(fd, &st)))
        rc = -EAGAIN;
    close(fd);
    if (rc) {
        free(buffer);
        return rc;
    }
    buffer[used] = 0;
    *text = buffer;
    *len = used;
    return 0;
}

static const char *read_problem(int rc)
{
    switch (-rc) {
    case EXDEV:
        return "the file lies outside zone_dir";
    case EISDIR:
        return "not a regular file";
    case EFBIG:
        return "the file is too large";
    case EAGAIN:
        return "the file changed while it was read; write it under another name, then rename it";
    default:
        return strerror(-rc);
    }
}

// Opens `text` as the innermost source.
static int push_source(struct reading *r, const char *name, char *text, size_t len)
{
    struct source *s = &r->source[r->depth];
    const int file = add_file_name(r->load, name);
    if (file < 0)
        return file;
    s->text = text;
    s->file = (unsigned)file;
    s->before = r->context;
    zone_lex_init(&s->lex, text, len);
    r->depth++;
    return 0;
}

// ---- directives ----

static int do_include(struct reading *r, const struct zone_lex_entry *e)
{
    char path[PATH_MAX], why[ZONE_WHY_CAP];
    struct context context = r->context;
    const struct zone_token *t = &e->token[1];
    if (e->token_count < 2 || e->token_count > 3) {
        report(r, e->line, "$INCLUDE takes a file and perhaps an origin");
        return 0;
    }
    if (!r->zone_dir) {
        report(r, e->line, "$INCLUDE is not possible here");
        return 0;
    }
    if (e->token_count == 3 && zone_name_parse(&e->token[2], r->context.origin, context.origin, why) < 0) {
        report(r, e->line, "$INCLUDE: %s", why);
        return 0;
    }
    const unsigned cut = t->is_quoted ? 1 : 0;
    const unsigned len = t->len < 2 * cut ? 0 : t->len - 2 * cut;
    const char *name = t->text + cut;
    const int n = len > 0 && *name == '/' ? snprintf(path, sizeof(path), "%.*s", (int)len, name)
                                          : snprintf(path, sizeof(path), "%s/%.*s", r->zone_dir, (int)len, name);
    if (r->depth > r->load->limits.include_depth || r->depth >= DEPTH_CAP) {
        report(r, e->line, "$INCLUDE: files include each other too deep (at most %u levels)",
               r->load->limits.include_depth);
        return 0;
    }
    if (r->includes++ >= r->load->limits.include_count) {
        report(r, e->line, "$INCLUDE: more than %u included files", r->load->limits.include_count);
        return 0;
    }
    char *text = NULL;
    size_t size = 0;
    int rc = n >= (int)sizeof(path) ? -ENAMETOOLONG
                                    : read_inside(path, r->zone_dir, r->load->limits.file_bytes, &text, &size);
    if (rc && rc != -ENOMEM) {
        report(r, e->line, "$INCLUDE %.300s: %s", path, read_problem(rc));
        return 0;
    }
    rc = rc ? rc : push_source(r, path, text, size);
    if (rc)
        free(text);
    else
        r->context = context; // what was before is kept in the source
    return rc;
}

static int do_directive(struct reading *r, const struct zone_lex_entry *e)
{
    const struct zone_token *t = e->token;
    char why[ZONE_WHY_CAP];
    uint8_t origin[NAME_MAX_LEN];
    if (zone_token_is(t, "$INCLUDE"))
        return do_include(r, e);
    if (zone_token_is(t, "$ORIGIN")) {
        if (e->token_count != 2)
            report(r, e->line, "$ORIGIN takes one name");
        else if (zone_name_parse(&t[1], r->context.origin, origin, why) < 0)
            report(r, e->line, "$ORIGIN: %s", why);
        else
            memcpy(r->context.origin, origin, sizeof(origin));
    } else if (zone_token_is(t, "$TTL")) {
        if (e->token_count != 2 || zone_ttl_parse(&t[1], &r->context.default_ttl) < 0)
            report(r, e->line, "$TTL takes a time from 0 to 2147483647 seconds, such as 3600 or 1h");
        else
            r->context.has_default_ttl = true;
    } else {
        report(r, e->line, "%.*s is not a directive that is known here ($ORIGIN, $TTL, $INCLUDE)",
               t->len < 40 ? (int)t->len : 40, t->text);
    }
    return 0;
}

// ---- records ----

struct header {
    unsigned used; // tokens before the data
    const struct zone_token *type_name;
    uint16_t type;
    bool has_ttl;
    uint32_t ttl;
};

static bool is_other_class(const struct zone_token *t)
{
    return zone_token_is(t, "CH") || zone_token_is(t, "HS") || zone_token_is(t, "CS") ||
           (t->len > 5 && strncasecmp(t->text, "CLASS", 5) == 0 && isdigit((unsigned char)t->text[5]));
}

// [owner] [TTL] [class] type, TTL and class in either order. False when reported.
static bool read_header(struct reading *r, const struct zone_lex_entry *e, struct header *h)
{
    char why[ZONE_WHY_CAP];
    uint8_t owner[NAME_MAX_LEN];
    unsigned i = 0;
    if (e->has_owner) {
        if (zone_name_parse(&e->token[i++], r->context.origin, owner, why) < 0) {
            r->context.has_owner = false; // the lines that follow without an owner are not for the one before
            report(r, e->line, "%s", why);
            return false;
        }
        memcpy(r->context.owner, owner, sizeof(owner));
        r->context.has_owner = true;
    } else if (!r->context.has_owner) {
        report(r, e->line, "the line starts with a blank, and there is no owner before it");
        return false;
    }
    bool has_class = false;
    for (; i < e->token_count; i++) {
        const struct zone_token *t = &e->token[i];
        if (!h->has_ttl && t->len > 0 && isdigit((unsigned char)*t->text)) {
            if (zone_ttl_parse(t, &h->ttl) < 0) {
                report(r, t->line, "%.*s is no TTL; allowed: 0 to 2147483647 seconds, such as 3600 or 1h",
                       t->len < 40 ? (int)t->len : 40, t->text);
                return false;
            }
            h->has_ttl = true;
        } else if (!has_class && (zone_token_is(t, "IN") || zone_token_is(t, "CLASS1"))) {
            has_class = true;
        } else {
            break;
        }
    }
    if (i == e->token_count) {
        report(r, e->line, "the type of the record is missing");
        return false;
    }
    const struct zone_token *t = h->type_name = &e->token[i];
    const int type = zone_type_parse(t);
    if (type < 0 && is_other_class(t))
        report(r, t->line, "only records of class IN are served");
    else if (type < 0)
        report(r, t->line, "\"%.*s\" is not a type of record; types without a name are written TYPE123",
               t->len < 40 ? (int)t->len : 40, t->text);
    else if (zone_type_is_meta((uint16_t)type))
        report(r, t->line, "%.*s is not a type that stands in zones", (int)t->len, t->text);
    h->type = (uint16_t)type;
    h->used = i + 1;
    return type >= 0 && !zone_type_is_meta((uint16_t)type);
}

// RFC 2308 section 4: the record's own TTL, else $TTL, else the last one stated; a SOA without any gives its minimum.
static bool choose_ttl(struct reading *r, const struct header *h, const uint8_t *rdata, uint16_t len, uint32_t *ttl)
{
    struct context *c = &r->context;
    if (h->has_ttl) {
        *ttl = h->ttl;
    } else if (c->has_default_ttl) {
        *ttl = c->default_ttl;
        return true;
    } else if (c->has_last_ttl) {
        *ttl = c->last_ttl;
        return true;
    } else if (h->type == TYPE_SOA && len > 4) {
        const uint8_t *m = rdata + len - 4;
        *ttl = (uint32_t)m[0] << 24 | (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | m[3];
    } else {
        return false;
    }
    c->has_last_ttl = true;
    c->last_ttl = *ttl;
    return true;
}

static int do_record(struct reading *r, const struct zone_lex_entry *e)
{
    struct header h = {0};
    char why[ZONE_WHY_CAP];
    const uint8_t *rdata;
    uint16_t len;
    uint32_t ttl;
    if (!read_header(r, e, &h))
        return 0;
    const struct zone_token *data = e->token + h.used;
    int rc = zone_rdata_parse(r->load->rdata, h.type, h.type_name, data, e->token_count - h.used, r->context.origin,
                              &rdata, &len, why);
    if (rc == -ENOMEM)
        return rc;
    if (rc) {
        report(r, e->token_count > h.used ? data->line : e->line, "%s", why);
        return 0;
    }
    if (!choose_ttl(r, &h, rdata, len, &ttl)) {
        report(r, e->line, "the record has no TTL; write one, or $TTL before it");
        return 0;
    }
    if (r->records++ >= r->load->limits.record_count) {
        report(r, e->line, "more than %llu records", (unsigned long long)r->load->limits.record_count);
        r->errors = ZONE_ERRORS_MAX;
        return 0;
    }
    const uint64_t place = pack_place(r->source[r->depth - 1].file, e->line);
    rc = zone_builder_add_record(r->load->builder, r->zone, r->context.owner, h.type, ttl, rdata, len, place);
    if (rc == 0 && r->load->zone[r->zone].cache)
        zone_cache_put(r->load->zone[r->zone].cache, r->context.owner,
                       (size_t)name_check(r->context.owner, NAME_MAX_LEN, NULL), h.type, ttl, rdata, len);
    if (rc == -EINVAL) { // the builder has reported it
        r->errors++;
        rc = 0;
    }
    return rc;
}

// ---- the whole of a zone ----

static int read_entry(struct reading *r, const struct zone_lex_entry *e)
{
    r->load->source = e->source;
    if (e->error) {
        report(r, e->error_line, "%s", e->error);
        return 0;
    }
    const struct zone_token *first = &e->token[0];
    return !first->is_quoted && *first->text == '$' ? do_directive(r, e) : do_record(r, e);
}

static void pop_source(struct reading *r)
{
    struct source *s = &r->source[--r->depth];
    free(s->text);
    r->context = s->before;
}

// Every entry of the innermost source, then the rest of the one that included it.
static int read_sources(struct reading *r)
{
    int rc = 0;
    while (r->depth > 0 && rc == 0) {
        struct source *s = &r->source[r->depth - 1];
        if (!zone_lex_next(&s->lex, r->load->entry)) {
            pop_source(r);
            continue;
        }
        rc = read_entry(r, r->load->entry);
        if (r->errors >= ZONE_ERRORS_MAX) {
            report(r, r->load->entry->line, "too many errors: the rest of the zone is not read");
            break;
        }
    }
    while (r->depth > 0)
        pop_source(r);
    r->load->source = NULL;
    return rc;
}

static int load_problem(struct zone_load *load, const char *apex, const char *name, const char *text)
{
    config_errors_add(load->errors, CONFIG_ERROR, name, 0, apex, NULL, "%s", text);
    return -EINVAL;
}

// A new zone of the builder with room for what is kept about it.
static int add_zone(struct zone_load *load, const char *apex, const char *name, uint8_t wire[NAME_MAX_LEN])
{
    if (name_from_text(wire, apex) < 0)
        return load_problem(load, apex, name, "the name of the zone is not a DNS name");
    struct loaded_zone *grown = realloc(load->zone, (load->zone_count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    load->zone = grown;
    const int zone = zone_builder_add_zone(load->builder, wire);
    if (zone == -EEXIST)
        load_problem(load, apex, name, "a zone of this name is loaded already");
    if (zone < 0)
        return zone;
    load->zone[load->zone_count++] = (struct loaded_zone){.file = load->file_count};
    return zone;
}

static void drop_zone(struct zone_load *load, unsigned zone)
{
    zone_builder_drop_zone(load->builder, zone);
    load->zone[zone].is_dropped = true;
    zone_cache_discard(load->zone[zone].cache);
    load->zone[zone].cache = NULL;
}

static void begin_cache(struct zone_load *load, int zone, const char *apex, const char *name)
{
    if (!load->cache_folder)
        return;
    load->zone[zone].cache = zone_cache_begin(load->cache_folder, apex);
    if (!load->zone[zone].cache)
        config_errors_add(load->errors, CONFIG_WARNING, name, 0, apex, NULL,
                          "%s: %s; there will be no last good version", load->cache_folder, strerror(errno));
}

// Takes over `text`.
static int load_zone(struct zone_load *load, const char *apex, const char *name, char *text, size_t len,
                     const char *zone_dir)
{
    struct reading *r = calloc(1, sizeof(*r));
    int zone = r ? add_zone(load, apex, name, r->context.origin) : -ENOMEM;
    if (zone < 0) {
        free(text);
        free(r);
        return zone;
    }
    r->load = load;
    r->zone = (unsigned)zone;
    r->zone_dir = zone_dir;
    begin_cache(load, zone, apex, name);
    int rc = push_source(r, name, text, len);
    if (rc)
        free(text);
    else
        rc = read_sources(r);
    if (rc || r->errors) {
        drop_zone(load, r->zone);
        zone = rc ? rc : -EINVAL;
    }
    free(r);
    return zone;
}

int zone_load_file(struct zone_load *load, const char *apex, const char *path, const char *zone_dir)
{
    char dir[PATH_MAX], problem[PATH_MAX + 128];
    char *text = NULL;
    size_t len = 0;
    if (!realpath(zone_dir, dir)) {
        snprintf(problem, sizeof(problem), "zone_dir %.300s: %s", zone_dir, strerror(errno));
        return load_problem(load, apex, path, problem);
    }
    const int rc = read_inside(path, dir, load->limits.file_bytes, &text, &len);
    if (rc == -ENOMEM)
        return rc;
    if (rc)
        return load_problem(load, apex, path, read_problem(rc));
    return load_zone(load, apex, path, text, len, dir);
}

int zone_load_text(struct zone_load *load, const char *apex, const char *name, const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, len);
    copy[len] = 0;
    return load_zone(load, apex, name, copy, len, NULL);
}

static void commit_caches(struct zone_load *load)
{
    for (unsigned i = 0; i < load->zone_count; i++) {
        const int rc = zone_cache_commit(load->zone[i].cache);
        load->zone[i].cache = NULL;
        if (rc)
            config_errors_add(load->errors, CONFIG_WARNING, load->file[load->zone[i].file], 0, NULL, NULL,
                              "the zone cannot be kept as the last good version: %s", strerror(-rc));
    }
}

int zone_load_check(struct zone_load *load)
{
    int dropped = 0;
    if (zone_builder_check(load->builder) == 0) {
        commit_caches(load);
        return 0;
    }
    for (unsigned i = 0; i < load->zone_count; i++)
        if (zone_builder_zone_errors(load->builder, i) > 0 && !load->zone[i].is_dropped) {
            drop_zone(load, i);
            dropped++;
        }
    zone_builder_check(load->builder); // again, silently: what a dropped zone covered shows again
    commit_caches(load);
    return dropped;
}

void zone_load_set_cache(struct zone_load *load, const char *folder)
{
    load->cache_folder = folder;
}

bool zone_load_is_dropped(const struct zone_load *load, unsigned zone)
{
    return load->zone[zone].is_dropped;
}

struct cached { // a zone that comes from its last good version
    struct zone_load *load;
    unsigned zone;
};

static int take_cached(void *user, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                       uint16_t rdata_len)
{
    const struct cached *c = user;
    return zone_builder_add_record(c->load->builder, c->zone, owner, type, ttl, rdata, rdata_len,
                                   pack_place(c->load->zone[c->zone].file, 0));
}

int zone_load_cached(struct zone_load *load, const char *apex, const char *folder, uint64_t *saved_s)
{
    uint8_t wire[NAME_MAX_LEN];
    struct cached c = {load, 0};
    const int zone = add_zone(load, apex, folder, wire);
    if (zone < 0)
        return zone;
    c.zone = (unsigned)zone;
    int rc = add_file_name(load, folder);
    rc = rc < 0 ? rc : zone_cache_read(folder, apex, take_cached, &c, saved_s);
    if (rc == 0)
        return zone;
    drop_zone(load, c.zone);
    return rc;
}
