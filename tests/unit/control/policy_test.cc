// SPDX-License-Identifier: Apache-2.0
// The order of a service's sites, stage by stage, and the image that carries it.
#include "control/policy.h"

#include <gmock/gmock.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/config_messages.h"

#include "control/config_units.h"
#include "control/order_build.h"

namespace
{

using Places = std::vector<unsigned>;

struct Config {
    std::unique_ptr<config, void (*)(config *)> parsed{nullptr, config_free};
    std::vector<verdict_site> verdict;
    std::vector<policy_state> state;
    uint64_t now_ns = 1000000000000;
    std::unique_ptr<overrides, void (*)(overrides *)> said{nullptr, overrides_drop};

    explicit Config(const std::string &service, const std::string &more = "", const std::string &first_site = "")
    {
        const std::string text = R"(
node = { name = "n"; };
sites = (
  { name = "ams"; addresses = ("192.0.2.1", "2001:db8::1"); coordinates = (52.37, 4.89); )" +
                                 first_site +
                                 R"( },
  { name = "fra"; addresses = ("192.0.2.2", "2001:db8::2"); coordinates = (50.11, 8.68); },
  { name = "nyc"; addresses = ("192.0.2.3"); coordinates = (40.71, -74.00); ramp = "100s"; });
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; ttl = 30; ttl_min = 5; )" +
                                 service + R"( } );
)" + more;
        config_errors errors{};
        config *c = nullptr;
        config_load_text("/etc/signpost/test.conf", text.data(), text.size(), CONFIG_LOAD_NO_FILES, &c, &errors);
        EXPECT_NE(c, nullptr) << config_messages(errors);
        config_errors_fini(&errors);
        parsed.reset(c);
        if (!c)
            return;
        verdict.resize(c->verdict_count);
        for (auto &v : verdict) {
            v.state = VERDICT_UP;
            v.load_permille = -1;
            v.lag_ms = -1;
        }
        state.resize(c->service_count);
    }
    policy_input input() const
    {
        return {parsed.get(), 0, verdict.data(), now_ns, said.get()};
    }
    // What operators say, of services and addresses.
    void say(const std::vector<std::pair<const char *, evidence_operator>> &entries)
    {
        operator_states states{};
        for (const auto &[name, what] : entries) {
            operator_entry e{};
            e.kind = strchr(name, '/') ? OPERATOR_OF_SERVICE : OPERATOR_OF_ADDRESS;
            e.state = what;
            snprintf(e.name, sizeof e.name, "%s", name);
            ASSERT_EQ(operator_states_set(&states, &e), 0);
        }
        said.reset(overrides_new(parsed.get(), &states));
        operator_states_fini(&states);
    }
    // The addresses of an answer, as text.
    std::vector<std::string> addresses(bool is_ipv6) const
    {
        const policy_order o = order();
        const config_address *out[ORDER_ADDRESS_MAX];
        const unsigned count = order_addresses(&parsed->services[0], &o, said.get(), is_ipv6, out);
        std::vector<std::string> list;
        for (unsigned i = 0; i < count; i++) {
            char text[CONFIG_ADDRESS_TEXT_CAP];
            list.push_back(config_address_text(out[i], text));
        }
        return list;
    }
    void update()
    {
        const policy_input in = input();
        policy_update(state.data(), &in);
    }
    policy_order order(unsigned region = 0, unsigned bucket = 0, policy_trace *trace = nullptr) const
    {
        policy_order out;
        const policy_input in = input();
        policy_decide(&out, state.data(), &in, region, bucket, trace);
        return out;
    }
    Places places(unsigned region = 0, unsigned bucket = 0) const
    {
        const policy_order o = order(region, bucket);
        return Places(o.place, o.place + o.site_count);
    }
};

const char all_three[] = R"(sites = ("ams", "fra", "nyc");)";

