// SPDX-License-Identifier: Apache-2.0
// A PCI device as sysfs shows it, before DPDK is started: who has it, and whether DPDK can take it.
//
// DPDK's own words for these failures ("no probed ethernet devices") name neither cause nor remedy. Main thread only;
// reads files, changes nothing.
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PCI_DEVICE_WHY_CAP = 512, PCI_DEVICE_ADDRESS_CAP = 16, PCI_DEVICE_NAME_CAP = 32 };

struct pci_device {
    char address[PCI_DEVICE_ADDRESS_CAP]; // "0000:01:00.0"
    char driver[PCI_DEVICE_NAME_CAP];     // the kernel's: "vfio-pci", "uio_pci_generic", "mlx5_core"
    bool has_physical_addresses;          // the card sees physical addresses: no IOMMU in between
};

// Looks at the device `address` ("01:00.0" is domain 0) below `root`, "" but in tests. 0, or a negative errno with a
// sentence and the remedy in `why`: no such device (-ENODEV), not bound (-EBUSY, -ENXIO), others of its IOMMU group are
// in use (-EPERM), no right to the group's file (-EACCES).
int pci_device_check(struct pci_device *device, const char *root, const char *address, char why[PCI_DEVICE_WHY_CAP]);

#ifdef __cplusplus
}
#endif
