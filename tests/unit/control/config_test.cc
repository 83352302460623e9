// SPDX-License-Identifier: Apache-2.0
// Reading and checking a configuration: good ones come out as meant, and for each check there is one that fails it.
#include "control/config.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "tests/support/config_messages.h"

namespace
{

using ::testing::HasSubstr;

struct Free {
    void operator()(config *c) const
    {
        config_free(c);
    }
};

struct Loaded {
    int rc;
    std::unique_ptr<config, Free> parsed;
    std::string messages; // one line each
    unsigned errors, warnings;
};

Loaded finish(int rc, config *c, config_errors &errors)
{
    Loaded l{rc, std::unique_ptr<config, Free>(c), config_messages(errors), errors.error_count, errors.warning_count};
    config_errors_fini(&errors);
    return l;
}

Loaded load(const std::string &text)
{
    config_errors errors{};
    config *c = nullptr;
    int rc = config_load_text("/etc/signpost/test.conf", text.data(), text.size(), CONFIG_LOAD_NO_FILES, &c, &errors);
    return finish(rc, c, errors);
}

Loaded load_file(const std::string &path)
{
    config_errors errors{};
    config *c = nullptr;
    int rc = config_load(path.c_str(), &c, &errors);
    return finish(rc, c, errors);
}

// A good file in pieces, of which a test replaces one.
struct Parts {
    std::string node = R"(node = { name = "n1"; site = "ams"; };)";
    std::string ams = R"(name = "ams"; addresses = ( "192.0.2.1", "2001:db8::1" );
        nodes = ( { name = "n1"; address = "192.0.2.53"; } );)";
    std::string fra = R"(name = "fra"; addresses = ( "198.51.100.1" );
        nodes = ( { name = "n2"; address = "198.51.100.53"; } );)";
    std::string service = R"(name = "www.example.com"; sites = ( "ams", "fra" );)";
    std::string zones = R"(zones = ( { name = "example.com"; } );)";
    std::string heartbeat = R"(heartbeat = { key_file = "key"; };)";
    std::string rest;

    std::string text() const
    {
        return node + "\n" + heartbeat + "\n" + zones + "\nsites = ( {\n" + ams + "\n}, {\n" + fra +
               "\n} );\nservices = ( {\n" + service + "\n} );\n" + rest;
    }
};

TEST(Config, fills_defaults_and_what_follows_from_other_keys)
{
    Parts p;
    p.ams += R"(web = { }; database = { probe = "https"; keyword = "db1"; interval = "200ms"; };)";
    Loaded l = load(p.text());
    ASSERT_EQ(l.rc, 0) << l.messages;
    EXPECT_EQ(l.messages, "");
    const config &c = *l.parsed;
    EXPECT_STREQ(c.path, "/etc/signpost/test.conf");
    EXPECT_STREQ(c.zones[0].file, "/etc/signpost/example.com.zone");
    EXPECT_STREQ(c.heartbeat.key_file, "/etc/signpost/key");
    EXPECT_EQ(c.heartbeat.listen.port, 7053);
    EXPECT_EQ(c.heartbeat.interval_ns, 50000000u);
    EXPECT_EQ(c.control.metrics.port, 9153);
    EXPECT_EQ(c.dns.udp_max, 1232u);
    EXPECT_EQ(c.node.site_at, 0);
    EXPECT_EQ(c.node.node_at, 0);
    EXPECT_EQ(c.sites[1].nodes[0].address.port, 7053);
    ASSERT_EQ(c.sites[0].group_count, 2u);
    const config_group &web = c.sites[0].groups[0], &database = c.sites[0].groups[1];
    EXPECT_STREQ(web.name, "web");
    ASSERT_EQ(web.server_count, 2u) << "the site's addresses, when no servers are given";
    EXPECT_EQ(web.servers[1].port, 80);
    EXPECT_TRUE(web.servers[1].address.is_ipv6);
    EXPECT_EQ(web.statuses[0].first, 200);
    EXPECT_EQ(web.statuses[0].last, 399);
    EXPECT_EQ(web.max_age_ns, 5000000000u) << "at least 5 s";
    EXPECT_STREQ(database.name, "database");
    EXPECT_EQ(database.servers[0].port, 443);
    EXPECT_EQ(database.timeout_ns, 160000000u) << "four fifths of a short interval";
    const config_service &s = c.services[0];
    EXPECT_EQ(s.zone_at, 0);
    EXPECT_EQ(s.ttl_s, 30u);
    EXPECT_EQ(s.ttl_min_s, 5u);
    ASSERT_EQ(s.record_count, 1u);
    EXPECT_EQ(s.records[0], CONFIG_RECORD_ADDRESS);
    EXPECT_EQ(s.sites[1].site_at, 1u);
    EXPECT_EQ(s.sites[0].address_count, 2u);
    EXPECT_EQ(s.all_down, CONFIG_FAIL_OPEN);
    EXPECT_EQ(s.origin.line, 11u);
}