TEST(Policy, AvailableSitesStandInConfiguredOrder)
{
    const struct {
        verdict_state ams, fra, nyc;
        Places wanted;
        const char *why;
    } rows[] = {
        {VERDICT_UP, VERDICT_UP, VERDICT_UP, {0, 1, 2}, "all serve"},
        {VERDICT_DOWN, VERDICT_UP, VERDICT_UP, {1, 2}, "the first is down"},
        {VERDICT_UP, VERDICT_DOWN, VERDICT_UP, {0, 2}, "the second is down"},
        {VERDICT_UP, VERDICT_DRAIN, VERDICT_DOWN, {0}, "a drained site gets no new clients"},
        {VERDICT_UNKNOWN, VERDICT_UP, VERDICT_UP, {1, 2}, "unknown is not available"},
    };
    for (const auto &row : rows) {
        Config c(all_three);
        c.verdict[0].state = row.ams, c.verdict[1].state = row.fra, c.verdict[2].state = row.nyc;
        EXPECT_EQ(c.places(), row.wanted) << row.why;
    }
}

TEST(Policy, AnOperatorsWordOnAServiceStandsOverTheSitesVerdict)
{
    const struct {
        std::vector<std::pair<const char *, evidence_operator>> said;
        verdict_state ams;
        Places wanted;
        const char *why;
    } rows[] = {
        {{{"www.example.com/ams", OPERATOR_DRAIN}}, VERDICT_UP, {1, 2}, "drained within this service"},
        {{{"WWW.example.com/ams", OPERATOR_DOWN}}, VERDICT_UP, {1, 2}, "names in any case"},
        {{{"www.example.com/ams", OPERATOR_UP}}, VERDICT_DOWN, {0, 1, 2}, "up whatever the evidence"},
        {{{"www.example.com/ams", OPERATOR_UP}}, VERDICT_DRAIN, {0, 1, 2}, "nearer than a word on the whole site"},
        {{{"other.example.com/ams", OPERATOR_DOWN}}, VERDICT_UP, {0, 1, 2}, "said of another service"},
        {{{"192.0.2.1", OPERATOR_DOWN}}, VERDICT_UP, {0, 1, 2}, "one of two addresses: the site is still there"},
        {{{"192.0.2.1", OPERATOR_DOWN}, {"2001:db8::1", OPERATOR_DRAIN}}, VERDICT_UP, {1, 2}, "no address is left"},
        {{{"www.example.com/ams", OPERATOR_UP}, {"192.0.2.1", OPERATOR_DOWN}, {"2001:db8::1", OPERATOR_DOWN}},
         VERDICT_UP,
         {1, 2},
         "up, but without any address"},
    };
    for (const auto &row : rows) {
        Config c(all_three);
        c.verdict[0].state = row.ams;
        c.say(row.said);
        EXPECT_EQ(c.places(), row.wanted) << row.why;
    }
}

TEST(Policy, AWithdrawnAddressIsInNoAnswer)
{
    using ::testing::ElementsAre;
    Config c(all_three);
    c.say({{"192.0.2.1", OPERATOR_DOWN}});
    EXPECT_THAT(c.addresses(false), ElementsAre("192.0.2.2", "192.0.2.3"));
    EXPECT_THAT(c.addresses(true), ElementsAre("2001:db8::1", "2001:db8::2"));
    for (auto &v : c.verdict)
        v.state = VERDICT_DOWN;
    EXPECT_TRUE(c.order().is_fail_open);
    EXPECT_THAT(c.addresses(false), ElementsAre("192.0.2.2", "192.0.2.3")) << "also when failing open";
    c.say({{"192.0.2.1", OPERATOR_DOWN}, {"192.0.2.2", OPERATOR_DOWN}, {"192.0.2.3", OPERATOR_DOWN}});
    EXPECT_THAT(c.addresses(false), ElementsAre("192.0.2.1", "192.0.2.2", "192.0.2.3")) << "unless nothing is left";
}

TEST(Policy, WithoutAnySiteLeftByOperatorsTheServicesRuleDecides)
{
    Config c(std::string(all_three) + R"( all_down = "nodata";)");
    c.say({{"www.example.com/ams", OPERATOR_DRAIN},
           {"www.example.com/fra", OPERATOR_DRAIN},
           {"www.example.com/nyc", OPERATOR_DOWN}});
    EXPECT_EQ(c.order().mode, ORDER_NODATA);
}

