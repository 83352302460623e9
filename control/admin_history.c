// SPDX-License-Identifier: Apache-2.0
#include "control/admin_commands.h"
#include "control/history_json.h"

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
            json_array_append_new(entries, history_json(e));
    }
    json_object_set_new(call->result, "history", entries);
    return ADMIN_OK;
}

enum admin_status admin_watch_command(struct admin_call *call)
{
    admin_watch(call->connection);
    return ADMIN_OK;
}
