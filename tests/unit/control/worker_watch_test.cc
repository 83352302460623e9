// SPDX-License-Identifier: Apache-2.0
// A child process plays the data plane's worker: the kernel tells what became of its thread. Time is passed in.
#include "control/worker_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace
{

constexpr uint64_t MS = 1000000;

struct WorkerWatch : testing::Test {
    const size_t bytes = sizeof(counters_page) + sizeof(counters_block);
    int fd = memfd_create("counters", MFD_CLOEXEC);
    counters_page *page = nullptr;
    worker_watch *watch = worker_watch_new();
    pid_t child = 0;

    void SetUp() override
    {
        ASSERT_EQ(ftruncate(fd, static_cast<off_t>(bytes)), 0);
        page = static_cast<counters_page *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        ASSERT_NE(page, MAP_FAILED);
        page->magic = COUNTERS_MAGIC;
        page->version = COUNTERS_VERSION;
        page->block_count = 1;
        page->counter_count = COUNTER_COUNT;
        page->block_bytes = sizeof(counters_block);
    }
    void TearDown() override
    {
        worker_watch_free(watch);
        if (child) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
        }
        munmap(page, bytes);
        close(fd);
    }
    // A child that sleeps or never ends its turn; the first loop was at 1,000 ms.
    void start(bool is_busy)
    {
        child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            volatile bool for_ever = true;
            while (for_ever)
                if (!is_busy)
                    pause();
        }
        ASSERT_GT(child, 0);
        page->pid = static_cast<uint32_t>(child);
        page->block[0].thread_id = static_cast<uint64_t>(child);
        page->block[0].value[COUNTER_loops] = 1;
        ASSERT_EQ(worker_watch_attach(watch, fd, child), 0);
        wait_state(is_busy ? "R" : "S");
        ASSERT_TRUE(alive_at(1000));
    }
    void wait_state(const std::string &wanted) const
    {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        std::string word, state;
        do {
            std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
            stat >> word >> word >> state;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        } while (state != wanted && std::chrono::steady_clock::now() < end);
        ASSERT_EQ(state, wanted);
    }
    bool alive_at(uint64_t ms) const
    {
        return worker_watch_is_alive(watch, ms * MS);
    }
};

TEST_F(WorkerWatch, AWorkerThatMovesIsAlive)
{
    start(false);
    for (uint64_t ms = 1050; ms < 5000; ms += 90) {
        page->block[0].value[COUNTER_loops]++;
        EXPECT_TRUE(alive_at(ms));
    }
}

TEST_F(WorkerWatch, AStoppedOneIsStuckAtOnce)
{
    start(false);
    kill(child, SIGSTOP);
    wait_state("T");
    EXPECT_FALSE(alive_at(1001));
    kill(child, SIGCONT);
    wait_state("S");
    page->block[0].value[COUNTER_loops]++;
    EXPECT_TRUE(alive_at(1100));
}

TEST_F(WorkerWatch, OneThatSleepsTooLongIsStuckSoon)
{
    start(false);
    EXPECT_TRUE(alive_at(1100)) << "as long as a sleep may take";
    EXPECT_FALSE(alive_at(1101));
}

TEST_F(WorkerWatch, OneThatIsReadyToRunMayBeStarvedForLonger)
{
    start(true);
    EXPECT_TRUE(alive_at(1101));
    EXPECT_TRUE(alive_at(2000)) << "others may have the processor";
    EXPECT_FALSE(alive_at(2001)) << "or it is in an endless loop";
}

TEST_F(WorkerWatch, WhereTheThreadCannotBeSeenOnlyTheCounterSpeaks)
{
    start(false);
    kill(child, SIGSTOP);
    wait_state("T");
    for (const int pid : {0, 1}) { // not known; another one than the page says, as between containers
        ASSERT_EQ(worker_watch_attach(watch, fd, pid), 0);
        ASSERT_TRUE(alive_at(3000));
        EXPECT_TRUE(alive_at(4000));
        EXPECT_FALSE(alive_at(4001));
    }
    page->block[0].thread_id = 0; // not told
    ASSERT_EQ(worker_watch_attach(watch, fd, child), 0);
    ASSERT_TRUE(alive_at(5000));
    EXPECT_TRUE(alive_at(6000));
}

TEST_F(WorkerWatch, WithoutAPageOrALoopNothingIsAlive)
{
    EXPECT_FALSE(alive_at(1000));
    ASSERT_EQ(worker_watch_attach(watch, fd, 0), 0);
    EXPECT_FALSE(alive_at(1000));
    page->block[0].value[COUNTER_loops] = 1;
    EXPECT_TRUE(alive_at(1001));
    worker_watch_detach(watch);
    EXPECT_FALSE(alive_at(1002));
    page->version++;
    EXPECT_EQ(worker_watch_attach(watch, fd, 0), -EPROTO);
}

} // namespace
