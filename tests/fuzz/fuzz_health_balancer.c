// SPDX-License-Identifier: Apache-2.0
// What a balancer may send: the first octet says which reader gets the rest.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "health/balancer_reading.h"
#include "health/file_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const backends[] = {"web", "api"};
    if (size == 0 || size > 65536)
        return 0;
    struct balancer_spec spec = {.backends = backends,
                                 .backend_count = data[0] >> 3 & 3,
                                 .need = 1,
                                 .status_path = "a.b[0]",
                                 .up_value = "up",
                                 .servers_up_path = data[0] & 32 ? "n" : "",
                                 .load_path = data[0] & 64 ? "l" : "",
                                 .weight_path = ""};
    spec.backend_count = spec.backend_count > 2 ? 2 : spec.backend_count;
    char *text = malloc(size); // exactly as long, so that a read behind the end is seen
    memcpy(text, data + 1, size - 1);
    struct probe_address server = {.len = sizeof(struct sockaddr_in)};
    ((struct sockaddr_in *)&server.address)->sin_family = AF_INET;
    struct probe_result r;
    switch (data[0] & 7) {
    case 0:
        r = balancer_read_haproxy(text, size - 1, &spec);
        break;
    case 1:
        r = balancer_read_agent(text, size - 1);
        break;
    case 2:
        r = balancer_read_envoy(text, size - 1, &spec);
        break;
    case 3:
        r = balancer_read_json(text, size - 1, &spec);
        break;
    default:
        r = file_feed_read(text, size - 1, &server);
    }
    assert(r.result <= EVIDENCE_DOWN && r.load_permille >= -1 && memchr(r.detail, 0, sizeof r.detail));
    for (const char *p = r.detail; *p; p++)
        assert(*p >= ' ' && *p <= '~');
    free(text);
    return 0;
}
