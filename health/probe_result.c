// SPDX-License-Identifier: Apache-2.0
#include "health/probe_result.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

static enum evidence_reason reason_of(int error)
{
    switch (error) {
    case -ECONNREFUSED:
        return EVIDENCE_REASON_REFUSED;
    case -ETIMEDOUT:
        return EVIDENCE_REASON_TIMEOUT;
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -ENETDOWN:
    case -ENOENT: // a Unix socket that is not there
        return EVIDENCE_REASON_UNREACHABLE;
    case -ECONNRESET:
    case -EPIPE:
    case -ECONNABORTED:
    case UV_EOF:
        return EVIDENCE_REASON_RESET;
    default:
        return EVIDENCE_REASON_LOCAL;
    }
}

struct probe_result probe_result_error(int error)
{
    struct probe_result r = probe_result_down(reason_of(error));
    if (r.reason == EVIDENCE_REASON_LOCAL)
        r.result = EVIDENCE_UNKNOWN;
    snprintf(r.detail, sizeof r.detail, "%s", uv_strerror(error));
    return r;
}

void probe_result_detail(struct probe_result *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->detail, sizeof result->detail, format, arguments);
    va_end(arguments);
    for (char *p = result->detail; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
}
