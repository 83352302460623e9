// SPDX-License-Identifier: Apache-2.0
// What operators said of sites within services and of addresses, laid out for the order policy.
//
// Compiled from the operators' states for one configuration; immutable afterwards, so that images are built from it on
// another thread. Counted references, taken and dropped by the loop thread only. A null pointer is legal everywhere and
// says nothing.
#pragma once

#include "control/config.h"
#include "control/operator_state.h"

#ifdef __cplusplus
extern "C" {
#endif

struct overrides;

// Null with errno ENOMEM. What the configuration does not have is passed over.
struct overrides *overrides_new(const struct config *config, const struct operator_states *states);
struct overrides *overrides_hold(struct overrides *overrides);
void overrides_drop(struct overrides *overrides);

// What is said of a place in a service's list of sites; AUTO: nothing.
enum evidence_operator overrides_member(const struct overrides *overrides, unsigned service, unsigned place);

// Is the address to be left out of answers?
bool overrides_is_withdrawn(const struct overrides *overrides, const struct config_address *address);

// Are all of the member's addresses? False for one without any.
bool overrides_is_emptied(const struct overrides *overrides, const struct config_member *member);

// "www.example.com/ams", the name under which the operators' states have a place of a service.
char *overrides_member_name(const struct config_service *service, unsigned place, char out[OPERATOR_NAME_CAP]);

#ifdef __cplusplus
}
#endif
