// SPDX-License-Identifier: Apache-2.0
// What the kernel says of a network interface beyond what stands in a file: its driver's features, as `ethtool -k`
// shows them, and VLANs on top of it. Asks each time; any thread.
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// The kernel's names of features (netdev_features_strings); ethtool abbreviates some of them.
#define CARD_GRO            "rx-gro"
#define CARD_VLAN_STRIPPING "rx-vlan-hw-parse" // ethtool -K: rxvlan
#define CARD_VLAN_FILTER    "rx-vlan-filter"

// 1: the feature is on, 0: off, -1: the kernel does not say (no such interface or feature, no right to ask).
int card_feature(const char *interface, const char *feature);

// Whether a VLAN interface of the kernel (eth0.7) stands on the interface.
bool card_has_vlans(const char *interface);

#ifdef __cplusplus
}
#endif
