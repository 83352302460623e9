// SPDX-License-Identifier: Apache-2.0
// The worker on real DPDK ports made of rings: frames in, frames out, every counter compared. EAL runs inside the test,
// without huge pages and cards.
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <chrono>
#include <map>
#include <thread>

#include "tests/support/image_maker.h"

extern "C" {
#include "dataplane/kernel_door_dpdk.h"
#include "dataplane/publish.h"
#include "dataplane/worker_dpdk.h"
}

namespace
{

using dns_text::Bytes;

constexpr unsigned RING = 256;

struct Eal {
    Eal()
    {
        const char *argv[] = {"test",           "--no-huge", "--no-pci", "--no-shconf",      "--no-telemetry",
                              "--iova-mode=va", "-m",        "64",       "--lcores=0@(0-0)", "--log-level=*:error"};
        EXPECT_GE(rte_eal_init(sizeof argv / sizeof *argv, const_cast<char **>(argv)), 0);
    }
};

uint16_t sum16(const Bytes &b, uint32_t sum = 0)
{
    for (size_t i = 0; i < b.size(); i += 2)
        sum += static_cast<uint32_t>(b[i] << 8) + (i + 1 < b.size() ? b[i + 1] : 0u);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

Bytes query(uint16_t id, const std::string &name = "www.example.com.")
{
    Bytes q;
    for (unsigned v : {unsigned(id), 0u, 1u, 0u, 0u, 0u})
        dns_text::put16(q, v);
    dns_text::append(q, dns_text::name(name));
    dns_text::put16(q, 1);
    dns_text::put16(q, 1);
    return q;
}

struct FrameOptions {
    bool is_bad_checksum = false;
    unsigned padding = 0;
    const char *destination = "192.0.2.53";
};

// Ethernet, IPv4, UDP around a message, from 198.51.100.9:4000+id.
Bytes frame(const uint8_t mac[6], const Bytes &message, FrameOptions o = {})
{
    Bytes udp, ip, f(mac, mac + 6);
    dns_text::put16(udp, 4000);
    dns_text::put16(udp, 53);
    dns_text::put16(udp, static_cast<unsigned>(8 + message.size()));
    dns_text::put16(udp, 0);
    dns_text::append(udp, message);
    for (unsigned v : {0x4500u, static_cast<unsigned>(20 + udp.size()), 1u, 0u, 0x4011u, 0u, 0xc633u, 0x6409u})
        dns_text::put16(ip, v);
    in_addr to{};
    inet_pton(AF_INET, o.destination, &to);
    const auto *bytes = reinterpret_cast<const uint8_t *>(&to);
    ip.insert(ip.end(), bytes, bytes + 4);
    uint16_t header = sum16(ip);
    ip[10] = static_cast<uint8_t>(header >> 8);
    ip[11] = static_cast<uint8_t>(header);
    Bytes pseudo(ip.begin() + 12, ip.end());
    dns_text::put16(pseudo, 17);
    dns_text::put16(pseudo, static_cast<unsigned>(udp.size()));
    dns_text::append(pseudo, udp);
    uint16_t sum = static_cast<uint16_t>(sum16(pseudo) ^ (o.is_bad_checksum ? 0x5555 : 0));
    udp[6] = static_cast<uint8_t>(sum >> 8);
    udp[7] = static_cast<uint8_t>(sum);
    dns_text::append(f, {2, 0, 0, 0, 0, 9, 8, 0});
    dns_text::append(f, ip);
    dns_text::append(f, udp);
    f.resize(f.size() + o.padding);
    return f;
}

struct WorkerOnRings : testing::Test {
    static Eal &eal()
    {
        static Eal once;
        return once;
    }
    rte_ring *rx = nullptr, *tx = nullptr;
    rte_mempool *source = nullptr; // buffers of the frames that we feed
    port p{};
    worker w{};
    counters_block *counters = static_cast<counters_block *>(aligned_alloc(128, sizeof(counters_block)));
    bool stop = false;
    static int number;

    WorkerOnRings()
    {
        eal();
        const std::string tag = std::to_string(number++);
        rx = rte_ring_create(("rx" + tag).c_str(), RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        tx = rte_ring_create(("tx" + tag).c_str(), RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        source = rte_pktmbuf_pool_create(("source" + tag).c_str(), 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
        EXPECT_TRUE(rx && tx && source) << rte_strerror(rte_errno);
        int id = rte_eth_from_rings(("ring" + tag).c_str(), &rx, 1, &tx, 1, 0);
        EXPECT_GE(id, 0);
        char why[PORT_WHY_CAP] = "";
        EXPECT_EQ(port_adopt(&p, static_cast<uint16_t>(id), 1, why), 0) << why;
        EXPECT_EQ(port_start(&p, why), 0) << why;
        memset(counters, 0, sizeof *counters);
        worker_init(&w, 0, &p, 1, IDLE_BUSY, counters, nullptr, &stop);
        EXPECT_EQ(publish_init([](void *, uint64_t, uint64_t, uint64_t) {}, nullptr), 0);
        publish_register();
    }
    ~WorkerOnRings() override
    {
        publish_unregister();
        publish_fini();
        drain();
        EXPECT_EQ(rte_mempool_avail_count(source), 1023u) << "a buffer leaked";
        port_close(&p);
        rte_ring_free(rx);
        rte_ring_free(tx);
        rte_mempool_free(source);
        free(counters);
    }

    void publish(uint64_t generation = 1, std::vector<std::string> addresses = {"198.51.100.1", "203.0.113.1"})
    {
        image_map *zone = image_maker::map(image_maker::zone(generation), IMAGE_ZONE);
        image_map *order = image_maker::map(image_maker::order(generation, 7, std::move(addresses)), IMAGE_ORDER);
        ASSERT_EQ(publish_swap(snapshot_new(zone, order)), 0);
        image_map_drop(zone);
        image_map_drop(order);
    }
    rte_mbuf *buffer(const Bytes &bytes)
    {
        rte_mbuf *m = rte_pktmbuf_alloc(source);
        EXPECT_NE(m, nullptr);
        memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(bytes.size())), bytes.data(), bytes.size());
        return m;
    }
    void feed(const Bytes &bytes)
    {
        ASSERT_EQ(rte_ring_enqueue(rx, buffer(bytes)), 0);
    }
    std::vector<Bytes> drain()
    {
        std::vector<Bytes> out;
        void *m;
        while (tx && rte_ring_dequeue(tx, &m) == 0) {
            auto *b = static_cast<rte_mbuf *>(m);
            EXPECT_EQ(b->pkt_len, b->data_len);
            const uint8_t *at = rte_pktmbuf_mtod(b, uint8_t *);
            out.emplace_back(at, at + b->data_len);
            rte_pktmbuf_free(b);
        }
        return out;
    }
    // Counters that are not zero, without those of time.
    std::map<std::string, uint64_t> counted() const
    {
        std::map<std::string, uint64_t> found;
        for (int i = 0; i < COUNTER_COUNT; i++)
            if (counters->value[i] && i != COUNTER_busy_cycles)
                found[counter_name(static_cast<counter>(i))] = counters->value[i];
        return found;
    }
};

int WorkerOnRings::number = 0;

using Counted = std::map<std::string, uint64_t>;

TEST_F(WorkerOnRings, TurnsAFrameRoundWithTheAnswer)
{
    publish();
    Bytes in = frame(p.packet.mac, query(77));
    feed(in);
    EXPECT_EQ(worker_turn(&w), 1u);
    std::vector<Bytes> out = drain();
    ASSERT_EQ(out.size(), 1u);
    const Bytes &reply = out[0];
    ASSERT_EQ(reply.size(), in.size() + 32) << "two A records of 16 bytes behind the question";
    EXPECT_EQ(Bytes(reply.begin(), reply.begin() + 6), Bytes(in.begin() + 6, in.begin() + 12)) << "back to the sender";
    EXPECT_EQ(Bytes(reply.begin() + 6, reply.begin() + 12), Bytes(p.packet.mac, p.packet.mac + 6));
    EXPECT_EQ(sum16({reply.begin() + 14, reply.begin() + 34}), 0) << "IPv4 header checksum";
    Bytes pseudo(reply.begin() + 26, reply.begin() + 34);
    dns_text::put16(pseudo, 17);
    dns_text::put16(pseudo, static_cast<unsigned>(reply.size() - 34));
    pseudo.insert(pseudo.end(), reply.begin() + 34, reply.end());
    EXPECT_EQ(sum16(pseudo), 0) << "UDP checksum";
    EXPECT_EQ(reply[42] << 8 | reply[43], 77);
    EXPECT_EQ(reply[49], 2) << "answers";
    const uint64_t in_bytes = in.size(), out_bytes = reply.size();
    EXPECT_EQ(counted(), (Counted{{"loops", 1},
                                  {"loops_busy", 1},
                                  {"rx_packets", 1},
                                  {"rx_bytes", in_bytes},
                                  {"tx_packets", 1},
                                  {"tx_bytes", out_bytes},
                                  {"queries_udp4", 1},
                                  {"answers_noerror", 1},
                                  {"answers_service", 1}}));
    EXPECT_EQ(counters->zone_generation, 1u);
    EXPECT_EQ(counters->order_generation, 1u);
}

TEST_F(WorkerOnRings, DropsQueriesBeforeTheFirstTable)
{
    feed(frame(p.packet.mac, query(1)));
    EXPECT_EQ(worker_turn(&w), 1u);
    EXPECT_TRUE(drain().empty());
    EXPECT_EQ(counted()["drop_not_ready"], 1u);
}

TEST_F(WorkerOnRings, AccountsForEveryFrameOfAMixedBurst)
{
    publish();
    const uint8_t *mac = p.packet.mac;
    const uint8_t stranger[6] = {2, 0, 0, 0, 0, 0x77};
    std::vector<Bytes> frames;
    Bytes reply_bit = query(9);
    reply_bit[2] = 0x80;
    for (uint16_t i = 0; i < 10; i++) {
        frames.push_back(frame(mac, query(i)));
        frames.push_back(frame(mac, query(i, "nope.example.com.")));
        frames.push_back(frame(mac, query(i, "other.test.")));
        frames.push_back(frame(mac, reply_bit));
        frames.push_back(frame(mac, query(i), {true}));
        frames.push_back(frame(mac, query(i), {false, 0, "192.0.2.54"}));
        frames.push_back(frame(stranger, query(i)));
        frames.push_back(frame(mac, Bytes(5, 0)));
        frames.push_back(Bytes(10, 0xff));
        frames.push_back(frame(mac, query(i, "."), {false, 20}));
    }
    unsigned received = 0;
    for (const Bytes &f : frames) {
        feed(f);
        if (rte_ring_count(rx) == 50)
            for (unsigned n; (n = worker_turn(&w)) > 0;)
                received += n;
    }
    EXPECT_EQ(received, 100u);
    std::vector<Bytes> out = drain();
    EXPECT_EQ(out.size(), 40u);
    Counted c = counted();
    EXPECT_EQ(c["rx_packets"], 100u);
    EXPECT_EQ(c["tx_packets"], 40u);
    EXPECT_EQ(c["answers_noerror"], 10u);
    EXPECT_EQ(c["answers_nxdomain"], 10u);
    EXPECT_EQ(c["answers_refused"], 20u) << "other.test and the root";
    EXPECT_EQ(c["drop_response"], 10u);
    EXPECT_EQ(c["drop_udp_checksum"], 10u);
    EXPECT_EQ(c["drop_not_ours"], 20u);
    EXPECT_EQ(c["drop_short"], 10u);
    EXPECT_EQ(c["drop_ethernet"], 10u);
    uint64_t tx_bytes = 0;
    for (const Bytes &b : out) {
        tx_bytes += b.size();
        EXPECT_EQ(b.size(), 14u + static_cast<unsigned>(b[16] << 8 | b[17])) << "padding must not go back";
    }
    EXPECT_EQ(c["tx_bytes"], tx_bytes);
}

TEST_F(WorkerOnRings, FreesAndCountsWhatTheDriverDoesNotTake)
{
    publish();
    std::vector<rte_mbuf *> stuffing; // the transmit ring has room for three more
    while (rte_ring_free_count(tx) > 3) {
        stuffing.push_back(buffer(Bytes(60, 0)));
        ASSERT_EQ(rte_ring_enqueue(tx, stuffing.back()), 0);
    }
    for (uint16_t i = 0; i < 8; i++)
        feed(frame(p.packet.mac, query(i)));
    EXPECT_EQ(worker_turn(&w), 8u);
    Counted c = counted();
    EXPECT_EQ(c["tx_packets"], 3u);
    EXPECT_EQ(c["tx_full"], 5u);
    EXPECT_EQ(c["tx_bytes"] % 3, 0u) << "bytes of the three that went";
    EXPECT_EQ(c["answers_noerror"], 8u);
}

TEST_F(WorkerOnRings, DropsFramesOfSeveralBuffers)
{
    publish();
    rte_mbuf *head = buffer(frame(p.packet.mac, query(1)));
    ASSERT_EQ(rte_pktmbuf_chain(head, buffer(Bytes(100, 0))), 0);
    ASSERT_EQ(rte_ring_enqueue(rx, head), 0);
    EXPECT_EQ(worker_turn(&w), 1u);
    EXPECT_EQ(counted()["drop_ethernet"], 1u);
}

TEST_F(WorkerOnRings, UsesANewTableFromTheNextBurstOn)
{
    publish(1);
    feed(frame(p.packet.mac, query(1)));
    worker_turn(&w);
    publish(2, {"203.0.113.1", "198.51.100.1"});
    feed(frame(p.packet.mac, query(2)));
    worker_turn(&w);
    std::vector<Bytes> out = drain();
    ASSERT_EQ(out.size(), 2u);
    const size_t first = 14 + 20 + 8 + query(1).size() + 12; // address of the first A record
    EXPECT_EQ(out[0][first], 198);
    EXPECT_EQ(out[1][first], 203);
    EXPECT_EQ(counters->order_generation, 2u);
}

TEST_F(WorkerOnRings, TurnsIdleWithoutCountingWork)
{
    publish();
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(worker_turn(&w), 0u);
    EXPECT_EQ(counted(), (Counted{{"loops", 5}}));
}

TEST_F(WorkerOnRings, LeavesAPausedPortAloneUntilItIsBack)
{
    publish();
    p.is_paused = true;
    feed(frame(p.packet.mac, query(1)));
    EXPECT_EQ(worker_turn(&w), 0u);
    EXPECT_EQ(rte_ring_count(rx), 1u) << "nothing was taken from it";
    p.is_paused = false;
    EXPECT_EQ(worker_turn(&w), 1u);
    EXPECT_EQ(drain().size(), 1u);
}

TEST_F(WorkerOnRings, AnswersAgainAfterAReset)
{
    publish();
    char why[PORT_WHY_CAP] = "";
    const rte_mempool *pool = p.pool;
    p.is_paused = true;
    ASSERT_EQ(port_reset(&p, why), 0) << why;
    p.is_paused = false;
    EXPECT_EQ(p.pool, pool) << "the buffers stay";
    EXPECT_EQ(p.resets, 1u);
    feed(frame(p.packet.mac, query(1)));
    EXPECT_EQ(worker_turn(&w), 1u);
    EXPECT_EQ(drain().size(), 1u);
}

TEST_F(WorkerOnRings, CountsByPortWhatItReceivedSentAndCouldNotSend)
{
    publish();
    std::vector<rte_mbuf *> stuffing;
    while (rte_ring_free_count(tx) > 2) {
        stuffing.push_back(buffer(Bytes(60, 0)));
        ASSERT_EQ(rte_ring_enqueue(tx, stuffing.back()), 0);
    }
    for (uint16_t i = 0; i < 5; i++)
        feed(frame(p.packet.mac, query(i)));
    EXPECT_EQ(worker_turn(&w), 5u);
    EXPECT_EQ(w.at[0].received, 5u);
    EXPECT_EQ(w.at[0].sent, 2u);
    EXPECT_EQ(w.at[0].refused, 3u);
}

TEST_F(WorkerOnRings, HandsOverAllThatIsForTheKernelAlsoWhenMoreIsWaiting)
{
    if (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0)
        GTEST_SKIP() << "no TAP interface in a network namespace of its own: " << strerror(errno);
    publish();
    char why[KERNEL_DOOR_WHY_CAP] = "";
    kernel_door_config config{};
    config.way = KERNEL_WAY_TAP;
    config.name = "spdoor0";
    config.mac[0] = 2; // a ring has no address
    config.mtu = 1500;
    config.pool = p.pool;
    p.door = kernel_door_open(&config, why);
    ASSERT_NE(p.door, nullptr) << why;
    p.packet.has_kernel = true;
    const Bytes other = frame(p.packet.mac, query(1), {false, 0, "192.0.2.54"});
    for (unsigned i = 0; i < WORKER_BURST + WORKER_BURST / 2; i++)
        feed(other);
    EXPECT_EQ(worker_turn(&w), unsigned(WORKER_BURST));
    EXPECT_EQ(counted()["kernel_packets"], unsigned(WORKER_BURST));
    EXPECT_EQ(counted()["kernel_full"], 0u) << "a full burst: a stream's packets come like that";
    EXPECT_GE(worker_turn(&w), unsigned(WORKER_BURST / 2));
    EXPECT_EQ(counted()["kernel_full"], 0u) << "half a burst";
    kernel_door_statistics door{};
    for (unsigned i = 0; i < 5000 && door.taken + door.refused < WORKER_BURST + WORKER_BURST / 2; i++) {
        usleep(1000);
        kernel_door_get_statistics(p.door, &door);
    }
    EXPECT_EQ(door.taken + door.refused, unsigned(WORKER_BURST + WORKER_BURST / 2)) << "none is lost silently";
    kernel_door_close(p.door);
    p.door = nullptr;
}

// A capture file of `count` equal frames, as net_pcap reads it.
void write_capture(const std::string &path, const Bytes &bytes, unsigned count)
{
    const uint32_t head[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
    const uint32_t length = static_cast<uint32_t>(bytes.size()), record[] = {0, 0, length, length};
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char *>(head), sizeof head);
    for (unsigned i = 0; i < count; i++) {
        file.write(reinterpret_cast<const char *>(record), sizeof record);
        file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
}

TEST_F(WorkerOnRings, GoesOnWhenBuffersAreThereAgain)
{
    publish();
    char folder[] = "/tmp/signpost-worker-XXXXXX", why[PORT_WHY_CAP] = "";
    ASSERT_NE(mkdtemp(folder), nullptr);
    const std::string in = std::string(folder) + "/in.pcap", out = std::string(folder) + "/out.pcap";
    const Bytes broadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    write_capture(in, frame(broadcast.data(), query(1)), 200);
    port_spec spec{};
    spec.kind = PORT_VDEV;
    snprintf(spec.name, sizeof spec.name, "net_pcap0,rx_pcap=%s,tx_pcap=%s", in.c_str(), out.c_str());
    port_plan plan{};
    plan.worker_count = 1;
    plan.has_offloads = true;
    port card{};
    ASSERT_EQ(port_open(&card, &spec, &plan, why), 0) << why;
    ASSERT_EQ(port_start(&card, why), 0) << why;
    worker other{};
    worker_init(&other, 0, &card, 1, IDLE_BUSY, counters, nullptr, &stop);
    std::vector<rte_mbuf *> held;
    while (rte_mbuf *m = rte_pktmbuf_alloc(card.pool))
        held.push_back(m);
    port_statistics statistics{};
    worker_turn(&other);
    port_get_statistics(&card, &statistics);
    EXPECT_GE(statistics.no_buffer, 1u) << "counted";
    EXPECT_EQ(counted()["tx_packets"], 0u);
    for (rte_mbuf *m : held)
        rte_pktmbuf_free(m);
    EXPECT_EQ(worker_turn(&other), unsigned(WORKER_BURST));
    EXPECT_EQ(counted()["tx_packets"], unsigned(WORKER_BURST)) << "recovered by itself";
    port_close(&card);
    std::filesystem::remove_all(folder);
}

TEST_F(WorkerOnRings, EndsWhenTold)
{
    publish_unregister(); // the loop registers itself
    stop = true;
    EXPECT_EQ(worker_run(&w), 0);
    publish_register();
}

TEST_F(WorkerOnRings, HashTypesAreThoseThatTheDriverSaysItUses)
{
    ASSERT_EQ(rte_eal_hotplug_add("vdev", "net_null7", ""), 0);
    uint16_t id;
    ASSERT_EQ(rte_eth_dev_get_port_by_name("net_null7", &id), 0);
    port card{};
    char why[PORT_WHY_CAP] = "";
    ASSERT_EQ(port_adopt(&card, id, 2, why), 0) << why;
    ASSERT_EQ(port_start(&card, why), 0) << why;
    rte_eth_rss_conf in_use{};
    ASSERT_EQ(rte_eth_dev_rss_hash_conf_get(id, &in_use), 0);
    EXPECT_EQ(card.queue_count, 2u);
    EXPECT_EQ(card.rss, in_use.rss_hf);
    EXPECT_TRUE(card.rss & RTE_ETH_RSS_NONFRAG_IPV4_UDP);
    port_close(&card);
}

TEST_F(WorkerOnRings, PausingWhenIdleItStillAnswersAndEnds)
{
    const auto wait = [](auto is_so) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!is_so() && std::chrono::steady_clock::now() < end)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return is_so();
    };
    publish();
    publish_unregister(); // the loop registers its own thread
    w.idle = IDLE_PAUSE;
    std::thread loop([this] { worker_run(&w); });
    EXPECT_TRUE(wait([this] { return counters_read(&counters->value[COUNTER_loops]) > 4 * WORKER_SPIN_TURNS; }));
    feed(frame(p.packet.mac, query(78)));
    EXPECT_TRUE(wait([this] { return rte_ring_count(tx) == 1; })) << "no answer";
    const uint64_t then = counters_read(&counters->value[COUNTER_loops]);
    EXPECT_TRUE(wait([&] { return counters_read(&counters->value[COUNTER_loops]) > then + 4 * WORKER_SPIN_TURNS; }));
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    loop.join();
    EXPECT_EQ(w.pause_ns, static_cast<unsigned>(WORKER_PAUSE_MAX_NS)) << "intervals grow while nothing comes";
    EXPECT_EQ(counters->value[COUNTER_sleeps], 0u);
    publish_register();
    stop = false;
}

} // namespace
