// SPDX-License-Identifier: Apache-2.0
#include "health/balancer_reading.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace
{

struct Spec : balancer_spec {
    std::vector<const char *> names;
    Spec()
    {
        memset(static_cast<balancer_spec *>(this), 0, sizeof(balancer_spec));
        need = 1;
        status_path = servers_up_path = load_path = weight_path = "";
        up_value = "up";
    }
    Spec &of(std::vector<const char *> wanted)
    {
        names = wanted;
        backends = names.data();
        backend_count = static_cast<unsigned>(names.size());
        return *this;
    }
};

probe_result haproxy(const std::string &text, const balancer_spec &spec)
{
    return balancer_read_haproxy(text.data(), text.size(), &spec);
}

const char head[] = "# pxname,svname,qcur,qmax,scur,smax,slim,status,type,rtime,\n";

struct HaproxyRow {
    const char *why;
    std::string rows;
    std::vector<const char *> backends;
    uint32_t need, sessions_max;
    evidence_result result;
    int32_t load;
    const char *detail;
};

TEST(BalancerHaproxy, CountsServersThatAreUp)
{
    const HaproxyRow rows[] = {
        {"all up",
         "web,s1,0,0,10,0,100,UP,2,3,\nweb,s2,0,0,30,0,100,UP,2,3,\nweb,BACKEND,0,0,40,0,200,UP,1,3,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         200,
         "2 of 2 servers up"},
        {"one down, one is enough",
         "web,s1,0,0,0,0,100,DOWN,2,,\nweb,s2,0,0,50,0,100,UP,2,,\nweb,BACKEND,0,0,50,0,200,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         500,
         "1 of 2 servers up"},
        {"one down, two are needed",
         "web,s1,0,0,0,0,100,DOWN,2,,\nweb,s2,0,0,5,0,100,UP,2,,\nweb,BACKEND,0,0,5,0,200,UP,1,,\n",
         {},
         2,
         0,
         EVIDENCE_DOWN,
         50,
         "web: 1 of 2 servers up"},
        {"failing checks, still used",
         "web,s1,0,0,0,0,,UP 1/3,2,,\nweb,BACKEND,0,0,0,0,200,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         -1,
         "1 of 1 servers up"},
        {"not checked",
         "web,s1,0,0,0,0,,no check,2,,\nweb,BACKEND,0,0,0,0,200,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         -1,
         "1 of 1 servers up"},
        {"drained and in maintenance take nobody new",
         "web,s1,0,0,0,0,,DRAIN,2,,\nweb,s2,0,0,0,0,,MAINT,2,,\nweb,BACKEND,0,0,0,0,0,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_DOWN,
         -1,
         "web: 0 of 2 servers up"},
        {"the backend itself is down",
         "web,BACKEND,0,0,0,0,0,DOWN,1,,\n",
         {},
         1,
         0,
         EVIDENCE_DOWN,
         -1,
         "web: 0 of 0 servers up, DOWN"},
        {"a backend without servers (a redirect) counts by its status",
         "web,BACKEND,0,0,0,0,0,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         -1,
         "0 of 0 servers up"},
        {"only the named backend counts",
         "web,s1,0,0,0,0,,UP,2,,\nweb,BACKEND,0,0,0,0,0,UP,1,,\nold,BACKEND,0,0,0,0,0,DOWN,1,,\n",
         {"web"},
         1,
         0,
         EVIDENCE_UP,
         -1,
         "1 of 1 servers up"},
        {"a queue is a full load",
         "web,s1,0,0,10,0,100,UP,2,,\nweb,BACKEND,7,0,10,0,200,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         1000,
         "1 of 1 servers up"},
        {"sessions against our own limit",
         "web,s1,0,0,10,0,100,UP,2,,\nweb,BACKEND,0,0,10,0,200,UP,1,,\n",
         {},
         1,
         40,
         EVIDENCE_UP,
         250,
         "1 of 1 servers up"},
        {"over the limit",
         "web,s1,0,0,90,0,60,UP,2,,\nweb,BACKEND,0,0,90,0,200,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         1500,
         "1 of 1 servers up"},
        {"frontends and sockets are no servers",
         "f,FRONTEND,0,0,0,0,,OPEN,0,,\nf,sock-1,0,0,0,0,9,DOWN,3,,\nweb,s1,0,0,0,0,,UP,2,,\nweb,BACKEND,0,0,0,0,0,UP,"
         "1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         -1,
         "1 of 1 servers up"},
        {"a quoted field with comma and quote",
         "web,\"s\"\"1,x\",0,0,0,0,,UP,2,,\nweb,BACKEND,0,0,0,0,0,UP,1,,\n",
         {},
         1,
         0,
         EVIDENCE_UP,
         -1,
         "1 of 1 servers up"},
    };
    for (const HaproxyRow &row : rows) {
        Spec spec;
        spec.of(row.backends);
        spec.need = row.need;
        spec.sessions_max = row.sessions_max;
        const probe_result r = haproxy(head + row.rows, spec);
        EXPECT_EQ(r.result, row.result) << row.why << ": " << r.detail;
        EXPECT_EQ(r.load_permille, row.load) << row.why;
        EXPECT_STREQ(r.detail, row.detail) << row.why;
        EXPECT_EQ(r.reason, row.result == EVIDENCE_UP ? EVIDENCE_REASON_OK : EVIDENCE_REASON_BALANCER_DOWN) << row.why;
    }
}

TEST(BalancerHaproxy, FindsColumnsByNameInAnyOrder)
{
    Spec spec;
    const probe_result r = haproxy("# status,extra,svname,pxname\r\nUP,x,s1,web\r\nUP,x,BACKEND,web\r\n", spec);
    EXPECT_EQ(r.result, EVIDENCE_UP);
    EXPECT_STREQ(r.detail, "1 of 1 servers up");
}

TEST(BalancerHaproxy, TheResponseTimeIsTheBackends)
{
    Spec spec;
    EXPECT_EQ(haproxy(std::string(head) + "web,BACKEND,0,0,0,0,0,UP,1,12,\n", spec).response_ns, 12000000u);
}

TEST(BalancerHaproxy, WhatIsNoStatisticsIsUnknown)
{
    const struct {
        const char *why;
        std::string text;
        std::vector<const char *> backends;
    } rows[] = {{"empty", "", {}},
                {"a page", "<html><body>503</body></html>", {}},
                {"a column is missing", "# pxname,svname\nweb,BACKEND\n", {}},
                {"no backend", head, {}},
                {"not the backend that counts", std::string(head) + "web,BACKEND,0,0,0,0,0,DOWN,1,,\n", {"api"}},
                {"zeros", std::string(1000, '\0'), {}},
                {"one long line", std::string(100000, ','), {}},
                {"an open quote", std::string(head) + "\"web,BACKEND,0,0,0,0,0,UP,1,,\n", {}}};
    for (const auto &row : rows) {
        Spec spec;
        const probe_result r = haproxy(row.text, spec.of(row.backends));
        EXPECT_EQ(r.result, EVIDENCE_UNKNOWN) << row.why;
        EXPECT_EQ(r.reason, EVIDENCE_REASON_UNREADABLE) << row.why;
        EXPECT_NE(r.detail[0], 0) << row.why;
    }
}

TEST(BalancerHaproxy, ManyBackendsAreBounded)
{
    std::string text = head;
    for (int i = 0; i < 3000; i++)
        text += "b" + std::to_string(i) + ",BACKEND,0,0,0,0,0,UP,1,,\n";
    Spec spec;
    EXPECT_EQ(haproxy(text, spec).result, EVIDENCE_UP);
}

TEST(BalancerAgent, UnderstandsTheWordsOfTheProtocol)
{
    const struct {
        const char *line;
        evidence_result result;
        int32_t load;
        const char *why;
    } rows[] = {{"up\n", EVIDENCE_UP, -1, "plain"},
                {"ready up\r\n", EVIDENCE_UP, -1, "two words"},
                {"UP 75%\n", EVIDENCE_UP, 250, "a weight is a load"},
                {"75%\n", EVIDENCE_UP, 250, "a weight alone"},
                {"150%\n", EVIDENCE_UP, 0, "more than its share"},
                {"0%\n", EVIDENCE_DOWN, 1000, "no weight"},
                {"up,drain\n", EVIDENCE_DOWN, -1, "the worse of two"},
                {"drain up\n", EVIDENCE_DOWN, -1, "in any order"},
                {"down # works until noon\n", EVIDENCE_DOWN, -1, "a reason"},
                {"maint\n", EVIDENCE_DOWN, -1, "maintenance"},
                {"failed", EVIDENCE_DOWN, -1, "without a newline"},
                {"maxconn:30 up\n", EVIDENCE_UP, -1, "words that do not concern us"},
                {"up\ndown\n", EVIDENCE_UP, -1, "only the first line counts"},
                {"", EVIDENCE_UNKNOWN, -1, "nothing"},
                {"hello\n", EVIDENCE_UNKNOWN, -1, "no word of the protocol"},
                {"-5%\n", EVIDENCE_UNKNOWN, -1, "no weight"},
                {"# up\n", EVIDENCE_UNKNOWN, -1, "a remark only"}};
    for (const auto &row : rows) {
        const probe_result r = balancer_read_agent(row.line, strlen(row.line));
        EXPECT_EQ(r.result, row.result) << row.why;
        EXPECT_EQ(r.load_permille, row.load) << row.why;
    }
    const std::string longer(5000, 'u');
    EXPECT_EQ(balancer_read_agent(longer.data(), longer.size()).result, EVIDENCE_UNKNOWN);
}

TEST(BalancerStatus, AMonitorPage)
{
    EXPECT_EQ(balancer_read_status(200).result, EVIDENCE_UP);
    EXPECT_EQ(balancer_read_status(204).result, EVIDENCE_UP);
    EXPECT_EQ(balancer_read_status(503).result, EVIDENCE_DOWN);
    EXPECT_STREQ(balancer_read_status(503).detail, "status 503");
    EXPECT_EQ(balancer_read_status(301).result, EVIDENCE_DOWN);
}

const char document[] =
    R"({"pools": {"web": {"status": "Up", "servers": [{"up": true}, {"up": false}], "count": "3", "load": 0.25,
        "percent": 40, "weight": 80, "none": 0}}})";

