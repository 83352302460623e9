// SPDX-License-Identifier: Apache-2.0
#include "control/admin_commands.h"

json_t *admin_history_entry(const struct history_entry *e)
{
    json_t *entry =
        json_pack("{s:I, s:I, s:s, s:s, s:s, s:s}", "number", (json_int_t)e->number, "at_us", (json_int_t)e->wall_us,
                  "kind", history_kind_name(e->kind), "name", e->name, "from", e->from, "to", e->to);
    if (e->why[0])
        json_object_set_new(entry, "why", json_string(e->why));
    if (e->kind != HISTORY_ORDER)
        return entry;
    json_object_set_new(entry, "generation", json_integer((json_int_t)e->generation));
    if (!e->wire_ns)
        return entry;
    if (e->evidence_ns && e->wire_ns >= e->evidence_ns)
        json_object_set_new(entry, "evidence_to_wire", admin_seconds(e->wire_ns - e->evidence_ns));
    if (e->wire_ns >= e->at_ns)
        json_object_set_new(entry, "verdict_to_wire", admin_seconds(e->wire_ns - e->at_ns));
    return entry;
}

enum admin_status admin_history_command(struct admin_call *call)
{
    bool is_bad = false;
    const int64_t max = admin_number(call, "max", 50, &is_bad);
    if (is_bad || max < 1 || max > HISTORY_CAP)
        return admin_usage(call, "max is a number from 1 to %d", HISTORY_CAP);
    const struct history *history = steering_history(call->daemon->steering);
    json_t *entries = json_array();
    for (int64_t n = max; n-- > 0;) { // the oldest first, as logs are read
        const struct history_entry *e = history_latest(history, (unsigned)n);
        if (e)
            json_array_append_new(entries, admin_history_entry(e));
    }
    json_object_set_new(call->result, "history", entries);
    return ADMIN_OK;
}

enum admin_status admin_watch_command(struct admin_call *call)
{
    admin_watch(call->connection);
    return ADMIN_OK;
}
