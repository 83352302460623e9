// SPDX-License-Identifier: Apache-2.0
#include "tests/support/image_maker.h"

#include <cerrno>

extern "C" {
#include "dataplane/pairing.h"
}

namespace
{

// Each image is "z" or "o", generation, "/", pairing id.
struct Row {
    std::vector<std::string> arrivals;
    std::vector<int> results; // of each arrival: 1 in use, 0 waits, -EALREADY
    uint64_t zone, order;     // generations in use at the end
    uint64_t waiting_zone, waiting_order;
    const char *why;
};

void PrintTo(const Row &row, std::ostream *out)
{
    *out << row.why;
}

class Pairing : public testing::TestWithParam<Row>
{
};

int arrive(pairing *p, const std::string &text)
{
    const uint64_t generation = std::stoull(text.substr(1)), id = std::stoull(text.substr(text.find('/') + 1));
    const bool is_zone = text[0] == 'z';
    image_map *m = is_zone ? image_maker::map(image_maker::zone(generation, id), IMAGE_ZONE)
                           : image_maker::map(image_maker::order(generation, id), IMAGE_ORDER);
    char why[IMAGE_TEXT_CAP];
    int rc = pairing_accept(p, m, why);
    image_map_drop(m);
    return rc;
}

uint64_t generation_of(const image_map *m)
{
    return m ? m->generation : 0;
}

TEST_P(Pairing, PublishesOnlyPairsThatBelongTogether)
{
    const Row &row = GetParam();
    pairing p{};
    for (size_t i = 0; i < row.arrivals.size(); i++)
        EXPECT_EQ(arrive(&p, row.arrivals[i]), row.results[i]) << row.arrivals[i] << ": " << row.why;
    EXPECT_EQ(generation_of(p.zone), row.zone) << row.why;
    EXPECT_EQ(generation_of(p.order), row.order) << row.why;
    EXPECT_EQ(generation_of(p.waiting_zone), row.waiting_zone) << row.why;
    EXPECT_EQ(generation_of(p.waiting_order), row.waiting_order) << row.why;
    pairing_fini(&p);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Pairing,
    testing::Values(
        Row{{"z1/7"}, {0}, 0, 0, 1, 0, "a zone alone waits"}, Row{{"o1/7"}, {0}, 0, 0, 0, 1, "an order alone waits"},
        Row{{"z1/7", "o1/7"}, {0, 1}, 1, 1, 0, 0, "the usual start"},
        Row{{"o1/7", "z1/7"}, {0, 1}, 1, 1, 0, 0, "the other way round"},
        Row{{"z1/7", "o1/7", "o2/7", "o3/7"}, {0, 1, 1, 1}, 1, 3, 0, 0, "a verdict changes the order alone"},
        Row{{"z1/7", "o1/7", "z2/7"}, {0, 1, 1}, 2, 1, 0, 0, "static records change alone"},
        Row{{"z1/7", "o1/7", "z2/8"},
            {0, 1, 0},
            1,
            1,
            2,
            0,
            "services change: the old pair answers until both are there"},
        Row{{"z1/7", "o1/7", "z2/8", "o2/7"}, {0, 1, 0, 1}, 1, 2, 2, 0, "meanwhile verdicts still take effect"},
        Row{{"z1/7", "o1/7", "z2/8", "o2/7", "o3/8"}, {0, 1, 0, 1, 1}, 2, 3, 0, 0, "then both change at once"},
        Row{{"z1/7", "o1/7", "o2/8"}, {0, 1, 0}, 1, 1, 0, 2, "the order first: it waits"},
        Row{{"z1/7", "o1/7", "o2/8", "z2/8"}, {0, 1, 0, 1}, 2, 2, 0, 0, "and is used with its zone"},
        Row{{"z1/7", "o1/7", "z2/8", "z3/9", "o2/9"},
            {0, 1, 0, 0, 1},
            3,
            2,
            0,
            0,
            "a second reload replaces the first"},
        Row{{"z1/7", "o1/7", "z2/8", "z3/7"}, {0, 1, 0, 1}, 3, 1, 0, 0, "going back drops the zone that waited"},
        Row{{"z5/7", "o5/7", "z5/7", "o5/7"}, {0, 1, -EALREADY, -EALREADY}, 5, 5, 0, 0, "sent again after a reconnect"},
        Row{{"z5/7", "o5/7", "z4/7", "o4/7"}, {0, 1, -EALREADY, -EALREADY}, 5, 5, 0, 0, "an older control process"},
        Row{{"z1/7", "o1/7", "z3/8", "z2/8"}, {0, 1, 0, -EALREADY}, 1, 1, 3, 0, "newer counts what waits, too"}));

TEST(Pairing, RefusesAPairWhoseServicesDoNotFit)
{
    pairing p{};
    image_map *zone = image_maker::map(image_maker::zone(1), IMAGE_ZONE);
    image_map *order = image_maker::map(image_maker::order_without_services(1), IMAGE_ORDER);
    char why[IMAGE_TEXT_CAP] = "";
    EXPECT_EQ(pairing_accept(&p, zone, why), 0);
    EXPECT_EQ(pairing_accept(&p, order, why), -EINVAL) << "equal ids, but a service would be out of range";
    EXPECT_STRNE(why, "");
    EXPECT_EQ(p.zone, nullptr);
    image_map_drop(zone);
    image_map_drop(order);
    pairing_fini(&p);
}

} // namespace
