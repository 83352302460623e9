// SPDX-License-Identifier: Apache-2.0
// usage: show_counters SOCKET
// Prints the counters of a running data plane, "name sum" and "name[block] value" a line, as any reader of the image
// socket gets them.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "table/counters.h"
#include "table/image_protocol.h"

static int receive_page(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct image_message message;
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&message, sizeof message};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || recvmsg(fd, &header, 0) != sizeof message)
        return -1;
    close(fd);
    const struct cmsghdr *extra = CMSG_FIRSTHDR(&header);
    if (message.magic != IMAGE_MESSAGE_MAGIC || message.type != IMAGE_MESSAGE_HELLO || !extra)
        return -1;
    int page_fd;
    memcpy(&page_fd, CMSG_DATA(extra), sizeof page_fd);
    return page_fd;
}

static void show(const struct counters_page *page)
{
    for (unsigned c = 0; c < COUNTER_COUNT; c++) {
        uint64_t sum = 0;
        for (unsigned b = 0; b < page->block_count; b++)
            sum += counters_read(&page->block[b].value[c]);
        printf("%s %llu\n", counter_name((enum counter)c), (unsigned long long)sum);
    }
    for (unsigned b = 0; b < page->block_count; b++)
        printf("rx_packets[%u] %llu\n", b,
               (unsigned long long)counters_read(&page->block[b].value[COUNTER_rx_packets]));
    const struct {
        const char *name;
        const uint64_t *value;
    } sum[] = {{"port_missed", &page->port_missed},       {"port_errors", &page->port_errors},
               {"port_no_buffer", &page->port_no_buffer}, {"port_link_changes", &page->port_link_changes},
               {"port_resets", &page->port_resets},       {"ports_down", &page->ports_down},
               {"kernel_taken", &page->kernel_taken},     {"kernel_refused", &page->kernel_refused},
               {"kernel_given", &page->kernel_given},     {"kernel_lost", &page->kernel_lost}};
    for (size_t i = 0; i < sizeof sum / sizeof *sum; i++)
        printf("%s %llu\n", sum[i].name, (unsigned long long)counters_read(sum[i].value));
}

int main(int argc, char **argv)
{
    const int fd = argc == 2 ? receive_page(argv[1]) : -1;
    const size_t most = sizeof(struct counters_page) + COUNTERS_BLOCK_MAX * sizeof(struct counters_block);
    const struct counters_page *page = fd >= 0 ? mmap(NULL, most, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (page == MAP_FAILED || page->magic != COUNTERS_MAGIC) {
        fprintf(stderr, "usage: show_counters SOCKET (of a running data plane)\n");
        return 1;
    }
    show(page);
    return 0;
}
