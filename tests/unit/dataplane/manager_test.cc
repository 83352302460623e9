// SPDX-License-Identifier: Apache-2.0
// The manager behind its socket: a control process in the test, one datagram at a time. No worker reads, so that grace
// periods end at once.
#include "tests/support/image_maker.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <filesystem>

extern "C" {
#include "dataplane/image_socket.h"
#include "dataplane/manager.h"
#include "dataplane/publish.h"
}

namespace
{

using testing::HasSubstr;

struct Control {
    int fd;

    explicit Control(const std::string &path)
    {
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        strcpy(to.sun_path, path.c_str());
        EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to), 0) << strerror(errno);
        timeval limit{10, 0}; // a deadline for a broken program, not a wait
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    ~Control()
    {
        close(fd);
    }
    Control(const Control &) = delete;

    // The next message; its type is 0 at the end of the connection.
    image_message receive(int *descriptor = nullptr)
    {
        image_message m{};
        iovec part{&m, sizeof m};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        ssize_t n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
        EXPECT_TRUE(n == 0 || n == sizeof m || (n < 0 && errno == ECONNRESET)) << n << strerror(errno);
        if (cmsghdr *c = CMSG_FIRSTHDR(&header)) {
            int got;
            memcpy(&got, CMSG_DATA(c), sizeof got);
            if (descriptor)
                *descriptor = got;
            else
                close(got);
        }
        return m;
    }

    image_message receive_type(uint16_t type)
    {
        for (;;) {
            image_message m = receive();
            if (m.type == type || m.type == 0)
                return m;
        }
    }

    void send(image_kind kind, uint64_t generation, const dns_text::Image &image, int seals = image_maker::SEALS)
    {
        image_message m{};
        m.type = IMAGE_MESSAGE_IMAGE;
        m.kind = kind;
        m.generation = generation;
        m.image_bytes = image.len;
        int memfd = image_maker::memfd(image, seals);
        EXPECT_EQ(image_socket_send(fd, &m, memfd), 0);
        close(memfd);
    }
};

struct Manager : testing::Test {
    char directory[64] = "/tmp/signpost-manager-XXXXXX";
    std::string socket_path, state_dir;
    counters_memory counters{};
    manager *running = nullptr;

    Manager()
    {
        EXPECT_NE(mkdtemp(directory), nullptr);
        socket_path = std::string(directory) + "/run/dataplane.sock";
        state_dir = std::string(directory) + "/state";
        EXPECT_EQ(counters_page_init(&counters, 2, 1000000), 0);
        start();
    }
    ~Manager() override
    {
        manager_free(running);
        counters_page_fini(&counters);
        std::filesystem::remove_all(directory);
    }
    void start()
    {
        manager_config config{};
        config.socket_path = socket_path.c_str();
        config.state_dir = state_dir.c_str();
        config.counters = &counters;
        config.worker_count = 1;
        config.owner = geteuid();
        char why[256] = "";
        running = manager_new(&config, why);
        ASSERT_NE(running, nullptr) << why;
        ASSERT_EQ(manager_start(running), 0);
    }
};

