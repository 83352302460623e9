// SPDX-License-Identifier: Apache-2.0
// Every type round-trips to the bit, whatever the writer's session is set to.
#include <string>
#include <vector>

#include "tests/pg/pg_site.h"

using namespace pg_test;

namespace
{

const char *const types[][2] = {
    // type, values as a SQL list
    {"boolean", "true, false, NULL"},
    {"smallint", "-32768, 32767, 0"},
    {"integer", "-2147483648, 2147483647"},
    {"bigint", "-9223372036854775808, 9223372036854775807"},
    {"real", "'NaN', 'Infinity', '-Infinity', '-0', 1.1, 3.4028235e38, 1e-45"},
    {"double precision",
     "'NaN', 'Infinity', '-Infinity', '-0', 0.1, 1.7976931348623157e308, 5e-324, 0.30000000000000004"},
    {"numeric", "'NaN', 1.0, 1.00, 1.000, -0.5, 1e-1000, 12345678901234567890123456789.123456789"},
    {"numeric(10,2)", "1.1, -99999999.99"},
    {"money", "'12.34', '-0.01'"},
    {"text", "'', 'a''b', E'back\\\\slash', E'tab\\tnl\\n', 'ÄÖÜ☃', NULL"},
    {"varchar(5)", "'', 'abc'"},
    {"char(5)", "'a', ''"},
    {"\"char\"", "'x'"},
    {"name", "'n'"},
    {"bytea", "'\\x', '\\x00', '\\x00ff5c27'"},
    {"date", "'infinity', '-infinity', '4713-01-01 BC', '2026-03-29'"},
    {"time", "'00:00', '24:00', '12:34:56.789012'"},
    {"timetz", "'02:30+02', '23:59:59.999999-13'"},
    {"timestamp", "'infinity', '2026-03-29 02:30:00.000001', '0044-03-15 BC'"},
    {"timestamptz", "'infinity', '-infinity', '2026-03-29 02:30:00+02', '2026-10-25 02:30:00+01'"},
    {"interval", "'1 day', '24 hours', '1 mon -1 day +0.000001 sec', '-178000000 years'"},
    {"uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"},
    {"json", "'{\"a\" :  1, \"a\": 2}', '[ ]', 'null'"},
    {"jsonb", "'{\"b\": 1.00, \"a\": null}', '[1, \"x\"]'"},
    {"xml", "'<a> <b/></a>', 'text'"},
    {"point", "'(1.1,-0)', '(NaN,Infinity)'"},
    {"line", "'{1,2,3}'"},
    {"lseg", "'[(0,0),(1,1)]'"},
    {"box", "'(1,1),(0,0)'"},
    {"path", "'[(0,0),(1,1)]', '((0,0),(1,1))'"},
    {"polygon", "'((0,0),(1,1),(2,0))'"},
    {"circle", "'<(0,0),5>'"},
    {"inet", "'192.0.2.1/24', '2001:db8::1'"},
    {"cidr", "'192.0.2.0/24'"},
    {"macaddr", "'08:00:2b:01:02:03'"},
    {"macaddr8", "'08:00:2b:01:02:03:04:05'"},
    {"bit(3)", "B'101'"},
    {"bit varying", "B'', B'10101'"},
    {"tsvector", "'a:1A b:2'"},
    {"tsquery", "'a & !b'"},
    {"pg_lsn", "'16/B374D848'"},
    {"integer[]", "'{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[5:6]={1,2}'"},
    {"text[]", "'{\"a,b\",\"NULL\",NULL,\"\"}'"},
    {"numeric[]", "'{1.0,NaN}'"},
    {"int4range", "'empty', '[1,5)', '(,)'"},
    {"numrange", "'[1.0,2.00]'"},
    {"tstzrange", "'[2026-01-01 00:00+00,infinity]'"},
    {"regclass", "'pg_catalog.pg_class'"},
    {"regtype", "'integer'"},
    {"oid", "4294967295"},
    {"mood", "'sad', 'ok'"},
    {"mood[]", "'{sad,NULL}'"},
    {"posint", "1, 2147483647"},
    {"posint[]", "'{1,2}'"},
    {"pair", "ROW(1, 'a')::pair, ROW(NULL, '')::pair, NULL"},
    {"pair[]", "ARRAY[ROW(1, 'a')::pair, NULL]"},
    {"moodrange", "'[sad,ok]'"},
};

// OIDs of user-defined types must not be equal on both sites by chance.
void make_types(Site &site, unsigned waste)
{
    for (unsigned i = 0; i < waste; i++)
        site.run("CREATE TYPE waste" + std::to_string(i) + " AS ENUM ('x')");
    site.run("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN posint AS integer CHECK (value > 0); CREATE TYPE "
             "pair AS (a integer, b text); CREATE TYPE moodrange AS RANGE (subtype = mood)");
}

class PgTypes : public testing::Test
{
  protected:
    Site a{1}, b{2};
    void SetUp() override
    {
        a.peer(2);
        b.peer(1);
    }
    void both(const std::string &sql)
    {
        a.run(sql);
        b.run(sql);
    }
};

// The bits of a column: its binary form where that is portable, and its text under fixed settings.
std::string bits(Site &site, const std::string &table)
{
    return site.rows("SET extra_float_digits = 3; SET DateStyle = ISO; SET TimeZone = 'UTC'; SET IntervalStyle = "
                     "postgres; SELECT id, v::text, pg_column_size(v) FROM " +
                     table + " ORDER BY id");
}

// The literals of a list, apart: commas inside of quotes, brackets and parentheses do not part.
std::vector<std::string> values_of(const std::string &list)
{
    std::vector<std::string> out(1);
    bool quoted = false;
    int depth = 0;
    for (size_t i = 0; i < list.size(); i++) {
        quoted ^= list[i] == '\'';
        depth += quoted ? 0 : list[i] == '(' || list[i] == '[' ? 1 : list[i] == ')' || list[i] == ']' ? -1 : 0;
        if (list[i] == ',' && !quoted && depth == 0)
            out.emplace_back();
        else
            out.back() += list[i];
    }
    return out;
}

TEST_F(PgTypes, every_type_round_trips_inserted_and_updated)
{
    make_types(a, 3);
    make_types(b, 0);
    for (const auto &type : types) {
        SCOPED_TRACE(type[0]);
        both(std::string("DROP TABLE IF EXISTS t; CREATE TABLE t(id integer PRIMARY KEY, v ") + type[0] + ")");
        a.add("t");
        b.add("t");
        int id = 0;
        for (const std::string &value : values_of(type[1])) {
            a.run("INSERT INTO t VALUES(" + std::to_string(++id) + ", " + value + ")");
            a.run("INSERT INTO t VALUES(" + std::to_string(++id) + ", NULL)");
        }
        settle({&a, &b});
        EXPECT_EQ(bits(a, "t"), bits(b, "t"));
        EXPECT_EQ(b.number_of("SELECT count(*) FROM t"), id);
        a.run("UPDATE t SET v = (SELECT v FROM t o WHERE o.id = t.id - 1) WHERE id % 2 = 0");
        settle({&a, &b});
        EXPECT_EQ(bits(a, "t"), bits(b, "t"));
        a.d->ops->remove_table(a.d, "t", true, &a.why);
        b.d->ops->remove_table(b.d, "t", true, &b.why);
    }
}

TEST_F(PgTypes, hostile_settings_of_the_writer_do_no_harm)
{
    both("CREATE TABLE t(id integer PRIMARY KEY, d date, s timestamptz, i interval, f double precision, m money, x "
         "text, "
         "y bytea)");
    a.add("t");
    b.add("t");
    a.run("CREATE SCHEMA evil; CREATE FUNCTION evil.nextval(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT "
          "666::bigint'; CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT "
          "'1999-01-01'::timestamptz $$; CREATE FUNCTION evil.ne(integer, integer) RETURNS boolean LANGUAGE sql AS "
          "'SELECT "
          "false'; CREATE OPERATOR evil.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil.ne)");
    a.run("SET search_path = evil, pg_catalog; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Pacific/Chatham'; SET "
          "IntervalStyle = sql_standard; SET extra_float_digits = -15; SET bytea_output = escape; SET "
          "standard_conforming_strings = off; SET array_nulls = off; SET lc_messages = 'C'; SET enable_seqscan = off");
    a.run("INSERT INTO public.t VALUES(1, '03/04/2026', '29/03/2026 02:30:00', '1 2:03:04', 0.1::float8 + 0.2::float8, "
          "'1.10', E'\\\\', '\\\\001\\\\377')");
    a.run("UPDATE public.t SET x = 'second', f = f / 3");
    settle({&a, &b});
    a.run("RESET ALL");
    EXPECT_EQ(a.number_of("SELECT count(*) FROM t"), 1);
    const char *exact = "SELECT id, d, s, i, f::text, m, x, y FROM t";
    EXPECT_EQ(a.rows(exact), b.rows(exact));
    EXPECT_EQ(b.rows("SELECT d, x, y, extract(epoch FROM s) = extract(epoch FROM timestamptz '2026-03-29 02:30:00 "
                     "Pacific/Chatham') FROM t"),
              "2026-04-03|second|\\x01ff|t\n");
}

TEST_F(PgTypes, a_change_that_equality_does_not_see_is_captured)
{
    both("CREATE TABLE t(id integer PRIMARY KEY, n numeric, f double precision, j json, i interval)");
    a.add("t");
    b.add("t");
    a.run("INSERT INTO t VALUES(1, 1.0, 0, '{}', '1 day')");
    settle({&a, &b});
    a.run("UPDATE t SET n = 1.00; UPDATE t SET f = '-0'; UPDATE t SET j = '{ }'; UPDATE t SET i = '24 hours'");
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|1.00|-0|{ }|24:00:00\n");
}

TEST_F(PgTypes, generated_and_identity_columns_and_toasted_values_are_kept)
{
    both("CREATE TABLE t(id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 2) PRIMARY KEY, big text, n integer, twice "
         "integer GENERATED ALWAYS AS (n * 2) STORED)");
    a.add("t");
    b.add("t");
    a.run("INSERT INTO t(big, n) SELECT string_agg(md5(i::text), ''), 1 FROM generate_series(1, 30000) i");
    settle({&a, &b});
    a.run("UPDATE t SET n = 21");
    settle({&a, &b});
    EXPECT_EQ(b.rows("SELECT id, length(big), n, twice FROM t"), "1|960000|21|42\n");
    EXPECT_EQ(a.rows("SELECT md5(big) FROM t"), b.rows("SELECT md5(big) FROM t"));
}

// Values that the server keeps outside of their row, not compressed.
class PgApart : public PgTypes
{
  protected:
    static constexpr int rows = 10, columns = 5;
    void SetUp() override
    {
        PgTypes::SetUp();
        both("CREATE DOMAIN note AS text; CREATE TABLE t(id integer PRIMARY KEY, a text, b varchar(4000), c bytea, d "
             "character(3010), e note, n integer)");
        for (const char *column : {"a", "b", "c", "d", "e"})
            both(std::string("ALTER TABLE t ALTER ") + column + " SET STORAGE EXTERNAL");
        a.add("t");
        b.add("t");
        a.run("INSERT INTO t SELECT g, x, x, x::bytea, x, x, 0 FROM generate_series(1, 10) g, LATERAL (SELECT "
              "string_agg(md5(i::text), '' ORDER BY i) AS x FROM generate_series(g * 100, g * 100 + 93) i) s");
        settle({&a, &b});
    }
    void expect_equal()
    {
        EXPECT_EQ(a.rows("SELECT * FROM t ORDER BY id"), b.rows("SELECT * FROM t ORDER BY id"));
        EXPECT_EQ(b.number_of("SELECT count(*) FROM t WHERE octet_length(coalesce(a, e)) > 3000"), rows);
    }
};

TEST_F(PgApart, the_mask_of_an_update_names_what_differs_alone)
{
    a.run(
        "UPDATE t SET n = 1 WHERE id = 1; UPDATE t SET a = overlay(a placing '!' from 1500) WHERE id = 2; UPDATE t SET "
        "b = NULL, c = set_byte(c, 9, 0) WHERE id = 3; UPDATE t SET d = reverse(d), e = e || '+' WHERE id = 4; UPDATE "
        "t SET a = a, b = b WHERE id = 5; UPDATE t SET id = 60 WHERE id = 6; UPDATE t SET a = b, b = a WHERE id = 7");
    EXPECT_EQ(a.rows("SELECT v1, op, mask0 FROM dbsync.c_1 WHERE op <> 'I' OR v1 = 60 ORDER BY seq"),
              "1|U|64\n2|U|2\n3|U|12\n4|U|48\n6|D|0\n60|I|-1\n");
    EXPECT_EQ(
        a.number_of("SELECT count(*) FROM dbsync.c_1 c JOIN t ON t.id = c.v1 WHERE c.op = 'U' AND "
                    "record_image_eq((c.v2, c.v3, c.v4, c.v5, c.v6, c.v7), (t.a, t.b, t.c, t.d, t.e::text, t.n))"),
        4)
        << "the entire row is kept";
    settle({&a, &b});
    expect_equal();
    a.run(
        "UPDATE t SET b = e WHERE id = 3; DELETE FROM t WHERE id = 7; INSERT INTO t SELECT 7, a, b, c, d, e, n FROM t "
        "WHERE id = 8");
    settle({&a, &b});
    expect_equal();
}

TEST_F(PgApart, capture_fetches_each_once_before_and_once_after)
{
    const char *fetched = "SELECT idx_scan FROM pg_stat_xact_all_tables WHERE relid = (SELECT reltoastrelid FROM "
                          "pg_class WHERE oid = 't'::regclass)"; // and what the session did since it last told
    a.run("BEGIN");
    long before = a.number_of(fetched);
    a.run("UPDATE t SET n = n + 1");
    EXPECT_EQ(a.number_of(fetched) - before, 2 * rows * columns);
    a.run("COMMIT");
    settle({&a, &b});
    expect_equal();
}

TEST_F(PgTypes, wide_tables_dropped_columns_and_odd_names)
{
    std::string columns;
    for (int i = 0; i < 130; i++)
        columns += ", c" + std::to_string(i) + " integer";
    both("CREATE SCHEMA \"Odd \"\"S\"; CREATE TABLE \"Odd \"\"S\".\"T 'x\"(\"I d\" integer PRIMARY KEY" + columns +
         "); ALTER TABLE \"Odd \"\"S\".\"T 'x\" DROP COLUMN c3");
    a.add("\"Odd \"\"S\".\"T 'x\"");
    b.add("\"Odd \"\"S\".\"T 'x\"");
    a.run("INSERT INTO \"Odd \"\"S\".\"T 'x\" VALUES(1)");
    settle({&a, &b});
    a.run("UPDATE \"Odd \"\"S\".\"T 'x\" SET c129 = 129, c2 = 2");
    b.run("UPDATE \"Odd \"\"S\".\"T 'x\" SET c64 = 64");
    settle({&a, &b});
    EXPECT_EQ(a.rows("SELECT c2, c4, c64, c129 FROM \"Odd \"\"S\".\"T 'x\""), "2|NULL|64|129\n");
    EXPECT_EQ(a.rows("SELECT * FROM \"Odd \"\"S\".\"T 'x\""), b.rows("SELECT * FROM \"Odd \"\"S\".\"T 'x\""));
    a.run("DROP SCHEMA \"Odd \"\"S\" CASCADE");
    b.run("DROP SCHEMA \"Odd \"\"S\" CASCADE");
}

TEST_F(PgTypes, keys_that_do_not_compare_by_bits_are_refused_with_the_reason)
{
    const char *const bad[] = {"numeric", "double precision", "interval", "jsonb"};
    for (const char *type : bad) {
        a.run(std::string("CREATE TABLE k(id ") + type + " PRIMARY KEY)");
        door_table_options options{};
        EXPECT_EQ(a.d->ops->add_table(a.d, "k", &options, &a.why), -EINVAL) << type;
        EXPECT_NE(std::string(a.why.text).find("different bits"), std::string::npos) << a.why.text;
        a.run("DROP TABLE k");
    }
}

} // namespace
