// SPDX-License-Identifier: Apache-2.0
#include "control/metric_label.h"

const char *metric_label(const char *text, char out[METRIC_LABEL_CAP])
{
    unsigned used = 0;
    for (; *text && used + 2 < METRIC_LABEL_CAP; text++) {
        const char c = *text;
        if (c == '\\' || c == '"' || c == '\n')
            out[used++] = '\\';
        out[used++] = c == '\n' ? 'n' : c;
    }
    out[used] = 0;
    return out;
}
