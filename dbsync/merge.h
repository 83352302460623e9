// SPDX-License-Identifier: Apache-2.0
// What becomes of one row when a peer's change of it arrives: the decision, its conflicts, and nothing else.
//
//   state = local registers of the open window, joined with the incoming ones; what wins is written.
//
//   incoming \ local   nothing known        live, later        live, earlier           dead, later       dead, earlier
//   insert             insert or replace    later columns stay insert's columns win    stays dead        row comes back
//   whole update             update its columns   later columns stay its columns win         stays dead        row
//   comes back:
//                                                                                                        image + its
//                                                                                                        columns
//   delete             delete               row stays; its     delete                  stays dead        stays dead
//                                           absorbed columns
//                                           still count
// A conflict is a register that both wrote while neither had seen the other's write: the incoming register against one
// of OUR changes that the sender had not applied (`unseen`). The earlier loses and is kept for people in the conflict
// table. Equal values are no conflict. Pure; rows in the caller's arena.
#pragma once

#include "dbsync/row.h"

#ifdef __cplusplus
extern "C" {
#endif

enum merge_presence { PRESENCE_UNKNOWN, PRESENCE_ABSENT, PRESENCE_PRESENT };

enum merge_action {
    MERGE_NOTHING, // the table already shows the state
    MERGE_DELETE,
    MERGE_INSERT, // every column is known: insert, or replace all columns if it is there
    MERGE_UPDATE, // the columns in `write`
    MERGE_MISSING // an update of a row that is neither here nor known: ask the sender for the whole row
};

enum merge_base_mode { // how BASE rows treat a row that is here and has no register in the window
    BASE_KEEP,         // ours stays: only what is missing is added (default)
    BASE_OVERWRITE     // the sender's value is taken (source wins)
};

enum conflict_kind {
    CONFLICT_INSERT_INSERT,
    CONFLICT_UPDATE_UPDATE,
    CONFLICT_UPDATE_DELETE, // an update lost against a delete
    CONFLICT_DELETE_UPDATE, // a delete lost against an update or insert
    CONFLICT_DELETE_DELETE, // both agree; counted, not listed
    CONFLICT_UNIQUE,
    CONFLICT_FOREIGN,
    CONFLICT_KIND_COUNT
};

struct merge_conflict {
    enum conflict_kind kind;
    const struct row *winner, *loser;             // whole states as each side wrote them, for people
    struct version winner_version, loser_version; // of the deciding registers
    bool local_lost;                              // else the incoming change lost
    const char *rule; // "later write wins", "unique users_email: newer holder keeps the key"
};

struct merge_input {
    const struct row *incoming;
    const struct row *local;   // all registers known of the row in the open window; null: none
    const struct row *unseen;  // those of our own changes that the sender had not applied; null: none
    const struct row *current; // the row as it stands in the table, context only; null: not read
    enum merge_presence presence;
    bool is_base; // `incoming` is a BASE row
    enum merge_base_mode base_mode;
};

struct merge_result {
    enum merge_action action;
    struct row *state;   // joined registers, with all context there is
    bool *write;         // [column_count], for MERGE_UPDATE
    bool has_local_lost; // some register of `local` lost: clear it from the outbox where it is not cut yet
    struct merge_conflict conflict[2]; // one for each side that lost something
    unsigned conflict_count;
};

void merge_decide(struct arena *arena, const struct merge_input *input, struct merge_result *result);

// What must be done to show `state` in the table; also used after repairs changed the state. `before`: the state that
// the table shows now (registers already there); null: none known.
enum merge_action merge_action_of(const struct row *state, const struct row *before, enum merge_presence presence,
                                  bool *write);

const char *conflict_kind_name(enum conflict_kind kind);

#ifdef __cplusplus
}
#endif
