// SPDX-License-Identifier: Apache-2.0
// signpostctl capture FILE: packets as the workers saw them, with what became of each, since tcpdump cannot see a NIC
// that the kernel does not have. Talks to the data plane itself; needs no control process.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/config_units.h"
#include "control/ctl_client.h"
#include "control/ctl_local.h"
#include "control/image_receive.h"
#include "control/pcapng.h"
#include "table/capture_page.h"
#include "table/counters.h"
#include "table/image_protocol.h"
#include "table/name.h"
#include "shared/clock.h"

enum {
    DEFAULT_MAX = 100000, // packets
    DEFAULT_S = 60,
    IDLE_MS = 2,              // between looks at empty rings: each holds 512
    WAIT_S = 3,               // for the data plane's answer
    MESSAGES_BEFORE_MAX = 64, // of a busy data plane, before it answers us
    NUDGE_MS = 900,           // after the end, between signals that free us from a file that takes nothing
    FILE_MODE = 0600,         // it says who asked for what
    SETTLE_MS = 20            // for bursts under way when the capture is over
};

struct capture {
    int connection;
    struct capture_page *page;
    size_t bytes;
    unsigned rings;
    FILE *file;
    int error; // of writing to it
    uint64_t written, max, duration_ns, seen_before[COUNTERS_BLOCK_MAX], lost_before[COUNTERS_BLOCK_MAX];
};

static volatile sig_atomic_t is_interrupted, is_over; // by a person, by the clock

static void on_interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

static void on_end(int number)
{
    (void)number;
    is_over = 1;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "signpostctl: capture: %s: %s\n", what, why);
    return CTL_REFUSED;
}

// ---- the filter ----

static const char *const kind_words[] = {"answered", "reply", "kernel", "dropped"}; // enum capture_kind

static int take_verdict(struct capture_filter *f, const char *text)
{
    for (unsigned k = 0; k < CAPTURE_KIND_COUNT; k++)
        if (strcmp(text, kind_words[k]) == 0) {
            f->kinds = (uint8_t)(1u << k);
            return 0;
        }
    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        if (strcmp(text, counter_name((enum counter)c)) == 0) {
            f->counter = (uint16_t)c;
            return 0;
        }
    fprintf(stderr,
            "signpostctl: --verdict: \"%s\" is none; allowed: answered, reply, kernel, dropped, or a counter of "
            "`signpostctl stats` such as answers_refused or drop_udp_checksum\n",
            text);
    return -EINVAL;
}

static int make_filter(struct capture_filter *f, const struct options *o)
{
    memset(f, 0, sizeof *f);
    f->kinds = (1u << CAPTURE_KIND_COUNT) - 1;
    f->counter = CAPTURE_NO_COUNTER;
    if (o->verdict && take_verdict(f, o->verdict) < 0)
        return -EINVAL;
    if (o->address) {
        f->has_address = 1;
        f->is_ipv6 = strchr(o->address, ':') != NULL;
        if (inet_pton(f->is_ipv6 ? AF_INET6 : AF_INET, o->address, f->address) != 1) {
            fprintf(stderr, "signpostctl: --address: \"%s\" is no IPv4 or IPv6 address\n", o->address);
            return -EINVAL;
        }
    }
    if (o->name) {
        const int len = name_from_text(f->name, o->name);
        if (len < 0) {
            fprintf(stderr, "signpostctl: --name: \"%s\" is no domain name\n", o->name);
            return -EINVAL;
        }
        name_fold(f->name, f->name, (size_t)len);
        f->name_len = (uint8_t)len;
    }
    return 0;
}

// ---- the data plane ----

// The page's descriptor, or a negative errno.
static int ask_for_page(int connection)
{
    struct image_message m = {
        .magic = IMAGE_MESSAGE_MAGIC, .version = IMAGE_PROTOCOL_VERSION, .type = IMAGE_MESSAGE_CAPTURE};
    if (send(connection, &m, sizeof m, MSG_NOSIGNAL) != sizeof m)
        return -errno;
    for (unsigned i = 0; i < MESSAGES_BEFORE_MAX; i++) { // hello, and what is published meanwhile
        int fd;
        const int rc = image_receive(connection, 0, &m, &fd);
        if (rc == 1 && m.type == IMAGE_MESSAGE_CAPTURE && m.status == 0 && fd >= 0)
            return fd;
        if (fd >= 0)
            close(fd);
        if (rc <= 0)
            return rc < 0 ? rc : -ETIMEDOUT;
        if (m.type == IMAGE_MESSAGE_CAPTURE)
            return m.status < 0 ? m.status : -EPROTO;
    }
    return -EPROTO;
}