TEST(Config, reads_every_kind_of_value)
{
    Parts p;
    p.rest = R"(
        dns = { udp_max = 1400; nsid = "n1"; any_ttl = "2h"; cookies = { enable = false; };
                rate_limit = { enable = true; slip = 0; }; };
        control = { journal_max = "1G"; metrics = ""; log_level = "debug"; agent = "[::1]:7777"; start_wait = 0; };
        dataplane = { ports = "af_packet:eth0"; cores = "2-5,8"; idle = "busy"; huge_pages = "off"; };
        regions = ( { name = "eu"; prefixes = ( "192.0.2.0/24", "2001:db8::/32" ); sites = ( "fra" );
                      coordinates = ( 52.5, 13 ); asns = ( 64500, 4200000000 ); } );
        geoip = { asn_file = "asn.mmdb"; file = "/usr/share/GeoIP/city.mmdb"; };)";
    p.service += R"(ttl = 3; policy = ( "locality", { stage = "load"; high = 90; low = "70%"; spill = false; },
                    { stage = "response_time"; tolerance = "2ms"; }, "spread" );
                    records = ( "address", "https" ); alpn = ( "h2" ); port = 8443;)";
    p.service.replace(p.service.find("\"fra\""), 5, R"({ site = "fra"; weight = 3; target = "fra.example.com."; })");
    Loaded l = load(p.text());
    ASSERT_EQ(l.rc, 0) << l.messages;
    const config &c = *l.parsed;
    EXPECT_EQ(c.dns.any_ttl_s, 7200u);
    EXPECT_FALSE(c.dns.cookies.enable);
    EXPECT_EQ(c.dns.rate_limit.slip, 0u);
    EXPECT_EQ(c.control.journal_max_bytes, 1u << 30);
    EXPECT_FALSE(c.control.metrics.address.is_set);
    EXPECT_EQ(c.control.log_level, CONFIG_LOG_DEBUG);
    EXPECT_EQ(c.control.agent.port, 7777);
    EXPECT_EQ(c.control.start_wait_ns, 0u);
    ASSERT_EQ(c.dataplane.port_count, 1u) << "a single value is a list of one";
    EXPECT_EQ(c.dataplane.huge_pages, CONFIG_OFF);
    EXPECT_EQ(c.regions[0].site_at[0], 1);
    EXPECT_EQ(c.regions[0].prefixes[1].prefix_len, 32);
    EXPECT_EQ(c.regions[0].asns[1], 4200000000u) << "more than 31 bits, without an L";
    EXPECT_DOUBLE_EQ(c.regions[0].coordinates.longitude, 13);
    const config_service &s = c.services[0];
    EXPECT_EQ(s.ttl_min_s, 3u) << "the default of 5 s, but never above ttl";
    ASSERT_EQ(s.policy_count, 4u);
    EXPECT_EQ(s.policy[1].low_percent, 70u);
    EXPECT_FALSE(s.policy[1].spill);
    EXPECT_EQ(s.policy[2].tolerance_percent, 25u);
    EXPECT_EQ(s.policy[3].type, CONFIG_STAGE_SPREAD);
    EXPECT_STREQ(s.sites[1].target, "fra.example.com") << "without the final dot";
    EXPECT_EQ(s.sites[1].weight, 3u);
}

TEST(Config, finds_the_closest_zone_without_regard_to_case)
{
    Parts p;
    p.zones = R"(zones = ( { name = "."; }, { name = "example.com."; }, { name = "b.Example.COM"; },
                           { name = "ample.com"; } );)";
    p.service = R"(name = "www.B.example.com."; sites = "ams";)";
    p.rest = R"(include = ( );)";
    Loaded l = load(p.text());
    ASSERT_EQ(l.rc, 0) << l.messages;
    EXPECT_EQ(l.parsed->services[0].zone_at, 2);
    EXPECT_STREQ(l.parsed->zones[0].file, "/etc/signpost/root.zone");
    p.service = R"(name = "example.com"; sites = "ams";)";
    l = load(p.text());
    ASSERT_EQ(l.rc, 0) << l.messages;
    EXPECT_EQ(l.parsed->services[0].zone_at, 1) << "the apex itself";
    p.service = R"(name = "xample.com"; sites = "ams";)";
    l = load(p.text());
    EXPECT_EQ(l.parsed->services[0].zone_at, 0) << "a suffix of the text is not a zone above";
}

TEST(Config, reports_all_errors_of_a_run_in_the_order_of_the_file)
{
    Loaded l = load("node = { nam = \"n1\"; };\n"
                    "control = { log_level = \"loud\";\n"
                    "            start_wait = \"2m\"; };\n"
                    "sites = ( { name = \"ams\"; dwell = 5; } );\n"
                    "servces = ( );\n");
    EXPECT_EQ(l.rc, -EINVAL);
    EXPECT_EQ(l.parsed, nullptr);
    EXPECT_THAT(l.messages, HasSubstr("test.conf:1: error: node.nam: unknown key; did you mean \"name\"?\n"));
    EXPECT_THAT(l.messages, HasSubstr("test.conf:1: error: node.name: is missing\n"));
    EXPECT_THAT(l.messages,
                HasSubstr("test.conf:2: error: control.log_level: \"loud\" is not known; allowed: \"error\", "
                          "\"warning\", \"notice\", \"info\" or \"debug\"\n"));
    EXPECT_THAT(l.messages, HasSubstr("test.conf:3: error: control.start_wait: \"2m\" is out of range; allowed: a "
                                      "duration, 0 to 1m\n"));
    EXPECT_THAT(l.messages, HasSubstr("test.conf:4: error: sites[ams].dwell: 5 has no unit"));
    EXPECT_THAT(l.messages, HasSubstr("test.conf:5: error: servces: unknown key; did you mean \"services\"?\n"));
    size_t last = 0;
    for (const char *line : {"conf:1:", "conf:2:", "conf:3:", "conf:4:", "conf:5:"}) {
        size_t at = l.messages.find(line);
        EXPECT_GE(at, last) << line << " is out of order:\n" << l.messages;
        last = at;
    }
}

