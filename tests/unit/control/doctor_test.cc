// SPDX-License-Identifier: Apache-2.0
// The doctor on machines that are made of files: each row changes one thing about a sound machine and names the
// finding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" {
#include "control/doctor.h"
}

namespace
{

namespace fs = std::filesystem;
using testing::HasSubstr;

const char bdf[] = "0000:01:00.0";

class Machine
{
  public:
    fs::path root;

    Machine()
    {
        char pattern[] = "/tmp/signpost-doctor-XXXXXX";
        root = mkdtemp(pattern);
        write("proc/cpuinfo", "processor : 0\nflags : fpu ssse3 sse4_1 sse4_2 popcnt constant_tsc avx2\n");
        write("proc/cmdline", "quiet intel_iommu=on iommu=pt\n");
        write("proc/mounts", "bpf /sys/fs/bpf bpf rw 0 0\n");
        write("sys/devices/system/cpu/online", "0-7\n");
        write("sys/devices/system/cpu/isolated", "2-5\n");
        write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
        write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n");
        write("sys/class/iommu/dmar0/x", "");
        fs::create_directories(root / "sys/bus/pci/drivers/vfio-pci");
        write("dev/net/tun", "");
        write("dev/vhost-net", "");
        interface("eth0", "ixgbe", 4);
        device(bdf, "vfio-pci", "7");
        write("dev/vfio/7", "");
    }
    ~Machine()
    {
        fs::remove_all(root);
    }
    void write(const std::string &path, const std::string &text)
    {
        fs::create_directories((root / path).parent_path());
        std::ofstream(root / path) << text;
    }
    void link(const std::string &path, const std::string &target)
    {
        fs::create_directories((root / path).parent_path());
        fs::remove(root / path);
        fs::create_symlink(target, root / path);
    }
    void interface(const std::string &name, const std::string &driver, int queues)
    {
        const std::string at = "sys/class/net/" + name + "/";
        write(at + "operstate", "up\n");
        write(at + "mtu", "1500\n");
        write(at + "napi_defer_hard_irqs", "2\n");
        link(at + "device/driver", "../../bus/pci/drivers/" + driver);
        for (int q = 0; q < queues; q++)
            fs::create_directories(root / (at + "queues/rx-" + std::to_string(q)));
    }
    void device(const std::string &address, const std::string &driver, const std::string &group)
    {
        const std::string at = "sys/bus/pci/devices/" + address + "/";
        write(at + "class", "0x020000\n");
        write(at + "numa_node", "0\n");
        link(at + "driver", "../../../bus/pci/drivers/" + driver);
        link(at + "iommu_group", "../../../kernel/iommu_groups/" + group);
        fs::create_directories(root / ("sys/kernel/iommu_groups/" + group + "/devices/" + address));
    }

