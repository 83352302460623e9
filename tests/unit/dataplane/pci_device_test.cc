// SPDX-License-Identifier: Apache-2.0
// Over a made-up tree of sysfs; the real one is met by the tests in the guest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

extern "C" {
#include "dataplane/pci_device.h"
}

namespace
{

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Tree : testing::Test {
    fs::path root;
    pci_device d{};
    char why[PCI_DEVICE_WHY_CAP] = "";

    Tree()
    {
        char name[] = "/tmp/signpost-pci-XXXXXX";
        root = mkdtemp(name);
        fs::create_directories(root / "dev/vfio");
    }
    ~Tree() override
    {
        fs::remove_all(root);
    }
    fs::path device(const std::string &address)
    {
        return root / "sys/bus/pci/devices" / address;
    }
    void add(const std::string &address, const std::string &driver, int group = -1, const char *class_code = "0x020000")
    {
        fs::create_directories(device(address));
        std::ofstream(device(address) / "class") << class_code << "\n";
        if (!driver.empty())
            fs::create_symlink("../../drivers/" + driver, device(address) / "driver");
        if (group < 0)
            return;
        const fs::path members = root / "sys/kernel/iommu_groups" / std::to_string(group);
        fs::create_directories(members / "devices");
        fs::create_symlink(members, device(address) / "iommu_group");
        fs::create_symlink(device(address), members / "devices" / address);
        std::ofstream(root / "dev/vfio" / std::to_string(group));
    }
    int check(const char *address)
    {
        return pci_device_check(&d, root.c_str(), address, why);
    }
};

TEST_F(Tree, ADeviceThatIsNotThereIsNamedWithTheCommandThatLists)
{
    EXPECT_EQ(check("0000:09:00.0"), -ENODEV);
    EXPECT_THAT(why, HasSubstr("scripts/nic status"));
}

TEST_F(Tree, AnUnboundDeviceIsToBeBound)
{
    add("0000:01:00.0", "");
    EXPECT_EQ(check("01:00.0"), -ENXIO) << "a short address is of domain 0";
    EXPECT_THAT(why, HasSubstr("scripts/nic bind 0000:01:00.0"));
}

TEST_F(Tree, ADeviceOfTheKernelIsNamedWithItsInterface)
{
    add("0000:01:00.0", "ixgbe");
    fs::create_directories(device("0000:01:00.0") / "net/eth3");
    EXPECT_EQ(check("0000:01:00.0"), -EBUSY);
    EXPECT_THAT(why, HasSubstr("driver ixgbe has it, as interface eth3"));
    EXPECT_THAT(why, HasSubstr("scripts/nic bind 0000:01:00.0"));
}

TEST_F(Tree, AGroupOfItsOwnIsGood)
{
    add("0000:01:00.0", "vfio-pci", 7);
    EXPECT_EQ(check("0000:01:00.0"), 0) << why;
    EXPECT_STREQ(d.driver, "vfio-pci");
    EXPECT_FALSE(d.has_physical_addresses);
}

TEST_F(Tree, AMemberOfTheGroupThatIsInUseIsNamed)
{
    add("0000:01:00.0", "vfio-pci", 7);
    add("0000:01:00.1", "ixgbe", 7);
    EXPECT_EQ(check("0000:01:00.0"), -EPERM);
    EXPECT_THAT(why, HasSubstr("0000:01:00.1"));
    EXPECT_THAT(why, HasSubstr("not viable"));
}

TEST_F(Tree, BridgesAndFreeMembersDoNotSpoilAGroup)
{
    add("0000:01:00.0", "vfio-pci", 7);
    add("0000:00:01.0", "pcieport", 7, "0x060400");
    add("0000:01:00.1", "", 7);
    add("0000:01:00.2", "vfio-pci", 7);
    add("0000:01:00.3", "pci-stub", 7);
    EXPECT_EQ(check("0000:01:00.0"), 0) << why;
}

TEST_F(Tree, VfioWithoutAnIommuSaysWhatToEnable)
{
    add("0000:01:00.0", "vfio-pci");
    EXPECT_EQ(check("0000:01:00.0"), -ENOTSUP);
    EXPECT_THAT(why, HasSubstr("intel_iommu=on"));
    EXPECT_THAT(why, HasSubstr("uio_pci_generic"));
}

TEST_F(Tree, TheGroupsFileMustBeOurs)
{
    add("0000:01:00.0", "vfio-pci", 7);
    fs::remove(root / "dev/vfio/7");
    EXPECT_EQ(check("0000:01:00.0"), -EACCES);
    EXPECT_THAT(why, HasSubstr("/dev/vfio/7"));
    EXPECT_THAT(why, HasSubstr("chown"));
}

TEST_F(Tree, UioMeansPhysicalAddresses)
{
    add("0000:01:00.0", "uio_pci_generic");
    EXPECT_EQ(check("0000:01:00.0"), 0) << why;
    EXPECT_TRUE(d.has_physical_addresses);
}

TEST_F(Tree, ACardThatSharesItselfStaysWithItsDriver)
{
    add("0000:01:00.0", "mlx5_core");
    EXPECT_EQ(check("0000:01:00.0"), 0) << why;
    EXPECT_FALSE(d.has_physical_addresses);
}

} // namespace
