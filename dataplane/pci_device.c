// SPDX-License-Identifier: Apache-2.0
#include "dataplane/pci_device.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GROUP_MEMBERS_MAX = 256, CLASS_BRIDGE = 0x06 };

// Last component of the link `name` of the device; false when there is none.
static bool read_link(const char *root, const char *address, const char *name, char *text, size_t cap)
{
    char path[PATH_MAX], target[PATH_MAX];
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/%s", root, address, name);
    const ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= 0)
        return false;
    target[len] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(text, cap, "%.*s", (int)cap - 1, slash ? slash + 1 : target);
    return true;
}

static bool is_bridge(const char *root, const char *address)
{
    char path[PATH_MAX];
    unsigned class_code = 0;
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/class", root, address);
    FILE *f = fopen(path, "re");
    const bool is_read = f && fscanf(f, "%x", &class_code) == 1;
    if (f)
        fclose(f);
    return is_read && class_code >> 16 == CLASS_BRIDGE;
}

// The name of the network interface that the kernel's driver made, or an empty text.
static void find_interface(const char *root, const char *address, char *text, size_t cap)
{
    char path[PATH_MAX];
    text[0] = 0;
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/net", root, address);
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir)) && !text[0];)
        if (e->d_name[0] != '.')
            snprintf(text, cap, "%.*s", (int)cap - 1, e->d_name);
    if (dir)
        closedir(dir);
}

// Members of an IOMMU group can reach each other's memory: vfio hands the group out whole or not at all.
static int check_group(const struct pci_device *d, const char *root, const char *group, char why[PCI_DEVICE_WHY_CAP])
{
    char path[PATH_MAX], driver[PCI_DEVICE_NAME_CAP];
    int rc = 0;
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/iommu_group/devices", root, d->address);
    DIR *dir = opendir(path);
    for (unsigned i = 0; dir && rc == 0 && i < GROUP_MEMBERS_MAX; i++) {
        const struct dirent *e = readdir(dir);
        if (!e)
            break;
        if (e->d_name[0] == '.' || is_bridge(root, e->d_name) ||
            !read_link(root, e->d_name, "driver", driver, sizeof driver) || strncmp(driver, "vfio-", 5) == 0 ||
            strcmp(driver, "pci-stub") == 0)
            continue;
        snprintf(
            why, PCI_DEVICE_WHY_CAP,
            "its IOMMU group %s is not viable: %.12s in the same group is in use by the driver %s; bind that "
            "device as well (`scripts/nic bind --force %.12s`), or put the card into a slot with a group of its own",
            group, e->d_name, driver, e->d_name);
        rc = -EPERM;
    }
    if (dir)
        closedir(dir);
    return rc;
}

static int check_vfio(struct pci_device *d, const char *root, char why[PCI_DEVICE_WHY_CAP])
{
    char group[PCI_DEVICE_NAME_CAP], path[PATH_MAX];
    if (!read_link(root, d->address, "iommu_group", group, sizeof group)) {
        snprintf(why, PCI_DEVICE_WHY_CAP,
                 "it is bound to vfio-pci but has no IOMMU group; enable VT-d or AMD-Vi in the firmware and boot with "
                 "intel_iommu=on or amd_iommu=on, or bind it to uio_pci_generic (`scripts/nic bind --driver "
                 "uio_pci_generic %s`)",
                 d->address);
        return -ENOTSUP;
    }
    const int rc = check_group(d, root, group, why);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, "%s/dev/vfio/%s", root, group);
    if (access(path, R_OK | W_OK) < 0) {
        snprintf(why, PCI_DEVICE_WHY_CAP, "%.150s: %s; run as root, or give it to this user (`chown USER %.150s`)",
                 path, strerror(errno), path);
        return -EACCES;
    }
    return 0;
}

// Drivers that share the card with DPDK: nothing is bound for them.
static bool is_shared_driver(const char *driver)
{
    static const char *const name[] = {"mlx4_core", "mlx5_core", "mana"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (strcmp(driver, name[i]) == 0)
            return true;
    return false;
}

int pci_device_check(struct pci_device *d, const char *root, const char *address, char why[PCI_DEVICE_WHY_CAP])
{
    char path[PATH_MAX], interface[PCI_DEVICE_NAME_CAP];
    memset(d, 0, sizeof *d);
    const bool is_short = strlen(address) == 7; // BB:DD.F
    snprintf(d->address, sizeof d->address, is_short ? "0000:%.7s" : "%.12s", address);
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s", root, d->address);
    if (access(path, F_OK) < 0) {
        snprintf(why, PCI_DEVICE_WHY_CAP, "there is no such PCI device; `scripts/nic status` lists the network cards");
        return -ENODEV;
    }
    if (!read_link(root, d->address, "driver", d->driver, sizeof d->driver)) {
        snprintf(why, PCI_DEVICE_WHY_CAP, "no driver has it; bind it: `scripts/nic bind %s`", d->address);
        return -ENXIO;
    }
    if (strncmp(d->driver, "vfio-", 5) == 0)
        return check_vfio(d, root, why);
    if (strcmp(d->driver, "uio_pci_generic") == 0 || strcmp(d->driver, "igb_uio") == 0) {
        d->has_physical_addresses = true;
        return 0;
    }
    if (is_shared_driver(d->driver))
        return 0;
    find_interface(root, d->address, interface, sizeof interface);
    snprintf(why, PCI_DEVICE_WHY_CAP, "the kernel's driver %s has it%s%s; bind it: `scripts/nic bind %s`", d->driver,
             interface[0] ? ", as interface " : "", interface, d->address);
    return -EBUSY;
}
