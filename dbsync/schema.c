// SPDX-License-Identifier: Apache-2.0
#include "dbsync/schema.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void schema_tie(struct table *table, uint16_t a, uint16_t b)
{
    table->tie = memory_resize(table->tie, (table->tie_count + 1) * 2 * sizeof *table->tie);
    table->tie[table->tie_count * 2] = a;
    table->tie[table->tie_count * 2 + 1] = b;
    table->tie_count++;
}

static int by_table_name(const void *a, const void *b)
{
    return strcmp(((const struct table *)a)->name, ((const struct table *)b)->name);
}

static int by_unique_name(const void *a, const void *b)
{
    return strcmp(((const struct unique_key *)a)->name, ((const struct unique_key *)b)->name);
}

static void tie_all(struct table *t, const uint16_t *column, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        schema_tie(t, column[0], column[i]);
}

static void tie_constraints(struct table *t)
{
    for (unsigned u = 0; u < t->unique_count; u++)
        tie_all(t, t->unique[u].column, t->unique[u].column_count);
    for (unsigned f = 0; f < t->foreign_count; f++)
        tie_all(t, t->foreign[f].column, t->foreign[f].column_count);
    for (uint16_t c = 1; t->granularity == GRANULARITY_ROW && c < t->column_count; c++)
        schema_tie(t, 0, c);
}

// The smallest column of each set of tied columns stands for it.
static void form_groups(struct table *t)
{
    uint16_t *root = memory_take(t->column_count * sizeof *root);
    uint16_t *last = memory_take(t->column_count * sizeof *last);
    for (uint16_t c = 0; c < t->column_count; c++)
        root[c] = c;
    for (bool changed = true; changed;) { // each round lowers a root: at most column_count rounds
        changed = false;
        for (unsigned i = 0; i < t->tie_count; i++) {
            uint16_t *a = &root[t->tie[i * 2]], *b = &root[t->tie[i * 2 + 1]];
            changed |= *a != *b;
            *a = *b = *a < *b ? *a : *b;
        }
    }
    t->group_first = memory_take(t->column_count * sizeof *t->group_first);
    for (uint16_t c = 0; c < t->column_count; c++) {
        t->column[c].group_next = SCHEMA_NONE;
        if (root[c] == c) {
            t->column[c].group = t->group_count;
            t->group_first[t->group_count++] = c;
        } else {
            t->column[c].group = t->column[root[c]].group;
            t->column[last[root[c]]].group_next = c;
        }
        last[root[c]] = c;
    }
    free(root);
    free(last);
}

static void text(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void text(struct buffer *out, const char *format, ...)
{
    char *line = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (len > 0)
        buffer_put(out, line, (size_t)len);
    free(line);
}

static const char *action_name(enum foreign_action action)
{
    static const char *const name[] = {"no action", "restrict", "cascade", "set null", "set default"};
    return name[action];
}

static void describe(struct table *t)
{
    struct buffer out = {0};
    text(&out, "table %s granularity %s\n", t->name, t->granularity == GRANULARITY_ROW ? "row" : "column");
    for (unsigned i = 0; i < t->column_count; i++) {
        const struct column *c = &t->column[i];
        text(&out, "column %s %s%s%s%s%s%s%s\n", c->name, c->type, c->collation ? " collate " : "",
             c->collation ? c->collation : "", c->not_null ? " not null" : "", c->is_generated ? " generated" : "",
             c->standard ? " default " : "", c->standard ? c->standard : "");
    }
    text(&out, "key");
    for (unsigned i = 0; i < t->key_count; i++)
        text(&out, " %s", t->column[t->key[i]].name);
    for (unsigned i = 0; i < t->unique_count; i++) {
        static const char *const policy[] = {"park", "null", "suffix"};
        text(&out, "\nunique %s %s policy %s", t->unique[i].name, t->unique[i].definition, policy[t->unique[i].policy]);
    }
    for (unsigned i = 0; i < t->foreign_count; i++) {
        const struct foreign_key *f = &t->foreign[i];
        text(&out, "\nforeign");
        for (unsigned c = 0; c < f->column_count; c++)
            text(&out, " %s", t->column[f->column[c]].name);
        text(&out, " references %s on delete %s on update %s", f->parent_name, action_name(f->on_delete),
             action_name(f->on_update));
    }
    text(&out, "\ngroups");
    for (unsigned i = 0; i < t->column_count; i++)
        text(&out, " %u", t->column[i].group);
    SHA256(out.data, out.len, t->fingerprint);
    buffer_u8(&out, 0);
    t->definition = memory_text((const char *)out.data);
    buffer_fini(&out);
}

void schema_finish(struct schema *schema)
{
    if (schema->table_count)
        qsort(schema->table, schema->table_count, sizeof *schema->table, by_table_name);
    for (unsigned i = 0; i < schema->table_count; i++) {
        struct table *t = &schema->table[i];
        if (t->unique_count)
            qsort(t->unique, t->unique_count, sizeof *t->unique, by_unique_name);
        for (unsigned k = 0; k < t->key_count; k++)
            t->column[t->key[k]].in_key = true;
        tie_constraints(t);
        form_groups(t);
        describe(t);
    }
    for (unsigned i = 0; i < schema->table_count; i++) {
        for (unsigned f = 0; f < schema->table[i].foreign_count; f++) {
            struct foreign_key *key = &schema->table[i].foreign[f];
            key->parent_at = schema_find(schema, key->parent_name);
            if (key->parent_at >= 0)
                schema->table[key->parent_at].is_referenced = true;
        }
    }
}

int schema_find(const struct schema *schema, const char *name)
{
    for (unsigned low = 0, high = schema->table_count; low < high;) {
        unsigned middle = low + (high - low) / 2;
        int order = strcmp(name, schema->table[middle].name);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

int schema_column(const struct table *table, const char *name)
{
    for (unsigned i = 0; i < table->column_count; i++) {
        if (strcmp(table->column[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static void free_table(struct table *t)
{
    for (unsigned i = 0; i < t->column_count; i++) {
        free(t->column[i].name);
        free(t->column[i].type);
        free(t->column[i].collation);
        free(t->column[i].standard);
        if (t->column[i].has_constant && t->column[i].constant.type >= VALUE_TEXT)
            free((void *)(uintptr_t)t->column[i].constant.bytes);
    }
    for (unsigned i = 0; i < t->unique_count; i++) {
        free(t->unique[i].name);
        free(t->unique[i].definition);
        free(t->unique[i].column);
    }
    for (unsigned i = 0; i < t->foreign_count; i++) {
        free(t->foreign[i].name);
        free(t->foreign[i].parent_name);
        free(t->foreign[i].column);
        free(t->foreign[i].parent_column);
    }
    free(t->name);
    free(t->column);
    free(t->key);
    free(t->unique);
    free(t->foreign);
    free(t->group_first);
    free(t->definition);
    free(t->tie);
}

void schema_free(struct schema *schema)
{
    if (!schema)
        return;
    for (unsigned i = 0; i < schema->table_count; i++)
        free_table(&schema->table[i]);
    free(schema->table);
    free(schema);
}