TEST(Config, says_where_a_name_was_first_given)
{
    Parts p;
    p.fra.replace(p.fra.find("\"fra\""), 5, "\"ams\"");
    Loaded l = load(p.text());
    EXPECT_THAT(l.messages, HasSubstr("there is another site \"ams\" in line 4 of /etc/signpost/test.conf"));
}

// ---- one row for each check ----

struct Row {
    std::string Parts::*part; // what is replaced or, with "+", lengthened
    const char *text;
    const char *message; // must be among the messages
    const char *why;
};

const Row rows[] = {
    // values
    {&Parts::rest, "dns = { udp_max = 511; };",
     "error: dns.udp_max: 511 is out of range; allowed: a whole number, 512 to 4096", "below the range"},
    {&Parts::rest, "dns = { udp_max = 4097; };", "dns.udp_max: 4097 is out of range", "above the range"},
    {&Parts::rest, "dns = { udp_max = -1; };", "dns.udp_max: -1 is negative", "libconfig gives signed numbers"},
    {&Parts::rest, "dns = { udp_max = 4294968528; };", "dns.udp_max: 4294968528 is out of range",
     "1232 when cut to 32 bits, which is what libconfig does"},
    {&Parts::rest, "dns = { udp_max = 99999999999999999999; };", "this number is too large", "libconfig saturates"},
    {&Parts::rest, "dns = { udp_max = 0x600; };", "written in hexadecimal", "libconfig cuts it to 32 bits"},
    {&Parts::rest, "dns = { udp_max = 1232.0; };", "is not a whole number", "a float"},
    {&Parts::rest, "dns = { udp_max = \"1232\"; };", "write the number without quotes", "a number in quotes"},
    {&Parts::rest, "dns = { client_subnet = \"on\"; };", "write true or false, without quotes", "a text for a boolean"},
    {&Parts::rest, "dns = { client_subnet = 1; };", "1 is neither", "a number for a boolean"},
    {&Parts::rest, "dns = { any_ttl = \"1500ms\"; };", "not a whole number of seconds", "TTLs are seconds"},
    {&Parts::rest, "dns = { any_ttl = \"soon\"; };", "\"soon\" is not a duration", "no number at all"},
    {&Parts::rest, "dns = { stale_after = \"1x\"; };", "units are ns, us, ms, s, m, h, d, w", "an unknown unit"},
    {&Parts::rest, "control = { journal_max = \"64Q\"; };", "\"64Q\" is not a size", "an unknown unit"},
    {&Parts::rest, "control = { journal_max = 1; };", "allowed: a size, 64K to 16G", "too small"},
    {&Parts::rest, "control = { metrics = \"localhost:80\"; };", "\"localhost:80\" is not an address", "a host name"},
    {&Parts::rest, "control = { metrics = 9153; };", "is not a text in double quotes", "a port alone"},
    {&Parts::rest, "control = { log_level = \"warn\"; };", "\"warn\" is not known",
     "three letters short is another word"},
    {&Parts::rest, "control = { log_level = \"warnin\"; };", "did you mean \"warning\"?", "a slip"},
    {&Parts::rest, "control = { metrics_adress = \"\"; };", "control.metrics_adress: unknown key", "nothing is near"},
    {&Parts::rest, "dataplane = { ports = ( \"af_packet:a\", \"\" ); };", "dataplane.ports[1]: \"\" is empty",
     "an entry of a list, by number"},
    {&Parts::rest, "dns = ( );", "dns: a group { ... } belongs here", "a list for a group"},
    {&Parts::rest, "geoip = \"x\";", "geoip: a group { ... } belongs here", "a text for a group"},
    {&Parts::service, "name = \"www..example.com\"; sites = \"ams\";", "is not a DNS name", "an empty label"},
    {&Parts::service, "name = \"www.example.com\"; sites = ( );", "the list is empty", "a required list"},
    {&Parts::service, "name = \"www.example.com\";", "services[www.example.com].sites: is missing", "a required list"},
    {&Parts::service, "sites = \"ams\";", "services[0].name: is missing", "an entry without a name goes by number"},
    {&Parts::service, "name = \"www.example.com\"; sites = ( \"ams\", 7 );",
     "services[www.example.com].sites[1]: a name in double quotes, or a group",
     "a number for a group with a short form"},
    {&Parts::rest, "regions = ( { name = \"a b\"; prefixes = \"192.0.2.0/24\"; } );", "\"a b\" is not a name",
     "a blank in a name"},
    {&Parts::rest, "regions = ( { name = \"a\"; prefixes = \"192.0.2.1/24\"; } );", "bits set behind its length",
     "a network with a host part"},
    {&Parts::rest, "regions = ( { name = \"a\"; prefixes = \"192.0.2.0/24\"; coordinates = ( 91, 0 ); } );",
     "not a pair of degrees", "a latitude past the pole"},
    // node, data plane, control
    {&Parts::node, R"(node = { name = "n1"; site = "asm"; };)", "there is no site \"asm\"; did you mean \"ams\"?",
     "the site exists"},
    {&Parts::node, R"(node = { name = "n9"; site = "ams"; };)", "the site \"ams\" has no node \"n9\"",
     "the node is in its site"},
    {&Parts::node, R"(node = { name = "n1"; site = "fra"; };)", "\"n1\" is a node of the site ams",
     "another site's node"},
    {&Parts::node, R"(node = { name = "n9"; };)", "neither among the nodes of a site nor a witness",
     "no site and no witness"},
    {&Parts::node, "", "error: node: is missing", "a required group"},
    {&Parts::rest, "dataplane = { ports = \"eth0\"; };", "\"eth0\" is no port; allowed: af_packet:IFACE",
     "no kind of port"},
    {&Parts::rest, "dataplane = { cores = \"5-2\"; };", "is no list of cores", "a range that falls"},
    {&Parts::rest, "dataplane = { addresses = ( \"192.0.2.1\", \"192.0.2.1\" ); };",
     "dataplane.addresses[1]: 192.0.2.1 stands in the list twice", "an address twice"},
    {&Parts::rest, "control = { agent = \"192.0.2.1\"; };", "control.agent: a port is needed", "no default port"},
    {&Parts::rest,
     "dataplane = { ports = \"af_packet:eth0\"; addresses = \"192.0.2.1\"; standby_socket = \"/run/s\"; };",
     "would answer it a second time", "af_packet beside a standby"},
    {&Parts::rest, "dataplane = { ports = \"af_xdp:eth0\"; standby_socket = \"/run/s\"; };",
     "the standby answers on `addresses`, and there are none", "a standby without addresses"},
    {&Parts::rest, "control = { socket = \"/run/x\"; }; dataplane = { socket = \"/run/x\"; };",
     "is the data plane's socket as well", "two listeners, one path"},
    // heartbeats
    {&Parts::heartbeat, R"(heartbeat = { key_file = "k"; interval = "60ms"; period = "100ms"; };)",
     "heartbeat.period: is shorter than two intervals, so that one late heartbeat would take a site down; allowed: "
     "120ms",
     "period and interval"},
    {&Parts::heartbeat, "", "heartbeat.key_file: is missing: there are 2 nodes", "peers need a key"},
    {&Parts::fra,
     R"(name = "fra"; addresses = "198.51.100.1"; nodes = ( { name = "n1"; address = "198.51.100.53"; } );)",
     "another node is called \"n1\"", "node names are unique over all sites"},
    {&Parts::fra, R"(name = "fra"; addresses = "198.51.100.1"; nodes = ( { name = "n2"; address = "192.0.2.53"; } );)",
     "the node \"n1\" has the same address and port", "two nodes, one address"},
    {&Parts::heartbeat,
     R"(heartbeat = { key_file = "k"; witnesses = ( { name = "n2"; address = "203.0.113.1"; } ); };)",
     "another node is called \"n2\"", "a witness with a node's name"},
    {&Parts::fra,
     R"(name = "fra"; addresses = "198.51.100.1"; nodes_need = 2; nodes = ( { name = "n2"; address = "198.51.100.53"; } );)",
     "2 of 1 nodes can never be heard; allowed: 1 to 1", "more nodes needed than there are"},
    // groups
    {&Parts::ams, "+web = { servers = ( \"192.0.2.1\" ); need = 2; };",
     "sites[ams].web.need: 2 of 1 servers can never be good; allowed: 1 to 1", "need and servers"},
    {&Parts::ams, "+web = { servers = ( \"192.0.2.1\", \"192.0.2.1:80\" ); };",
     "sites[ams].web.servers[1]: 192.0.2.1:80 stands in the list twice", "the same server by its default port"},
    {&Parts::ams, "+web = { servers = ( ); };", "at least one server is needed", "an empty list is not the default"},
    {&Parts::fra, R"(name = "fra"; web = { }; nodes = ( { name = "n2"; address = "198.51.100.53"; } );)",
     "the site has no addresses to probe instead", "no servers and no addresses"},
    {&Parts::ams, "+web = { probe = \"tcp\"; };", "has no port; write one here, or set `port` of the group",
     "TCP has no usual port"},
    {&Parts::ams, "+web = { probe = \"tcp\"; port = 80; path = \"/x\"; };",
     "sites[ams].web.path: only together with probe = \"http\" or \"https\"", "a key of another kind of probe"},
    {&Parts::ams, "+web = { timeout = \"600ms\"; };", "longer than the interval; allowed: at most 500ms",
     "timeout and interval"},
    {&Parts::ams, "+web = { max_age = \"600ms\"; };", "allowed: at least 900ms", "results would always be too old"},
    {&Parts::ams, "+web = { source = \"2001:db8::9\"; servers = \"192.0.2.1\"; };", "is of another family",
     "source address"},
    {&Parts::ams, "+web = { status = \"200-\"; };", "is no list of status codes", "half a range"},
    {&Parts::ams, "+web = { status = \"700\"; };", "is no list of status codes", "no such class"},
    {&Parts::ams, "+web = { status = \"200,,301\"; };", "is no list of status codes", "an empty entry"},
    {&Parts::ams, "+web = { method = \"GE T\"; };", "\"GE T\" is not a name", "a blank in a method"},
    {&Parts::ams, "+web = { method = \"\"; };", "is no request method", "an empty method"},
    {&Parts::ams, "+web = { probe = \"dns\"; dns = { type = \"AAAAA\"; }; };",
     "sites[ams].web.dns.type: \"AAAAA\" is no type", "no such type"},
    {&Parts::ams, "+web = { method = \"HEAD\"; keyword = \"x\"; };", "a HEAD request has no body",
     "a keyword needs a body"},
    {&Parts::ams, "+web = { path = \"index\"; };", "must start with \"/\"", "a relative path"},
    {&Parts::ams, "+web = { path = \"/a\\r\\nX: y\"; };", "must start with \"/\" and hold no blanks",
     "header injection"},
    {&Parts::ams, "+web = { host = \"a\\r\\nb\"; };", "holds blanks or control characters", "header injection"},
    {&Parts::ams, "+web = { headers = ( \"A: b\", \"no colon\" ); };", "sites[ams].web.headers[1]: is no header",
     "a header without a colon"},
    {&Parts::ams, "+web = { keyword = \"(\"; keyword_match = \"regex\"; };",
     "sites[ams].web.keyword: is no regular expression", "an open parenthesis"},
    {&Parts::ams, "+web = { probe = \"https\"; tls = { cert_file = \"a\"; }; };", "needs both cert_file and key_file",
     "half a certificate"},
    {&Parts::ams, "+web = { probe = \"https\"; tls = { pin_sha256 = \"abc\"; }; };",
     "is not the base64 form of a SHA-256", "a short pin"},
    {&Parts::ams, "+web = { probe = \"https\"; tls = { verify = false; }; };", "warning: sites[ams].web.tls.verify",
     "not an error, but to be said"},
    {&Parts::ams, "+web = { probe = \"script\"; command = ( \"check.sh\" ); };", "needs its program, by its full path",
     "no search path"},
    {&Parts::ams, "+web = { probe = \"file\"; };", "sites[ams].web.file: is missing", "file feed"},
    {&Parts::ams, "+web = { name = \"other\"; };", "this group is called \"web\"", "web has its own name"},
    {&Parts::ams, "+web = ( { } );", "sites[ams].web: a group { ... } belongs here", "web is one group"},
    {&Parts::ams, "+checks = ( { } );", "sites[ams].checks[0].name: is missing", "checks need names"},
    {&Parts::ams, "+checks = ( { name = \"web\"; } );", "is a group of its own, not a check", "reserved names"},
    {&Parts::ams, "+checks = ( { name = \"a\"; }, { name = \"a\"; } );", "another check of this site is called \"a\"",
     "names are unique"},
    {&Parts::ams, "+database = { };", "warning: sites[ams].database.keyword: without a keyword",
     "the page may come while the database is down"},
    // balancers
    {&Parts::ams, "+balancer = { type = \"haproxy-csv\"; };", "sites[ams].balancer[0].url: is missing",
     "nothing to read"},
    {&Parts::ams, "+balancer = { type = \"haproxy-csv\"; url = \"http://lb/\"; };", "with a literal address",
     "a host name"},
    {&Parts::ams, "+balancer = { type = \"haproxy-csv\"; url = \"http://u:p@192.0.2.1/\"; };", "no user name",
     "credentials in a URL are logged everywhere"},
    {&Parts::ams, "+balancer = { type = \"haproxy-csv\"; url = \"ftp://192.0.2.1/\"; };", "http:// or https://",
     "scheme"},
    {&Parts::ams, "+balancer = { type = \"http\"; url = \"http://2001:db8::1/\"; };", "literal address",
     "IPv6 without brackets"},
    {&Parts::ams, "+balancer = { type = \"haproxy-socket\"; };", "one of socket and address is needed", "neither"},
    {&Parts::ams, "+balancer = { type = \"haproxy-socket\"; socket = \"a\"; address = \"192.0.2.1:1\"; };",
     "one of socket and address is needed, not both", "both"},
    {&Parts::ams, "+balancer = { type = \"agent\"; address = \"192.0.2.1\"; };", "an address and a port are needed",
     "no port"},
    {&Parts::ams, "+balancer = { type = \"json\"; url = \"http://192.0.2.1/\"; };",
     "status_path or servers_up_path is needed", "nothing to look at"},
    {&Parts::ams, "+balancer = { type = \"json\"; url = \"http://192.0.2.1/\"; status_path = \"a..b\"; };",
     "is no path", "an empty name in a path"},
    {&Parts::ams, "+balancer = { type = \"json\"; url = \"http://192.0.2.1/\"; status_path = \"a[x]\"; };",
     "is no path", "an index that is no number"},
    {&Parts::ams, "+balancer = { type = \"json\"; role = \"load-only\"; url = \"http://192.0.2.1/\"; };",
     "needs load_path or weight_path", "load without a place to read it from"},
    {&Parts::ams, "+balancer = { type = \"http\"; role = \"alternative\"; url = \"http://192.0.2.1/\"; };",
     "has no groups that it could be an alternative to", "alternative to nothing"},
    {&Parts::ams, "+balancer = { type = \"agent\"; address = \"192.0.2.1:1\"; url = \"http://192.0.2.1/\"; };",
     "only together with type = \"haproxy-csv\" or \"http\" or \"envoy\" or \"json\"", "a key of another type"},
    // sites
    {&Parts::ams, "+name = \"x\";", "duplicate setting name", "libconfig itself refuses"},
    {&Parts::fra,
     R"(name = "fra"; addresses = ( "198.51.100.1", "198.51.100.1" ); nodes = ( { name = "n2"; address = "198.51.100.53"; } );)",
     "sites[fra].addresses[1]: 198.51.100.1 stands in the list twice", "an address twice"},
    {&Parts::service, R"(name = "www.example.com"; sites = "ams";)", "warning: sites[fra]: no service uses this site",
     "perhaps forgotten"},
    // services
    {&Parts::service, R"(name = "www.example.org"; sites = ( "ams", "fra" );)",
     "services[www.example.org].name: lies in none of the zones", "service in a zone"},
    {&Parts::service, R"(name = "www.example.com"; sites = ( "ams", "frr" );)",
     "services[www.example.com].sites[frr].site: there is no site \"frr\"; did you mean \"fra\"?", "site exists"},
    {&Parts::service, R"(name = "www.example.com"; sites = ( "ams", "ams" );)",
     "the site \"ams\" stands in the list twice", "a site twice"},
    {&Parts::service, "+ttl = 10; ttl_min = 11;", "ttl_min: is longer than `ttl`; allowed: 0 to 10", "ttl_min and ttl"},
    {&Parts::service, "+all_down = \"last-resort\";", "last_resort: is needed", "last resort without addresses"},
    {&Parts::service, "+last_resort = ( \"203.0.113.1\" );", "only together with all_down = \"last-resort\"",
     "addresses nobody would use"},
    {&Parts::service, "+records = ( \"srv\" ); port = 80;", "sites[ams].target: SRV records need the host name",
     "SRV needs targets"},
    {&Parts::service, "+records = ( \"srv\" );", "port: SRV records need a port", "SRV needs a port"},
    {&Parts::service, "+port = 80;", "port: only together with records", "a port without a record for it"},
    {&Parts::service, "+alpn = \"h2\";", "alpn: only together with records", "protocols without a record for them"},
    {&Parts::service, "+records = ( \"https\" );", "warning: services[www.example.com].sites[ams].target",
     "order lost"},
    {&Parts::service, "+records = ( \"address\", \"address\" );", "records[1]: stands in the list twice",
     "a record twice"},
    {&Parts::service, "+policy = ( \"load\", \"load\" );", "the stage \"load\" stands in the policy twice",
     "a stage twice"},
    {&Parts::service, "+policy = ( { stage = \"load\"; high = 50; } );", "low: is above `high`; allowed: 0% to 50%",
     "watermarks the wrong way round"},
    {&Parts::service, "+policy = ( { stage = \"load\"; sticky = true; } );", "only together with stage = \"spread\"",
     "an option of another stage"},
    {&Parts::service, "+policy = ( { stage = \"locality\"; by = \"distance\"; } );",
     "the site \"ams\" has no coordinates", "distance needs places"},
    {&Parts::service, "+policy = \"locality\";",
     "warning: services[www.example.com].policy[locality]: there are no regions", "a stage that does nothing"},
    {&Parts::service, "name = \"www.example.com\"; sites = ( { site = \"ams\"; weight = 0; } ); policy = \"spread\";",
     "all sites of the service have the weight 0", "nothing to spread over"},
    {&Parts::service, "+policy = \"lod\";", "\"lod\" is not known, did you mean \"load\"?", "a slip in a short form"},
    {&Parts::service, "+groups = ( \"wbe\" );", "none of the service's sites has a group \"wbe\"", "group exists"},
    {&Parts::service, R"(name = "*.example.com"; sites = ( "ams", "fra" ); debug_names = true;)", "not for a wildcard",
     "<site>.* is nothing"},
    {&Parts::zones, R"(zones = ( { name = "example.com"; }, { name = "EXAMPLE.com."; } );)", "there is another zone",
     "names without regard to case and final dot"},
    // regions
    {&Parts::rest, R"(regions = ( { name = "a"; prefixes = "10.0.0.0/8"; sites = ( "xyz" ); } );)",
     "regions[a].sites[0]: there is no site \"xyz\"", "site exists"},
    {&Parts::rest, R"(regions = ( { name = "a"; prefixes = "10.0.0.0/8"; sites = ( "ams", "ams" ); } );)",
     "regions[a].sites[1]: \"ams\" stands in the list twice", "a site twice"},
    {&Parts::rest,
     R"(regions = ( { name = "a"; prefixes = "10.0.0.0/8"; }, { name = "a"; prefixes = "11.0.0.0/8"; } );)",
     "there is another region \"a\"", "names are unique"},
    {&Parts::rest,
     R"(regions = ( { name = "a"; prefixes = "10.0.0.0/8"; }, { name = "b"; prefixes = "10.0.0.0/8"; } );)",
     "regions[b].prefixes[0]: this network is already in the region \"a\"", "a network in two regions"},
    {&Parts::rest, R"(regions = ( { name = "a"; countries = "NL"; } );)", "set geoip.file",
     "countries need a database"},
    {&Parts::rest, R"(regions = ( { name = "a"; asns = 64500; } );)", "set geoip.asn_file", "systems need a database"},
    {&Parts::rest, R"(geoip = { file = "x"; }; regions = ( { name = "a"; countries = "nl"; } );)", "\"nl\" is no code",
     "small letters"},
    {&Parts::rest, R"(geoip = { file = "x"; }; regions = ( { name = "a"; subdivisions = "USCA"; } );)",
     "\"USCA\" is no code", "no hyphen"},
    {&Parts::rest, R"(geoip = { file = "x"; }; regions = ( { name = "a"; continents = "XX"; } );)",
     "\"XX\" is no continent", "no such continent"},
    {&Parts::rest, R"(regions = ( { name = "a"; } );)", "warning: regions[a]: nothing says which networks",
     "an empty region"},
    // syntax: what libconfig reports badly or takes wrongly
    {&Parts::rest, "dns = { nsid = \"a\" \"b\"; nope = 1; };", "dns.nope: unknown key", "adjacent texts join, as in C"},
    {&Parts::rest, "include = ( \"a\", );", "a comma stands behind the last entry", "the commonest slip"},
    {&Parts::rest, "include = ( \"a\" \"b\" );", "a comma is missing between two texts", "would be one text"},
    {&Parts::rest, "@include \"x\"", "@include is not supported", "libconfig's own includes lose lines"},
    {&Parts::rest, "dns = { nsid = n1; };", "\"n1\" must stand in double quotes", "a bare word"},
    {&Parts::rest, "dns = { ", "is not closed", "an open group"},
};

