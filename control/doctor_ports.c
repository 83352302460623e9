// SPDX-License-Identifier: Apache-2.0
// The network ports: what each kind asks of its interface or device.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/doctor.h"
#include "shared/card.h"

enum { MTU_LEAST = 1280, XDP_MTU_MOST = 3498 };

// ---- interfaces ----

static long interface_number(const struct doctor *d, const char *interface, const char *what, long otherwise)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/net/%s/%s", interface, what);
    return doctor_number(d, path, otherwise);
}

static unsigned count_queues(const struct doctor *d, const char *interface)
{
    char path[PATH_MAX];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/sys/class/net/%s/queues", d->root, interface);
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && (e = readdir(folder)) != NULL;)
        count += strncmp(e->d_name, "rx-", 3) == 0;
    if (folder)
        closedir(folder);
    return count;
}

static unsigned count_workers(const struct doctor *d)
{
    unsigned count = 0;
    for (unsigned n = 0; n < 1024; n++)
        count += doctor_is_listed(d->config->dataplane.cores, n);
    return count ? count : 1;
}

// The interface is there, up, and wide enough.
static bool check_interface(struct doctor *d, const char *topic, const char *interface)
{
    char path[128], state[32];
    snprintf(path, sizeof path, "/sys/class/net/%s", interface);
    if (!doctor_has(d, path)) {
        doctor_find(d, DOCTOR_BAD, topic, "`ip link` lists the interfaces; a NIC bound to vfio-pci is not among them",
                    "there is no interface %s", interface);
        return false;
    }
    snprintf(path, sizeof path, "/sys/class/net/%s/operstate", interface);
    doctor_read(d, path, state, sizeof state);
    if (strcmp(state, "down") == 0 || strcmp(state, "lowerlayerdown") == 0)
        doctor_find(d, DOCTOR_BAD, topic, "ip link set dev IFACE up; is the cable in?", "the link of %s is down",
                    interface);
    const long mtu = interface_number(d, interface, "mtu", MTU_LEAST);
    if (mtu < MTU_LEAST)
        doctor_find(d, DOCTOR_BAD, topic, "an MTU of 1500, or dns.udp_max below it",
                    "the MTU of %s is %ld: answers of up to %u octets do not fit, and are never fragmented", interface,
                    mtu, d->config->dns.udp_max);
    return true;
}

// 1, 0, or -1 when nobody says so: then there is nothing to find either.
static int feature(const struct doctor *d, const char *interface, const char *name)
{
    return *d->root ? -1 : card_feature(interface, name);
}

// ETHTOOL_GRXFH of UDP over IPv4: 1 when ports are hashed, 0 when only addresses are, or -1 when the driver does not
// say.
static int hashes_ports(const struct doctor *d, const char *interface)
{
    struct ethtool_rxnfc hash = {.cmd = ETHTOOL_GRXFH, .flow_type = UDP_V4_FLOW};
    struct ifreq request = {0};
    const int fd = *d->root ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    request.ifr_data = (void *)&hash;
    const int rc = ioctl(fd, SIOCETHTOOL, &request);
    close(fd);
    return rc < 0 || !(hash.data & (RXH_IP_SRC | RXH_IP_DST)) ? -1 : (hash.data & RXH_L4_B_0_1) != 0;
}

static bool is_mounted(const struct doctor *d, const char *type)
{
    char path[PATH_MAX], line[1024], found[64];
    snprintf(path, sizeof path, "%s/proc/mounts", d->root);
    FILE *f = fopen(path, "re");
    bool is_there = false;
    while (f && !is_there && fgets(line, sizeof line, f))
        is_there = sscanf(line, "%*s %*s %63s", found) == 1 && strcmp(found, type) == 0;
    if (f)
        fclose(f);
    return is_there;
}

static void check_queues(struct doctor *d, const char *topic, const char *interface)
{
    const unsigned queues = count_queues(d, interface), workers = count_workers(d);
    if (queues < workers)
        doctor_find(d, DOCTOR_BAD, topic, "ethtool -L IFACE combined N, or fewer dataplane.cores",
                    "%s has %u receive queues for %u workers", interface, queues, workers);
    else if (queues > workers)
        doctor_find(d, DOCTOR_WARNING, topic, "ethtool -L IFACE combined N with the number of workers",
                    "%s has %u receive queues, but only %u workers: queries on the others go to the kernel", interface,
                    queues, workers);
    else
        doctor_find(d, DOCTOR_OK, topic, "", "one receive queue for each of %u workers", workers);
}

