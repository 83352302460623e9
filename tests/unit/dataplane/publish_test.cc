// SPDX-License-Identifier: Apache-2.0
#include "tests/support/image_maker.h"

#include <cerrno>
#include <condition_variable>
#include <mutex>

extern "C" {
#include "dataplane/publish.h"
}

namespace
{

// What the reclaimer thread reported.
struct Done {
    std::mutex lock;
    std::condition_variable changed;
    std::vector<uint64_t> orders;

    static void report(void *user, uint64_t, uint64_t order, uint64_t)
    {
        auto *d = static_cast<Done *>(user);
        std::lock_guard<std::mutex> guard(d->lock);
        d->orders.push_back(order);
        d->changed.notify_all();
    }
    void wait_for(uint64_t order)
    {
        std::unique_lock<std::mutex> guard(lock);
        changed.wait(guard, [&] { return !orders.empty() && orders.back() >= order; });
    }
};

struct Publish : testing::Test {
    Done done;
    image_map *zone = image_maker::map(image_maker::zone(1, 7, true, 30), IMAGE_ZONE);

    Publish()
    {
        EXPECT_EQ(publish_init(Done::report, &done), 0);
    }
    ~Publish() override
    {
        publish_fini();
        image_map_drop(zone);
    }
    snapshot *make(uint64_t order_generation)
    {
        image_map *order = image_maker::map(image_maker::order(order_generation), IMAGE_ORDER);
        snapshot *s = snapshot_new(zone, order);
        image_map_drop(order);
        return s;
    }
};

TEST_F(Publish, StartsWithNothing)
{
    publish_register();
    EXPECT_EQ(publish_read(), nullptr);
    publish_unregister();
}

TEST_F(Publish, ShowsReadersTheNewestSnapshotAndTellsWhenAllHaveIt)
{
    ASSERT_EQ(publish_swap(make(5)), 0);
    done.wait_for(5); // no reader: the grace period ends by itself
    publish_register();
    const snapshot *s = publish_read();
    ASSERT_NE(s, nullptr);
    EXPECT_EQ(s->order_generation, 5u);
    EXPECT_EQ(s->zone_generation, 1u);
    EXPECT_EQ(s->stale_after_s, 30u);
    EXPECT_EQ(s->order_built_at_us, 1000u);
    publish_unregister();
}

TEST_F(Publish, KeepsASnapshotThatAReaderHolds)
{
    ASSERT_EQ(publish_swap(make(1)), 0);
    done.wait_for(1);
    publish_register();
    const snapshot *held = publish_read();
    ASSERT_EQ(publish_swap(make(2)), 0);
    ASSERT_EQ(publish_swap(make(3)), 0);
    EXPECT_EQ(held->poison, static_cast<uint32_t>(SNAPSHOT_ALIVE)) << "this reader has not reported since";
    EXPECT_EQ(held->order_generation, 1u);
    EXPECT_EQ(static_cast<const image_header *>(held->order_image)->generation, 1u);
    EXPECT_EQ(publish_read()->order_generation, 3u) << "a new look sees the newest";
    publish_offline();
    done.wait_for(3); // would hang if an offline reader were waited for
    publish_online();
    EXPECT_EQ(publish_read()->order_generation, 3u);
    publish_unregister();
}

TEST_F(Publish, RefusesToPileUpBehindAWorkerThatHangs)
{
    publish_register();
    uint64_t published = 0;
    snapshot *s;
    for (;;) {
        s = make(published + 1);
        if (publish_swap(s) < 0)
            break;
        ASSERT_LT(++published, 2u * PUBLISH_RETIRED_MAX);
    }
    EXPECT_EQ(published, static_cast<uint64_t>(PUBLISH_RETIRED_MAX));
    EXPECT_EQ(publish_swap(s), -EAGAIN);
    publish_quiescent();
    publish_offline();
    done.wait_for(published); // the worker moved: all is freed
    int rc = publish_swap(s);
    EXPECT_EQ(rc, 0);
    if (rc < 0)
        snapshot_free(s);
    publish_unregister();
}

} // namespace
