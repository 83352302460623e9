// SPDX-License-Identifier: Apache-2.0
#include "health/file_feed.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_CAP = 512, HOST_CAP = 64 };

// Does the first word of a line name this server?
static bool names_server(const char *word, const struct probe_address *server)
{
    char host[HOST_CAP];
    uint8_t address[16];
    if (strcmp(word, "*") == 0)
        return true;
    if (server->len == 0 || strlen(word) >= sizeof host)
        return false;
    strcpy(host, word);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&server->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&server->address;
    const bool is_ipv6 = server->address.ss_family == AF_INET6;
    char *port = is_ipv6 ? (host[0] == '[' ? strchr(host, ']') : NULL) : strchr(host, ':');
    if (port) {
        *port++ = 0;
        port += is_ipv6 && *port == ':';
        const uint16_t own = ntohs(is_ipv6 ? v6->sin6_port : v4->sin_port);
        if (*port && strtoul(port, NULL, 10) != own)
            return false;
    }
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, is_ipv6 && host[0] == '[' ? host + 1 : host, address) != 1)
        return false;
    return memcmp(address, is_ipv6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, is_ipv6 ? 16 : 4) == 0;
}

// State and what follows it. False when the state is no word that we know.
static bool take_state(char *state, char *more, struct probe_result *r)
{
    if (strcmp(state, "up") == 0)
        *r = probe_result_up(0);
    else if (strcmp(state, "down") == 0 || strcmp(state, "drain") == 0)
        *r = probe_result_down(EVIDENCE_REASON_MISMATCH);
    else if (strcmp(state, "unknown") == 0)
        *r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
    else
        return false;
    char *end;
    const unsigned long load = strtoul(more, &end, 10);
    if (end != more && *end == '%' && load <= 1000)
        r->load_permille = (int32_t)load * 10;
    probe_result_detail(r, "%s", more);
    return true;
}

struct probe_result file_feed_read(const char *text, size_t len, const struct probe_address *server)
{
    struct probe_result r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
    char line[LINE_CAP];
    probe_result_detail(&r, "no line of the file names the server");
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        const size_t line_len = newline ? (size_t)(newline - text) - at : len - at;
        const size_t kept = line_len < sizeof line ? line_len : sizeof line - 1;
        memcpy(line, text + at, kept);
        line[kept] = 0;
        at += line_len + 1;
        line[strcspn(line, "#\r")] = 0;
        char *rest = NULL, *server_word = strtok_r(line, " \t", &rest), *state = strtok_r(NULL, " \t", &rest);
        if (!server_word || !names_server(server_word, server))
            continue;
        if (!state || !take_state(state, rest + strspn(rest, " \t"), &r)) {
            r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
            probe_result_detail(&r, "\"%s\" is neither up, down, drain nor unknown", state ? state : "");
        }
    }
    return r;
}
