// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

extern "C" {
#include "dataplane/options.h"
}

namespace
{

using testing::HasSubstr;

struct Parsed {
    std::vector<std::string> words;
    std::vector<char *> argv;
    options o{};
    char why[512] = "";
    int rc;

    explicit Parsed(std::vector<std::string> w) : words(std::move(w))
    {
        words.insert(words.begin(), "signpost-dataplane");
        for (std::string &word : words)
            argv.push_back(word.data());
        rc = options_parse(&o, static_cast<int>(argv.size()), argv.data(), why, sizeof why);
    }
    idle_policy idle() const
    {
        return options_idle(&o);
    }
};

TEST(Options, HaveDefaultsThatNeedOnlyAPort)
{
    Parsed p({"--port", "af_packet:eth0"});
    ASSERT_EQ(p.rc, 0) << p.why;
    EXPECT_EQ(p.o.port_count, 1u);
    EXPECT_EQ(p.o.port[0].kind, PORT_AF_PACKET);
    EXPECT_STREQ(p.o.port[0].name, "eth0");
    EXPECT_STREQ(p.o.socket_path, "/run/signpost/dataplane.sock");
    EXPECT_STREQ(p.o.state_dir, "/var/lib/signpost/dataplane");
    EXPECT_EQ(p.o.core_count, 0u);
    EXPECT_TRUE(p.o.has_tcp);
    EXPECT_EQ(p.o.huge, HUGE_AUTO);
    EXPECT_EQ(options_idle(&p.o), IDLE_SLEEP);
}

TEST(Options, TakeEveryOptionInBothSpellings)
{
    Parsed p({"--port=pci:0000:01:00.1",
              "--port",
              "memif:server:/run/m.sock",
              "--cores",
              "1,4-6",
              "--socket=/s",
              "--state-dir",
              "/d",
              "--idle",
              "sleep",
              "--address",
              "192.0.2.1",
              "--address=2001:db8::1",
              "--tcp",
              "off",
              "--huge=on",
              "-v",
              "--",
              "--log-level=debug",
              "-n",
              "2"});
    ASSERT_EQ(p.rc, 0) << p.why;
    EXPECT_EQ(p.o.port[0].kind, PORT_PCI);
    EXPECT_EQ(p.o.port[1].kind, PORT_MEMIF);
    EXPECT_TRUE(p.o.port[1].is_memif_server);
    EXPECT_STREQ(p.o.port[1].name, "/run/m.sock");
    ASSERT_EQ(p.o.core_count, 4u);
    EXPECT_EQ(p.o.core[0], 1);
    EXPECT_EQ(p.o.core[3], 6);
    EXPECT_STREQ(p.o.socket_path, "/s");
    EXPECT_STREQ(p.o.state_dir, "/d");
    EXPECT_EQ(options_idle(&p.o), IDLE_SLEEP);
    ASSERT_EQ(p.o.address_count, 2u);
    EXPECT_FALSE(p.o.address[0].is_ipv6);
    EXPECT_TRUE(p.o.address[1].is_ipv6);
    EXPECT_EQ(p.o.address[1].address[15], 1);
    EXPECT_FALSE(p.o.has_tcp);
    EXPECT_EQ(p.o.huge, HUGE_ON);
    EXPECT_TRUE(p.o.is_verbose);
    ASSERT_EQ(p.o.eal_count, 3u);
    EXPECT_STREQ(p.o.eal[2], "2");
}

TEST(Options, PollWithoutPauseOnlyWhereANicIsOurOwn)
{
    EXPECT_EQ(Parsed({"--port", "pci:01:00.0"}).idle(), IDLE_BUSY);
    EXPECT_EQ(Parsed({"--port", "af_packet:a", "--port", "pci:01:00.0"}).idle(), IDLE_BUSY);
    EXPECT_EQ(Parsed({"--port", "vdev:net_null0"}).idle(), IDLE_SLEEP);
    EXPECT_EQ(Parsed({"--port", "vdev:net_null0", "--idle", "busy"}).idle(), IDLE_BUSY);
    EXPECT_EQ(Parsed({"--port", "vdev:net_null0", "--idle", "pause"}).idle(), IDLE_PAUSE);
}

TEST(Options, NeedNoPortToHelp)
{
    EXPECT_EQ(Parsed({"--help"}).rc, 0);
    EXPECT_EQ(Parsed({"--version"}).rc, 0);
}

struct Wrong {
    std::vector<std::string> words;
    const char *says;
    const char *why;
};

class WrongOptions : public testing::TestWithParam<Wrong>
{
};

TEST_P(WrongOptions, AreRefusedWithTheRemedy)
{
    Parsed p(GetParam().words);
    EXPECT_LT(p.rc, 0) << GetParam().why;
    EXPECT_THAT(p.why, HasSubstr(GetParam().says)) << GetParam().why;
}

const std::string port = "--port=af_packet:eth0";

INSTANTIATE_TEST_SUITE_P(
    Rows, WrongOptions,
    testing::Values(Wrong{{}, "--port af_packet:eth0", "without a port nothing can be received; an example helps"},
                    Wrong{{"--port"}, "a value is missing", "end of the line"},
                    Wrong{{"--port", "eth0"}, "af_packet:IFACE", "the kinds are listed"},
                    Wrong{{"--port", "af_packet:"}, "af_packet:IFACE", "empty name"},
                    Wrong{{"--port", "xdp:eth0"}, "af_xdp:IFACE", "unknown kind"},
                    Wrong{{"--port", "af_packet:a23456789012345678"}, "name of an interface", "longer than IFNAMSIZ"},
                    Wrong{
                        {"--port", "af_packet:e,qpairs=9"}, "name of an interface", "must not reach DPDK's arguments"},
                    Wrong{{"--port", "memif:/tmp/s"}, "memif:server:SOCKET", "role is missing"},
                    Wrong{{"--port", "memif:server:"}, "memif:server:SOCKET", "path is missing"},
                    Wrong{{"--port", "memif:client:" + std::string(108, 'x')}, "107", "longer than sun_path"},
                    Wrong{{"--port", "af_xdp:../e"}, "name of an interface", "a path"},
                    Wrong{{"--port", "memif:client:/a,b"}, "has a comma", "must not reach DPDK's arguments"},
                    Wrong{{"--port", "vdev:" + std::string(1000, 'x')}, "longer than", "more than there is room for"},
                    Wrong{{"--port", "pci:0000:01:20.0"}, "0000:01:00.0", "device above 31"},
                    Wrong{{"--port", "pci:01:20.0"}, "0000:01:00.0", "device above 31, without domain"},
                    Wrong{{"--port", "pci:01:00.8"}, "0000:01:00.0", "function above 7, without domain"},
                    Wrong{{"--port", "pci:01:00.0x"}, "0000:01:00.0", "something behind, without domain"},
                    Wrong{{"--port", "pci:eth0"}, "0000:01:00.0", "not a PCI address"},
                    Wrong{{"--port", "pci:0000:01:00.9"}, "0000:01:00.0", "function above 7"},
                    Wrong{{"--port", "pci:0000:01:00.0x"}, "0000:01:00.0", "something behind"},
                    Wrong{{port, port}, "given twice", "the same device"},
                    Wrong{{port, "--cores", ""}, "expected CPU numbers", "empty list"},
                    Wrong{{port, "--cores", "1,"}, "expected CPU numbers", "ends with a comma"},
                    Wrong{{port, "--cores", "3-1"}, "expected CPU numbers", "backwards"},
                    Wrong{{port, "--cores", "1-"}, "expected CPU numbers", "open range"},
                    Wrong{{port, "--cores", "x"}, "expected CPU numbers", "no number"},
                    Wrong{{port, "--cores", ":"}, "expected CPU numbers", "behind the digits"},
                    Wrong{{port, "--cores", "1-x"}, "expected CPU numbers", "no end"},
                    Wrong{{port, "--cores", "1-:"}, "expected CPU numbers", "no end, behind the digits"},
                    Wrong{{port, "--kernel-interface", ""}, "name of an interface", "empty"},
                    Wrong{{port, "--kernel-interface", "a234567890123456"}, "at most 15", "longer than IFNAMSIZ"},
                    Wrong{{port, "--kernel-interface", "a/b"}, "name of an interface", "a path"},
                    Wrong{{port, "--a-very-long-option-that-nobody-has"}, "unknown option", "longer than any of ours"},
                    Wrong{{port, "--cores", "1,1"}, "named twice", "two workers on one CPU"},
                    Wrong{{port, "--cores", "99999999999"}, "0 to 1023", "beyond any machine"},
                    Wrong{{port, "--cores", "0-999"}, "at most 62", "more than counter blocks"},
                    Wrong{{port, "--cores=1", "--cores=2"}, "given twice", "which one is meant is not clear"},
                    Wrong{{port, "--address", "192.0.2.0/24"}, "without prefix", "a network is not an address"},
                    Wrong{{port, "--idle", "never"}, "auto, busy, pause, sleep", "allowed words are listed"},
                    Wrong{{port, "--huge", "yes"}, "auto, on, off", "allowed words are listed"},
                    Wrong{{port, "--tcp", "maybe"}, "off, on", "allowed words are listed"},
                    Wrong{{port, "--prot"}, "unknown option", "typing error"},
                    Wrong{{port, "extra"}, "unknown option", "no operands"}));

TEST(Options, SayHowMuchTheyTell)
{
    for (const char *word : {"-v", "--verbose"})
        EXPECT_TRUE(Parsed({port, word}).o.is_verbose) << word;
    EXPECT_TRUE(Parsed({"-h"}).o.wants_help);
    EXPECT_STREQ(Parsed({port, "--kernel-interface", "sp0"}).o.kernel_interface, "sp0");
}

TEST(Options, LimitTheNumberOfAddresses)
{
    std::vector<std::string> words{port};
    for (int i = 0; i <= OPTIONS_ADDRESS_MAX; i++)
        words.push_back("--address=2001:db8::" + std::to_string(i));
    Parsed p(words);
    EXPECT_LT(p.rc, 0);
    EXPECT_THAT(p.why, HasSubstr("at most"));
}

TEST(Options, LimitTheNumberOfPorts)
{
    std::vector<std::string> words;
    for (int i = 0; i <= OPTIONS_PORT_MAX; i++)
        words.push_back("--port=vdev:net_null" + std::to_string(i));
    Parsed p(words);
    EXPECT_LT(p.rc, 0);
    EXPECT_THAT(p.why, HasSubstr("at most 8"));
}

struct ParsedStandby {
    std::vector<std::string> words;
    std::vector<char *> argv;
    options o{};
    char why[512] = "";
    int rc;