static int map_page(struct capture *c, int fd)
{
    const off_t bytes = lseek(fd, 0, SEEK_END);
    void *at = bytes >= (off_t)sizeof *c->page ? mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                                               : MAP_FAILED;
    close(fd);
    if (at == MAP_FAILED)
        return -EPROTO;
    c->page = at;
    c->bytes = (size_t)bytes;
    c->rings = c->page->ring_count;
    const bool is_good = c->page->magic == CAPTURE_PAGE_MAGIC && c->page->version == CAPTURE_PAGE_VERSION &&
                         c->rings <= COUNTERS_BLOCK_MAX && capture_page_bytes(c->rings) <= (uint64_t)bytes;
    return is_good ? 0 : -EPROTO;
}

static int open_page(struct capture *c, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval wait = {WAIT_S, 0};
    if (strlen(path) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    strcpy(to.sun_path, path);
    c->connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (c->connection < 0 || connect(c->connection, (const struct sockaddr *)&to, sizeof to) < 0)
        return -errno;
    setsockopt(c->connection, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    const int fd = ask_for_page(c->connection);
    return fd < 0 ? fd : map_page(c, fd);
}

static const char *explain(int rc)
{
    switch (-rc) {
    case ENOENT:
    case ECONNREFUSED:
        return "no data plane answers there; is it running, and is --dataplane its `dataplane.socket`?";
    case EACCES:
    case EPERM:
    case ECONNRESET:
        return "only root and the data plane's own user may capture";
    case EBUSY:
        return "somebody captures already";
    case EPROTO:
        return "the data plane speaks another version";
    default:
        return strerror(-rc);
    }
}

// ---- the packets ----

static void write_slot(struct capture *c, const struct capture_slot *shared)
{
    char comment[96];
    struct capture_slot slot;
    memcpy(&slot, shared, sizeof slot); // the worker's word is checked on a copy
    const unsigned kind = slot.kind < CAPTURE_KIND_COUNT ? slot.kind : CAPTURE_DROPPED;
    const char *counter = slot.counter < COUNTER_COUNT ? counter_name((enum counter)slot.counter) : "";
    snprintf(comment, sizeof comment, "%s%s%s", kind_words[kind], *counter ? ": " : "", counter);
    const uint32_t kept = slot.kept < CAPTURE_SNAP ? slot.kept : CAPTURE_SNAP;
    const struct pcapng_packet packet = {.at_us = slot.at_us,
                                         .data = slot.frame,
                                         .kept = kept,
                                         .len = slot.len > kept ? slot.len : kept,
                                         .is_outbound = kind == CAPTURE_REPLY,
                                         .comment = comment};
    errno = 0;
    pcapng_put(c->file, &packet);
    if (ferror(c->file))
        c->error = errno;
    else
        c->written++;
}

// True when there was something.
static bool drain(struct capture *c)
{
    bool was_there = false;
    for (unsigned i = 0; i < c->rings; i++) {
        struct capture_ring *ring = &c->page->ring[i];
        const uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
        for (unsigned n = 0; n < CAPTURE_SLOTS && ring->tail != head && c->written < c->max && !ferror(c->file); n++) {
            write_slot(c, &ring->slot[ring->tail % CAPTURE_SLOTS]);
            __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
            was_there = true;
        }
    }
    return was_there;
}

static uint64_t count_lost(const struct capture *c, uint64_t *seen)
{
    uint64_t lost = 0;
    *seen = 0;
    for (unsigned i = 0; i < c->rings; i++) {
        lost += __atomic_load_n(&c->page->ring[i].lost, __ATOMIC_RELAXED) - c->lost_before[i];
        *seen += __atomic_load_n(&c->page->ring[i].seen, __ATOMIC_RELAXED) - c->seen_before[i];
    }
    return lost;
}

static void begin(struct capture *c, const struct capture_filter *filter)
{
    for (unsigned i = 0; i < c->rings; i++) {
        struct capture_ring *ring = &c->page->ring[i];
        ring->tail = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
        c->seen_before[i] = ring->seen;
        c->lost_before[i] = ring->lost;
    }
    c->page->filter = *filter;
    __atomic_store_n(&c->page->is_on, 1, __ATOMIC_RELEASE);
}

// Whether the data plane is still there. What it publishes meanwhile is read and forgotten.
static bool is_connected(const struct capture *c)
{
    struct pollfd set = {c->connection, POLLIN, 0};
    while (poll(&set, 1, 0) == 1) { // each turn takes a message
        struct image_message m;
        int fd;
        const int rc = image_receive(c->connection, MSG_DONTWAIT, &m, &fd);
        if (fd >= 0)
            close(fd);
        if (rc < 0)
            return false;
    }
    return true;
}

static bool run(struct capture *c)
{
    const bool is_shown = isatty(STDERR_FILENO);
    uint64_t show_ns = 0, seen;
    bool is_alive = true;
    fprintf(stderr, "capturing for %g s or %llu packets; an interrupt ends it sooner\n", (double)c->duration_ns / 1e9,
            (unsigned long long)c->max);
    while (!is_interrupted && !is_over && c->written < c->max && is_alive && !ferror(c->file)) {
        const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        if (!drain(c))
            nanosleep(&(struct timespec){0, IDLE_MS * 1000000}, NULL);
        if (now_ns < show_ns)
            continue;
        show_ns = now_ns + 1000000000u;
        is_alive = is_connected(c);
        if (is_shown)
            fprintf(stderr, "\r%llu packets, %llu lost ", (unsigned long long)c->written,
                    (unsigned long long)count_lost(c, &seen));
    }
    __atomic_store_n(&c->page->is_on, 0, __ATOMIC_RELEASE);
    nanosleep(&(struct timespec){0, SETTLE_MS * 1000000}, NULL);
    drain(c);
    if (is_shown)
        fputs("\r", stderr);
    return is_alive;
}

static int finish(struct capture *c, bool is_alive, const char *path)
{
    uint64_t seen;
    const uint64_t lost = count_lost(c, &seen);
    if (!c->error) {
        errno = 0;
        pcapng_statistics(c->file, clock_ns(CLOCK_REALTIME) / 1000, seen, lost);
        if (fflush(c->file) != 0 || ferror(c->file))
            c->error = errno ? errno : EIO;
    }
    fprintf(stderr, "%llu packets written; the workers looked at %llu and lost %llu of those that matched\n",
            (unsigned long long)c->written, (unsigned long long)seen, (unsigned long long)lost);
    if (c->error == EINTR)
        return fail(path, "whatever reads it did not take the packets in time; the last of them is cut");
    if (c->error)
        return fail(path, strerror(c->error));
    return is_alive ? CTL_OK
                    : fail("the data plane", "it ended the capture, or itself; what came before is in the file");
}

static int set_limits(struct capture *c, const struct options *o)
{
    uint64_t duration_ns = DEFAULT_S * 1000000000ull;
    if (o->duration && config_parse_duration(o->duration, &duration_ns) < 0) {
        fprintf(stderr, "signpostctl: --for: \"%s\" is no duration; write for instance 90s, 30m\n", o->duration);
        return -EINVAL;
    }
    c->max = o->max ? (uint64_t)o->max : DEFAULT_MAX;
    c->duration_ns = duration_ns;
    return 0;
}

// Signals end the capture, wherever it waits: also in opening or writing a pipe that nobody reads.
static void set_signals(uint64_t duration_ns)
{
    const struct sigaction stop = {.sa_handler = on_interrupt}, end = {.sa_handler = on_end}; // no SA_RESTART
    const uint64_t us = duration_ns / 1000 ? duration_ns / 1000 : 1;                          // 0 would be no timer
    const struct itimerval timer = {.it_value = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)},
                                    .it_interval = {0, NUDGE_MS * 1000}};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGALRM, &end, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static FILE *open_file(const char *path)
{
    if (strcmp(path, "-") == 0)
        return stdout;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file && fd >= 0)
        close(fd);
    return file;
}

int ctl_capture(int argc, char **argv, const struct options *o)
{
    struct capture c = {.connection = -1};
    struct capture_filter filter;
    (void)argc;
    if (make_filter(&filter, o) < 0 || set_limits(&c, o) < 0)
        return CTL_USAGE;
    const int rc = open_page(&c, o->dataplane);
    if (rc < 0)
        return fail(o->dataplane, explain(rc)), rc == -ENOENT || rc == -ECONNREFUSED ? CTL_UNREACHABLE : CTL_REFUSED;
    set_signals(c.duration_ns);
    c.file = open_file(argv[0]);
    if (!c.file)
        return fail(argv[0], errno == EINTR ? "nobody reads it" : strerror(errno));
    pcapng_begin(c.file, "signpostctl " SIGNPOST_VERSION, "workers", CAPTURE_SNAP);
    begin(&c, &filter);
    const bool is_alive = run(&c);
    const int status = finish(&c, is_alive, argv[0]);
    if (c.file != stdout)
        fclose(c.file);
    munmap(c.page, c.bytes);
    close(c.connection);
    return status;
}