static void check_vlans(struct doctor *d, const char *topic, const char *interface)
{
    if (feature(d, interface, CARD_VLAN_STRIPPING) == 1 && card_has_vlans(interface))
        doctor_find(d, DOCTOR_WARNING, topic,
                    "ethtool -K IFACE rxvlan off (of a veth: txvlan off at its other end), then start the data plane",
                    "%s takes VLAN tags off before our XDP program sees the frames: queries in VLANs are answered "
                    "without their tag, and the clients do not get the answers",
                    interface);
    else if (feature(d, interface, CARD_VLAN_FILTER) == 1)
        doctor_find(d, DOCTOR_NOTE, topic, "for queries in VLAN 7: ip link add link IFACE name IFACE.7 type vlan id 7",
                    "%s lets in only those VLANs that the kernel has an interface for", interface);
}

static void check_xdp(struct doctor *d, const char *topic, const char *interface)
{
    char driver[64], path[128];
    snprintf(path, sizeof path, "/sys/class/net/%s/device/driver", interface);
    doctor_link(d, path, driver, sizeof driver);
    check_queues(d, topic, interface);
    if (interface_number(d, interface, "mtu", 0) > XDP_MTU_MOST)
        doctor_find(d, DOCTOR_WARNING, topic, "ip link set dev IFACE mtu 1500",
                    "most drivers refuse XDP with an MTU above a page");
    if (count_workers(d) > 1 && hashes_ports(d, interface) == 0)
        doctor_find(d, DOCTOR_WARNING, topic,
                    "ethtool -N IFACE rx-flow-hash udp4 sdfn; ethtool -N IFACE rx-flow-hash udp6 sdfn",
                    "%s spreads UDP by addresses only: all queries of one client use one worker", interface);
    const bool has_bpffs = is_mounted(d, "bpf");
    if (!has_bpffs)
        doctor_find(
            d, DOCTOR_NOTE, topic, "mount -t bpf bpf /sys/fs/bpf",
            "no bpf file system is mounted: our XDP program will have the card alone, since libxdp's dispatcher, "
            "by which several share one, needs it");
    doctor_check_xdp_program(d, topic, interface, has_bpffs);
    check_vlans(d, topic, interface);
    if (!driver[0] && feature(d, interface, CARD_GRO) == 0)
        doctor_find(
            d, DOCTOR_WARNING, topic, "ethtool -K IFACE gro on",
            "%s is a software link without GRO: it stops for milliseconds whenever an XDP program comes or goes",
            interface);
    if (driver[0] && interface_number(d, interface, "napi_defer_hard_irqs", 0) == 0)
        doctor_find(d, DOCTOR_NOTE, topic,
                    "echo 2 > /sys/class/net/IFACE/napi_defer_hard_irqs; echo 200000 > "
                    "/sys/class/net/IFACE/gro_flush_timeout",
                    "interrupts of %s are not deferred: busy polling gains less", interface);
    if (!*d->config->dataplane.standby_socket)
        doctor_find(d, DOCTOR_NOTE, topic, "set dataplane.standby_socket and run signpost-standby",
                    "there is no standby: queries are lost while the data plane restarts");
}

// ---- NICs ----

static bool is_vfio(const char *driver)
{
    return strcmp(driver, "vfio-pci") == 0;
}

// Drivers whose NIC stays the kernel's while DPDK takes packets.
static bool is_bifurcated(const char *driver)
{
    return strcmp(driver, "mlx5_core") == 0 || strcmp(driver, "mlx4_core") == 0;
}

static void check_group(struct doctor *d, const char *topic, const char *device)
{
    char path[160], group[16], folder[PATH_MAX], driver[64];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", device);
    doctor_link(d, path, group, sizeof group);
    if (!group[0]) {
        doctor_find(d, DOCTOR_BAD, topic, "see the finding on the IOMMU", "%s belongs to no IOMMU group", device);
        return;
    }
    snprintf(path, sizeof path, "%s/dev/vfio/%s", d->root, group);
    if (access(path, R_OK | W_OK) < 0)
        doctor_find(d, DOCTOR_BAD, topic, "chown the node below /dev/vfio to the service's user, or start as root",
                    "/dev/vfio/%s: %s", group, strerror(errno));
    snprintf(folder, sizeof folder, "%s/sys/kernel/iommu_groups/%s/devices", d->root, group);
    DIR *list = opendir(folder);
    for (struct dirent *e; list && (e = readdir(list)) != NULL;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, device) == 0)
            continue;
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%.64s/driver", e->d_name);
        doctor_link(d, path, driver, sizeof driver);
        if (driver[0] && !is_vfio(driver) && strcmp(driver, "pcieport") != 0)
            doctor_find(d, DOCTOR_BAD, topic,
                        "bind all devices of the group to vfio-pci, or put the NIC in another slot",
                        "IOMMU group %s is not viable: %.64s of it is bound to %s", group, e->d_name, driver);
    }
    if (list)
        closedir(list);
}

