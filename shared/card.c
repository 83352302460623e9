// SPDX-License-Identifier: Apache-2.0
#include "shared/card.h"

#include <dirent.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FEATURES_MAX = 256, BLOCKS_MAX = FEATURES_MAX / 32 };

// ethtool's requests end in arrays whose length the kernel tells.
union names {
    struct ethtool_gstrings head;
    uint8_t room[sizeof(struct ethtool_gstrings) + FEATURES_MAX * ETH_GSTRING_LEN];
};
union states {
    struct ethtool_gfeatures head;
    uint8_t room[sizeof(struct ethtool_gfeatures) + BLOCKS_MAX * sizeof(struct ethtool_get_features_block)];
};
union count {
    struct ethtool_sset_info head;
    uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
};

static bool ask(int fd, const char *interface, void *request)
{
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", interface);
    r.ifr_data = request;
    return ioctl(fd, SIOCETHTOOL, &r) == 0;
}

// The feature's number, or -1.
static int find_feature(int fd, const char *interface, const char *feature)
{
    union count count = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
    union names names = {.head = {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES}};
    if (!ask(fd, interface, &count) || !count.head.sset_mask || count.head.data[0] > FEATURES_MAX)
        return -1; // more than there is room for
    names.head.len = count.head.data[0];
    if (!ask(fd, interface, &names))
        return -1;
    for (unsigned i = 0; i < names.head.len && i < FEATURES_MAX; i++)
        if (strncmp((const char *)names.head.data + (size_t)i * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN) == 0)
            return (int)i;
    return -1;
}

int card_feature(const char *interface, const char *feature)
{
    union states states = {.head = {.cmd = ETHTOOL_GFEATURES, .size = BLOCKS_MAX}};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int at = find_feature(fd, interface, feature);
    const bool is_known = at >= 0 && ask(fd, interface, &states);
    close(fd);
    return is_known ? (int)(states.head.features[at / 32].active >> at % 32 & 1) : -1;
}

static bool is_vlan(const char *interface)
{
    char path[PATH_MAX], line[64];
    snprintf(path, sizeof path, "/sys/class/net/%s/uevent", interface);
    FILE *f = fopen(path, "re");
    bool is = false;
    while (f && !is && fgets(line, sizeof line, f))
        is = strcmp(line, "DEVTYPE=vlan\n") == 0;
    if (f)
        fclose(f);
    return is;
}

bool card_has_vlans(const char *interface)
{
    static const char upper[] = "upper_";
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/sys/class/net/%s", interface);
    DIR *folder = opendir(path);
    bool has = false;
    for (struct dirent *e; folder && !has && (e = readdir(folder)) != NULL;)
        has = strncmp(e->d_name, upper, strlen(upper)) == 0 && is_vlan(e->d_name + strlen(upper));
    if (folder)
        closedir(folder);
    return has;
}