class ConfigCheck : public ::testing::TestWithParam<Row>
{
};

TEST_P(ConfigCheck, reports_what_is_wrong_where_it_is)
{
    const Row &row = GetParam();
    Parts p;
    if (*row.text == '+')
        p.*row.part += row.text + 1;
    else
        p.*row.part = row.text;
    Loaded l = load(p.text());
    EXPECT_THAT(l.messages, HasSubstr(row.message)) << row.why << "\n" << p.text();
    if (std::string(row.message).find("warning") == 0) {
        EXPECT_EQ(l.rc, 0) << l.messages;
        EXPECT_EQ(l.errors, 0u) << l.messages;
    } else {
        EXPECT_EQ(l.rc, -EINVAL) << row.why;
        EXPECT_EQ(l.parsed, nullptr);
    }
}

INSTANTIATE_TEST_SUITE_P(Table, ConfigCheck, ::testing::ValuesIn(rows));

TEST(Config, the_parts_themselves_are_good)
{
    Loaded l = load(Parts().text());
    EXPECT_EQ(l.rc, 0);
    EXPECT_EQ(l.messages, "") << "or the rows above show nothing";
}

TEST(Config, bounds_depth_and_length)
{
    Loaded l = load("a = " + std::string(33, '(') + "1" + std::string(33, ')') + ";");
    EXPECT_THAT(l.messages, HasSubstr("too deep inside each other (at most 32 levels)")) << "libconfig recurses";
    l = load("a = " + std::string(1000000, '('));
    EXPECT_THAT(l.messages, HasSubstr("too deep"));
    Parts p;
    p.ams = "name = \"ams\"; addresses = \"" + std::string(10240, '1') + "\";";
    l = load(p.text());
    EXPECT_THAT(l.messages, HasSubstr("1...\" is not an address")) << "messages stay readable";
    EXPECT_LT(l.messages.size(), 2000u);
    l = load("node = { name = \"a\"; }; x" + std::string(100000, 'y') + " = 1;");
    EXPECT_THAT(l.messages, HasSubstr("unknown key"));
    std::string zero = "node = { name = \"a_b\"; };";
    zero[zero.find('_')] = 0;
    l = load(zero);
    EXPECT_THAT(l.messages, HasSubstr("a zero octet"));
    l = load("node = { name = \"a\\x00b\"; };");
    EXPECT_THAT(l.messages, HasSubstr("cannot hold the zero octet"));
    l = load("");
    EXPECT_THAT(l.messages, HasSubstr("node: is missing"));
}

