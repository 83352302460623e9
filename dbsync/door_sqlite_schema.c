// SPDX-License-Identifier: Apache-2.0
// SQLite's catalogue read into the core's schema.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

static const char *text_at(sqlite3_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    return text ? text : "";
}

static char *text_copy(sqlite3_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    return text ? memory_text(text) : NULL;
}

// A default that is a literal has a value that every site computes alike.
static void read_constant(struct door_sqlite *d, struct column *c)
{
    const char *text = c->standard;
    if (!text || !(isdigit((unsigned char)text[0]) || strchr("'+-xX", text[0]) || strcasecmp(text, "null") == 0 ||
                   strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0))
        return;
    char *sql = sqlite3_mprintf("SELECT %s", text);
    sqlite3_stmt *s = NULL;
    if (sql && sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        c->constant = sqlite_value(s, 0);
        if (c->constant.type >= VALUE_TEXT) {
            uint8_t *bytes = memory_take(c->constant.len);
            if (c->constant.len)
                memcpy(bytes, c->constant.bytes, c->constant.len);
            c->constant.bytes = bytes;
        }
        c->has_constant = true;
    }
    sqlite3_finalize(s);
    sqlite3_free(sql);
}

static int read_columns(struct door_sqlite *d, struct table *t, struct problem *problem)
{
    uint16_t key[SCHEMA_COLUMN_MAX] = {0};
    sqlite3_stmt *s =
        sqlite_cached(d, "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC);
    int result = 1;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        if (t->column_count == SCHEMA_COLUMN_MAX)
            break;
        t->column = memory_resize(t->column, (t->column_count + 1u) * sizeof *t->column);
        struct column *c = memset(&t->column[t->column_count], 0, sizeof *c);
        c->name = text_copy(s, 0);
        c->type = memory_text(text_at(s, 1));
        c->not_null = sqlite3_column_int(s, 2) != 0;
        c->standard = text_copy(s, 3);
        c->is_generated = sqlite3_column_int(s, 5) != 0;
        int pk = sqlite3_column_int(s, 4);
        if (pk > 0) {
            key[pk - 1] = t->column_count;
            t->key_count = (uint16_t)(pk > t->key_count ? pk : t->key_count);
        }
        t->column_count++;
    }
    sqlite3_reset(s);
    if (result < 0)
        return result;
    if (t->column_count == 0)
        return problem_set(problem, EINVAL, "there is no table %s in %s", t->name, d->path);
    t->key = memory_take(t->key_count * sizeof *t->key);
    memcpy(t->key, key, t->key_count * sizeof *t->key);
    for (unsigned i = 0; i < t->column_count; i++) {
        const char *collation = NULL;
        sqlite3_table_column_metadata(d->db, NULL, t->name, t->column[i].name, NULL, &collation, NULL, NULL, NULL);
        if (collation && strcasecmp(collation, "BINARY"))
            t->column[i].collation = memory_text(collation);
        read_constant(d, &t->column[i]);
    }
    return 0;
}

// Row identifiers must exist, and be equal exactly when their bytes are.
static int check_key(struct door_sqlite *d, const struct table *t, struct problem *problem)
{
    if (t->key_count == 0)
        return problem_set(problem, EINVAL, "table %s has no primary key; rows need an identifier: add one", t->name);
    int64_t without_rowid = 0;
    sqlite3_stmt *s = sqlite_cached(d, "SELECT wr FROM pragma_table_list(?1) WHERE schema = 'main'", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC);
    if (sqlite_step(d, s, problem) == 1)
        without_rowid = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    bool is_rowid = t->key_count == 1 && strcasecmp(t->column[t->key[0]].type, "INTEGER") == 0 && !without_rowid;
    for (unsigned k = 0; k < t->key_count; k++) {
        const struct column *c = &t->column[t->key[k]];
        if (c->collation)
            return problem_set(
                problem, EINVAL,
                "table %s: key column %s has collation %s; two sites could hold different bytes for one row: "
                "declare it with COLLATE BINARY",
                t->name, c->name, c->collation);
        if (!c->not_null && !without_rowid && !is_rowid)
            return problem_set(
                problem, EINVAL,
                "table %s: key column %s may be NULL (SQLite allows that without NOT NULL); declare it NOT NULL",
                t->name, c->name);
    }
    return 0;
}

// ---- CHECK constraints: columns named in one are one register ----