TEST(Policy, ADoubtAboutASiteThatAnOperatorSpokeOfIsNone)
{
    Config c(all_three);
    c.verdict[1].is_in_doubt = true;
    EXPECT_EQ(c.order().ttl_s, 5u);
    c.say({{"www.example.com/fra", OPERATOR_DRAIN}});
    EXPECT_EQ(c.order().ttl_s, 30u);
}

TEST(Policy, TheTtlFallsWhileAnythingIsInDoubt)
{
    Config c(all_three);
    EXPECT_EQ(c.order().ttl_s, 30u);
    c.verdict[2].is_in_doubt = true;
    EXPECT_EQ(c.order().ttl_s, 5u);
    c.verdict[2].is_in_doubt = false;
    c.verdict[2].state = VERDICT_UNKNOWN;
    EXPECT_EQ(c.order().ttl_s, 5u);
}

TEST(Policy, WhenNoSiteIsLeftTheServicesRuleDecides)
{
    const struct {
        const char *rule;
        order_mode mode;
        bool is_fail_open, is_last_resort;
        unsigned count;
    } rows[] = {{"", ORDER_ANSWER, true, false, 3},
                {R"(all_down = "fail-open";)", ORDER_ANSWER, true, false, 3},
                {R"(all_down = "nodata";)", ORDER_NODATA, false, false, 0},
                {R"(all_down = "servfail";)", ORDER_SERVFAIL, false, false, 0},
                {R"(all_down = "last-resort"; last_resort = ("198.51.100.9");)", ORDER_ANSWER, false, true, 0}};
    for (const auto &row : rows) {
        Config c(std::string(all_three) + row.rule);
        for (auto &v : c.verdict)
            v.state = VERDICT_DOWN;
        const policy_order o = c.order();
        EXPECT_EQ(o.mode, row.mode) << row.rule;
        EXPECT_EQ(o.is_fail_open, row.is_fail_open) << row.rule;
        EXPECT_EQ(o.is_last_resort, row.is_last_resort) << row.rule;
        EXPECT_EQ(o.site_count, row.count) << row.rule;
        EXPECT_EQ(o.ede, POLICY_EDE_FAIL_OPEN) << row.rule;
        EXPECT_EQ(o.ttl_s, 5u) << row.rule;
    }
}

TEST(Policy, LocalityFollowsTheRegionsListOfSites)
{
    Config c(std::string(all_three) + R"(policy = ( { stage = "locality"; } );)",
             R"(regions = ( { name = "us"; prefixes = ("203.0.113.0/24"); sites = ("nyc", "fra"); } );)");
    EXPECT_EQ(c.places(0), (Places{0, 1, 2})) << "a client of no region";
    EXPECT_EQ(c.places(1), (Places{2, 1, 0}));
    c.verdict[2].state = VERDICT_DOWN;
    EXPECT_EQ(c.places(1), (Places{1, 0}));
}

TEST(Policy, LocalityByDistanceTakesTheNearestFirst)
{
    Config c(std::string(all_three) + R"(policy = ( { stage = "locality"; by = "distance"; } );)",
             R"(regions = ( { name = "boston"; prefixes = ("203.0.113.0/24"); coordinates = (42.36, -71.06); },
                            { name = "munich"; prefixes = ("198.51.100.0/24"); coordinates = (48.14, 11.58); } );)");
    EXPECT_EQ(c.places(1), (Places{2, 0, 1}));
    EXPECT_EQ(c.places(2), (Places{1, 0, 2}));
}

TEST(Policy, LoadHasHysteresisBetweenItsWatermarks)
{
    Config c(std::string(all_three) + R"(policy = ( { stage = "load"; high = "80%"; low = "60%"; spill = false; } );)");
    const struct {
        int32_t load;
        Places wanted;
        const char *why;
    } rows[] = {{790, {0, 1, 2}, "below the high watermark"},
                {800, {1, 2, 0}, "at it"},
                {700, {1, 2, 0}, "between them it stays"},
                {600, {1, 2, 0}, "at the low watermark it stays"},
                {599, {0, 1, 2}, "below it is over"},
                {700, {0, 1, 2}, "between them it stays"},
                {900, {1, 2, 0}, "over again"},
                {-1, {0, 1, 2}, "an unknown load is none"}};
    for (const auto &row : rows) {
        c.verdict[0].load_permille = row.load;
        c.update();
        EXPECT_EQ(c.places(), row.wanted) << row.load << ": " << row.why;
    }
}

