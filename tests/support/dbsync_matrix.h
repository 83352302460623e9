// SPDX-License-Identifier: Apache-2.0
// The conflict matrix as data, for every engine: what two sites do before they hear of each other, and what both hold
// then.
//
// Plain SQL that SQLite and PostgreSQL both take. `setup` runs on site A and is synchronised first; then `a` runs on A
// and `b` on B, at times as `later` says; then the sites exchange all they have, A first and, in a second run, B first.
// Both must then hold `want`: the rows of `query`, columns joined by "|", rows by a newline, NULL as "NULL".
// `conflicts`: entries in the conflict lists of both sites together that are expected; -1: not looked at.
#pragma once

enum matrix_later { LATER_A, LATER_B };
enum matrix_granularity { BY_COLUMN, BY_ROW };
enum matrix_policy { POLICY_PARK, POLICY_NULL, POLICY_SUFFIX };

struct matrix_cell {
    const char *name;
    const char *why;
    const char *tables; // CREATE TABLE statements, run on both sites
    const char *add;    // names of the tables, joined by ","
    const char *setup, *a, *b;
    enum matrix_later later;
    enum matrix_granularity granularity;
    enum matrix_policy policy;
    const char *query, *want;
    int conflicts;
};

#define MATRIX_T "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT, y TEXT)"
#define MATRIX_U "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT)"
#define MATRIX_F(action)                                                                                               \
    "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER DEFAULT 9 "      \
    "REFERENCES p(id) " action ", v TEXT)"
#define MATRIX_ALL  "SELECT id, x, y FROM t ORDER BY id"
#define MATRIX_KEYS "SELECT id, k, v FROM t ORDER BY id"
#define MATRIX_TREE "SELECT 'p', id, NULL, v FROM p UNION ALL SELECT 'c', id, p, v FROM c ORDER BY 1, 2"