TEST(BalancerJson, FollowsPaths)
{
    const struct {
        const char *status, *servers, *load, *weight;
        uint32_t need;
        evidence_result result;
        int32_t permille;
        const char *why;
    } rows[] = {
        {"pools.web.status", "", "", "", 1, EVIDENCE_UP, -1, "a text, in any case"},
        {"pools.web.servers[0].up", "", "", "", 1, EVIDENCE_UP, -1, "true"},
        {"pools.web.servers[1].up", "", "", "", 1, EVIDENCE_DOWN, -1, "false"},
        {"pools.web.none", "", "", "", 1, EVIDENCE_DOWN, -1, "a zero"},
        {"", "pools.web.count", "", "", 3, EVIDENCE_UP, -1, "a number as text"},
        {"", "pools.web.count", "", "", 4, EVIDENCE_DOWN, -1, "too few"},
        {"", "", "pools.web.load", "", 1, EVIDENCE_UP, 250, "a share"},
        {"", "", "pools.web.percent", "", 1, EVIDENCE_UP, 400, "a percentage"},
        {"", "", "pools.web.load", "pools.web.weight", 1, EVIDENCE_UP, 250, "the higher of load and lost weight"},
        {"", "", "", "pools.web.weight", 1, EVIDENCE_UP, 200, "lost weight is load"},
        {"", "", "", "pools.web.none", 1, EVIDENCE_DOWN, 1000, "no weight left"},
        {"pools.web.state", "", "", "", 1, EVIDENCE_UNKNOWN, -1, "nothing there"},
        {"", "pools.web.status", "", "", 1, EVIDENCE_UNKNOWN, -1, "no number there"},
        {"pools.web.servers[2].up", "", "", "", 1, EVIDENCE_UNKNOWN, -1, "behind the end"},
        {"pools[0]", "", "", "", 1, EVIDENCE_UNKNOWN, -1, "no list"}};
    for (const auto &row : rows) {
        Spec spec;
        spec.status_path = row.status, spec.servers_up_path = row.servers;
        spec.load_path = row.load, spec.weight_path = row.weight, spec.need = row.need;
        const probe_result r = balancer_read_json(document, strlen(document), &spec);
        EXPECT_EQ(r.result, row.result) << row.why << ": " << r.detail;
        EXPECT_EQ(r.load_permille, row.permille) << row.why;
    }
}

