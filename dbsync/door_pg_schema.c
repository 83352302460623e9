// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's catalogue read into the core's schema.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

// Types whose equal values have equal bits, so that they may identify rows: no numeric without a scale (1.0 = 1.00), no
// float (-0 = 0), no interval (24 hours = 1 day). Enums (typtype e) are among them.
#define KEY_TYPES                                                                                                      \
    "'bool', 'int2', 'int4', 'int8', 'oid', 'text', 'varchar', 'bpchar', 'name', 'char', 'uuid', 'bytea', 'date', "    \
    "'time', 'timestamp', 'timestamptz', 'inet', 'cidr', 'macaddr', 'macaddr8', 'xid8', 'pg_lsn'"
#define PLAIN_TYPES                                                                                                    \
    "'bool', 'int2', 'int4', 'int8', 'oid', 'text', 'varchar', 'name', 'char', 'uuid', 'bytea', 'date', 'time', "      \
    "'timestamp', 'timestamptz'"
// Their binary form is an OID, which another database has for another object.
#define OID_TYPES                                                                                                      \
    "'regclass', 'regtype', 'regproc', 'regprocedure', 'regoper', 'regoperator', 'regconfig', 'regdictionary', "       \
    "'regnamespace', 'regrole', 'regcollation', 'aclitem', 'refcursor'"

// ---- columns ----