    // All findings as "level topic: text | remedy".
    std::vector<std::string> examine(const std::string &dataplane)
    {
        write("signpost.conf", "node = { name = \"n\"; };\ndataplane = { " + dataplane + " };\n");
        config_errors errors{};
        config *c = nullptr;
        EXPECT_EQ(config_load((root / "signpost.conf").c_str(), &c, &errors), 0);
        doctor d{};
        d.root = root.c_str();
        d.config = c;
        d.findings = json_array();
        doctor_check_host(&d);
        if (c)
            doctor_check_ports(&d);
        std::vector<std::string> all;
        size_t i;
        json_t *f;
        json_array_foreach(d.findings, i, f)
        {
            auto text = [&](const char *key) { return std::string(json_string_value(json_object_get(f, key))); };
            all.push_back(text("level") + " " + text("topic") + ": " + text("text") + " | " + text("remedy"));
        }
        json_decref(d.findings);
        config_errors_fini(&errors);
        config_free(c);
        return all;
    }
};

const std::string nic = "ports = \"pci:0000:01:00.0\"; cores = \"2-5\"; kernel_interface = \"dns0\";";
const std::string shared_nic = "ports = \"af_xdp:eth0\"; cores = \"2-5\"; addresses = \"192.0.2.1\"; "
                               "standby_socket = \"/run/s\";";

bool is_trouble(const std::string &finding)
{
    return finding.rfind("bad", 0) == 0 || finding.rfind("warning", 0) == 0;
}

TEST(Doctor, FindsNothingWrongWithASoundMachine)
{
    Machine m;
    for (const std::string &settings : {nic, shared_nic})
        for (const std::string &finding : m.examine(settings))
            EXPECT_FALSE(is_trouble(finding)) << finding;
}

struct Row {
    const char *why;
    const std::string *settings;
    void (*spoil)(Machine &m);
    const char *finding, *remedy;
};

const Row rows[] = {
    {"an old processor", &nic, [](Machine &m) { m.write("proc/cpuinfo", "flags : fpu ssse3 sse4_1 popcnt\n"); },
     "bad cpu: the processor lacks sse4_2", "x86-64-v2"},
    {"a flag that only begins like the wanted one", &nic,
     [](Machine &m) { m.write("proc/cpuinfo", "flags : fpu ssse3 sse4_1 sse4_2x popcnt\n"); },
     "bad cpu: the processor lacks sse4_2", ""},
    {"a worker's CPU is offline", &nic, [](Machine &m) { m.write("sys/devices/system/cpu/online", "0-4\n"); },
     "bad cores: CPU 5 is not online", "dataplane.cores"},
    {"shared CPUs", &nic, [](Machine &m) { m.write("sys/devices/system/cpu/isolated", "2-3\n"); },
     "warning cores: the workers' CPUs 2-5 are shared", "isolcpus="},
    {"a sleepy governor", &nic,
     [](Machine &m) { m.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"); },
     "warning cores: the frequency governor is powersave", "cpupower"},
    {"no huge pages for a NIC", &nic,
     [](Machine &m) { m.write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n"); },
     "bad huge pages: 6 MB are free", "scripts/hugepages"},
    {"no IOMMU", &nic,
     [](Machine &m) {
         fs::remove_all(m.root / "sys/class/iommu");
         fs::remove_all(m.root / "sys/kernel/iommu_groups/0");
     },
     "warning iommu: there is none", "VT-d"},
    {"no such device", &nic, [](Machine &m) { fs::remove_all(m.root / "sys/bus/pci/devices"); },
     "bad port pci:0000:01:00.0: there is no device", "lspci"},
    {"the kernel has the NIC", &nic, [](Machine &m) { m.device(bdf, "ixgbe", "7"); },
     "is bound to ixgbe, not to vfio-pci", "scripts/nic bind"},
    {"a NIC without an IOMMU group", &nic,
     [](Machine &m) { fs::remove(m.root / "sys/bus/pci/devices/0000:01:00.0/iommu_group"); },
     "belongs to no IOMMU group", ""},
    {"a group with a device of the kernel's", &nic, [](Machine &m) { m.device("0000:01:00.1", "ixgbe", "7"); },
     "IOMMU group 7 is not viable: 0000:01:00.1", "all devices"},
    {"no rights to the group", &nic, [](Machine &m) { fs::remove(m.root / "dev/vfio/7"); }, "/dev/vfio/7", "chown"},
    {"an unprotected driver", &nic, [](Machine &m) { m.device(bdf, "uio_pci_generic", "7"); },
     "warning port pci:0000:01:00.0: 0000:01:00.0 is bound to uio_pci_generic", "vfio-pci"},
    {"no NIC at all", &nic, [](Machine &m) { m.write("sys/bus/pci/devices/0000:01:00.0/class", "0x010802\n"); },
     "is no NIC (class 0x010802)", "lspci"},
    {"no TAP driver", &nic, [](Machine &m) { fs::remove(m.root / "dev/net/tun"); }, "bad kernel interface",
     "modprobe tun"},
    {"no vhost-net", &nic, [](Machine &m) { fs::remove(m.root / "dev/vhost-net"); }, "note kernel interface",
     "modprobe vhost_net"},
    {"no such interface", &shared_nic, [](Machine &m) { fs::remove_all(m.root / "sys/class/net/eth0"); },
     "bad port af_xdp:eth0: there is no interface eth0", "ip link"},
    {"a link that is down", &shared_nic, [](Machine &m) { m.write("sys/class/net/eth0/operstate", "down\n"); },
     "the link of eth0 is down", "cable"},
    {"a small MTU", &shared_nic, [](Machine &m) { m.write("sys/class/net/eth0/mtu", "576\n"); },
     "the MTU of eth0 is 576", "udp_max"},
    {"a large MTU", &shared_nic, [](Machine &m) { m.write("sys/class/net/eth0/mtu", "9000\n"); }, "refuse XDP", "1500"},
    {"too few queues", &shared_nic, [](Machine &m) { fs::remove_all(m.root / "sys/class/net/eth0/queues/rx-3"); },
     "eth0 has 3 receive queues for 4 workers", "ethtool -L"},
    {"too many queues", &shared_nic, [](Machine &m) { m.interface("eth0", "ixgbe", 8); },
     "queries on the others go to the kernel", "ethtool -L"},
};

class DoctorRow : public testing::TestWithParam<Row>
{
};

TEST_P(DoctorRow, IsFoundWithItsRemedy)
{
    Machine m;
    GetParam().spoil(m);
    const auto found = m.examine(*GetParam().settings);
    EXPECT_THAT(found, testing::Contains(testing::AllOf(HasSubstr(GetParam().finding), HasSubstr(GetParam().remedy))))
        << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(All, DoctorRow, testing::ValuesIn(rows), [](const auto &row) {
    std::string name;
    for (const char *p = row.param.why; *p; p++)
        name += isalnum(static_cast<unsigned char>(*p)) ? *p : '_';
    return name;
});

TEST(Doctor, ReadsTheKernelsLists)
{
    EXPECT_TRUE(doctor_is_listed("0-3,8", 0));
    EXPECT_TRUE(doctor_is_listed("0-3,8", 3));
    EXPECT_TRUE(doctor_is_listed("0-3,8", 8));
    EXPECT_FALSE(doctor_is_listed("0-3,8", 4));
    EXPECT_FALSE(doctor_is_listed("", 0));
    EXPECT_FALSE(doctor_is_listed("x", 0));
    EXPECT_FALSE(doctor_is_listed("1x,5", 5)) << "no list";
}

} // namespace