TEST(Config, limits_services_and_debug_names_together)
{
    Parts p;
    std::string more;
    for (int i = 0; i < 32000; i++)
        more += ", { name = \"s" + std::to_string(i) +
                ".example.com\"; sites = ( \"ams\", \"fra\" ); debug_names = true; }";
    Parts many = p;
    std::string text = many.text();
    text.insert(text.rfind("} );") + 1, more);
    Loaded l = load(text);
    EXPECT_THAT(l.messages, HasSubstr("32001 services and 64000 debug names; allowed: 65000 together"));
}

// ---- with files ----

class ConfigFiles : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        char name[] = "/tmp/signpost-config-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        dir = name;
        write("key", std::string(64, 'a') + "\n", 0600);
    }
    void TearDown() override
    {
        EXPECT_EQ(system(("rm -r " + dir).c_str()), 0);
    }
    void write(const std::string &name, const std::string &text, mode_t mode = 0644)
    {
        std::ofstream(dir + "/" + name) << text;
        ASSERT_EQ(chmod((dir + "/" + name).c_str(), mode), 0);
    }
    Loaded load_parts(const Parts &p)
    {
        write("main.conf", p.text());
        return load_file(dir + "/main.conf");
    }
    std::string dir;
};

TEST_F(ConfigFiles, a_file_that_is_not_there_is_an_error)
{
    Loaded l = load_file(dir + "/none.conf");
    EXPECT_EQ(l.rc, -EINVAL);
    EXPECT_THAT(l.messages, HasSubstr("none.conf: error: cannot read: No such file"));
}

