// SPDX-License-Identifier: Apache-2.0
// UDP source ports that must not be answered: nobody asks from there, and the services there answer whatever comes, so
// that one forged packet would keep two servers talking for ever (CVE-2024-2169).
#pragma once

#include <stdbool.h>

static inline bool loop_port_is(unsigned port)
{
    return port == 0 || port == 7 || port == 17 || port == 19; // none, echo, quote of the day, character generator
}
