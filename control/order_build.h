// SPDX-License-Identifier: Apache-2.0
// From verdicts to the site-order image: the policy's orders for every service and class of clients, as records.
//
// Pure but for memory. The image's services are the configuration's, in order, then one for each debug name
// (<site>.<service>). Classes with equal orders share an answer, and a service whose classes are all equal is not
// tailored at all, so that its answers are cached for everybody.
#pragma once

#include "control/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ORDER_OWNER_CAP = 512, ORDER_ADDRESS_MAX = 256 };

// order_answer.reason: why the answer is what it is.
enum order_reason { ORDER_REASON_NORMAL, ORDER_REASON_FAIL_OPEN, ORDER_REASON_LAST_RESORT, ORDER_REASON_DEBUG_NAME };

// Number of services in the image.
unsigned order_service_count(const struct config *config);

// The owner, in presentation form, of image service `number`, into `out`. Returns `out`.
const char *order_service_owner(const struct config *config, unsigned number, char out[ORDER_OWNER_CAP]);

// Identifies the list of services and regions: equal for zone and order images that fit together.
uint64_t order_pairing_id(const struct config *config);

struct order_build_input {
    const struct config *config;
    const struct policy_state *state;   // [config->service_count]
    const struct verdict_site *verdict; // [config->verdict_count]
    uint64_t now_ns;
    uint64_t generation, built_at_us;
    const struct overrides *overrides; // null: none
};

// Builds the image: *image is malloc'ed, the caller frees it. 0, -EINVAL, -E2BIG, -ENOMEM.
int order_build(const struct order_build_input *input, void **image, size_t *len);

// The addresses of an order as clients see them: each place's addresses of the family but those withdrawn by an
// operator, `answer_max` at most. When failing open nothing would be left, all are given. Number written to `out`.
unsigned order_addresses(const struct config_service *service, const struct policy_order *order,
                         const struct overrides *overrides, bool is_ipv6,
                         const struct config_address *out[ORDER_ADDRESS_MAX]);

#ifdef __cplusplus
}
#endif
