// SPDX-License-Identifier: Apache-2.0
// A control process that only publishes: order images at a rate, or zone images one after the other, and how long that
// takes.
//
// usage: publish_images SOCKET SERVICES RATE SECONDS       stamped order images, RATE a second
//        publish_images SOCKET ZONE.image COUNT            the zone image again, with ever newer generations
// Prints one JSON object: what was sent and accepted, microseconds of building, of being accepted, and of being in use
// by every worker (median, 99th percentile, longest).
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/image_socket.h"
#include "tests/bench/bench_world.h"

enum { SENT_MAX = 1 << 20, PATIENCE_MS = 20000 };

struct times {
    double *us;
    unsigned count;
};

struct publisher {
    int socket;
    uint64_t first; // generation of the first image
    uint64_t *sent_ns;
    unsigned sent, accepted, refused;
    uint64_t published; // newest generation that every worker has
    struct times build, accept, publish;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "publish_images: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add(struct times *t, uint64_t ns)
{
    if (t->count < SENT_MAX)
        t->us[t->count++] = (double)ns / 1000;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, struct times *t)
{
    qsort(t->us, t->count, sizeof *t->us, compare);
    if (t->count)
        printf(", \"%s_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, t->us[t->count / 2],
               t->us[(uint64_t)t->count * 99 / 100], t->us[t->count - 1]);
}

static void take_message(struct publisher *p, const struct image_message *m)
{
    const uint64_t now = now_ns(), number = m->generation - p->first;
    if (m->type == IMAGE_MESSAGE_RESULT && number < p->sent) {
        p->accepted += m->status == 0;
        p->refused += m->status != 0;
        if (m->status == 0)
            add(&p->accept, now - p->sent_ns[number]);
        else
            fprintf(stderr, "refused: %s\n", m->text);
    }
    // One message may stand for several images: the newest.
    if (m->type == IMAGE_MESSAGE_PUBLISHED && number < p->sent && m->generation > p->published) {
        p->published = m->generation;
        add(&p->publish, now - p->sent_ns[number]);
    }
}

static void take_messages(struct publisher *p, uint64_t wait_ns)
{
    struct pollfd set = {p->socket, POLLIN, 0};
    struct image_message m;
    int fd = -1;
    const struct timespec wait = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};
    if (ppoll(&set, 1, &wait, NULL) <= 0)
        return;
    int rc;
    while ((rc = image_socket_receive(p->socket, &m, &fd)) == 1) {
        if (fd >= 0)
            close(fd);
        take_message(p, &m);
    }
    if (rc != -EAGAIN)
        fail("the data plane closed the connection");
}

static void wait_published(struct publisher *p, uint64_t generation)
{
    const uint64_t end = now_ns() + PATIENCE_MS * 1000000ull;
    while (p->published < generation && now_ns() < end)
        take_messages(p, 100000000);
}

static int sealed(const void *image, size_t len)
{
    const int fd = memfd_create("image", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    for (size_t at = 0; at < len;) {
        const ssize_t n = write(fd, (const uint8_t *)image + at, len - at);
        if (n <= 0)
            fail("memfd");
        at += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        fail("seals");
    return fd;
}

static void send_image(struct publisher *p, enum image_kind kind, const void *image, size_t len)
{
    const struct image_header *header = image;
    const int fd = sealed(image, len);
    struct image_message m = {
        .type = IMAGE_MESSAGE_IMAGE, .kind = kind, .generation = header->generation, .image_bytes = len};
    p->sent_ns[p->sent++] = now_ns();
    int rc;
    while ((rc = image_socket_send(p->socket, &m, fd)) == -EAGAIN)
        take_messages(p, 1000000);
    if (rc < 0)
        fail("send");
    close(fd);
}

static void open_publisher(struct publisher *p, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct image_message hello;
    int fd = -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    p->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(p->socket, (struct sockaddr *)&address, sizeof address) < 0)
        fail(path);
    struct pollfd set = {p->socket, POLLIN, 0};
    if (poll(&set, 1, PATIENCE_MS) <= 0 || image_socket_receive(p->socket, &hello, &fd) != 1)
        fail("no greeting");
    close(fd);
    const uint64_t newest =
        hello.zone_generation > hello.order_generation ? hello.zone_generation : hello.order_generation;
    p->first = newest + 1;
    p->sent_ns = calloc(SENT_MAX, sizeof *p->sent_ns);
    for (struct times *t = &p->build; t <= &p->publish; t++)
        t->us = calloc(SENT_MAX, sizeof *t->us);
}

static void publish_orders(struct publisher *p, unsigned services, unsigned rate, unsigned seconds)
{
    const uint64_t start = now_ns(), period = 1000000000u / rate;
    struct bench_world world = {.services = services, .is_stamped = true};
    for (unsigned i = 0; i < rate * seconds && i < SENT_MAX; i++) {
        const uint64_t due = start + i * period;
        for (uint64_t now; (now = now_ns()) < due;)
            take_messages(p, due - now);
        const uint64_t begun = now_ns();
        world.generation = p->first + i;
        bench_build_order(&world);
        add(&p->build, now_ns() - begun);
        send_image(p, IMAGE_ORDER, world.order_image, world.order_len);
        free(world.order_image);
        take_messages(p, 0);
    }
    wait_published(p, p->first + p->sent - 1);
    printf("{\"sent\": %u, \"accepted\": %u, \"refused\": %u, \"seconds\": %.3f, \"image_bytes\": %zu", p->sent,
           p->accepted, p->refused, (double)(now_ns() - start) / 1e9, world.order_len);
}

static void publish_zones(struct publisher *p, const char *path, unsigned count)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) < 0)
        fail(path);
    const size_t len = (size_t)ftell(f);
    struct image_header *image = malloc(len);
    rewind(f);
    if (!image || fread(image, len, 1, f) != 1)
        fail(path);
    fclose(f);
    for (unsigned i = 0; i < count; i++) {
        const uint64_t begun = now_ns();
        image->generation = p->first + i;
        image->checksum = image_checksum(image, len);
        add(&p->build, now_ns() - begun);
        send_image(p, IMAGE_ZONE, image, len);
        wait_published(p, image->generation);
    }
    printf("{\"sent\": %u, \"accepted\": %u, \"refused\": %u, \"image_bytes\": %zu", p->sent, p->accepted, p->refused,
           len);
}

int main(int argc, char **argv)
{
    struct publisher p = {0};
    if (argc != 4 && argc != 5)
        return fprintf(stderr, "usage: publish_images SOCKET SERVICES RATE SECONDS | SOCKET ZONE.image COUNT\n"), 2;
    open_publisher(&p, argv[1]);
    if (argc == 5)
        publish_orders(&p, (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    else
        publish_zones(&p, argv[2], (unsigned)atoi(argv[3]));
    print_times("build", &p.build);
    print_times("accept", &p.accept);
    print_times("publish", &p.publish);
    printf("}\n");
    return p.accepted == p.sent ? 0 : 1;
}