// Domains are followed to their base type; `travels` says whether the binary form of the base type is portable.
static const char columns_sql[] =
    "WITH RECURSIVE base(attnum, oid, typmod, depth) AS (SELECT attnum, atttypid, atttypmod, 0 FROM pg_attribute "
    "WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped UNION ALL SELECT b.attnum, t.typbasetype, CASE WHEN "
    "t.typtypmod >= 0 THEN t.typtypmod ELSE b.typmod END, depth + 1 FROM base b JOIN pg_type t ON t.oid = b.oid WHERE "
    "t.typtype = 'd' AND depth < 32) "
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), coalesce(CASE WHEN a.attcollation <> 100 AND "
    "a.attcollation <> 0 THEN (SELECT collname FROM pg_collation WHERE oid = a.attcollation) END, ''), a.attnotnull, "
    "CASE WHEN a.attgenerated = '' AND d.adbin IS NOT NULL THEN pg_get_expr(d.adbin, d.adrelid) END, a.attgenerated "
    "<> '', a.attidentity = 'a', a.attnum, b.oid, format_type(b.oid, b.typmod), "
    "coalesce(y.typsend = 0 OR y.typreceive = 0 OR y.typtype = 'c' OR y.typname IN (" OID_TYPES ") OR e.typtype IN "
    "('c', 'd') OR (e.oid >= 16384) OR e.typname IN (" OID_TYPES ") OR s.typtype IN ('c', 'd') OR s.typelem <> 0, "
    "false), "
    "y.typname IN (" PLAIN_TYPES ") AND y.typnamespace = 'pg_catalog'::regnamespace AND coalesce((SELECT "
    "collisdeterministic FROM pg_collation WHERE oid = a.attcollation), true), "
    "(y.typtype = 'e' OR (y.typname IN (" KEY_TYPES ") AND y.typnamespace = 'pg_catalog'::regnamespace) OR (y.typname "
    "= 'numeric' AND b.typmod >= 0)) AND coalesce((SELECT collisdeterministic FROM pg_collation WHERE oid = "
    "a.attcollation), true) "
    "FROM pg_attribute a JOIN LATERAL (SELECT * FROM base WHERE base.attnum = a.attnum ORDER BY depth DESC LIMIT 1) b "
    "ON true JOIN pg_type y ON y.oid = b.oid LEFT JOIN pg_type e ON e.oid = y.typelem AND y.typlen = -1 LEFT JOIN "
    "pg_range g ON g.rngtypid = y.oid LEFT JOIN pg_type s ON s.oid = g.rngsubtype LEFT JOIN pg_attrdef d ON d.adrelid "
    "= a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY "
    "a.attnum";

// A default that is a literal, perhaps cast, has a value that every site computes alike.
static void read_constant(struct door_pg *d, struct column *c, const struct pg_column *pc)
{
    struct problem ignored;
    struct pg_params p = {0};
    if (!c->standard)
        return;
    pg_put_text(&p, c->standard);
    PGresult *r = pg_ask(d,
                         "SELECT $1::text ~ "
                         "'^\\(?(''([^'']|'''')*''|-?[0-9.]+|true|false|NULL)\\)?(::[a-z \"_.]+(\\([0-9,]+\\))?)*$'",
                         &p, &ignored);
    bool is_literal = r && PQntuples(r) == 1 && pg_number(r, 0, 0);
    PQclear(r);
    if (!is_literal)
        return;
    r = pg_askf(d, &ignored, "SELECT ((%s)::%s)%s", c->standard, pc->type, pc->is_text ? "::text" : "");
    if (r && PQntuples(r) == 1) {
        struct value v = pg_value(r, 0, 0);
        if (v.type == VALUE_NATIVE) {
            uint8_t *bytes = memory_take(v.len + 1);
            memcpy(bytes, v.bytes, v.len);
            v.bytes = bytes;
        }
        c->constant = v;
        c->has_constant = true;
    }
    PQclear(r);
}

static int read_columns(struct door_pg *d, struct table *t, struct pg_table *p, bool *can_be_key,
                        struct problem *problem)
{
    struct pg_params params = {0};
    pg_put_number(&params, p->oid);
    PGresult *r = pg_ask(d, columns_sql, &params, problem);
    if (!r)
        return -pg_errno(d);
    int n = PQntuples(r);
    t->column = memory_take(((size_t)n + 1) * sizeof *t->column);
    p->column = memory_take(((size_t)n + 1) * sizeof *p->column);
    memset(t->column, 0, ((size_t)n + 1) * sizeof *t->column);
    memset(p->column, 0, ((size_t)n + 1) * sizeof *p->column);
    for (int i = 0; i < n; i++) {
        struct column *c = &t->column[t->column_count];
        struct pg_column *pc = &p->column[t->column_count];
        c->name = pg_text_copy(r, i, 0);
        c->type = pg_text_copy(r, i, 1);
        c->collation = *pg_text(r, i, 2) ? pg_text_copy(r, i, 2) : NULL;
        c->not_null = pg_number(r, i, 3) != 0;
        c->standard = pg_text_copy(r, i, 4);
        c->is_generated = pg_number(r, i, 5) != 0;
        pc->is_always = pg_number(r, i, 6) != 0;
        pc->attnum = (int)pg_number(r, i, 7);
        pc->oid = (uint32_t)pg_number(r, i, 8);
        pc->type = pg_text_copy(r, i, 1);
        pc->base = pg_text_copy(r, i, 9);
        pc->is_text = pg_number(r, i, 10) != 0;
        pc->is_plain = pg_number(r, i, 11) != 0;
        can_be_key[t->column_count] = pg_number(r, i, 12) != 0;
        p->mask_count = (unsigned)(pc->attnum + 63) / 64;
        t->column_count++;
    }
    PQclear(r);
    for (unsigned i = 0; i < t->column_count; i++)
        read_constant(d, &t->column[i], &p->column[i]);
    return 0;
}

static int column_of_attnum(const struct table *t, const struct pg_table *p, int attnum)
{
    for (int i = 0; i < t->column_count; i++) {
        if (p->column[i].attnum == attnum)
            return i;
    }
    return -1;
}

// "1 3 2" as the columns with these attribute numbers.
static uint16_t *read_list(const struct table *t, const struct pg_table *p, const char *text, uint16_t *count)
{
    uint16_t *list = memory_take((t->column_count + 1u) * sizeof *list);
    *count = 0;
    char *end;
    for (const char *at = text; *at; at = end) {
        int column = column_of_attnum(t, p, (int)strtol(at, &end, 10));
        if (end == at)
            break;
        if (column >= 0)
            list[(*count)++] = (uint16_t)column;
        while (*end == ' ' || *end == ',')
            end++;
    }
    return list;
}

// ---- key ----

static int read_key(struct door_pg *d, struct table *t, struct pg_table *p, const bool *can_be_key,
                    struct problem *problem)
{
    PGresult *r = pg_askf(d, problem,
                          "SELECT indkey::text, indimmediate, indnkeyatts FROM pg_index WHERE indrelid = %u AND "
                          "indisprimary",
                          p->oid);
    if (!r)
        return -pg_errno(d);
    int result = 0;
    if (PQntuples(r) != 1) {
        result = problem_set(problem, EINVAL, "table %s has no primary key; rows need an identifier: add one", t->name);
    } else {
        t->key = read_list(t, p, pg_text(r, 0, 0), &t->key_count);
        if (t->key_count > pg_number(r, 0, 2))
            t->key_count = (uint16_t)pg_number(r, 0, 2);
        if (!pg_number(r, 0, 1))
            result = problem_set(problem, EINVAL,
                                 "table %s: its primary key is DEFERRABLE, which INSERT ... ON CONFLICT cannot use; "
                                 "make it NOT DEFERRABLE",
                                 t->name);
    }
    PQclear(r);
    for (unsigned k = 0; result == 0 && k < t->key_count; k++) {
        if (!can_be_key[t->key[k]])
            result = problem_set(problem, EINVAL,
                                 "table %s: key column %s is of type %s, whose equal values may have different bits, "
                                 "so two sites could hold two forms of one identifier; use an integer, uuid, text with "
                                 "a deterministic collation, date, timestamp or numeric with a scale",
                                 t->name, t->column[t->key[k]].name, t->column[t->key[k]].type);
    }
    return result;
}

// ---- unique keys ----

static void read_parts(struct door_pg *d, const char *index, int count, struct pg_unique *u)
{
    struct problem ignored;
    u->part = memory_take((size_t)count * sizeof *u->part);
    for (int i = 0; i < count; i++) {
        PGresult *r = pg_askf(d, &ignored, "SELECT pg_get_indexdef(%s, %d, true)", index, i + 1);
        u->part[u->part_count++] = r && PQntuples(r) == 1 ? pg_text_copy(r, 0, 0) : memory_text("NULL");
        PQclear(r);
    }
}

static int read_unique_keys(struct door_pg *d, struct table *t, struct pg_table *p, enum unique_policy policy,
                            struct problem *problem)
{
    PGresult *r = pg_askf(
        d, problem,
        "SELECT c.relname, indkey::text, indnkeyatts, pg_get_indexdef(i.indexrelid), coalesce((to_jsonb(i) ->> "
        "'indnullsnotdistinct')::bool, false), indpred IS NOT NULL OR indexprs IS NOT NULL, pg_get_expr(indpred, "
        "indrelid, true), i.indexrelid::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE indrelid = "
        "%u AND indisunique AND NOT indisprimary AND indisvalid ORDER BY c.relname COLLATE \"C\"",
        p->oid);
    if (!r)
        return -pg_errno(d);
    int n = PQntuples(r);
    t->unique = memory_take(((size_t)n + 1) * sizeof *t->unique);
    p->unique = memory_take(((size_t)n + 1) * sizeof *p->unique);
    memset(t->unique, 0, ((size_t)n + 1) * sizeof *t->unique);
    memset(p->unique, 0, ((size_t)n + 1) * sizeof *p->unique);
    for (int i = 0; i < n; i++) { // in the order that schema_finish sorts to
        struct unique_key *u = &t->unique[i];
        u->name = pg_text_copy(r, i, 0);
        u->column = read_list(t, p, pg_text(r, i, 1), &u->column_count);
        if (u->column_count > pg_number(r, i, 2))
            u->column_count = (uint16_t)pg_number(r, i, 2);
        u->definition = pg_text_copy(r, i, 3);
        u->nulls_equal = pg_number(r, i, 4) != 0;
        u->is_partial = pg_number(r, i, 5) != 0;
        u->policy = policy;
        read_parts(d, pg_text(r, i, 7), (int)pg_number(r, i, 2), &p->unique[i]);
        p->unique[i].predicate = pg_text_copy(r, i, 6);
        t->unique_count++;
    }
    PQclear(r);
    return 0;
}

// ---- references and checks ----

static enum foreign_action action_of(char c)
{
    return c == 'c'   ? FOREIGN_CASCADE
           : c == 'n' ? FOREIGN_SET_NULL
           : c == 'd' ? FOREIGN_SET_DEFAULT
           : c == 'r' ? FOREIGN_RESTRICT
                      : FOREIGN_NO_ACTION;
}

// Parent columns are indices of the parent's live columns.
static uint16_t *parent_list(struct door_pg *d, const char *parent, const char *numbers, uint16_t count)
{
    struct problem ignored;
    uint16_t *list = memory_take((count + 1u) * sizeof *list);
    PGresult *r = pg_askf(d, &ignored,
                          "SELECT (SELECT count(*) FROM pg_attribute a WHERE attrelid = %s AND a.attnum > 0 AND NOT "
                          "attisdropped AND a.attnum < n::int) FROM unnest(string_to_array('%s', ' ')) WITH ORDINALITY "
                          "u(n, i) ORDER BY i",
                          parent, numbers);
    for (int i = 0; r && i < PQntuples(r) && i < count; i++)
        list[i] = (uint16_t)pg_number(r, i, 0);
    PQclear(r);
    return list;
}

static int read_foreign_keys(struct door_pg *d, struct table *t, struct pg_table *p, struct problem *problem)
{
    PGresult *r =
        pg_askf(d, problem,
                "SELECT o.conname, array_to_string(o.conkey, ' '), array_to_string(o.confkey, ' '), "
                "format('%%I.%%I', n.nspname, c.relname), o.confdeltype, o.confupdtype, o.confrelid::text FROM "
                "pg_constraint o JOIN pg_class c ON c.oid = o.confrelid JOIN pg_namespace n ON n.oid = "
                "c.relnamespace WHERE o.conrelid = %u AND o.contype = 'f' ORDER BY o.conname COLLATE \"C\"",
                p->oid);
    if (!r)
        return -pg_errno(d);
    int n = PQntuples(r);
    t->foreign = memory_take(((size_t)n + 1) * sizeof *t->foreign);
    memset(t->foreign, 0, ((size_t)n + 1) * sizeof *t->foreign);
    for (int i = 0; i < n; i++) {
        struct foreign_key *f = &t->foreign[t->foreign_count++];
        f->name = pg_text_copy(r, i, 0);
        f->column = read_list(t, p, pg_text(r, i, 1), &f->column_count);
        f->parent_name = pg_text_copy(r, i, 3);
        f->parent_column = parent_list(d, pg_text(r, i, 6), pg_text(r, i, 2), f->column_count);
        f->on_delete = action_of(*pg_text(r, i, 4));
        f->on_update = action_of(*pg_text(r, i, 5));
    }
    PQclear(r);
    return 0;
}

static int read_checks(struct door_pg *d, struct table *t, struct pg_table *p, struct problem *problem)
{
    PGresult *r = pg_askf(d, problem,
                          "SELECT array_to_string(conkey, ' ') FROM pg_constraint WHERE conrelid = %u AND contype IN "
                          "('c', 'x') AND conkey IS NOT NULL",
                          p->oid);
    if (!r)
        return -pg_errno(d);
    for (int i = 0; i < PQntuples(r); i++) {
        uint16_t count, *list = read_list(t, p, pg_text(r, i, 0), &count);
        for (unsigned c = 1; c < count; c++)
            schema_tie(t, list[0], list[c]);
        free(list);
    }
    PQclear(r);
    return 0;
}

// ---- one table ----

// The relation that a name means: qualified, or the only table of that name outside of the system's schemas.
static int find_relation(struct door_pg *d, const char *name, struct table *t, struct pg_table *p,
                         struct problem *problem)
{
    struct pg_params params = {0};
    pg_put_text(&params, name);
    PGresult *r = pg_ask(
        d,
        "SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relpersistence::text, "
        "c.relispartition, EXISTS(SELECT "
        "1 FROM pg_inherits WHERE inhparent = c.oid OR inhrelid = c.oid), EXISTS(SELECT 1 FROM pg_trigger g WHERE "
        "tgrelid = c.oid AND NOT tgisinternal AND tgname NOT LIKE '!dbsync%') FROM pg_class c JOIN pg_namespace n ON "
        "n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'f', 'm') AND n.nspname <> 'dbsync' AND CASE WHEN "
        "cardinality(parse_ident($1, false)) > 1 THEN c.oid = to_regclass($1) ELSE c.relname = (parse_ident($1, "
        "false))[1] AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' END",
        &params, problem);
    if (!r)
        return pg_errno(d) == EIO ? problem_set(problem, EINVAL, "%s is not a table's name", name) : -pg_errno(d);
    int result = 0;
    if (PQntuples(r) != 1) {
        result = problem_set(problem, EINVAL,
                             PQntuples(r) ? "%s: there are several tables %s; name the schema, too"
                                          : "%s: there is no table %s",
                             d->name, name);
    } else {
        p->oid = (uint32_t)pg_number(r, 0, 0);
        t->name = pg_text_copy(r, 0, 1);
        p->has_row_triggers = pg_number(r, 0, 6) != 0;
        if (*pg_text(r, 0, 2) != 'r' || pg_number(r, 0, 4) || pg_number(r, 0, 5))
            result = problem_set(problem, EINVAL,
                                 "%s is no plain table: views, foreign, partitioned and inherited tables are not "
                                 "synchronised",
                                 t->name);
        else if (*pg_text(r, 0, 3) != 'p')
            result =
                problem_set(problem, EINVAL,
                            "table %s is UNLOGGED or temporary: its rows vanish at a crash, which no trigger sees; "
                            "ALTER TABLE %s SET LOGGED",
                            t->name, t->name);
    }
    PQclear(r);
    if (!t->name)
        t->name = memory_text(name);
    return result;
}

int door_pg_describe(struct door_pg *d, const char *name, const struct door_table_options *options, struct table *t,
                     struct pg_table *p, struct problem *problem)
{
    bool can_be_key[SCHEMA_COLUMN_MAX] = {0};
    memset(t, 0, sizeof *t);
    memset(p, 0, sizeof *p);
    t->granularity = options->granularity;
    int result = find_relation(d, name, t, p, problem);
    if (result == 0)
        result = read_columns(d, t, p, can_be_key, problem);
    if (result == 0)
        result = read_key(d, t, p, can_be_key, problem);
    if (result == 0)
        result = read_unique_keys(d, t, p, options->unique, problem);
    if (result == 0)
        result = read_foreign_keys(d, t, p, problem);
    if (result == 0)
        result = read_checks(d, t, p, problem);
    return result;
}

void door_pg_free_table(struct pg_table *p, unsigned column_count, unsigned unique_count)
{
    for (unsigned c = 0; p->column && c < column_count; c++) {
        free(p->column[c].type);
        free(p->column[c].base);
    }
    for (unsigned u = 0; p->unique && u < unique_count; u++) {
        for (unsigned i = 0; i < p->unique[u].part_count; i++)
            free(p->unique[u].part[i]);
        free(p->unique[u].part);
        free(p->unique[u].predicate);
    }
    free(p->column);
    free(p->unique);
}

// ---- the whole schema ----

void door_pg_forget_schema(struct door_pg *d)
{
    for (unsigned i = 0; d->schema && i < d->schema->table_count; i++)
        door_pg_free_table(&d->table[i], d->schema->table[i].column_count, d->schema->table[i].unique_count);
    free(d->table);
    free(d->catalogue);
    schema_free(d->schema);
    d->table = NULL;
    d->catalogue = NULL;
    d->schema = NULL;
    d->store.schema = NULL;
}

struct drift {
    const char *name, *was;
};

static int check_drift(const struct schema *schema, const PGresult *known, struct problem *problem)
{
    for (unsigned i = 0; i < schema->table_count; i++) {
        for (int k = 0; k < PQntuples(known); k++) {
            if (pg_number(known, k, 0) == schema->table[i].id &&
                strcmp(pg_text(known, k, 5), schema->table[i].definition))
                return problem_set(problem, ESTALE,
                                   "table %s was altered; run `signpost-dbsync add %s` again. It was:\n%s\nIt is:\n%s",
                                   pg_text(known, k, 1), pg_text(known, k, 1), pg_text(known, k, 5),
                                   schema->table[i].definition);
        }
    }
    return 0;
}

// Tables are described in any order and sorted by schema_finish; their own halves must follow.
static void order_tables(struct door_pg *d, const struct schema *schema, struct pg_table *unordered,
                         const int64_t *id_of)
{
    for (unsigned i = 0; i < schema->table_count; i++) {
        for (unsigned k = 0; k < schema->table_count; k++) {
            if (id_of[k] == schema->table[i].id)
                d->table[i] = unordered[k];
        }
    }
}

static int load_schema(struct door_pg *d, struct problem *problem)
{
    PGresult *known = pg_askf(d, problem,
                              "SELECT id, name, granularity, unique_policy, epoch, definition, relation FROM "
                              "dbsync.tbl ORDER BY id");
    if (!known)
        return -pg_errno(d);
    unsigned n = (unsigned)PQntuples(known);
    struct schema *schema = memory_take(sizeof *schema);
    memset(schema, 0, sizeof *schema);
    schema->table = memory_take((n + 1) * sizeof *schema->table);
    struct pg_table *own = memory_take((n + 1) * sizeof *own);
    int64_t *id_of = memory_take((n + 1) * sizeof *id_of);
    int result = 0;
    for (unsigned i = 0; result == 0 && i < n; i++) {
        struct door_table_options options = {(enum granularity)pg_number(known, (int)i, 2),
                                             (enum unique_policy)pg_number(known, (int)i, 3)};
        struct table *t = &schema->table[schema->table_count++];
        result = door_pg_describe(d, pg_text(known, (int)i, 1), &options, t, &own[i], problem);
        t->id = id_of[i] = pg_number(known, (int)i, 0);
        t->epoch = (uint32_t)pg_number(known, (int)i, 4);
    }
    if (result == 0) {
        schema_finish(schema);
        d->table = memory_take((n + 1) * sizeof *d->table);
        order_tables(d, schema, own, id_of);
        d->schema = schema;
        d->store.schema = schema;
        result = check_drift(schema, known, problem);
        if (result < 0)
            door_pg_forget_schema(d);
    } else {
        for (unsigned i = 0; i < schema->table_count; i++)
            door_pg_free_table(&own[i], schema->table[i].column_count, schema->table[i].unique_count);
        schema_free(schema);
        result = result == -EINVAL ? -ESTALE : result;
    }
    free(own);
    free(id_of);
    PQclear(known);
    return result;
}

// Every ALTER writes new rows to these catalogues, so the sums of their writers' transactions tell a change. Asked with
// each batch: by index, table by table.
static const char catalogue_sql[] =
    "SELECT concat_ws(' ', (SELECT adds FROM dbsync.site), (SELECT string_agg(concat_ws('/', c.relname, a.sum, i.sum, "
    "k.sum, g.sum), ' ' ORDER BY t.id) FROM dbsync.tbl t LEFT JOIN pg_class c ON c.oid = t.relation, LATERAL (SELECT "
    "concat(count(*), '.', sum(xmin::text::bigint)) AS sum FROM pg_attribute WHERE attrelid = t.relation AND attnum > "
    "0) "
    "a, LATERAL (SELECT concat(count(*), '.', sum(xmin::text::bigint)) AS sum FROM pg_index WHERE indrelid = "
    "t.relation) i, LATERAL (SELECT concat(count(*), '.', sum(xmin::text::bigint)) AS sum FROM pg_constraint WHERE "
    "conrelid = t.relation) k, LATERAL (SELECT concat(count(*), '.', sum(xmin::text::bigint)) AS sum FROM pg_trigger "
    "WHERE tgrelid = t.relation AND NOT tgisinternal) g))";

int door_pg_schema(struct door *door, const struct schema **schema, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    *schema = NULL;
    if (!d->site) {
        struct door_identity own;
        int known = door_pg_identity(door, &own, problem);
        if (known < 0)
            return known;
    }
    PGresult *r = pg_ask_kept(d, catalogue_sql, NULL, problem);
    if (!r)
        return -pg_errno(d);
    int result = 0;
    if (!d->schema || !d->catalogue || strcmp(d->catalogue, pg_text(r, 0, 0))) {
        door_pg_forget_schema(d);
        result = load_schema(d, problem);
        if (result == 0)
            d->catalogue = pg_text_copy(r, 0, 0);
    }
    PQclear(r);
    *schema = d->schema;
    return result;
}