TEST(BalancerJson, WhatIsNoJsonIsUnknown)
{
    Spec spec;
    const std::string deep(100000, '[');
    for (const std::string &text :
         {std::string(), std::string("{"), std::string("{\"a\":}"), deep, std::string("\xff\xfe")}) {
        EXPECT_EQ(balancer_read_json(text.data(), text.size(), &spec).reason, EVIDENCE_REASON_UNREADABLE);
        EXPECT_EQ(balancer_read_envoy(text.data(), text.size(), &spec).reason, EVIDENCE_REASON_UNREADABLE);
    }
}

std::string envoy(const std::string &hosts)
{
    return R"({"cluster_statuses": [{"name": "web", "circuit_breakers": {"thresholds": [{"priority": "DEFAULT",
        "max_requests": 100}, {"priority": "HIGH", "max_requests": 7}]}, "host_statuses": [)" +
           hosts + "]}]}";
}

TEST(BalancerEnvoy, CountsHostsThatEveryCheckFindsHealthy)
{
    const std::string good = R"({"health_status": {"eds_health_status": "HEALTHY"},
                                 "stats": [{"name": "rq_active", "value": "30"}, {"name": "x", "value": "1"}]})";
    const struct {
        std::string hosts;
        uint32_t need;
        evidence_result result;
        int32_t load;
        const char *why;
    } rows[] = {
        {good, 1, EVIDENCE_UP, 300, "healthy, load by active requests"},
        {good + "," + good, 2, EVIDENCE_UP, 600, "two"},
        {R"({"health_status": {"eds_health_status": "UNHEALTHY"}})", 1, EVIDENCE_DOWN, 0, "by the control plane"},
        {R"({"health_status": {"eds_health_status": "HEALTHY", "failed_active_health_check": true}})", 1, EVIDENCE_DOWN,
         0, "by its own check"},
        {R"({"health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": true}})", 1, EVIDENCE_DOWN, 0,
         "by outlier detection"},
        {R"({"health_status": {}})", 1, EVIDENCE_UP, 0, "nothing is said against it"},
        {"", 1, EVIDENCE_DOWN, 0, "no host at all"}};
    for (const auto &row : rows) {
        Spec spec;
        spec.need = row.need;
        const std::string text = envoy(row.hosts);
        const probe_result r = balancer_read_envoy(text.data(), text.size(), &spec);
        EXPECT_EQ(r.result, row.result) << row.why << ": " << r.detail;
        EXPECT_EQ(r.load_permille, row.load) << row.why;
    }
}

TEST(BalancerEnvoy, AClusterThatIsNotListedIsUnknown)
{
    Spec spec;
    const std::string text = envoy("");
    EXPECT_EQ(balancer_read_envoy(text.data(), text.size(), &spec.of({"api"})).result, EVIDENCE_UNKNOWN);
    EXPECT_EQ(balancer_read_envoy("{}", 2, &spec).result, EVIDENCE_UNKNOWN);
}

} // namespace
