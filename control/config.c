// SPDX-License-Identifier: Apache-2.0
#include "control/config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config_change.h"
#include "control/config_check.h"
#include "control/config_read.h"

enum { FILES_MAX = 1000 }; // main and included; a directory of more is a slip

struct store {
    struct config config; // first: config_free casts back
    struct config_arena arena;
};

struct loading {
    struct store *store;
    struct config_reader reader;
    struct config_file *file[FILES_MAX];
    unsigned file_count;
    unsigned first_error; // entry of the list from which on it is ours
    unsigned error_count; // of earlier loads
    const char *const *change;
    unsigned change_count;
};

// ---- the directory that relative paths are joined to ----

// Absolute form of `path`, without resolving links: what the operator wrote stays recognisable.
static const char *absolute_path(struct config_reader *r, const char *path)
{
    char cwd[PATH_MAX];
    if (*path != '/' && !getcwd(cwd, sizeof(cwd)))
        snprintf(cwd, sizeof(cwd), "/");
    return config_reader_path(r, cwd, path);
}

static int set_directory(struct loading *l, const char *path)
{
    struct config *config = &l->store->config;
    config->path = absolute_path(&l->reader, path);
    if (!config->path)
        return -ENOMEM;
    const char *slash = strrchr(config->path, '/'); // an absolute path has one
    size_t len = slash && slash != config->path ? (size_t)(slash - config->path) : 1;
    config->directory = config_reader_copy(&l->reader, *config->path ? config->path : "/", len);
    l->reader.directory = config->directory;
    return config->directory ? 0 : -ENOMEM;
}

// ---- included files ----

static struct config_value *find_child(struct config_value *group, const char *name)
{
    for (struct config_value *v = group->child; v; v = v->next)
        if (v->name && strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static struct config_value *last_of(struct config_value *value)
{
    while (value && value->next)
        value = value->next;
    return value;
}

static void report_value(struct config_errors *errors, const struct config_value *v, const char *text)
{
    config_errors_add(errors, CONFIG_ERROR, config_file_name(v->file), v->line, v->name,
                      config_file_line(v->file, v->line), "%s", text);
}

// Moves one setting of an included file into the main tree.
static void merge_one(struct loading *l, struct config_value *root, struct config_value *v)
{
    struct config_value *there = find_child(root, v->name);
    const struct config_key *key = config_schema_find(config_schema(), v->name);
    if (strcmp(v->name, "include") == 0) {
        report_value(l->reader.errors, v, "an included file cannot include others");
        return;
    }
    if (!there) {
        v->next = NULL;
        struct config_value *last = last_of(root->child);
        *(last ? &last->next : &root->child) = v;
        root->child_count++;
        return;
    }
    bool can_join = key && key->is_list && there->type == CONFIG_VALUE_LIST && v->type == CONFIG_VALUE_LIST;
    if (!can_join) {
        char text[PATH_MAX];
        snprintf(text, sizeof(text), "already given in %.200s, line %u%s", config_file_name(there->file), there->line,
                 key && key->is_list ? "; to be joined both must be lists ( ... )" : "");
        report_value(l->reader.errors, v, text);
        return;
    }
    struct config_value *last = last_of(there->child);
    *(last ? &last->next : &there->child) = v->child;
    there->child_count += v->child_count;
}

// Parses a file into l->file; false when it has errors.
static int add_file(struct loading *l, const char *path, struct config_value *root)
{
    if (l->file_count == FILES_MAX) {
        config_errors_add(l->reader.errors, CONFIG_ERROR, path, 0, NULL, NULL, "more than %d files", FILES_MAX);
        return -EINVAL;
    }
    struct config_file *file = NULL;
    int rc = config_file_read(path, &file, l->reader.errors);
    if (rc)
        return rc;
    l->file[l->file_count++] = file;
    struct config_value *next;
    for (struct config_value *v = root ? config_file_root(file)->child : NULL; v; v = next) {
        next = v->next;
        merge_one(l, root, v);
    }
    return 0;
}

static int is_conf(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); // not alphasort: the order must not depend on the locale
}

static int add_directory(struct loading *l, const char *path, struct config_value *root)
{
    struct dirent **entry = NULL;
    int count = scandir(path, &entry, is_conf, by_name);
    int rc = count < 0 ? -errno : 0;
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        int n = snprintf(file, sizeof(file), "%s/%s", path, entry[i]->d_name);
        if (rc != -ENOMEM && n < (int)sizeof(file))
            rc = add_file(l, file, root);
        free(entry[i]);
    }
    free(entry);
    return rc;
}

