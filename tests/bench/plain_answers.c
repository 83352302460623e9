// SPDX-License-Identifier: Apache-2.0
// What the plain way answers to each frame of a capture; the answers that a benchmark got are compared with it.
//
// usage: plain_answers DIRECTORY MAC QUERIES.pcap ANSWERS.pcap
//   DIRECTORY  has zone.image and order.image; MAC  of the port, 12 hexadecimal digits
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/image_map.h"
#include "dataplane/packet.h"

enum { FRAME_CAP = 2048, PCAP_HEAD = 24, PCAP_RECORD = 16 };

static void fail(const char *what)
{
    fprintf(stderr, "plain_answers: %s\n", what);
    exit(1);
}

static const void *load(const char *directory, const char *name, enum image_kind kind)
{
    char path[512], why[IMAGE_TEXT_CAP];
    struct image_map *map;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (image_map_from_file(path, kind, &map, why) < 0)
        fail(why);
    return map->base;
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *f = fopen(path, mode);
    if (!f)
        fail(path);
    return f;
}

static void answer_all(struct answer_context *context, const struct packet_port *port, FILE *in, FILE *out)
{
    static uint8_t frame[FRAME_CAP];
    uint32_t record[PCAP_RECORD / 4];
    while (fread(record, sizeof record, 1, in) == 1) {
        unsigned reply_len = 0;
        if (record[2] > FRAME_CAP - 256 || fread(frame, record[2], 1, in) != 1)
            fail("a damaged capture");
        if (packet_handle_plain(context, port, frame, record[2], FRAME_CAP, PACKET_CHECKSUM_UNKNOWN, &reply_len) !=
            PACKET_SEND)
            continue;
        record[2] = record[3] = reply_len;
        if (fwrite(record, sizeof record, 1, out) != 1 || fwrite(frame, reply_len, 1, out) != 1)
            fail("cannot write");
    }
}

int main(int argc, char **argv)
{
    static struct counters_block counters;
    struct packet_port port = {0};
    uint8_t head[PCAP_HEAD];
    if (argc != 5 || sscanf(argv[2], "%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx", &port.mac[0], &port.mac[1], &port.mac[2],
                            &port.mac[3], &port.mac[4], &port.mac[5]) != 6)
        return fprintf(stderr, "usage: plain_answers DIRECTORY MAC QUERIES.pcap ANSWERS.pcap\n"), 2;
    struct answer_context context = {.zone_image = load(argv[1], "zone.image", IMAGE_ZONE),
                                     .order_image = load(argv[1], "order.image", IMAGE_ORDER),
                                     .counters = &counters,
                                     .now_ns = 1};
    FILE *in = open_file(argv[3], "rb"), *out = open_file(argv[4], "wb");
    if (fread(head, sizeof head, 1, in) != 1 || fwrite(head, sizeof head, 1, out) != 1)
        fail("a damaged capture");
    answer_all(&context, &port, in, out);
    fclose(in);
    return fclose(out) == 0 ? 0 : 1;
}
