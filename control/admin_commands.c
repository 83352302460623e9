// SPDX-License-Identifier: Apache-2.0
#include "control/admin_commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    enum admin_status (*run)(struct admin_call *call);
} commands[] = {
    {"status", admin_status_command},     {"sites", admin_sites_command},       {"services", admin_services_command},
    {"explain", admin_explain_command},   {"simulate", admin_simulate_command}, {"stats", admin_stats_command},
    {"metrics", admin_metrics_command},   {"history", admin_history_command},   {"watch", admin_watch_command},
    {"operator", admin_operator_command}, {"reload", admin_reload_command},     {"problems", admin_problems_command},
    {"lag", admin_lag_command},
};

enum { COMMAND_NAME_MAX = 32 };

enum admin_status admin_command_run(struct admin_call *call)
{
    bool is_bad = false;
    const char *name = admin_text(call, "command", COMMAND_NAME_MAX, &is_bad);
    if (!name || is_bad)
        return admin_usage(call, "the request names no command");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(call);
    return admin_usage(call, "there is no command \"%s\"", name);
}

const char *admin_text(const struct admin_call *call, const char *name, size_t max, bool *is_bad)
{
    const json_t *value = json_object_get(call->request, name);
    if (!value)
        return NULL;
    *is_bad |= !json_is_string(value) || json_string_length(value) > max ||
               strlen(json_string_value(value)) != json_string_length(value);
    return *is_bad ? NULL : json_string_value(value);
}

bool admin_flag(const struct admin_call *call, const char *name, bool *is_bad)
{
    const json_t *value = json_object_get(call->request, name);
    *is_bad |= value && !json_is_boolean(value);
    return json_is_true(value);
}

int64_t admin_number(const struct admin_call *call, const char *name, int64_t otherwise, bool *is_bad)
{
    const json_t *value = json_object_get(call->request, name);
    *is_bad |= value && !json_is_integer(value);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

enum admin_status admin_usage(struct admin_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->error, sizeof call->error, format, args);
    va_end(args);
    return ADMIN_USAGE;
}

enum admin_status admin_refuse(struct admin_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->error, sizeof call->error, format, args);
    va_end(args);
    return ADMIN_REFUSED;
}

json_t *admin_address(const struct config_address *address)
{
    char text[CONFIG_ADDRESS_TEXT_CAP];
    return json_string(config_address_text(address, text));
}

json_t *admin_seconds(uint64_t ns)
{
    return json_real((double)ns / 1e9);
}

json_t *admin_age(uint64_t at_ns)
{
    const uint64_t now_ns = uv_hrtime();
    return at_ns ? admin_seconds(now_ns > at_ns ? now_ns - at_ns : 0) : json_null();
}
