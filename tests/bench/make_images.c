// SPDX-License-Identifier: Apache-2.0
// usage: make_images DIRECTORY NAMES SERVICES ADDRESS [limit] [regions] [one_order]
//   limit: with a rate limit that nobody reaches; regions: 65,536 prefixes lie in seven regions, of which every other
//   one has another order, unless there is only one_order
// Writes DIRECTORY/zone.image and DIRECTORY/order.image, from which signpost-dataplane starts without a control
// process.
#include <arpa/inet.h>

#include "tests/bench/bench_world.h"

static void save(const char *directory, const char *name, const void *image, size_t len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(image, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct bench_world x = {.groups = 2};
    if (argc < 5 || inet_pton(AF_INET, argv[4], x.address) != 1)
        return fprintf(stderr, "usage: make_images DIRECTORY NAMES SERVICES ADDRESS [limit] [regions] [one_order]\n"),
               2;
    x.names = (unsigned)atoi(argv[2]);
    x.services = (unsigned)atoi(argv[3]);
    for (int i = 5; i < argc; i++) {
        x.is_limited |= strcmp(argv[i], "limit") == 0;
        x.regions = strcmp(argv[i], "regions") == 0 ? 65536 : x.regions;
        x.groups = strcmp(argv[i], "one_order") == 0 ? 1 : x.groups;
    }
    x.service_flags = x.regions ? ORDER_BY_REGION : 0;
    bench_build_zone(&x);
    bench_build_order(&x);
    save(argv[1], "zone.image", x.zone_image, x.zone_len);
    save(argv[1], "order.image", x.order_image, x.order_len);
    return 0;
}
