// SPDX-License-Identifier: Apache-2.0
#include "table/counters.h"

const char *counter_name(enum counter counter)
{
    static const char *const name[] = {
#define COUNTERS_NAME(name, help) #name,
        COUNTERS_LIST(COUNTERS_NAME)
#undef COUNTERS_NAME
    };
    return (unsigned)counter < COUNTER_COUNT ? name[counter] : "unknown";
}

const char *counter_help(enum counter counter)
{
    static const char *const help[] = {
#define COUNTERS_HELP(name, help) help,
        COUNTERS_LIST(COUNTERS_HELP)
#undef COUNTERS_HELP
    };
    return (unsigned)counter < COUNTER_COUNT ? help[counter] : "unknown";
}

const char *counters_filter_name(enum counters_filter filter)
{
#define COUNTERS_NAME(name, help) #name,
    static const char *const names[] = {COUNTERS_FILTER_LIST(COUNTERS_NAME)};
#undef COUNTERS_NAME
    return (unsigned)filter < COUNTERS_FILTER_COUNT ? names[filter] : "unknown";
}