TEST_F(ConfigFiles, heartbeat_keys_are_hexadecimal_or_octets_and_kept_from_others)
{
    struct {
        std::string text;
        mode_t mode;
        const char *message, *why;
    } const keys[] = {
        {std::string(64, 'a') + "\n", 0600, "", "64 digits and a line end"},
        {std::string(64, 'B'), 0640, "", "capitals, no line end, readable by the group"},
        {std::string(32, '\x01'), 0400, "", "32 octets"},
        {std::string(63, 'a'), 0600, "holds no key; allowed: 64 hexadecimal digits, or 32 octets", "a digit short"},
        {std::string(64, 'a') + "b", 0600, "holds no key", "a digit too many"},
        {std::string(63, 'a') + "g", 0600, "holds no key", "not a digit"},
        {"", 0600, "holds no key", "empty"},
        {std::string(5000, 'a'), 0600, "File too large", "some other file"},
        {std::string(64, 'a'), 0644, "has mode 0644: others could read or change the key", "readable by all"},
        {std::string(64, 'a'), 0620, "has mode 0620", "writable by the group"},
    };
    for (const auto &k : keys) {
        write("key", k.text, k.mode);
        Loaded l = load_parts(Parts());
        EXPECT_THAT(l.messages, HasSubstr(k.message)) << k.why;
        ASSERT_EQ(l.rc, *k.message ? -EINVAL : 0) << k.why << "\n" << l.messages;
        if (l.rc == 0) {
            EXPECT_EQ(l.parsed->heartbeat.key_count, 1u) << k.why;
        }
        unlink((dir + "/key").c_str());
    }
    Loaded l = load_parts(Parts());
    EXPECT_THAT(l.messages, HasSubstr("heartbeat.key_file: cannot read " + dir + "/key: No such file"));
}

