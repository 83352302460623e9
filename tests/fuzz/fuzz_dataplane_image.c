// SPDX-License-Identifier: Apache-2.0
// A hostile image: the input is laid over a good image (zone or order), length and checksum are made right, and what
// the validator accepts must be safe to answer from.
#include "tests/fuzz/world.h"
#include "table/image_pair.h"
#include "table/order_choice.h"
#include "table/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Each edit: two octets of place, one of value.
static void *edited(const void *image, size_t len, const uint8_t *edit, size_t edit_len)
{
    uint8_t *copy = malloc(len);
    memcpy(copy, image, len);
    for (size_t i = 0; i + 3 <= edit_len; i += 3) {
        const size_t at = (size_t)(edit[i] << 8 | edit[i + 1]) % (len - sizeof(struct image_header));
        copy[sizeof(struct image_header) + at] = edit[i + 2];
    }
    ((struct image_header *)(void *)copy)->checksum = image_checksum(copy, len);
    return copy;
}

static void ask_everything(struct answer_context *context)
{
    static const char *const names[] = {"example.com",          "www.example.com",     "ns.example.com",
                                        "loop1.example.com",    "a.b.w.example.com",   "x.d.example.com",
                                        "y.dd.example.com",     "z.child.example.com", "no.example.com",
                                        "t.target.example.com", "child.example.com",   "mail.example.com"};
    static const uint16_t types[] = {1, 28, 2, 6, 15, 16, 43, 255};
    static uint8_t msg[70000];
    const struct answer_client client = {.address = {10, 1, 2, 3}, .is_tcp = true};
    for (unsigned n = 0; n < sizeof names / sizeof *names; n++)
        for (unsigned t = 0; t < sizeof types / sizeof *types; t++) {
            uint8_t name[NAME_MAX_LEN];
            struct wire_writer out = wire_writer_init(msg, 512);
            wire_put(&out, "\0\1\1\0\0\1\0\0\0\0\0\0", 12);
            wire_put(&out, name, (size_t)name_from_text(name, names[n]));
            wire_put_u16(&out, types[t]);
            wire_put_u16(&out, 1);
            answer_message(context, &client, msg, (unsigned)out.at, 65535);
        }
}

static void ask_regions(const void *image, const void *order_image)
{
    const unsigned services = zone_image_index(image)->service_count;
    const struct zone_index *index = zone_image_index(image);
    const void *map = index->region_at ? image_at(image, index->region_at) : NULL;
    for (unsigned i = 0; map && i < 256; i++) {
        const uint8_t address[16] = {i & 1 ? 0x20 : (uint8_t)i, 1, 0xd, 0xb8, [4] = i & 3, [14] = (uint8_t)i};
        if (region_map_find_ipv4(map, address).scope_len > 32 || region_map_find_ipv6(map, address).scope_len > 128)
            abort();
        for (unsigned n = 0; n < services; n++)
            if (order_choose(image, order_image, n, address, false, true).scope_len > 32 ||
                order_choose(image, order_image, n, address, true, true).scope_len > 128)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world_get();
    if (size < 4 || size > 300)
        return 0;
    struct answer_context context = w->context;
    char why[IMAGE_TEXT_CAP];
    void *copy;
    int rc;
    if (data[0] & 1) {
        copy = edited(w->order_image, w->order_len, data + 1, size - 1);
        context.order_image = copy;
        rc = order_image_check(copy, w->order_len, why);
    } else {
        copy = edited(w->zone_image, w->zone_len, data + 1, size - 1);
        context.zone_image = copy;
        rc = zone_image_check(copy, w->zone_len, why);
    }
    if (rc == 0 && image_pair_check(context.zone_image, context.order_image, why) == 0) {
        ask_regions(context.zone_image, context.order_image);
        ask_everything(&context);
    }
    free(copy);
    return 0;
}