// The next token of SQL from `*at`; returns its first octet's position, and its end in `*at`. Null at the end.
static const char *next_token(const char **at)
{
    const char *s = *at;
    for (;;) {
        while (isspace((unsigned char)*s))
            s++;
        if (s[0] == '-' && s[1] == '-')
            while (*s && *s != '\n')
                s++;
        else if (s[0] == '/' && s[1] == '*') {
            const char *end = strstr(s + 2, "*/");
            s = end ? end + 2 : s + strlen(s);
        } else
            break;
    }
    if (!*s)
        return NULL;
    const char *start = s;
    char quote = *s == '[' ? ']' : *s;
    if (strchr("'\"`[", *s)) {
        for (s++; *s && (*s != quote || (s[1] == quote && quote != ']')); s++)
            s += *s == quote && s[1] == quote;
        s += *s != 0;
    } else if (isalnum((unsigned char)*s) || *s == '_' || (unsigned char)*s >= 0x80) {
        while (isalnum((unsigned char)*s) || *s == '_' || *s == '$' || (unsigned char)*s >= 0x80)
            s++;
    } else {
        s++;
    }
    *at = s;
    return start;
}

static int column_of_token(const struct table *t, const char *start, const char *end)
{
    size_t len = (size_t)(end - start);
    if (len >= 2 && strchr("\"`[", start[0])) {
        start++;
        len -= 2;
    }
    for (int i = 0; i < t->column_count; i++) {
        if (strlen(t->column[i].name) == len && strncasecmp(t->column[i].name, start, len) == 0)
            return i;
    }
    return -1;
}

static void tie_checks(struct table *t, const char *sql)
{
    int depth = 0, first = -1;
    bool is_check = false;
    const char *start;
    for (const char *at = sql; (start = next_token(&at));) {
        if (depth == 0 && !is_check) {
            is_check = at - start == 5 && strncasecmp(start, "CHECK", 5) == 0;
            first = -1;
            continue;
        }
        depth += *start == '(' ? 1 : *start == ')' ? -1 : 0;
        int column = column_of_token(t, start, at);
        if (column >= 0 && first >= 0)
            schema_tie(t, (uint16_t)first, (uint16_t)column);
        first = column >= 0 && first < 0 ? column : first;
        is_check = depth > 0;
    }
}

// CHECKs stand inside the outer parentheses: walk what is in them.
static void read_checks(struct table *t, const char *sql)
{
    const char *open = sql ? strchr(sql, '(') : NULL;
    if (open)
        tie_checks(t, open + 1);
}

// ---- unique keys ----

static int read_unique_columns(struct door_sqlite *d, struct table *t, struct unique_key *u, struct problem *problem)
{
    sqlite3_stmt *s =
        sqlite_cached(d, "SELECT cid, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno", problem);
    if (!s)
        return d->failure;
    char *text = sqlite3_mprintf("(");
    sqlite3_bind_text(s, 1, u->name, -1, SQLITE_STATIC);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        int cid = sqlite3_column_int(s, 0);
        if (cid < 0 || t->column[cid].is_generated) {
            sqlite3_reset(s);
            sqlite3_free(text);
            return problem_set(problem, EINVAL,
                               "table %s: unique index %s is on an expression or generated column, which cannot be "
                               "repaired; index plain "
                               "columns",
                               t->name, u->name);
        }
        u->column = memory_resize(u->column, (u->column_count + 1u) * sizeof *u->column);
        u->column[u->column_count++] = (uint16_t)cid;
        char *longer = sqlite3_mprintf("%z%s\"%w\" COLLATE %s", text, u->column_count > 1 ? ", " : "",
                                       t->column[cid].name, sqlite3_column_text(s, 1));
        text = longer;
    }
    sqlite3_reset(s);
    char *definition = sqlite3_mprintf("%z)", text);
    u->definition = memory_text(definition ? definition : "");
    sqlite3_free(definition);
    return result;
}

// The predicate of a partial index: what follows the WHERE outside of parentheses.
static void read_predicate(struct door_sqlite *d, struct unique_key *u)
{
    struct problem ignored;
    sqlite3_stmt *s = sqlite_cached(d, "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1", &ignored);
    if (!s)
        return;
    sqlite3_bind_text(s, 1, u->name, -1, SQLITE_STATIC);
    if (sqlite_step(d, s, &ignored) == 1) {
        const char *start;
        int depth = 0;
        for (const char *at = text_at(s, 0); (start = next_token(&at));) {
            depth += *start == '(' ? 1 : *start == ')' ? -1 : 0;
            if (depth == 0 && at - start == 5 && strncasecmp(start, "WHERE", 5) == 0) {
                char *definition = sqlite3_mprintf("%s WHERE %s", u->definition, at);
                free(u->definition);
                u->definition = memory_text(definition);
                sqlite3_free(definition);
                break;
            }
        }
    }
    sqlite3_reset(s);
}