TEST_F(ConfigFiles, two_heartbeat_keys_while_keys_are_changed)
{
    write("old", std::string(64, '0'), 0600);
    Parts p;
    p.heartbeat = R"(heartbeat = { key_file = "key"; previous_key_file = "old"; };)";
    Loaded l = load_parts(p);
    ASSERT_EQ(l.rc, 0) << l.messages;
    ASSERT_EQ(l.parsed->heartbeat.key_count, 2u);
    EXPECT_EQ(l.parsed->heartbeat.key[0][31], 0xaa);
    EXPECT_EQ(l.parsed->heartbeat.key[1][31], 0x00);
}

TEST_F(ConfigFiles, cookie_secrets_are_one_or_two_lines)
{
    struct {
        const char *text;
        unsigned count;
        const char *why;
    } const secrets[] = {
        {"000102030405060708090a0b0c0d0e0f\n", 1, "the current one"},
        {"\n000102030405060708090a0b0c0d0e0f\r\n  ffffffffffffffffffffffffffffffff", 2, "with the previous one"},
        {"000102030405060708090a0b0c0d0e\n", 0, "too short"},
        {"000102030405060708090a0b0c0d0e0f0f\n", 0, "too long"},
        {"\n\n", 0, "none"},
        {"00000000000000000000000000000000\n11111111111111111111111111111111\n22222222222222222222222222222222\n", 0,
         "three"},
    };
    Parts p;
    p.rest = R"(dns = { cookies = { secret_file = "cookies"; }; };)";
    for (const auto &s : secrets) {
        write("cookies", s.text, 0600);
        Loaded l = load_parts(p);
        if (s.count == 0) {
            EXPECT_THAT(l.messages, HasSubstr("dns.cookies.secret_file:")) << s.why;
            EXPECT_EQ(l.rc, -EINVAL) << s.why;
            continue;
        }
        ASSERT_EQ(l.rc, 0) << s.why << "\n" << l.messages;
        EXPECT_EQ(l.parsed->dns.cookies.secret_count, s.count) << s.why;
        EXPECT_EQ(l.parsed->dns.cookies.secret[0][15], 0x0f);
    }
}