static int include_one(struct loading *l, struct config_value *root, const struct config_value *include)
{
    const char *path = config_reader_path(&l->reader, l->reader.directory, include->string);
    struct stat st;
    if (!path)
        return -ENOMEM;
    int rc = 0;
    if (stat(path, &st) < 0)
        rc = -errno;
    else if (S_ISDIR(st.st_mode))
        return add_directory(l, path, root) == -ENOMEM ? -ENOMEM : 0; // errors in the files are reported already
    else
        return add_file(l, path, root) == -ENOMEM ? -ENOMEM : 0;
    char text[CONFIG_ERROR_TEXT_CAP];
    snprintf(text, sizeof(text), "cannot read %.300s: %s", path, strerror(-rc));
    config_errors_add(l->reader.errors, CONFIG_ERROR, config_file_name(include->file), include->line, "include",
                      config_file_line(include->file, include->line), "%s", text);
    return 0;
}

// Reads the files of `include` and joins them to the main tree. What is not a text is reported by the schema walk.
static int include_files(struct loading *l, struct config_value *root)
{
    const struct config_value *include = find_child(root, "include");
    if (!include)
        return 0;
    bool is_list = include->type == CONFIG_VALUE_LIST;
    int rc = 0;
    for (const struct config_value *v = is_list ? include->child : include; v && !rc; v = is_list ? v->next : NULL)
        if (v->type == CONFIG_VALUE_STRING)
            rc = include_one(l, root, v);
    return rc;
}

// ---- loading ----

static int load_tree(struct loading *l, unsigned flags)
{
    struct config_value *root = config_file_root(l->file[0]);
    struct config *config = &l->store->config;
    struct config_reader *r = &l->reader;
    if (!(flags & CONFIG_LOAD_NO_FILES)) {
        int rc = include_files(l, root);
        if (rc)
            return rc;
    }
    for (unsigned i = 0; i < l->change_count; i++) {
        int rc = l->file_count < FILES_MAX ? config_change_apply(root, l->change[i], &l->file[l->file_count], r->errors)
                                           : -E2BIG;
        l->file_count += l->file_count < FILES_MAX && l->file[l->file_count];
        if (rc)
            return rc;
    }
    config_read_tree(r, root, config);
    if (r->out_of_memory)
        return -ENOMEM;
    config_derive(r, config);
    config_check_sites(r, config);
    config_check_services(r, config);
    config_check_regions(r, config);
    config_check_node(r, config);
    if (!(flags & CONFIG_LOAD_NO_FILES))
        config_read_secrets(r, config);
    config_gather_groups(r, config);
    if (r->errors->error_count == l->error_count) {
        config_gather_verdicts(r, config);
        config_gather_nearest(r, config);
    }
    return r->out_of_memory ? -ENOMEM : 0;
}

// Takes over `file`, or reads `path` when it is null.
static int load(const char *path, struct config_file *file, unsigned flags, const char *const *change,
                unsigned change_count, struct config **config, struct config_errors *errors)
{
    struct loading *l = calloc(1, sizeof(*l));
    if (!l) {
        config_file_free(file);
        return -ENOMEM;
    }
    l->change = change;
    l->change_count = change_count;
    l->first_error = errors->count;
    l->error_count = errors->error_count;
    l->store = calloc(1, sizeof(*l->store));
    if (file)
        l->file[l->file_count++] = file;
    int rc = l->store ? 0 : -ENOMEM;
    if (!rc) {
        l->reader = (struct config_reader){.errors = errors, .arena = &l->store->arena};
        rc = set_directory(l, path);
    }
    if (!rc && !file)
        rc = add_file(l, path, NULL);
    if (!rc)
        rc = load_tree(l, flags);
    config_errors_sort(errors, l->first_error);
    if (!rc && errors->error_count > l->error_count)
        rc = -EINVAL;
    config_reader_fini(&l->reader);
    for (unsigned i = 0; i < l->file_count; i++)
        config_file_free(l->file[i]);
    if (rc)
        config_free(l->store ? &l->store->config : NULL);
    else
        *config = &l->store->config;
    free(l);
    return rc;
}

int config_load(const char *path, struct config **config, struct config_errors *errors)
{
    return load(path, NULL, CONFIG_LOAD_DEFAULT, NULL, 0, config, errors);
}

int config_load_changed(const char *path, const char *const *change, unsigned change_count, struct config **config,
                        struct config_errors *errors)
{
    return load(path, NULL, CONFIG_LOAD_DEFAULT, change, change_count, config, errors);
}

int config_load_text(const char *path, const char *text, size_t len, unsigned flags, struct config **config,
                     struct config_errors *errors)
{
    struct config_file *file = NULL;
    int rc = config_file_parse(path, text, len, &file, errors);
    return rc ? rc : load(path, file, flags, NULL, 0, config, errors);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    struct store *store = (struct store *)config;
    explicit_bzero(config->heartbeat.key, sizeof(config->heartbeat.key));
    explicit_bzero(config->dns.cookies.secret, sizeof(config->dns.cookies.secret));
    config_arena_free(&store->arena);
    free(store);
}
