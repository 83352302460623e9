// SPDX-License-Identifier: Apache-2.0
#include "health/probe_identity.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <string>

namespace
{

probe_address address(uint32_t host, uint16_t port)
{
    probe_address a{};
    auto *in = reinterpret_cast<sockaddr_in *>(&a.address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(host);
    in->sin_port = htons(port);
    a.len = sizeof *in;
    return a;
}

std::string text_of(char *identity)
{
    const std::string text = identity;
    free(identity);
    return text;
}

const char *const one[] = {"a", "bc"};
const char *const other[] = {"ab", "c"};
const probe_status_range ok[] = {{200, 299}}, more[] = {{200, 399}};

probe_spec base()
{
    probe_spec s{};
    s.type = PROBE_HTTP;
    s.server = address(0x0a000001, 80);
    s.interval_ns = 1000000000;
    s.timeout_ns = 500000000;
    s.http.statuses = ok;
    s.http.status_count = 1;
    s.http.headers = one;
    s.http.header_count = 2;
    s.command = one;
    s.command_count = 2;
    return s;
}

struct Change {
    const char *what;
    std::function<void(probe_spec &)> make;
};

const Change changes[] = {
    {"type", [](probe_spec &s) { s.type = PROBE_HTTPS; }},
    {"address", [](probe_spec &s) { s.server = address(0x0a000002, 80); }},
    {"port", [](probe_spec &s) { s.server = address(0x0a000001, 81); }},
    {"source", [](probe_spec &s) { s.source = address(0x0a000009, 0); }},
    {"interval", [](probe_spec &s) { s.interval_ns++; }},
    {"timeout", [](probe_spec &s) { s.timeout_ns++; }},
    {"jitter", [](probe_spec &s) { s.jitter_percent++; }},
    {"send", [](probe_spec &s) { s.send = "x"; }},
    {"expect", [](probe_spec &s) { s.expect = "x"; }},
    {"method", [](probe_spec &s) { s.http.method = "x"; }},
    {"path", [](probe_spec &s) { s.http.path = "x"; }},
    {"host", [](probe_spec &s) { s.http.host = "x"; }},
    {"headers cut elsewhere", [](probe_spec &s) { s.http.headers = other; }},
    {"fewer headers", [](probe_spec &s) { s.http.header_count = 1; }},
    {"statuses", [](probe_spec &s) { s.http.statuses = more; }},
    {"keyword", [](probe_spec &s) { s.http.keyword = "x"; }},
    {"keyword_absent", [](probe_spec &s) { s.http.keyword_absent = "x"; }},
    {"match", [](probe_spec &s) { s.http.match = PROBE_MATCH_REGEX; }},
    {"body_max", [](probe_spec &s) { s.http.body_max_bytes = 1; }},
    {"keep_alive", [](probe_spec &s) { s.http.keep_alive = true; }},
    {"credentials", [](probe_spec &s) { s.http.credentials = "x"; }},
    {"tls name", [](probe_spec &s) { s.http.tls.name = "x"; }},
    {"tls verify", [](probe_spec &s) { s.http.tls.verify = true; }},
    {"tls ca", [](probe_spec &s) { s.http.tls.ca_file = "x"; }},
    {"tls pin", [](probe_spec &s) { s.http.tls.pin_sha256 = "x"; }},
    {"tls certificate", [](probe_spec &s) { s.http.tls.cert_file = "x"; }},
    {"tls key", [](probe_spec &s) { s.http.tls.key_file = "x"; }},
    {"dns name", [](probe_spec &s) { s.dns_name = "x"; }},
    {"dns type", [](probe_spec &s) { s.dns_type = "x"; }},
    {"dns expect", [](probe_spec &s) { s.dns_expect = "x"; }},
    {"arguments cut elsewhere", [](probe_spec &s) { s.command = other; }},
    {"file", [](probe_spec &s) { s.file = "x"; }},
};

TEST(ProbeIdentity, EveryFieldMakesAnotherProbe)
{
    const probe_spec first = base();
    std::set<std::string> seen = {text_of(probe_identity_of_probe(&first))};
    for (const Change &change : changes) {
        probe_spec s = base();
        change.make(s);
        EXPECT_TRUE(seen.insert(text_of(probe_identity_of_probe(&s))).second) << change.what;
    }
}

TEST(ProbeIdentity, EqualSpecificationsAreOneHoweverTheirTextsLieInMemory)
{
    char path[] = "/health", same[] = "/health";
    probe_spec a = base(), b = base();
    a.http.path = path;
    b.http.path = same;
    a.http.host = nullptr;
    b.http.host = "";
    EXPECT_EQ(text_of(probe_identity_of_probe(&a)), text_of(probe_identity_of_probe(&b)));
}

TEST(ProbeIdentity, BalancersDifferFromProbesAndFromEachOther)
{
    const std::function<void(balancer_spec &)> makers[] = {
        [](balancer_spec &s) { s.type = BALANCER_ENVOY; },
        [](balancer_spec &s) { s.url = "x"; },
        [](balancer_spec &s) { s.host = "x"; },
        [](balancer_spec &s) { s.socket = "x"; },
        [](balancer_spec &s) { s.address = address(1, 2); },
        [](balancer_spec &s) { s.credentials = "x"; },
        [](balancer_spec &s) { s.backends = other; },
        [](balancer_spec &s) { s.backend_count = 1; },
        [](balancer_spec &s) { s.need = 2; },
        [](balancer_spec &s) { s.tls.ca_file = "x"; },
        [](balancer_spec &s) { s.status_path = "x"; },
        [](balancer_spec &s) { s.up_value = "x"; },
        [](balancer_spec &s) { s.servers_up_path = "x"; },
        [](balancer_spec &s) { s.load_path = "x"; },
        [](balancer_spec &s) { s.weight_path = "x"; },
        [](balancer_spec &s) { s.sessions_max = 1; },
        [](balancer_spec &s) { s.interval_ns = 1; },
        [](balancer_spec &s) { s.timeout_ns = 1; },
    };
    balancer_spec first{};
    first.backends = one;
    first.backend_count = 2;
    const probe_spec probe{};
    std::set<std::string> seen = {text_of(probe_identity_of_balancer(&first)),
                                  text_of(probe_identity_of_probe(&probe))};
    EXPECT_EQ(seen.size(), 2u);
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        balancer_spec s = first;
        makers[i](s);
        EXPECT_TRUE(seen.insert(text_of(probe_identity_of_balancer(&s))).second) << i;
    }
}

} // namespace