TEST_F(Manager, GreetsWithItsCounters)
{
    Control control(socket_path);
    int fd = -1;
    image_message hello = control.receive(&fd);
    EXPECT_EQ(hello.type, IMAGE_MESSAGE_HELLO);
    EXPECT_EQ(hello.pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(hello.worker_count, 1u);
    EXPECT_EQ(hello.zone_generation, 0u);
    ASSERT_GE(fd, 0);
    void *page = mmap(nullptr, counters.bytes, PROT_READ, MAP_SHARED, fd, 0);
    ASSERT_NE(page, MAP_FAILED);
    EXPECT_EQ(static_cast<counters_page *>(page)->magic, COUNTERS_MAGIC);
    munmap(page, counters.bytes);
    EXPECT_EQ(mmap(nullptr, counters.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED)
        << "a reader must not be able to write";
    EXPECT_LT(ftruncate(fd, 0), 0) << "nor to cut the page off";
    close(fd);
}

TEST_F(Manager, PublishesAPairAndSaysSo)
{
    Control control(socket_path);
    control.send(IMAGE_ZONE, 5, image_maker::zone(5));
    image_message result = control.receive_type(IMAGE_MESSAGE_RESULT);
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_EQ(result.kind, static_cast<uint32_t>(IMAGE_ZONE));
    EXPECT_EQ(result.zone_generation, 0u) << "waits for its partner";
    control.send(IMAGE_ORDER, 6, image_maker::order(6));
    result = control.receive_type(IMAGE_MESSAGE_RESULT);
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_EQ(result.order_generation, 6u);
    image_message published = control.receive_type(IMAGE_MESSAGE_PUBLISHED);
    EXPECT_EQ(published.zone_generation, 5u);
    EXPECT_EQ(published.order_generation, 6u);
    publish_register();
    EXPECT_EQ(publish_read()->order_generation, 6u);
    publish_unregister();
    EXPECT_EQ(counters.page->publications, 1u);
    EXPECT_EQ(counters.page->images_accepted, 2u);
    EXPECT_EQ(counters.page->images_refused, 0u);
}

TEST_F(Manager, TellsEveryConnectionOfAPublication)
{
    Control first(socket_path), second(socket_path);
    first.receive();
    second.receive();
    first.send(IMAGE_ZONE, 1, image_maker::zone(1));
    first.receive_type(IMAGE_MESSAGE_RESULT);
    first.send(IMAGE_ORDER, 1, image_maker::order(1));
    EXPECT_EQ(second.receive_type(IMAGE_MESSAGE_PUBLISHED).order_generation, 1u);
}

TEST_F(Manager, RefusesDamageWithTheReasonAndKeepsTheLastGoodPair)
{
    Control control(socket_path);
    control.send(IMAGE_ZONE, 1, image_maker::zone(1));
    control.receive_type(IMAGE_MESSAGE_RESULT);
    control.send(IMAGE_ORDER, 1, image_maker::order(1));
    control.receive_type(IMAGE_MESSAGE_RESULT);

    dns_text::Image flipped = image_maker::order(2);
    static_cast<uint8_t *>(flipped.data.get())[flipped.len - 9] ^= 0x40;
    control.send(IMAGE_ORDER, 2, flipped);
    image_message result = control.receive_type(IMAGE_MESSAGE_RESULT);
    EXPECT_EQ(result.status, -EBADMSG);
    EXPECT_THAT(result.text, HasSubstr("checksum"));
    EXPECT_EQ(result.order_generation, 1u);

    control.send(IMAGE_ORDER, 3, image_maker::order(3), F_SEAL_GROW | F_SEAL_SHRINK);
    EXPECT_EQ(control.receive_type(IMAGE_MESSAGE_RESULT).status, -EBADMSG) << "could be changed after the check";

    control.send(IMAGE_ORDER, 9, image_maker::order(4));
    EXPECT_EQ(control.receive_type(IMAGE_MESSAGE_RESULT).status, -EBADMSG) << "message and image disagree";

    dns_text::Image zone = image_maker::zone(2);
    static_cast<uint8_t *>(zone.data.get())[100] ^= 1;
    control.send(IMAGE_ZONE, 2, zone);
    EXPECT_EQ(control.receive_type(IMAGE_MESSAGE_RESULT).status, -EBADMSG);

    EXPECT_EQ(counters.page->images_refused, 4u);
    control.send(IMAGE_ORDER, 4, image_maker::order(4));
    result = control.receive_type(IMAGE_MESSAGE_RESULT);
    EXPECT_EQ(result.status, 0) << "the connection goes on: " << result.text;
}

TEST_F(Manager, TakesNoGenerationTwice)
{
    Control control(socket_path);
    control.send(IMAGE_ORDER, 5, image_maker::order(5));
    EXPECT_EQ(control.receive_type(IMAGE_MESSAGE_RESULT).status, 0);
    control.send(IMAGE_ORDER, 5, image_maker::order(5));
    EXPECT_EQ(control.receive_type(IMAGE_MESSAGE_RESULT).status, -EALREADY);
    EXPECT_EQ(counters.page->images_refused, 0u) << "sending again after a reconnect is no fault";
}

TEST_F(Manager, ClosesOnAStrangeMessage)
{
    for (int which = 0; which < 4; which++) {
        Control control(socket_path);
        control.receive();
        image_message m{};
        m.magic = which == 0 ? 1 : IMAGE_MESSAGE_MAGIC;
        m.version = static_cast<uint16_t>(which == 1 ? 99 : IMAGE_PROTOCOL_VERSION);
        m.type = which == 2 ? IMAGE_MESSAGE_HELLO : IMAGE_MESSAGE_IMAGE;
        size_t len = which == 3 ? 20 : sizeof m;
        ASSERT_EQ(send(control.fd, &m, len, 0), static_cast<ssize_t>(len));
        EXPECT_EQ(control.receive().type, 0) << which;
    }
}

TEST_F(Manager, RefusesAnImageWithoutDescriptor)
{
    Control control(socket_path);
    control.receive();
    image_message m{};
    m.type = IMAGE_MESSAGE_IMAGE;
    m.kind = IMAGE_ORDER;
    m.generation = 1;
    ASSERT_EQ(image_socket_send(control.fd, &m, -1), 0);
    EXPECT_EQ(control.receive().status, -EBADMSG);
}

TEST_F(Manager, LimitsConnections)
{
    std::vector<std::unique_ptr<Control>> open;
    for (int i = 0; i < IMAGE_CONNECTION_MAX; i++) {
        open.push_back(std::make_unique<Control>(socket_path));
        EXPECT_EQ(open.back()->receive().type, IMAGE_MESSAGE_HELLO);
    }
    Control surplus(socket_path);
    EXPECT_EQ(surplus.receive().type, 0) << "closed without a greeting";
}

TEST_F(Manager, AnswersFromTheDiskAfterARestart)
{
    {
        Control control(socket_path);
        control.send(IMAGE_ZONE, 5, image_maker::zone(5));
        control.receive_type(IMAGE_MESSAGE_RESULT);
        control.send(IMAGE_ORDER, 6, image_maker::order(6));
        control.receive_type(IMAGE_MESSAGE_PUBLISHED);
    }
    manager_free(running);
    start();
    EXPECT_TRUE(manager_has_images(running));
    Control control(socket_path);
    image_message hello = control.receive();
    EXPECT_EQ(hello.zone_generation, 5u);
    EXPECT_EQ(hello.order_generation, 6u);
}

TEST_F(Manager, GuardsItsSocket)
{
    struct stat st;
    ASSERT_EQ(stat(socket_path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    char why[256] = "";
    EXPECT_EQ(image_socket_listen(socket_path.c_str(), why), -EADDRINUSE) << "a second process must not take it away";
    EXPECT_THAT(why, HasSubstr("another process"));
}

TEST_F(Manager, ReplacesASocketFileThatACrashLeft)
{
    manager_free(running);
    running = nullptr;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    strcpy(at.sun_path, socket_path.c_str());
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof at), 0);
    close(fd); // the file stays, as after kill -9
    start();
    Control control(socket_path);
    EXPECT_EQ(control.receive().type, IMAGE_MESSAGE_HELLO);
}

} // namespace
