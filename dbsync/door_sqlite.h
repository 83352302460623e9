// SPDX-License-Identifier: Apache-2.0
// What only tests ask of the SQLite door.
#pragma once

#include "dbsync/door.h"

#ifdef __cplusplus
extern "C" {
#endif

// The door's own connection (sqlite3 *), so that a test can interrupt it at any instruction, as a crash would.
void *door_sqlite_handle(struct door *door);
// Changes between two borders of the log that has_news notes; 1000 unless a test wants them closer.
void door_sqlite_note_every(struct door *door, unsigned changes);

#ifdef __cplusplus
}
#endif