TEST(Policy, SpillMovesAGrowingShareOfTheClients)
{
    Config c(std::string(all_three) + R"(policy = ( { stage = "load"; high = "80%"; low = "40%"; spill = true; } );)");
    const auto moved = [&](int32_t load) {
        c.verdict[0].load_permille = load;
        c.update();
        unsigned count = 0;
        for (unsigned bucket = 0; bucket < ORDER_BUCKET_MAX; bucket++)
            count += c.places(0, bucket)[0] != 0;
        return count;
    };
    EXPECT_EQ(moved(400), 0u);
    EXPECT_NEAR(moved(500), ORDER_BUCKET_MAX / 4, 4);
    EXPECT_NEAR(moved(600), ORDER_BUCKET_MAX / 2, 4);
    EXPECT_EQ(moved(800), unsigned{ORDER_BUCKET_MAX});
}

TEST(Policy, ResponseTimeMovesOnlyWhatIsSlowerThanTheTolerance)
{
    Config c(std::string(all_three) +
             R"(policy = ( { stage = "response_time"; tolerance = "10ms"; tolerance_percent = "10%"; } );)");
    c.verdict[0].response_ns = 30000000, c.verdict[1].response_ns = 22000000, c.verdict[2].response_ns = 90000000;
    const auto settle = [&] {
        for (int s = 0; s < 200; s++, c.now_ns += 1000000000)
            c.update();
    };
    settle();
    EXPECT_EQ(c.places(), (Places{0, 1, 2})) << "30 ms is within 22 + 10 ms";
    c.verdict[0].response_ns = 40000000;
    c.now_ns += 10000000;
    c.update();
    EXPECT_EQ(c.places(), (Places{0, 1, 2})) << "one slow answer is not followed at once";
    settle();
    EXPECT_EQ(c.places(), (Places{1, 0, 2}));
    c.verdict[1].response_ns = 0;
    settle();
    EXPECT_EQ(c.places(), (Places{0, 1, 2})) << "an unknown time is not held against a site";
}

TEST(Policy, ReplicationLagOverTheLimitGoesLast)
{
    Config c(std::string(all_three) + R"(policy = ( { stage = "replication_lag"; limit = "2s"; } );)");
    c.verdict[0].lag_ms = 2000;
    EXPECT_EQ(c.places(), (Places{0, 1, 2}));
    c.verdict[0].lag_ms = 2001;
    EXPECT_EQ(c.places(), (Places{1, 2, 0}));
}

TEST(Policy, SpreadFollowsTheWeights)
{
    Config c(R"(sites = ( { site = "ams"; weight = 3; }, { site = "fra"; weight = 1; } );
               policy = ( { stage = "spread"; } );)");
    unsigned first = 0;
    for (unsigned bucket = 0; bucket < ORDER_BUCKET_MAX; bucket++) {
        const Places p = c.places(0, bucket);
        ASSERT_EQ(p.size(), 2u);
        first += p[0] == 0;
    }
    EXPECT_NEAR(first, ORDER_BUCKET_MAX * 3 / 4, 2);
}

TEST(Policy, SpreadThatIsNotStickyMovesClientsWithTheTtlAndKeepsTheWeights)
{
    Config c(R"(sites = ( { site = "ams"; weight = 3; }, { site = "fra"; weight = 1; } );
               policy = ( { stage = "spread"; sticky = false; } );)");
    unsigned moved = 0;
    for (int turn = 0; turn < 4; turn++, c.now_ns += 30000000000) {
        unsigned first = 0;
        for (unsigned bucket = 0; bucket < ORDER_BUCKET_MAX; bucket++)
            first += c.places(0, bucket)[0] == 0;
        EXPECT_NEAR(first, ORDER_BUCKET_MAX * 3 / 4, 2);
        moved += c.places(0, 10)[0] != 0;
    }
    EXPECT_GT(moved, 0u);
}

