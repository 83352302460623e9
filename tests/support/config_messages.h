// SPDX-License-Identifier: Apache-2.0
// For tests: what people are told of errors in configurations and zone files, one line each.
#pragma once

#include <string>

extern "C" {
#include "control/config_errors.h"
}

inline std::string config_messages(const config_errors &errors)
{
    std::string all;
    for (unsigned i = 0; i < errors.count; i++) {
        char line[2048];
        all += std::string(config_error_format(&errors.entry[i], line, sizeof line)) + "\n";
    }
    return all;
}