    explicit ParsedStandby(std::vector<std::string> w) : words(std::move(w))
    {
        words.insert(words.begin(), "signpost-standby");
        for (std::string &word : words)
            argv.push_back(word.data());
        rc = options_parse_standby(&o, static_cast<int>(argv.size()), argv.data(), why, sizeof why);
    }
};

TEST(Options, OfTheStandbyNeedAnAddressAndHaveItsOwnPaths)
{
    ParsedStandby p({"--address", "192.0.2.1", "--address=2001:db8::1", "--tcp", "off"});
    ASSERT_EQ(p.rc, 0) << p.why;
    EXPECT_EQ(p.o.address_count, 2u);
    EXPECT_FALSE(p.o.has_tcp);
    EXPECT_STREQ(p.o.socket_path, "/run/signpost/standby.sock");
    EXPECT_STREQ(p.o.state_dir, "/var/lib/signpost/standby");
    ParsedStandby none({"--tcp", "on"});
    EXPECT_EQ(none.rc, -EINVAL);
    EXPECT_THAT(none.why, HasSubstr("--address 192.0.2.53"));
}

TEST(Options, OfTheStandbyKnowNothingOfPorts)
{
    for (const char *option : {"--port", "--cores", "--idle", "--huge", "--kernel-interface", "--"}) {
        ParsedStandby p({"--address", "192.0.2.1", option, "af_xdp:eth0"});
        EXPECT_EQ(p.rc, -EINVAL) << option;
        EXPECT_THAT(p.why, HasSubstr("unknown option")) << option;
    }
}

TEST(Options, TakeTheKernelInterfaceWithOrWithoutTheWayToIt)
{
    Parsed plain({"--port", "pci:01:00.0", "--kernel-interface", "dns0"});
    ASSERT_EQ(plain.rc, 0) << plain.why;
    EXPECT_EQ(plain.o.kernel_way, KERNEL_WAY_AUTO);
    EXPECT_STREQ(plain.o.kernel_interface, "dns0");
    Parsed vhost({"--port", "pci:01:00.0", "--kernel-interface=vhost:dns0"});
    ASSERT_EQ(vhost.rc, 0) << vhost.why;
    EXPECT_EQ(vhost.o.kernel_way, KERNEL_WAY_VHOST);
    EXPECT_STREQ(vhost.o.kernel_interface, "dns0");
    Parsed tap({"--port", "pci:01:00.0", "--kernel-interface", "tap:a23456789012345"});
    ASSERT_EQ(tap.rc, 0) << tap.why;
    EXPECT_EQ(tap.o.kernel_way, KERNEL_WAY_TAP);
    for (const char *bad : {"", "tap:", "a234567890123456", "a b", "a/b", "veth:x", "a,b"}) {
        Parsed p({"--port", "pci:01:00.0", "--kernel-interface", bad});
        EXPECT_EQ(p.rc, -EINVAL) << bad;
        EXPECT_THAT(p.why, HasSubstr("at most 15 characters")) << bad;
    }
}

TEST(Options, AskTheCardUnlessTold)
{
    EXPECT_TRUE(Parsed({"--port", "pci:01:00.0"}).o.has_offloads);
    EXPECT_FALSE(Parsed({"--port", "pci:01:00.0", "--offloads", "off"}).o.has_offloads);
    EXPECT_EQ(Parsed({"--port", "pci:01:00.0", "--offloads", "some"}).rc, -EINVAL);
}

} // namespace
