// SPDX-License-Identifier: Apache-2.0
// dbsync_pump A B: keeps two prepared databases (sites 1 and 2) in step in one process, without a network: for each
// direction one thread that reads batches and one that applies them. For benchmarks and crash tests of the doors; a
// database that is away is opened again. Ends when standard input does, and prints what it moved as one JSON object.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

extern "C" {
#include "dbsync/door.h"
}

namespace
{

constexpr unsigned QUEUE_BATCHES = 3, ROW_LIMIT = 50000;
constexpr auto PAUSE = std::chrono::milliseconds(10);
std::atomic<bool> is_ending{false};

struct Direction {
    std::string from, to;
    uint16_t from_site, to_site;
    std::mutex lock;
    std::condition_variable changed;
    std::deque<std::pair<uint64_t, std::vector<uint8_t>>> queue;
    bool is_reset = true; // the reader begins behind what is applied
    std::atomic<uint64_t> batches{0}, rows{0}, bytes{0}, changes{0}, retries{0}, parked{0};
};

door *open_door(const std::string &conninfo)
{
    for (;;) {
        door *d = nullptr;
        problem why{};
        if (door_open(conninfo.c_str(), &d, &why) == 0)
            return d;
        if (is_ending)
            return nullptr;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

int collect(void *context, const void *bytes, size_t len)
{
    auto *out = static_cast<std::vector<uint8_t> *>(context);
    const auto *p = static_cast<const uint8_t *>(bytes);
    out->insert(out->end(), p, p + len);
    return 0;
}

bool applied_of(door *d, uint16_t site, uint64_t *applied)
{
    door_peer peers[8];
    unsigned count = 0;
    problem why{};
    if (d->ops->peers(d, peers, 8, &count, &why) < 0)
        return false;
    for (unsigned i = 0; i < count; i++)
        *applied = peers[i].site == site ? peers[i].applied : *applied;
    return true;
}

void reopen(door **d, const std::string &conninfo, const problem &why)
{
    if (!is_ending)
        std::fprintf(stderr, "%s\n", why.text);
    (*d)->ops->close(*d);
    std::this_thread::sleep_for(PAUSE);
    *d = open_door(conninfo);
}

void read_loop(Direction &x)
{
    door *d = open_door(x.from);
    uint64_t after = 0;
    auto collected = std::chrono::steady_clock::now();
    while (d && !is_ending) {
        {
            std::unique_lock hold(x.lock);
            x.changed.wait_for(hold, PAUSE, [&] { return x.queue.size() < QUEUE_BATCHES || x.is_reset; });
            if (x.is_reset) {
                x.queue.clear();
                door *to = open_door(x.to);
                x.is_reset = !to || !applied_of(to, x.from_site, &after);
                if (to)
                    to->ops->close(to);
                continue;
            }
            if (x.queue.size() >= QUEUE_BATCHES)
                continue;
        }
        door_read_request request{};
        request.peer = x.to_site;
        request.after = after;
        request.row_limit = ROW_LIMIT;
        door_batch info{};
        problem why{};
        std::vector<uint8_t> bytes;
        int result = d->ops->read_batch(d, &request, collect, &bytes, &info, &why);
        if (result == -EAGAIN)
            continue;
        if (result < 0) {
            reopen(&d, x.from, why);
            continue;
        }
        if (info.number == 0) {
            std::this_thread::sleep_for(PAUSE);
        } else {
            after = info.number;
            x.batches++;
            x.rows += info.rows;
            x.changes += info.changes;
            x.bytes += info.bytes;
            std::unique_lock hold(x.lock);
            x.queue.emplace_back(info.number, std::move(bytes));
            x.changed.notify_all();
        }
        bool more = false;
        auto now = std::chrono::steady_clock::now();
        if (now - collected > std::chrono::milliseconds(500)) {
            collected = now;
            d->ops->collect(d, &more, &why);
        }
    }
    if (d)
        d->ops->close(d);
}

void apply_loop(Direction &x)
{
    door *d = open_door(x.to), *back = open_door(x.from);
    while (d && back && !is_ending) {
        std::vector<uint8_t> bytes;
        {
            std::unique_lock hold(x.lock);
            if (!x.changed.wait_for(hold, PAUSE, [&] { return !x.queue.empty(); }))
                continue;
            bytes = std::move(x.queue.front().second);
            x.queue.pop_front();
            x.changed.notify_all();
        }
        problem why{};
        for (bool done = false; !done && !is_ending;) {
            arena memory{};
            apply_result result{};
            int status = d->ops->apply(d, x.from_site, bytes.data(), bytes.size(), &memory, &result, &why);
            arena_fini(&memory);
            x.parked += result.parked;
            if (status == -EAGAIN) {
                x.retries++;
                continue;
            }
            done = true;
            if (status < 0)
                reopen(&d, x.to, why);
            if (status < 0 || result.verdict == APPLY_GAP) {
                std::unique_lock hold(x.lock);
                x.is_reset = true;
            } else if (back->ops->acked(back, x.to_site, result.applied, &why) < 0) {
                reopen(&back, x.from, why);
            }
            if (!d || !back)
                break;
        }
    }
    if (d)
        d->ops->close(d);
    if (back)
        back->ops->close(back);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: dbsync_pump CONNINFO_OF_SITE_1 CONNINFO_OF_SITE_2 <pipe\n");
        return 2;
    }
    Direction ab, ba;
    ab.from = ba.to = argv[1];
    ab.to = ba.from = argv[2];
    ab.from_site = ba.to_site = 1;
    ab.to_site = ba.from_site = 2;
    std::thread threads[] = {std::thread(read_loop, std::ref(ab)), std::thread(apply_loop, std::ref(ab)),
                             std::thread(read_loop, std::ref(ba)), std::thread(apply_loop, std::ref(ba))};
    for (char c; read(0, &c, 1) > 0;)
        ;
    is_ending = true;
    for (auto &t : threads)
        t.join();
    std::printf(
        "{\"batches\": %llu, \"rows\": %llu, \"changes\": %llu, \"bytes\": %llu, \"retries\": %llu, \"parked\": "
        "%llu}\n",
        static_cast<unsigned long long>(ab.batches + ba.batches), static_cast<unsigned long long>(ab.rows + ba.rows),
        static_cast<unsigned long long>(ab.changes + ba.changes), static_cast<unsigned long long>(ab.bytes + ba.bytes),
        static_cast<unsigned long long>(ab.retries + ba.retries),
        static_cast<unsigned long long>(ab.parked + ba.parked));
    return 0;
}