static int read_unique_keys(struct door_sqlite *d, struct table *t, enum unique_policy policy, struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(
        d, "SELECT name, partial FROM pragma_index_list(?1) WHERE \"unique\" = 1 AND origin <> 'pk'", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        t->unique = memory_resize(t->unique, (t->unique_count + 1u) * sizeof *t->unique);
        struct unique_key *u = memset(&t->unique[t->unique_count++], 0, sizeof *u);
        u->name = text_copy(s, 0);
        u->is_partial = sqlite3_column_int(s, 1) != 0;
        u->policy = policy;
    }
    for (unsigned i = 0; result == 0 && i < t->unique_count; i++) {
        result = read_unique_columns(d, t, &t->unique[i], problem);
        if (result == 0 && t->unique[i].is_partial)
            read_predicate(d, &t->unique[i]);
    }
    return result;
}

// ---- references ----

static enum foreign_action action_of(const char *text)
{
    return strcasecmp(text, "CASCADE") == 0       ? FOREIGN_CASCADE
           : strcasecmp(text, "SET NULL") == 0    ? FOREIGN_SET_NULL
           : strcasecmp(text, "SET DEFAULT") == 0 ? FOREIGN_SET_DEFAULT
           : strcasecmp(text, "RESTRICT") == 0    ? FOREIGN_RESTRICT
                                                  : FOREIGN_NO_ACTION;
}

// The parent's columns are kept as indices of the parent's own columns, which need its catalogue entry only.
static int parent_column(struct door_sqlite *d, const char *parent, const char *column, int seq)
{
    struct problem ignored;
    int at = -1;
    sqlite3_stmt *s =
        column ? sqlite_cached(d, "SELECT cid FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE", &ignored)
               : sqlite_cached(d, "SELECT cid FROM pragma_table_xinfo(?1) WHERE pk = ?2", &ignored);
    if (!s)
        return -1;
    sqlite3_bind_text(s, 1, parent, -1, SQLITE_STATIC);
    if (column)
        sqlite3_bind_text(s, 2, column, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int(s, 2, seq + 1);
    if (sqlite_step(d, s, &ignored) == 1)
        at = sqlite3_column_int(s, 0);
    sqlite3_reset(s);
    return at;
}

static int read_foreign_keys(struct door_sqlite *d, struct table *t, struct problem *problem)
{
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "SELECT f.id, f.seq, coalesce(m.name, f.\"table\"), f.\"from\", f.\"to\", f.on_update, "
                      "f.on_delete FROM pragma_foreign_key_list(?1) f LEFT JOIN sqlite_schema m ON m.type = "
                      "'table' AND m.name = f.\"table\" COLLATE NOCASE ORDER BY f.id, f.seq",
                      problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        const char *parent = text_at(s, 2);
        int from = schema_column(t, text_at(s, 3));
        for (int i = 0; from < 0 && i < t->column_count; i++)
            from = strcasecmp(t->column[i].name, text_at(s, 3)) == 0 ? i : -1;
        int to = parent_column(d, parent, (const char *)sqlite3_column_text(s, 4), sqlite3_column_int(s, 1));
        if (from < 0 || to < 0)
            continue; // SQLite itself would refuse to use it
        if (sqlite3_column_int(s, 1) == 0) {
            t->foreign = memory_resize(t->foreign, (t->foreign_count + 1u) * sizeof *t->foreign);
            struct foreign_key *f = memset(&t->foreign[t->foreign_count++], 0, sizeof *f);
            f->name = memory_text(t->column[from].name);
            f->parent_name = memory_text(parent);
            f->on_update = action_of(text_at(s, 5));
            f->on_delete = action_of(text_at(s, 6));
        }
        struct foreign_key *f = &t->foreign[t->foreign_count - 1];
        f->column = memory_resize(f->column, (f->column_count + 1u) * sizeof *f->column);
        f->parent_column = memory_resize(f->parent_column, (f->column_count + 1u) * sizeof *f->parent_column);
        f->column[f->column_count] = (uint16_t)from;
        f->parent_column[f->column_count++] = (uint16_t)to;
    }
    return result;
}

