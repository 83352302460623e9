// SPDX-License-Identifier: Apache-2.0
// Publication and reclamation under stress: many readers that look at what they hold for as long as they may, one
// writer that publishes as fast as it is let. A snapshot that is used after it was freed shows as poison, as a
// generation that does not fit, or to ThreadSanitizer and AddressSanitizer. SIGNPOST_RACE_MS sets how long (default
// 1500).
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "tests/support/image_maker.h"

extern "C" {
#include "dataplane/publish.h"
}

namespace
{

using Clock = std::chrono::steady_clock;

Clock::duration run_time()
{
    const char *text = std::getenv("SIGNPOST_RACE_MS");
    return std::chrono::milliseconds(text ? std::atoi(text) : 1500);
}

std::atomic<uint64_t> done_generation{0}, done_count{0};

void on_done(void *, uint64_t, uint64_t order, uint64_t)
{
    EXPECT_GE(order, done_generation.load()) << "reports never go back";
    done_generation = order;
    done_count++;
}

// Both generations of a snapshot are equal, and so are those inside its images; never older than one seen before.
void check(const snapshot *s, uint64_t &last)
{
    ASSERT_EQ(s->poison, static_cast<uint32_t>(SNAPSHOT_ALIVE));
    ASSERT_EQ(s->zone_generation, s->order_generation);
    ASSERT_EQ(static_cast<const image_header *>(s->zone_image)->generation, s->zone_generation);
    ASSERT_EQ(static_cast<const image_header *>(s->order_image)->generation, s->order_generation);
    ASSERT_GE(s->order_generation, last);
    last = s->order_generation;
}

struct Reader {
    enum Kind { BUSY, SLEEPER, COMER } kind;
    std::atomic<uint64_t> looks{0};

    void run(const std::atomic<bool> &stop, unsigned seed)
    {
        std::mt19937 random(seed);
        uint64_t last = 0;
        publish_register();
        while (!stop && !testing::Test::HasFatalFailure()) {
            const snapshot *s = publish_read();
            if (s) {
                check(s, last);
                for (unsigned i = random() % 64; i > 0; i--) // hold it, look again
                    ASSERT_EQ(__atomic_load_n(&s->poison, __ATOMIC_RELAXED), static_cast<uint32_t>(SNAPSHOT_ALIVE));
                check(s, last);
            }
            looks++;
            if (kind == SLEEPER && random() % 8 == 0) { // as an idle worker and the stream thread
                publish_offline();
                std::this_thread::yield();
                publish_online();
            } else if (kind == COMER && random() % 64 == 0) {
                publish_unregister();
                publish_register();
            } else {
                publish_quiescent();
            }
        }
        publish_unregister();
    }
};

TEST(PublishRace, NoReaderEverHoldsAFreedOrMixedSnapshot)
{
    done_generation = done_count = 0;
    ASSERT_EQ(publish_init(on_done, nullptr), 0);
    std::atomic<bool> stop{false};
    std::vector<std::unique_ptr<Reader>> readers;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 5; i++) {
        readers.push_back(std::make_unique<Reader>());
        readers.back()->kind = static_cast<Reader::Kind>(i % 3);
        threads.emplace_back([&stop, i, reader = readers.back().get()] { reader->run(stop, i); });
    }
    // Images are made before: the writer shall publish, not build.
    constexpr unsigned IMAGES = 64;
    std::vector<dns_text::Image> zones, orders;
    for (unsigned i = 0; i < IMAGES; i++) {
        zones.push_back(image_maker::zone(i + 1));
        orders.push_back(image_maker::order(i + 1));
    }
    uint64_t published = 0, full = 0;
    const auto end = Clock::now() + run_time();
    while (Clock::now() < end && !HasFatalFailure()) {
        // Generations go up over all rounds: the header's is written into a fresh copy.
        const uint64_t generation = published + 1;
        auto *zone_header = static_cast<image_header *>(zones[published % IMAGES].data.get());
        auto *order_header = static_cast<image_header *>(orders[published % IMAGES].data.get());
        zone_header->generation = order_header->generation = generation;
        zone_header->checksum = image_checksum(zone_header, zones[published % IMAGES].len);
        order_header->checksum = image_checksum(order_header, orders[published % IMAGES].len);
        image_map *zone = image_maker::map(zones[published % IMAGES], IMAGE_ZONE);
        image_map *order = image_maker::map(orders[published % IMAGES], IMAGE_ORDER);
        snapshot *s = snapshot_new(zone, order);
        image_map_drop(zone);
        image_map_drop(order);
        while (publish_swap(s) < 0) {
            full++;
            std::this_thread::yield();
        }
        published++;
    }
    stop = true;
    for (std::thread &t : threads)
        t.join();
    while (done_generation < published) // all readers are gone: the last grace period ends at once
        std::this_thread::yield();
    publish_fini();
    uint64_t looks = 0;
    for (const auto &r : readers) {
        EXPECT_GT(r->looks, 0u);
        looks += r->looks;
    }
    printf("%lu published, %lu grace periods, %lu looks, queue full %lu times\n", published, done_count.load(), looks,
           full);
    EXPECT_GT(published, 10u);
    EXPECT_LE(done_count, published);
}

// The writer must never wait for a reader, and one reader that hangs must not lose what the others hold.
TEST(PublishRace, AReaderThatHangsStopsReclamationOnly)
{
    done_generation = done_count = 0;
    ASSERT_EQ(publish_init(on_done, nullptr), 0);
    std::atomic<bool> holds{false}, release{false};
    image_map *zone = image_maker::map(image_maker::zone(1), IMAGE_ZONE);
    image_map *order = image_maker::map(image_maker::order(1), IMAGE_ORDER);
    ASSERT_EQ(publish_swap(snapshot_new(zone, order)), 0);
    std::thread hanging([&] {
        publish_register();
        const snapshot *s = publish_read();
        holds = true;
        while (!release)
            std::this_thread::yield();
        EXPECT_EQ(s->poison, static_cast<uint32_t>(SNAPSHOT_ALIVE));
        EXPECT_EQ(static_cast<const image_header *>(s->order_image)->generation, 1u);
        publish_unregister();
    });
    while (!holds)
        std::this_thread::yield();
    unsigned accepted = 0;
    for (unsigned i = 0; i < 2 * PUBLISH_RETIRED_MAX; i++) {
        snapshot *s = snapshot_new(zone, order);
        if (publish_swap(s) == 0)
            accepted++;
        else
            snapshot_free(s);
    }
    EXPECT_GE(accepted, PUBLISH_RETIRED_MAX - 1u);
    EXPECT_LE(accepted, PUBLISH_RETIRED_MAX + 0u) << "memory behind a hanging reader is bounded";
    release = true;
    hanging.join();
    image_map_drop(zone);
    image_map_drop(order);
    publish_fini();
}

} // namespace