TEST_F(ConfigFiles, includes_add_to_lists_and_keep_their_lines)
{
    ASSERT_EQ(mkdir((dir + "/conf.d").c_str(), 0755), 0);
    write("conf.d/20.conf", "services = ( { name = \"b.example.com\"; sites = \"ams\"; } );\n");
    write("conf.d/10.conf",
          "\n\nservices = ( { name = \"a.example.com\"; sites = \"ams\"; } );\ndns = { nsid = \"x\"; };\n");
    write("conf.d/readme.txt", "not read");
    write("conf.d/.hidden.conf", "not read");
    write("more.conf", "zones = ( { name = \"example.org\"; } );\n");
    Parts p;
    p.rest = R"(include = ( "conf.d", "more.conf" );)";
    Loaded l = load_parts(p);
    ASSERT_EQ(l.rc, 0) << l.messages;
    ASSERT_EQ(l.parsed->service_count, 3u);
    EXPECT_STREQ(l.parsed->services[0].name, "www.example.com");
    EXPECT_STREQ(l.parsed->services[1].name, "a.example.com") << "in the order of the file names";
    EXPECT_STREQ(l.parsed->services[2].name, "b.example.com");
    EXPECT_EQ(l.parsed->services[1].origin.line, 3u);
    EXPECT_EQ(l.parsed->services[1].origin.file, dir + "/conf.d/10.conf");
    EXPECT_STREQ(l.parsed->dns.nsid, "x");
    EXPECT_EQ(l.parsed->zone_count, 2u);
}

TEST_F(ConfigFiles, includes_with_errors)
{
    write("again.conf", "node = { name = \"n1\"; };\n");
    write("deep.conf", "\ninclude = ( \"main.conf\" );\n");
    write("bad.conf", "services = ( { name = \"a.example.com\"; sites = \"nowhere\"; } );\n");
    write("broken.conf", "services = (\n");
    Parts p;
    p.rest = R"(include = ( "again.conf", "deep.conf", "bad.conf", "broken.conf", "none.conf" );)";
    Loaded l = load_parts(p);
    EXPECT_EQ(l.rc, -EINVAL);
    EXPECT_THAT(l.messages, HasSubstr("again.conf:1: error: node: already given in " + dir + "/main.conf, line 1"));
    EXPECT_THAT(l.messages, HasSubstr("deep.conf:2: error: include: an included file cannot include others"));
    EXPECT_THAT(l.messages,
                HasSubstr("bad.conf:1: error: services[a.example.com].sites[nowhere].site: there is no site"));
    EXPECT_THAT(l.messages, HasSubstr("broken.conf:1: error:"));
    EXPECT_THAT(l.messages, HasSubstr("include: cannot read " + dir + "/none.conf"));
}

} // namespace
