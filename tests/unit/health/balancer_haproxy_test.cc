// SPDX-License-Identifier: Apache-2.0
#include "health/balancer_reading.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace
{

const std::string head = "# pxname,svname,qcur,scur,slim,status,act,bck,type,rtime,-,\n";

struct Row {
    const char *why;
    std::string text;
    std::vector<const char *> backends;
    uint32_t need, sessions_max;
    evidence_result result;
    evidence_reason reason;
    int32_t load;
    const char *detail; // a part of it
};

const char *const two_up = "web,FRONTEND,,100,1000,OPEN,,,0,,,\n"
                           "app,s1,0,10,50,UP,1,0,2,3,,\n"
                           "app,s2,0,20,50,UP,1,0,2,4,,\n"
                           "app,BACKEND,0,30,100,UP,2,0,1,7,,\n";

std::string lines(std::initializer_list<const char *> rows)
{
    std::string text = head;
    for (const char *row : rows)
        text += row;
    return text;
}

class HaproxyStatistics : public testing::TestWithParam<Row>
{
};

TEST_P(HaproxyStatistics, IsJudged)
{
    const Row &row = GetParam();
    balancer_spec spec{};
    spec.backends = row.backends.data();
    spec.backend_count = static_cast<unsigned>(row.backends.size());
    spec.need = row.need;
    spec.sessions_max = row.sessions_max;
    const std::vector<char> exact(row.text.begin(), row.text.end()); // no zero octet behind it
    const probe_result r = balancer_read_haproxy(exact.data(), exact.size(), &spec);
    EXPECT_EQ(r.result, row.result) << row.why << ": " << r.detail;
    EXPECT_EQ(r.reason, row.reason) << row.why << ": " << r.detail;
    EXPECT_EQ(r.load_permille, row.load) << row.why << ": " << r.detail;
    EXPECT_NE(std::string(r.detail).find(row.detail), std::string::npos) << row.why << ": " << r.detail;
}

constexpr evidence_result UP = EVIDENCE_UP, DOWN = EVIDENCE_DOWN, UNKNOWN = EVIDENCE_UNKNOWN;
constexpr evidence_reason OK = EVIDENCE_REASON_OK, FEW = EVIDENCE_REASON_BALANCER_DOWN,
                          BAD = EVIDENCE_REASON_UNREADABLE;

INSTANTIATE_TEST_SUITE_P(
    Rows, HaproxyStatistics,
    testing::Values(
        Row{"30 sessions of 100 that the servers take", lines({two_up}), {}, 2, 0, UP, OK, 300, "2 of 2 servers up"},
        Row{"the operator's limit instead", lines({two_up}), {"app"}, 1, 60, UP, OK, 500, "2 of 2"},
        Row{"one server more is needed", lines({two_up}), {"app"}, 3, 0, DOWN, FEW, 300, "app: 2 of 2 servers up"},
        Row{"a backend that is not there may have been renamed",
            lines({two_up}),
            {"api"},
            1,
            0,
            UNKNOWN,
            BAD,
            -1,
            "no backend \"api\""},
        Row{"one is plainly down, whatever became of the other",
            lines({"app,s1,0,0,,DOWN,1,0,2,,,\n", "app,BACKEND,0,0,,DOWN,0,0,1,,,\n"}),
            {"api", "app"},
            1,
            0,
            DOWN,
            FEW,
            -1,
            "app: 0 of 1 servers up, DOWN"},
        Row{"the balancer stopped the backend",
            lines({"app,BACKEND,0,0,,MAINT,0,0,1,,,\n"}),
            {"app"},
            1,
            0,
            DOWN,
            FEW,
            -1,
            "app"},
        Row{"backup servers serve too",
            lines({"app,s1,0,0,,DOWN,1,0,2,,,\n", "app,b1,0,0,,UP,0,1,2,,,\n", "app,BACKEND,0,0,,UP,0,1,1,,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            -1,
            "1 of 2"},
        Row{"a server that begins to fail still serves, one that is not checked does",
            head + "app,s1,0,0,,UP 1/3,,,2,,,\napp,s2,0,0,,no check,,,2,,,\napp,s3,0,0,,DRAIN,,,2,,,\n"
                   "app,BACKEND,0,0,,UP,,,1,,,\n",
            {},
            2,
            0,
            UP,
            OK,
            -1,
            "2 of 3"},
        Row{"one that begins to come back, in maintenance or drained does not serve",
            head + "app,s1,0,0,,DOWN 1/2,,,2,,,\napp,s2,0,0,,MAINT (via a/b),,,2,,,\napp,s3,0,0,,NOLB,,,2,,,\n"
                   "app,BACKEND,0,0,,UP,,,1,,,\n",
            {},
            1,
            0,
            DOWN,
            FEW,
            -1,
            "0 of 3"},
        Row{"requests wait: full, whatever the sessions say",
            lines({"app,s1,2,10,50,UP,1,0,2,3,,\n", "app,BACKEND,0,12,100,UP,1,0,1,7,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            1000,
            "1 of 1"},
        Row{"a server without a limit: the backend has none, and its slim (fullconn) is a guess",
            lines({"app,s1,0,10,50,UP,1,0,2,3,,\n", "app,s2,0,10,,UP,1,0,2,3,,\n",
                   "app,BACKEND,0,95,100,UP,2,0,1,7,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            -1,
            ""},
        Row{"the limit of a server that is down is no room",
            lines({"app,s1,0,40,50,UP,1,0,2,3,,\n", "app,s2,0,0,50,DOWN,1,0,2,3,,\n",
                   "app,BACKEND,0,40,100,UP,1,0,1,7,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            800,
            ""},
        Row{"a frontend near its limit",
            lines({"web,FRONTEND,,950,1000,OPEN,,,0,,,\n", "app,s1,0,10,,UP,1,0,2,3,,\n",
                   "app,BACKEND,0,10,,UP,1,0,1,7,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            950,
            ""},
        Row{"a page of statistics has no servers and counts by its status",
            lines({"stats,FRONTEND,,1,1000,OPEN,,,0,,,\n", "stats,BACKEND,0,0,,UP,0,0,1,,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            1,
            "0 of 0"},
        Row{"other columns, other order, rows that go on, carriage returns",
            "# x,status,type,svname,new,pxname\r\n1,UP,2,s1,\"a,\"\"b\"\"\",app\r\n1,UP,1,BACKEND,,app,more,more\r\n",
            {},
            1,
            0,
            UP,
            OK,
            -1,
            "1 of 1"},
        Row{"a name in quotes",
            head + "\"a,b\",s1,0,0,,UP,1,0,2,,,\n\"a,b\",BACKEND,0,0,,UP,1,0,1,,,\n",
            {"a,b"},
            1,
            0,
            UP,
            OK,
            -1,
            ""},
        Row{"no type column: by the servers' names",
            "# pxname,svname,status\nw,FRONTEND,OPEN\napp,s1,UP\napp,BACKEND,UP\n",
            {},
            1,
            0,
            UP,
            OK,
            -1,
            "1 of 1"},
        Row{"a listener's row is nobody's server",
            lines({two_up, "app2,sock-1,0,0,,UP,,,3,,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            300,
            ""},
        Row{"nothing", "", {}, 1, 0, UNKNOWN, BAD, -1, "no columns"},
        Row{"a page of a login form", "<html>", {}, 1, 0, UNKNOWN, BAD, -1, "no columns"},
        Row{"a header without the status", "# pxname,svname\napp,BACKEND\n", {}, 1, 0, UNKNOWN, BAD, -1, "no columns"},
        Row{"two columns of one name: which one is it?",
            "# pxname,svname,status,status\n",
            {},
            1,
            0,
            UNKNOWN,
            BAD,
            -1,
            "twice"},
        Row{"a row cut off", lines({two_up, "app9,BACKE"}), {}, 1, 0, UNKNOWN, BAD, -1, "ends early"},
        Row{"cut off inside quotes", lines({two_up, "\"app9"}), {}, 1, 0, UNKNOWN, BAD, -1, "quotes"},
        Row{"something behind the closing quote",
            lines({two_up, "\"app\"9,s,0,0,,UP,1,0,2,,,\n"}),
            {},
            1,
            0,
            UNKNOWN,
            BAD,
            -1,
            "quotes"},
        Row{"a status of another world",
            lines({"app,BACKEND,0,0,,ZOMBIE,0,0,1,,,\n"}),
            {},
            1,
            0,
            UNKNOWN,
            BAD,
            -1,
            "status"},
        Row{"servers whose backend's row is missing",
            lines({"app,s1,0,0,,DOWN,1,0,2,,,\n"}),
            {},
            1,
            0,
            UNKNOWN,
            BAD,
            -1,
            "own row"},
        Row{"figures beyond all bounds",
            lines({"app,s1,0,99999999999999999999,1,UP,1,0,2,,,\n",
                   "app,BACKEND,0,99999999999999999999,1,UP,1,0,1,99999999999,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            INT32_MAX,
            ""},
        Row{"negative figures are none",
            lines({"app,s1,0,-5,-1,UP,1,0,2,,,\n", "app,BACKEND,0,-5,1,UP,1,0,1,-1,,\n"}),
            {},
            1,
            0,
            UP,
            OK,
            -1,
            "1 of 1"}));

TEST(HaproxyStatistics, TheSlowestBackendGivesTheResponseTime)
{
    balancer_spec spec{};
    spec.need = 1;
    const std::string text = lines({two_up, "b,s,0,0,,UP,1,0,2,1,,\n", "b,BACKEND,0,0,,UP,1,0,1,12,,\n"});
    EXPECT_EQ(balancer_read_haproxy(text.data(), text.size(), &spec).response_ns, 12000000u);
}

TEST(HaproxyStatistics, EveryPrefixIsUpOrUnreadableButNeverDown)
{
    balancer_spec spec{};
    const char *backends[] = {"app"};
    spec.backends = backends;
    spec.backend_count = 1;
    spec.need = 2;
    const std::string text = lines({two_up});
    for (size_t len = 0; len < text.size(); len++) {
        const std::vector<char> part(text.begin(), text.begin() + static_cast<long>(len));
        EXPECT_NE(balancer_read_haproxy(part.data(), part.size(), &spec).result, EVIDENCE_DOWN) << len;
    }
}

TEST(HaproxyStatistics, ColumnsWithoutEndAreRefused)
{
    balancer_spec spec{};
    std::string text = "# pxname,svname,status";
    for (int i = 0; i < 3000; i++)
        text += ",x";
    EXPECT_EQ(balancer_read_haproxy(text.data(), text.size(), &spec).reason, EVIDENCE_REASON_UNREADABLE);
}

} // namespace