int door_sqlite_describe(struct door_sqlite *d, const char *name, const struct door_table_options *options,
                         struct table *t, struct problem *problem)
{
    memset(t, 0, sizeof *t);
    t->granularity = options->granularity;
    sqlite3_stmt *s = sqlite_cached(
        d, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int result = sqlite_step(d, s, problem);
    char *sql = result == 1 ? text_copy(s, 1) : NULL;
    t->name = memory_text(result == 1 ? text_at(s, 0) : name);
    sqlite3_reset(s);
    if (result == 0)
        result = problem_set(problem, EINVAL, "there is no table %s in %s", name, d->path);
    if (result >= 0)
        result = read_columns(d, t, problem);
    if (result == 0)
        result = check_key(d, t, problem);
    if (result == 0)
        result = read_unique_keys(d, t, options->unique, problem);
    if (result == 0)
        result = read_foreign_keys(d, t, problem);
    if (result == 0)
        read_checks(t, sql);
    free(sql);
    return result;
}

// ---- the whole schema ----

static void finalize(sqlite3_stmt **statement, unsigned count)
{
    for (unsigned i = 0; statement && i < count; i++)
        sqlite3_finalize(statement[i]);
}

void door_sqlite_forget_schema(struct door_sqlite *d)
{
    for (unsigned i = 0; d->schema && i < d->schema->table_count; i++) {
        struct table_sql *q = &d->sql[i];
        const struct table *t = &d->schema->table[i];
        finalize(q->statement, STATEMENT_COUNT);
        finalize(q->holder, t->unique_count);
        finalize(q->parent, t->foreign_count);
        finalize(q->children, t->foreign_count);
        for (unsigned u = 0; u < q->update_count; u++) {
            sqlite3_finalize(q->update[u].statement);
            free(q->update[u].column);
        }
        free(q->holder);
        free(q->parent);
        free(q->children);
    }
    free(d->sql);
    schema_free(d->schema);
    d->sql = NULL;
    d->schema = NULL;
    d->store.schema = NULL;
}

struct known_table {
    char *name;
    struct door_table_options options;
    int64_t id, epoch;
    char *definition;
};

static int list_tables(struct door_sqlite *d, struct known_table **known, unsigned *count, struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d,
                                    "SELECT id, name, granularity, unique_policy, epoch, definition FROM dbsync_table "
                                    "ORDER BY name",
                                    problem);
    int result = s ? 1 : d->failure;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        *known = memory_resize(*known, (*count + 1) * sizeof **known);
        struct known_table *k = &(*known)[(*count)++];
        k->id = sqlite3_column_int64(s, 0);
        k->name = text_copy(s, 1);
        k->options.granularity = (enum granularity)sqlite3_column_int(s, 2);
        k->options.unique = (enum unique_policy)sqlite3_column_int(s, 3);
        k->epoch = sqlite3_column_int64(s, 4);
        k->definition = text_copy(s, 5);
    }
    return result;
}

static int check_drift(const struct schema *schema, const struct known_table *known, struct problem *problem)
{
    for (unsigned i = 0; i < schema->table_count; i++) {
        if (known[i].definition && strcmp(known[i].definition, schema->table[i].definition))
            return problem_set(problem, ESTALE,
                               "table %s was altered; run `signpost-dbsync add %s` again. It was:\n%s\nIt is:\n%s",
                               known[i].name, known[i].name, known[i].definition, schema->table[i].definition);
    }
    return 0;
}

static int load_schema(struct door_sqlite *d, struct problem *problem)
{
    struct known_table *known = NULL;
    unsigned count = 0;
    int result = list_tables(d, &known, &count, problem);
    struct schema *schema = memory_take(sizeof *schema);
    schema->table = memory_take((count + 1) * sizeof *schema->table);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        struct table *t = &schema->table[schema->table_count++];
        result = door_sqlite_describe(d, known[i].name, &known[i].options, t, problem);
        t->id = known[i].id;
        t->epoch = (uint32_t)known[i].epoch;
    }
    if (result == 0) {
        schema_finish(schema);
        result = check_drift(schema, known, problem);
    } else if (result == -EINVAL) {
        result = -ESTALE;
    }
    for (unsigned i = 0; i < count; i++) {
        free(known[i].name);
        free(known[i].definition);
    }
    free(known);
    if (result < 0) {
        schema_free(schema);
        return result;
    }
    d->schema = schema;
    d->store.schema = schema;
    d->sql = memory_take((count + 1) * sizeof *d->sql);
    for (unsigned i = 0; i < count; i++) {
        d->sql[i].holder = memory_take((schema->table[i].unique_count + 1u) * sizeof(sqlite3_stmt *));
        d->sql[i].parent = memory_take((schema->table[i].foreign_count + 1u) * sizeof(sqlite3_stmt *));
        d->sql[i].children = memory_take((schema->table[i].foreign_count + 1u) * sizeof(sqlite3_stmt *));
    }
    return 0;
}

int door_sqlite_schema(struct door *door, const struct schema **schema, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int64_t version = 0;
    int result = sqlite_number(d,
                               "SELECT schema_version + (SELECT adds FROM dbsync_site) * 0x100000000 FROM "
                               "pragma_schema_version",
                               0, 0, &version, problem);
    if (result == 0 && (!d->schema || version != d->schema_version)) {
        door_sqlite_forget_schema(d);
        result = load_schema(d, problem);
        d->schema_version = version;
    }
    *schema = d->schema;
    return result;
}
