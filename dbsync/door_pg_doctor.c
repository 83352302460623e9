// SPDX-License-Identifier: Apache-2.0
// What an operator should know of a PostgreSQL database before and while it is synchronised.
#include <errno.h>
#include <string.h>

#include "dbsync/door_pg_private.h"
#include "dbsync/row_codec.h"

// Each check gives rows of (level, table, finding, remedy).
static const char *const checks[] = {
    // Two sites that draw the same number make two rows into one.
    "SELECT 'error', t.name, format('column %I draws from sequence %s with increment %s: two sites will draw the same "
    "number', a.attname, s.oid::regclass, q.seqincrement), format('ALTER SEQUENCE %s INCREMENT BY <number of sites> "
    "and "
    "RESTART at another remainder on each site, or use uuid', s.oid::regclass) FROM dbsync.tbl t JOIN pg_attribute a "
    "ON "
    "a.attrelid = t.relation JOIN pg_depend p ON p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.classid = "
    "'pg_class'::regclass JOIN pg_class s ON s.oid = p.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = "
    "s.oid WHERE q.seqincrement < greatest(2, (SELECT count(*) + 1 FROM dbsync.peer))",
    "SELECT 'error', t.name, 'trigger ' || g.tgname || ' is disabled: changes are not captured', format('ALTER TABLE "
    "%s "
    "ENABLE TRIGGER %I', t.name, g.tgname) FROM dbsync.tbl t JOIN pg_trigger g ON g.tgrelid = t.relation WHERE "
    "g.tgname "
    "LIKE '!dbsync%' AND g.tgenabled NOT IN ('O', 'A')",
    "SELECT 'error', t.name, 'capture triggers are missing', 'run signpost-dbsync add ' || t.name FROM dbsync.tbl t "
    "WHERE (SELECT count(*) FROM pg_trigger g WHERE g.tgrelid = t.relation AND g.tgname LIKE '!dbsync%') <> 4",
    "SELECT 'error', t.name, 'the application has triggers of its own since the table was added; capture in bulk would "
    "log their writes in another order than they act', 'run signpost-dbsync add ' || t.name FROM dbsync.tbl t WHERE "
    "EXISTS(SELECT 1 FROM pg_trigger g WHERE g.tgrelid = t.relation AND NOT g.tgisinternal AND g.tgname NOT LIKE "
    "'!dbsync%') AND EXISTS(SELECT 1 FROM pg_trigger g WHERE g.tgrelid = t.relation AND g.tgname = '!dbsync_i' AND "
    "g.tgnewtable IS NOT NULL)",
    "SELECT 'warning', t.name, 'its capture functions are of an earlier release: they lose nothing, but cost more', "
    "'run "
    "signpost-dbsync add ' || t.name FROM dbsync.tbl t WHERE EXISTS(SELECT 1 FROM pg_trigger g JOIN pg_proc p ON p.oid "
    "= g.tgfoid WHERE g.tgrelid = t.relation AND g.tgname LIKE '!dbsync%' AND strpos(p.prosrc, '" PG_CAPTURE_FORM
    "') = 0)",
    "SELECT 'warning', t.name, format('refers to %s, which is not synchronised: a missing parent there is not "
    "repaired', o.confrelid::regclass), format('signpost-dbsync add %s', o.confrelid::regclass) FROM dbsync.tbl t JOIN "
    "pg_constraint o ON o.conrelid = t.relation AND o.contype = 'f' WHERE o.confrelid NOT IN (SELECT relation FROM "
    "dbsync.tbl)",
    "SELECT 'warning', t.name, format('is referred to by %s, which is not synchronised: its rows may lose their parent "
    "when a delete arrives', o.conrelid::regclass), format('signpost-dbsync add %s', o.conrelid::regclass) FROM "
    "dbsync.tbl t JOIN pg_constraint o ON o.confrelid = t.relation AND o.contype = 'f' WHERE o.conrelid NOT IN (SELECT "
    "relation FROM dbsync.tbl)",
    "SELECT 'warning', t.name, format('exclusion constraint %I is not repaired: a row that violates it is parked', "
    "o.conname), 'keep such rows apart by site' FROM dbsync.tbl t JOIN pg_constraint o ON o.conrelid = t.relation AND "
    "o.contype = 'x'",
    "SELECT 'warning', t.name, format('default of %I is computed (%s): ON DELETE SET DEFAULT deletes the child "
    "instead', "
    "a.attname, pg_get_expr(d.adbin, d.adrelid)), 'use a constant default' FROM dbsync.tbl t JOIN pg_constraint o ON "
    "o.conrelid = t.relation AND o.contype = 'f' AND o.confdeltype = 'd' JOIN pg_attribute a ON a.attrelid = "
    "t.relation "
    "AND a.attnum = ANY(o.conkey) JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE "
    "pg_get_expr(d.adbin, d.adrelid) ~ '\\('",
    "SELECT 'warning', '', 'logical replication subscription ' || subname || ' writes as a replica: what it applies is "
    "not captured', 'ALTER TABLE ... ENABLE ALWAYS TRIGGER \"!dbsync_...\" for its tables' FROM pg_subscription WHERE "
    "subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    "SELECT 'error', '', 'fsync is off: a crash may lose what was acknowledged to peers', 'fsync = on' WHERE "
    "current_setting('fsync') = 'off'",
    "SELECT 'warning', '', 'full_page_writes is off: a crash may tear pages', 'full_page_writes = on' WHERE "
    "current_setting('full_page_writes') = 'off'",
    "SELECT 'warning', '', format('prepared transaction %s is open since %s: nothing that comes after it is "
    "forgotten', "
    "gid, prepared), format('COMMIT PREPARED or ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = "
    "current_database() AND prepared < now() - interval '1 hour'",
    "SELECT 'warning', '', 'large objects are not synchronised', 'keep them in bytea columns' WHERE EXISTS(SELECT 1 "
    "FROM "
    "pg_largeobject_metadata)",
};

static int report(const PGresult *r, door_listed *listed, void *context)
{
    static const char *const name[] = {"level", "table", "finding", "remedy"};
    struct buffer out = {0};
    int stop = 0;
    for (int i = 0; !stop && i < PQntuples(r); i++) {
        buffer_reset(&out);
        for (int c = 0; c < 4; c++) {
            pg_sql(&out, "%s\"%s\": ", c ? ", " : "{", name[c]);
            row_json_string(&out, pg_text(r, i, c), strlen(pg_text(r, i, c)));
        }
        pg_sql(&out, "}");
        stop = listed(context, (const char *)out.data);
    }
    buffer_fini(&out);
    return stop;
}

int door_pg_doctor(struct door *door, door_listed *listed, void *context, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    struct door_identity own;
    int result = door_pg_identity(door, &own, problem), stop = 0;
    for (unsigned i = 0; result == 0 && !stop && i < sizeof checks / sizeof checks[0]; i++) {
        PGresult *r = pg_ask(d, checks[i], NULL, problem);
        result = r ? 0 : -pg_errno(d);
        if (r)
            stop = report(r, listed, context);
        PQclear(r);
    }
    return result;
}
