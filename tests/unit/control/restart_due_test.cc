// SPDX-License-Identifier: Apache-2.0
#include "control/restart_due.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "tests/support/config_messages.h"

using ::testing::HasSubstr;

namespace
{

using Config = std::unique_ptr<config, void (*)(config *)>;

Config load(const std::string &dataplane, const std::string &more = "")
{
    const std::string text = "node = { name = \"ns1\"; };\ndataplane = { " + dataplane + " };\n" + more +
                             "sites = ( { name = \"ams\"; addresses = \"192.0.2.1\"; } );\n"
                             "zones = ( { name = \"example.com\"; } );\n"
                             "services = ( { name = \"www.example.com\"; sites = \"ams\"; } );\n";
    config_errors errors{};
    config *c = nullptr;
    config_load_text("/etc/signpost/signpost.conf", text.data(), text.size(), CONFIG_LOAD_NO_FILES, &c, &errors);
    EXPECT_NE(c, nullptr) << config_messages(errors);
    config_errors_fini(&errors);
    return Config(c, config_free);
}

std::string due(const Config &now, const Config &next)
{
    config_errors errors{};
    if (!now || !next)
        return "not loaded";
    restart_due_report(now.get(), next.get(), "f.conf", &errors);
    EXPECT_EQ(errors.error_count, 0u);
    const std::string all = config_messages(errors);
    config_errors_fini(&errors);
    return all;
}

TEST(RestartDue, what_a_reload_puts_into_force_is_not_mentioned)
{
    const std::string same = "ports = \"af_packet:eth0\"; addresses = \"192.0.2.53\"; cores = \"1\";";
    EXPECT_EQ(due(load(same), load(same)), "");
    EXPECT_EQ(due(load(same), load(same, "dns = { udp_max = 1400; };\ncontrol = { metrics = \"127.0.0.1:9153\"; };\n")),
              "");
}

TEST(RestartDue, what_a_program_reads_at_its_start_is_named_with_the_program)
{
    struct {
        const char *now, *next, *key, *program;
    } const rows[] = {
        {"ports = \"af_packet:eth0\";", "ports = \"af_packet:eth1\";", "dataplane.ports", "signpost-dataplane"},
        {"ports = \"af_packet:eth0\";", "ports = ( \"af_packet:eth0\", \"af_packet:eth1\" );", "dataplane.ports",
         "signpost-dataplane"},
        {"cores = \"1\";", "cores = \"1-2\";", "dataplane.cores", "signpost-dataplane"},
        {"addresses = \"192.0.2.53\";", "addresses = \"192.0.2.54\";", "dataplane.addresses", "signpost-dataplane"},
        {"addresses = \"192.0.2.53\";", "addresses = ( \"192.0.2.53\", \"2001:db8::53\" );", "dataplane.addresses",
         "signpost-dataplane"},
        {"idle = \"busy\";", "idle = \"sleep\";", "dataplane.idle", "signpost-dataplane"},
        {"huge_pages = \"on\";", "huge_pages = \"off\";", "dataplane.huge_pages", "signpost-dataplane"},
        {"offloads = true;", "offloads = false;", "dataplane.offloads", "signpost-dataplane"},
        {"tcp = true;", "tcp = false;", "dataplane.tcp", "signpost-dataplane"},
        {"", "kernel_interface = \"dns0\";", "dataplane.kernel_interface", "signpost-dataplane"},
        {"", "socket = \"/run/x.sock\";", "dataplane.socket", "each of the programs"},
        {"addresses = \"192.0.2.53\";", "addresses = \"192.0.2.53\"; standby_socket = \"/run/x.sock\";",
         "dataplane.standby_socket", "each of the programs"},
        {"", "state_dir = \"/var/x\";", "dataplane.state_dir", "signpost-dataplane"},
        {"", "standby_state_dir = \"/var/x\";", "dataplane.standby_state_dir", "signpost-standby"},
        {"", "eal_options = ( \"--log-level=8\" );", "dataplane.eal_options", "signpost-dataplane"},
    };
    for (const auto &row : rows)
        EXPECT_EQ(due(load(row.now), load(row.next)), std::string("f.conf: warning: ") + row.key +
                                                          ": has changed; in force when " + row.program +
                                                          " is started again\n");
    for (const char *key : {"socket", "socket_group", "state_dir"})
        EXPECT_THAT(due(load(""), load("", std::string("control = { ") + key + " = \"/x\"; };\n")),
                    HasSubstr(std::string("control.") + key + ": has changed; in force when signpost-control is"));
}

} // namespace
