// SPDX-License-Identifier: Apache-2.0
// Heartbeat datagrams. The first octet says what the rest is: a datagram from the network, or a payload that is sealed
// with the right key here, so that the fuzzer reaches what stands behind the authentication.
#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "health/heartbeat_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[2][HEARTBEAT_KEY_LEN] = {{1}, {2}};

static void check(const uint8_t *wire, size_t len)
{
    struct heartbeat_message m;
    struct heartbeat_window window = {0};
    if (heartbeat_decode(&m, wire, len, key, 2) != HEARTBEAT_GOOD)
        return;
    assert(m.site_count <= HEARTBEAT_SITE_MAX && memchr(m.node, 0, sizeof m.node));
    for (unsigned i = 0; i < m.site_count; i++)
        assert(memchr(m.site[i].name, 0, sizeof m.site[i].name));
    assert(heartbeat_window_accept(&window, m.incarnation, m.sequence) || m.sequence == 0);
    assert(!heartbeat_window_accept(&window, m.incarnation, m.sequence));
    uint8_t again[HEARTBEAT_MAX_LEN];
    assert(heartbeat_encode(again, &m, key[0]) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEAD = 8, NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
    static const uint8_t head[HEAD] = {'S', 'P', 'H', 'B', HEARTBEAT_VERSION};
    uint8_t wire[4096];
    if (size == 0 || size > 2048)
        return 0;
    if (data[0] & 1) {
        check(data + 1, size - 1);
        return 0;
    }
    memcpy(wire, head, HEAD);
    memset(wire + HEAD, 7, NONCE);
    unsigned long long sealed = 0;
    crypto_aead_xchacha20poly1305_ietf_encrypt(wire + HEAD + NONCE, &sealed, data + 1, size - 1, head, HEAD, NULL,
                                               wire + HEAD, key[0]);
    check(wire, HEAD + NONCE + sealed);
    return 0;
}