static void check_pci(struct doctor *d, const char *topic, const char *address)
{
    char device[32], path[128], driver[64], class_text[32];
    snprintf(device, sizeof device, "%s%s", strlen(address) == 7 ? "0000:" : "", address);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s", device);
    if (!doctor_has(d, path)) {
        doctor_find(d, DOCTOR_BAD, topic, "`lspci -D | grep -i ethernet` lists them", "there is no device %s", device);
        return;
    }
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/class", device);
    if (strncmp(doctor_read(d, path, class_text, sizeof class_text), "0x02", 4) != 0)
        doctor_find(d, DOCTOR_BAD, topic, "`lspci -D | grep -i ethernet` lists NICs", "%s is no NIC (class %s)", device,
                    class_text);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver", device);
    doctor_link(d, path, driver, sizeof driver);
    if (is_vfio(driver)) {
        doctor_find(d, DOCTOR_OK, topic, "", "%s is bound to vfio-pci", device);
        check_group(d, topic, device);
    } else if (is_bifurcated(driver)) {
        doctor_find(d, DOCTOR_OK, topic, "", "%s is shared with the kernel by its driver %s", device, driver);
    } else if (strcmp(driver, "uio_pci_generic") == 0 || strcmp(driver, "igb_uio") == 0) {
        doctor_find(d, DOCTOR_WARNING, topic, "vfio-pci with an IOMMU",
                    "%s is bound to %s: the NIC can write anywhere in memory, and the data plane must stay root",
                    device, driver);
    } else {
        doctor_find(d, DOCTOR_BAD, topic, "scripts/nic bind ADDRESS", "%s is bound to %s, not to vfio-pci", device,
                    driver[0] ? driver : "no driver");
    }
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", device);
    const long node = doctor_number(d, path, -1);
    if (node > 0)
        doctor_find(d, DOCTOR_NOTE, topic, "", "%s sits at NUMA node %ld: its workers' CPUs should too", device, node);
}

// ---- all ----

static void check_port(struct doctor *d, const char *spec)
{
    const char *colon = strchr(spec, ':');
    const char *name = colon ? colon + 1 : spec;
    char topic[96];
    snprintf(topic, sizeof topic, "port %.80s", spec);
    if (strncmp(spec, "af_packet:", 10) == 0) {
        if (check_interface(d, topic, name))
            doctor_find(d, DOCTOR_NOTE, topic, "af_xdp or a NIC of its own, see docs/nic.md",
                        "af_packet is for trials: every packet crosses the kernel");
    } else if (strncmp(spec, "af_xdp:", 7) == 0) {
        if (check_interface(d, topic, name))
            check_xdp(d, topic, name);
    } else if (strncmp(spec, "pci:", 4) == 0) {
        check_pci(d, topic, name);
        if (!*d->config->dataplane.kernel_interface)
            doctor_find(d, DOCTOR_NOTE, topic, "set dataplane.kernel_interface",
                        "the kernel has no way to this NIC: no DNS over TCP on its addresses");
    }
}

void doctor_check_ports(struct doctor *d)
{
    const struct config_dataplane *dp = &d->config->dataplane;
    if (dp->port_count == 0)
        doctor_find(d, DOCTOR_BAD, "ports", "name one in dataplane.ports, such as \"af_packet:eth0\"",
                    "the configuration names no port");
    for (unsigned i = 0; i < dp->port_count; i++)
        check_port(d, dp->ports[i]);
    if (*dp->kernel_interface && !doctor_has(d, "/dev/net/tun"))
        doctor_find(d, DOCTOR_BAD, "kernel interface", "modprobe tun", "there is no /dev/net/tun");
    else if (*dp->kernel_interface && !doctor_has(d, "/dev/vhost-net"))
        doctor_find(d, DOCTOR_NOTE, "kernel interface", "modprobe vhost_net",
                    "there is no /dev/vhost-net: a TAP device will do, which carries less");
}
