// SPDX-License-Identifier: Apache-2.0
// The door to PostgreSQL.
#include <errno.h>

#include "dbsync/door.h"

int door_pg_open(const char *conninfo, struct door **door, struct problem *problem)
{
    (void)conninfo;
    (void)door;
    return problem_set(problem, ENOSYS, "PostgreSQL is not supported by this build yet");
}