TEST(Policy, StagesWorkOneAfterTheOther)
{
    Config c(
        std::string(all_three) +
            R"(policy = ( { stage = "locality"; }, { stage = "load"; high = "80%"; low = "60%"; spill = false; } );)",
        R"(regions = ( { name = "us"; prefixes = ("203.0.113.0/24"); sites = ("nyc", "fra"); } );)");
    c.verdict[2].load_permille = 950;
    c.update();
    EXPECT_EQ(c.places(1), (Places{1, 0, 2}));
    policy_trace trace;
    c.order(1, 0, &trace);
    ASSERT_EQ(trace.stage_count, 2u);
    EXPECT_EQ(trace.stage[0].order[0], 2u);
    EXPECT_STREQ(trace.stage[0].note, "region us, by its list of sites");
    EXPECT_EQ(trace.stage[1].order[0], 1u);
    EXPECT_STREQ(trace.stage[1].note, "nyc at 95.0 % of its load goes last");
}

TEST(Policy, ASiteThatCameBackTakesUpItsClientsWhileItsRampLasts)
{
    Config c(R"(sites = ("nyc", "ams");)");
    const auto share = [&](uint64_t after_s) {
        c.verdict[2].came_up_ns = c.now_ns - after_s * 1000000000;
        unsigned count = 0;
        for (unsigned bucket = 0; bucket < ORDER_BUCKET_MAX; bucket++)
            count += c.places(0, bucket)[0] == 0;
        return count;
    };
    EXPECT_EQ(share(0), 0u);
    EXPECT_NEAR(share(25), ORDER_BUCKET_MAX / 4, 2);
    EXPECT_NEAR(share(75), ORDER_BUCKET_MAX * 3 / 4, 2);
    EXPECT_EQ(share(100), unsigned{ORDER_BUCKET_MAX});
}

TEST(Policy, AServiceMayLookAtSomeGroupsOfASite)
{
    Config c(std::string(all_three) + R"(groups = ("web");)", "", R"(
        web = { probe = "tcp"; port = 80; }; database = { probe = "http"; keyword = "db1"; };)");
    ASSERT_EQ(c.parsed->verdict_count, 4u) << "three sites, and the first one by its web servers only";
    EXPECT_EQ(c.parsed->verdicts[1].site_at, 0u);
    EXPECT_EQ(c.parsed->verdicts[1].mask, 1u);
    c.verdict[0].state = VERDICT_DOWN;
    EXPECT_EQ(c.places(), (Places{0, 1, 2}));
    c.verdict[1].state = VERDICT_DOWN;
    EXPECT_EQ(c.places(), (Places{1, 2}));
}

// ---- the image ----

Places addresses_of(const Config &c, const void *image, unsigned region, unsigned bucket, uint16_t type)
{
    Places last_octets;
    const order_answer *answer = order_image_find(image, 0, region, bucket);
    const rrset *set = order_answer_rrset(image, answer, type);
    if (!set)
        return last_octets;
    const unsigned size = type == 1 ? 16 : 28; // owner pointer, type, class, TTL, length, address
    const uint8_t *records = rrset_wire(set);
    for (unsigned i = 0; i < set->record_count; i++)
        last_octets.push_back(records[i * size + size - 1]);
    (void)c;
    return last_octets;
}

// By region: which group of answers is it in?
Places groups_of(const Config &c, unsigned regions)
{
    const order_build_input input = {c.parsed.get(), c.state.data(), c.verdict.data(), c.now_ns, 1, 1, nullptr};
    void *image = nullptr;
    size_t len = 0;
    Places groups;
    EXPECT_EQ(order_build(&input, &image, &len), 0);
    const order_service *s = order_image_service(image, 0);
    for (unsigned region = 0; region <= regions; region++)
        groups.push_back(static_cast<unsigned>(order_service_group(image, s, region) -
                                               static_cast<const order_group *>(image_at(image, s->group_at))));
    free(image);
    return groups;
}