static const struct matrix_cell matrix_cells[] = {
    {"insert_insert", "the later insert of a key wins whole", MATRIX_T, "t", "", "INSERT INTO t VALUES(1, 'a', 'a')",
     "INSERT INTO t VALUES(1, 'b', NULL)", LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|b|NULL\n", 2},
    {"insert_insert_same", "equal values are no conflict", MATRIX_T, "t", "", "INSERT INTO t VALUES(1, 'a', 'b')",
     "INSERT INTO t VALUES(1, 'a', 'b')", LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|a|b\n", 0},
    {"update_update_same_column", "the later write of a column wins", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'o')", "UPDATE t SET x = 'a' WHERE id = 1", "UPDATE t SET x = 'b' WHERE id = 1",
     LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|a|o\n", 2},
    {"update_update_different_columns", "both are kept", MATRIX_T, "t", "INSERT INTO t VALUES(1, 'o', 'o')",
     "UPDATE t SET x = 'a' WHERE id = 1", "UPDATE t SET y = 'b' WHERE id = 1", LATER_A, BY_COLUMN, POLICY_PARK,
     MATRIX_ALL, "1|a|b\n", 0},
    {"update_update_row_mode", "with row granularity the later row wins", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'o')", "UPDATE t SET x = 'a' WHERE id = 1", "UPDATE t SET y = 'b' WHERE id = 1",
     LATER_B, BY_ROW, POLICY_PARK, MATRIX_ALL, "1|o|b\n", 2},
    {"update_newer_than_delete", "the row lives, its columns from the deleted row's image", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'p')", "DELETE FROM t WHERE id = 1", "UPDATE t SET x = 'b' WHERE id = 1", LATER_B,
     BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|b|p\n", 2},
    {"update_newer_than_absorbing_delete", "columns that the delete absorbed come back with it", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'p')", "UPDATE t SET y = 'a' WHERE id = 1; DELETE FROM t WHERE id = 1",
     "UPDATE t SET x = 'b' WHERE id = 1", LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|b|a\n", 2},
    {"delete_newer_than_update", "the row is gone", MATRIX_T, "t", "INSERT INTO t VALUES(1, 'o', 'p')",
     "DELETE FROM t WHERE id = 1", "UPDATE t SET x = 'b' WHERE id = 1", LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "",
     2},
    {"delete_delete", "gone; both agree", MATRIX_T, "t", "INSERT INTO t VALUES(1, 'o', 'p')",
     "DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 1", LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "", 0},
    {"insert_delete_against_insert", "a row inserted and deleted here leaves a delete, not nothing", MATRIX_T, "t", "",
     "INSERT INTO t VALUES(1, 'a', 'a'); DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES(1, 'b', 'b')", LATER_A,
     BY_COLUMN, POLICY_PARK, MATRIX_ALL, "", 2},
    {"delete_insert_against_older_update", "the newer insert is a whole row", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'p')", "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES(1, 'n', NULL)",
     "UPDATE t SET x = 'b', y = 'b' WHERE id = 1", LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|n|NULL\n", 2},
    {"delete_against_newer_reinsert", "the newer insert stays", MATRIX_T, "t", "INSERT INTO t VALUES(1, 'o', 'p')",
     "DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES(1, 'n', 'n')", LATER_B, BY_COLUMN,
     POLICY_PARK, MATRIX_ALL, "1|n|n\n", -1},
    {"key_change", "a changed row identifier is a delete and an insert", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'p')", "UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET x = 'b' WHERE id = 1",
     LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "2|o|p\n", 2},
    {"key_change_and_newer_update", "the old row lives on with the newer write; the new one is there, too", MATRIX_T,
     "t", "INSERT INTO t VALUES(1, 'o', 'p')", "UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET x = 'b' WHERE id = 1",
     LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|b|p\n2|o|p\n", 2},
    {"truncate", "rows older than the emptying go, newer ones stay", MATRIX_T, "t",
     "INSERT INTO t VALUES(1, 'o', 'p'), (2, 'o', 'p')", "DELETE FROM t", "UPDATE t SET x = 'b' WHERE id = 2", LATER_B,
     BY_COLUMN, POLICY_PARK, MATRIX_ALL, "2|b|p\n", 2},
    {"check_group", "columns of one CHECK are one register: no row that nobody wrote",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, CHECK (x <= y))", "t",
     "INSERT INTO t VALUES(1, 1, 9)", "UPDATE t SET x = 8 WHERE id = 1", "UPDATE t SET y = 2 WHERE id = 1", LATER_B,
     BY_COLUMN, POLICY_PARK, MATRIX_ALL, "1|1|2\n", 2},
    {"unique_park", "the newer holder keeps the key, the other row is parked", MATRIX_U, "t", "",
     "INSERT INTO t VALUES(1, 'k', 'a')", "INSERT INTO t VALUES(2, 'k', 'b')", LATER_B, BY_COLUMN, POLICY_PARK,
     MATRIX_KEYS, "2|k|b\n", -1},
    {"unique_null", "the older holder's key becomes NULL", MATRIX_U, "t", "", "INSERT INTO t VALUES(1, 'k', 'a')",
     "INSERT INTO t VALUES(2, 'k', 'b')", LATER_A, BY_COLUMN, POLICY_NULL, MATRIX_KEYS, "1|k|a\n2|NULL|b\n", -1},
    {"unique_update_update", "two rows take one key", MATRIX_U, "t", "INSERT INTO t VALUES(1, 'a', 'a'), (2, 'b', 'b')",
     "UPDATE t SET k = 'k' WHERE id = 1", "UPDATE t SET k = 'k' WHERE id = 2", LATER_A, BY_COLUMN, POLICY_NULL,
     MATRIX_KEYS, "1|k|a\n2|NULL|b\n", -1},
    {"unique_swap", "two rows swap their keys in one batch", MATRIX_U, "t",
     "INSERT INTO t VALUES(1, 'a', 'a'), (2, 'b', 'b')",
     "UPDATE t SET k = 'z' WHERE id = 1; UPDATE t SET k = 'a' WHERE id = 2; UPDATE t SET k = 'b' WHERE id = 1", "",
     LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_KEYS, "1|b|a\n2|a|b\n", 0},
    {"unique_cycle", "three rows pass their keys round", MATRIX_U, "t",
     "INSERT INTO t VALUES(1, 'a', 'a'), (2, 'b', 'b'), (3, 'c', 'c')",
     "UPDATE t SET k = 'z' WHERE id = 1; UPDATE t SET k = 'a' WHERE id = 2; UPDATE t SET k = 'b' WHERE id = 3; UPDATE "
     "t SET "
     "k = 'c' WHERE id = 1",
     "UPDATE t SET v = 'n' WHERE id = 2", LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_KEYS, "1|c|a\n2|a|n\n3|b|c\n", 0},
    {"unique_suffix", "the older holder's key gets a suffix", MATRIX_U, "t", "", "INSERT INTO t VALUES(1, 'k', 'a')",
     "INSERT INTO t VALUES(2, 'k', 'b')", LATER_B, BY_COLUMN, POLICY_SUFFIX,
     "SELECT id, substr(k, 1, 2), v, length(k) FROM t ORDER BY id", "1|k-|a|10\n2|k|b|1\n", -1},
    {"unique_composite", "a clash needs every column of the key",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v TEXT, UNIQUE(k, v))", "t", "",
     "INSERT INTO t VALUES(1, 'k', 'a'), (3, 'l', 'a')", "INSERT INTO t VALUES(2, 'k', 'b'), (4, 'l', 'a')", LATER_A,
     BY_COLUMN, POLICY_PARK, MATRIX_KEYS, "1|k|a\n2|k|b\n3|l|a\n", -1},
    {"unique_two_hits", "one row hits two unique keys: the rule is repeated in order of name",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT UNIQUE)", "t", "",
     "INSERT INTO t VALUES(1, 'k', 'a'), (2, 'l', 'v')", "INSERT INTO t VALUES(3, 'k', 'v')", LATER_B, BY_COLUMN,
     POLICY_PARK, MATRIX_KEYS, "3|k|v\n", -1},
    {"unique_freed_by_delete", "a key freed here is taken by the same site: no clash", MATRIX_U, "t",
     "INSERT INTO t VALUES(1, 'k', 'a')", "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES(2, 'k', 'n')", "", LATER_A,
     BY_COLUMN, POLICY_PARK, MATRIX_KEYS, "2|k|n\n", 0},
    {"unique_nulls", "NULLs never clash", MATRIX_U, "t", "", "INSERT INTO t VALUES(1, NULL, 'a')",
     "INSERT INTO t VALUES(2, NULL, 'b')", LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_KEYS, "1|NULL|a\n2|NULL|b\n", 0},
    {"unique_partial", "a partial key clashes only where its predicate holds",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v TEXT); CREATE UNIQUE INDEX t_k ON t(k) WHERE v = 'on'", "t", "",
     "INSERT INTO t VALUES(1, 'k', 'on'), (3, 'l', 'off')", "INSERT INTO t VALUES(2, 'k', 'on'), (4, 'l', 'on')",
     LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_KEYS, "2|k|on\n3|l|off\n4|l|on\n", -1},
    {"foreign_cascade", "the child goes with its parent", MATRIX_F("ON DELETE CASCADE"), "p,c",
     "INSERT INTO p VALUES(1, 'p')", "DELETE FROM p WHERE id = 1", "INSERT INTO c VALUES(1, 1, 'c')", LATER_B,
     BY_COLUMN, POLICY_PARK, MATRIX_TREE, "", -1},
    {"foreign_set_null", "the child lives without parent", MATRIX_F("ON DELETE SET NULL"), "p,c",
     "INSERT INTO p VALUES(1, 'p')", "DELETE FROM p WHERE id = 1", "INSERT INTO c VALUES(1, 1, 'c')", LATER_A,
     BY_COLUMN, POLICY_PARK, MATRIX_TREE, "c|1|NULL|c\n", -1},
    {"foreign_set_default", "the child gets the default parent", MATRIX_F("ON DELETE SET DEFAULT"), "p,c",
     "INSERT INTO p VALUES(1, 'p'), (9, 'd')", "DELETE FROM p WHERE id = 1", "INSERT INTO c VALUES(1, 1, 'c')", LATER_B,
     BY_COLUMN, POLICY_PARK, MATRIX_TREE, "c|1|9|c\np|9|NULL|d\n", -1},
    {"foreign_no_action", "the delete would have been refused: the parent lives", MATRIX_F("ON DELETE NO ACTION"),
     "p,c", "INSERT INTO p VALUES(1, 'p')", "DELETE FROM p WHERE id = 1", "INSERT INTO c VALUES(1, 1, 'c')", LATER_A,
     BY_COLUMN, POLICY_PARK, MATRIX_TREE, "c|1|1|c\np|1|NULL|p\n", -1},
    {"foreign_restrict", "as with NO ACTION", MATRIX_F("ON DELETE RESTRICT"), "p,c", "INSERT INTO p VALUES(1, 'p')",
     "DELETE FROM p WHERE id = 1", "INSERT INTO c VALUES(1, 1, 'c')", LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_TREE,
     "c|1|1|c\np|1|NULL|p\n", -1},
    {"foreign_child_moved", "a child moved under the parent that dies", MATRIX_F("ON DELETE NO ACTION"), "p,c",
     "INSERT INTO p VALUES(1, 'p'), (2, 'q'); INSERT INTO c VALUES(1, 1, 'c')", "DELETE FROM p WHERE id = 2",
     "UPDATE c SET p = 2 WHERE id = 1", LATER_A, BY_COLUMN, POLICY_PARK, MATRIX_TREE,
     "c|1|2|c\np|1|NULL|p\np|2|NULL|q\n", -1},
    {"foreign_self_reference", "a tree in one table",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, x INTEGER REFERENCES t(id) ON DELETE CASCADE, y TEXT)", "t",
     "INSERT INTO t VALUES(1, NULL, 'root'), (2, 1, 'child')", "DELETE FROM t WHERE id = 2; DELETE FROM t WHERE id = 1",
     "INSERT INTO t VALUES(3, 2, 'grandchild')", LATER_B, BY_COLUMN, POLICY_PARK, MATRIX_ALL, "", -1},
};
