// SPDX-License-Identifier: Apache-2.0
#include "control/history_json.h"

static json_t *seconds(uint64_t ns)
{
    return json_real((double)ns / 1e9);
}

json_t *history_json(const struct history_entry *e)
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
        json_object_set_new(entry, "evidence_to_wire", seconds(e->wire_ns - e->evidence_ns));
    if (e->wire_ns >= e->at_ns)
        json_object_set_new(entry, "verdict_to_wire", seconds(e->wire_ns - e->at_ns));
    return entry;
}
