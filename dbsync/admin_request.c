// SPDX-License-Identifier: Apache-2.0
#include "dbsync/admin_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

const char *admin_command_name(enum admin_command command)
{
    static const char *const name[ADMIN_COMMAND_COUNT] = {"status", "metrics", "poll", "pull"};
    return name[command];
}

// A text of the object into `out`; false when it is of another type or too long. Absent: empty.
static bool take_text(const json_t *object, const char *key, char *out, size_t cap)
{
    const json_t *value = json_object_get(object, key);
    out[0] = 0;
    if (!value)
        return true;
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len >= cap || strlen(json_string_value(value)) != len)
        return false;
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

static int take_request(const json_t *object, struct admin_request *request, char error[ADMIN_ERROR_CAP])
{
    char command[32];
    const char *key;
    json_t *value;
    if (!json_is_object(object) || !take_text(object, "command", command, sizeof command) ||
        !take_text(object, "peer", request->peer, sizeof request->peer) ||
        !take_text(object, "table", request->table, sizeof request->table)) {
        snprintf(error, ADMIN_ERROR_CAP, "wanted: an object with texts `command`, `peer`, `table`");
        return -EINVAL;
    }
    json_object_foreach((json_t *)(size_t)object, key, value)
    {
        if (strcmp(key, "command") != 0 && strcmp(key, "peer") != 0 && strcmp(key, "table") != 0) {
            snprintf(error, ADMIN_ERROR_CAP, "unknown field \"%.64s\"", key);
            return -EINVAL;
        }
    }
    for (unsigned i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        if (strcmp(command, admin_command_name((enum admin_command)i)) == 0) {
            request->command = (enum admin_command)i;
            return 0;
        }
    }
    snprintf(error, ADMIN_ERROR_CAP, "there is no command \"%s\"", command);
    return -EINVAL;
}

int admin_request_parse(const char *line, size_t len, struct admin_request *request, char error[ADMIN_ERROR_CAP])
{
    json_error_t where;
    memset(request, 0, sizeof *request);
    if (len > ADMIN_LINE_MAX) {
        snprintf(error, ADMIN_ERROR_CAP, "a request has at most %d octets", ADMIN_LINE_MAX);
        return -EINVAL;
    }
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
    if (!object) {
        snprintf(error, ADMIN_ERROR_CAP, "no JSON: %.200s", where.text);
        return -EINVAL;
    }
    int result = take_request(object, request, error);
    json_decref(object);
    return result;
}
