// SPDX-License-Identifier: Apache-2.0
// Repairs: the deterministic writes that keep unique keys and references true after a merge.
//
// No merge of independent writes can keep constraints across rows; something must give way, and on every site the same.
// A repair is a write like any other: registers with a version (version_repair) that depends only on the writes that
// clash, logged and sent like a user's change. Sites that saw the same clash make the same registers, and the second
// arrival changes nothing; a site that saw only half of it learns the repair. Pure.
//
// Unique keys: the newer acquisition keeps the key (the greater version of the key's register; a stable one is the
// oldest; two stable ones: the smaller row identifier keeps it). The loser: by the key's policy.
//   park     life = dead. The row leaves the table on all sites; its image waits in the parked list
//   null     the last column of the key that may be NULL becomes NULL; else park
//   suffix   the last text column of the key gets "-" and eight hexadecimal digits of the hash of its row identifier;
//   else
//            park. (Not the site's number: a site that has forgotten who wrote the row must make the same text.)
//
// References: the outcome is that of running the child's write first and the parent's delete after it on one database:
//   CASCADE               the child dies, at a version over the parent's death
//   SET NULL, SET DEFAULT the child's columns are set; where they are NOT NULL or in the key, the child dies
//   NO ACTION, RESTRICT   the delete would have been refused: the parent lives again, from its image
// A parent of which nothing is known here is no conflict but a gap: the child is parked until it comes.
#pragma once

#include "dbsync/row.h"

#ifdef __cplusplus
extern "C" {
#endif

// True when `a` must give way to `b`. Both are states with all registers known here.
bool repair_unique_loses(const struct row *a, const struct row *b, const struct unique_key *unique);

// Makes `loser` give way, in place: sets the registers of the repair. Returns true when the row left the table (park):
// keep its image. The changed registers are also set in `repair` (a row of the same key), which is logged.
bool repair_unique_apply(struct arena *arena, struct row *loser, const struct row *winner,
                         const struct unique_key *unique, struct row *repair);

enum repair_foreign_outcome { REPAIR_CHILD_DIED, REPAIR_CHILD_SET, REPAIR_PARENT_LIVES };

// Resolves a live child whose parent is dead. `force_child`: the parent cannot be revived (it would clash, or its image
// is not known): the child dies. Registers are set in the rows and in `child_repair` or `parent_repair`.
enum repair_foreign_outcome repair_foreign_apply(struct arena *arena, struct row *child, struct row *parent,
                                                 const struct foreign_key *foreign, bool force_child,
                                                 struct row *child_repair, struct row *parent_repair);

// A child that a repair gave its default parent, which is not there either: it dies. False: it is no such child.
bool repair_foreign_orphan(struct row *child, const struct foreign_key *foreign, struct row *child_repair);

#ifdef __cplusplus
}
#endif