TEST(OrderBuild, RegionsWithOneAnswerAreOneGroupForTheScope)
{
    Config c(std::string(all_three) + R"(answer_max = 1; policy = ( { stage = "locality"; } );)",
             R"(regions = ( { name = "a"; prefixes = ("203.0.113.0/24"); sites = ("fra", "ams", "nyc"); },
                            { name = "b"; prefixes = ("203.0.112.0/24"); sites = ("fra", "nyc", "ams"); },
                            { name = "c"; prefixes = ("203.0.111.0/24"); sites = ("ams"); } );)");
    ASSERT_EQ(c.places(0, 0), (Places{0, 1, 2})) << "ams, fra, nyc";
    EXPECT_EQ(groups_of(c, 3), (Places{0, 1, 1, 0})) << "only the first site shows";
    c.verdict[1].state = VERDICT_DOWN; // fra
    EXPECT_EQ(groups_of(c, 3), (Places{0, 0, 1, 0})) << "ams for everybody but one region, which goes on to nyc";
    c.verdict[0].state = VERDICT_DOWN; // ams as well
    EXPECT_EQ(groups_of(c, 3), (Places{0, 0, 0, 0})) << "nyc alone is left";
}

TEST(OrderBuild, EveryAnswerIsALegalOrderWhateverTheVerdicts)
{
    Config c(std::string(all_three) + R"(policy = ( { stage = "locality"; }, { stage = "load"; spill = true; } );)",
             R"(regions = ( { name = "us"; prefixes = ("203.0.113.0/24"); sites = ("nyc", "fra"); } );)");
    std::mt19937 generator(7);
    const auto random = [&] { return static_cast<unsigned>(generator()); };
    for (int round = 0; round < 300; round++) {
        for (auto &v : c.verdict) {
            v.state = static_cast<verdict_state>(random() % 4);
            v.load_permille = static_cast<int32_t>(random() % 1200) - 1;
            v.came_up_ns = random() % 3 ? 0 : c.now_ns - random() % 200 * 1000000000ull;
        }
        c.update();
        const order_build_input input = {c.parsed.get(), c.state.data(), c.verdict.data(), c.now_ns, 1, 1, nullptr};
        void *image = nullptr;
        size_t len = 0;
        ASSERT_EQ(order_build(&input, &image, &len), 0);
        char why[IMAGE_TEXT_CAP];
        ASSERT_EQ(order_image_check(image, len, why), 0) << why;
        for (unsigned region = 0; region < 2; region++)
            for (unsigned bucket = 0; bucket < ORDER_BUCKET_MAX; bucket += 17) {
                const Places wanted = c.places(region, bucket);
                const Places a = addresses_of(c, image, region, bucket, 1);
                ASSERT_EQ(a.size(), wanted.size());
                bool has_available = false;
                for (const auto &v : c.verdict)
                    has_available |= v.state == VERDICT_UP;
                for (size_t i = 0; i < a.size(); i++) {
                    ASSERT_EQ(a[i], wanted[i] + 1) << "round " << round;
                    ASSERT_TRUE(!has_available || c.verdict[wanted[i]].state == VERDICT_UP);
                }
                const Places aaaa = addresses_of(c, image, region, bucket, 28);
                size_t at = 0;
                for (unsigned place : wanted)
                    if (place < 2) { // nyc has no IPv6
                        ASSERT_EQ(aaaa.at(at++), place + 1);
                    }
                ASSERT_EQ(at, aaaa.size());
            }
        free(image);
    }
}

TEST(OrderBuild, AnswerMaxLimitsTheAddresses)
{
    Config c(std::string(all_three) + "answer_max = 2;");
    const order_build_input input = {c.parsed.get(), c.state.data(), c.verdict.data(), c.now_ns, 1, 1, nullptr};
    void *image = nullptr;
    size_t len = 0;
    ASSERT_EQ(order_build(&input, &image, &len), 0);
    EXPECT_EQ(addresses_of(c, image, 0, 0, 1), (Places{1, 2}));
    free(image);
}

TEST(OrderBuild, TheSameStateGivesTheSameOctets)
{
    Config c(all_three);
    void *image[2];
    size_t len[2];
    for (int i = 0; i < 2; i++) {
        const order_build_input input = {c.parsed.get(), c.state.data(), c.verdict.data(), c.now_ns, 9, 9, nullptr};
        ASSERT_EQ(order_build(&input, &image[i], &len[i]), 0);
    }
    ASSERT_EQ(len[0], len[1]);
    EXPECT_EQ(memcmp(image[0], image[1], len[0]), 0);
    free(image[0]), free(image[1]);
}

} // namespace
