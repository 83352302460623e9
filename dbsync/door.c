// SPDX-License-Identifier: Apache-2.0
#include "dbsync/door.h"

#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int door_open(const char *url, struct door **door, struct problem *problem)
{
    static const char sqlite[] = "sqlite:";
    if (strncmp(url, sqlite, sizeof sqlite - 1) == 0)
        return door_sqlite_open(url + sizeof sqlite - 1, door, problem);
    if (strncmp(url, "postgres", 8) == 0 || strchr(url, '='))
        return door_pg_open(url, door, problem);
    return problem_set(problem, EINVAL,
                       "database \"%s\": allowed are \"sqlite:/path/to/file\", \"postgresql://host/name\" and "
                       "\"host=... dbname=...\"",
                       url);
}

uint64_t door_row_digest(const struct row *row)
{
    struct buffer bytes = {0};
    buffer_block(&bytes, row->key.bytes, row->key.len);
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (row->known[c] && !row->table->column[c].in_key)
            value_encode(&bytes, &row->value[c]);
    }
    uint64_t sum = XXH3_64bits(bytes.data, bytes.len);
    buffer_fini(&bytes);
    return sum;
}

const char *peer_state_name(enum peer_state state)
{
    static const char *const name[] = {"running", "paused", "drift", "held", "needs-bootstrap", "foreign"};
    return name[state];
}
