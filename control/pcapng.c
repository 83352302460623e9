// SPDX-License-Identifier: Apache-2.0
#include "control/pcapng.h"

#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BYTE_ORDER = 0x1a2b3c4d,
    LINKTYPE_ETHERNET = 1,
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_APPLICATION = 4, // of a section
    OPTION_NAME = 2,        // of an interface
    OPTION_FLAGS = 2,       // of a packet
    OPTION_RECEIVED = 4,    // of statistics
    OPTION_LOST = 5,
    FLAG_INBOUND = 1,
    FLAG_OUTBOUND = 2
};

static uint32_t padded(uint32_t len)
{
    return (len + 3) & ~3u;
}

static uint32_t option_bytes(const char *text)
{
    return *text ? 4 + padded((uint32_t)strlen(text)) : 0;
}

static void put_u16(FILE *f, uint16_t v)
{
    fwrite(&v, sizeof v, 1, f);
}

static void put_u32(FILE *f, uint32_t v)
{
    fwrite(&v, sizeof v, 1, f);
}

static void put_padded(FILE *f, const void *data, uint32_t len)
{
    static const uint8_t zero[4] = {0};
    fwrite(data, 1, len, f);
    fwrite(zero, 1, padded(len) - len, f);
}

static void put_option(FILE *f, uint16_t code, const void *data, uint16_t len)
{
    put_u16(f, code);
    put_u16(f, len);
    put_padded(f, data, len);
}

static void put_text(FILE *f, uint16_t code, const char *text)
{
    if (*text)
        put_option(f, code, text, (uint16_t)strlen(text));
}

static void put_end(FILE *f)
{
    put_u32(f, OPTION_END);
}

void pcapng_begin(FILE *f, const char *program, const char *interface, uint32_t snap)
{
    const uint32_t section = 28 + option_bytes(program) + 4, description = 20 + option_bytes(interface) + 4;
    put_u32(f, BLOCK_SECTION);
    put_u32(f, section);
    put_u32(f, BYTE_ORDER);
    put_u16(f, 1); // version 1.0
    put_u16(f, 0);
    put_u32(f, UINT32_MAX); // the section's length is not known
    put_u32(f, UINT32_MAX);
    put_text(f, OPTION_APPLICATION, program);
    put_end(f);
    put_u32(f, section);
    put_u32(f, BLOCK_INTERFACE);
    put_u32(f, description);
    put_u16(f, LINKTYPE_ETHERNET);
    put_u16(f, 0);
    put_u32(f, snap);
    put_text(f, OPTION_NAME, interface);
    put_end(f);
    put_u32(f, description);
}

void pcapng_put(FILE *f, const struct pcapng_packet *p)
{
    const uint32_t flags = p->is_outbound ? FLAG_OUTBOUND : FLAG_INBOUND;
    const uint32_t bytes = 32 + padded(p->kept) + 8 + option_bytes(p->comment) + 4;
    put_u32(f, BLOCK_PACKET);
    put_u32(f, bytes);
    put_u32(f, 0); // the interface
    put_u32(f, (uint32_t)(p->at_us >> 32));
    put_u32(f, (uint32_t)p->at_us);
    put_u32(f, p->kept);
    put_u32(f, p->len);
    put_padded(f, p->data, p->kept);
    put_option(f, OPTION_FLAGS, &flags, sizeof flags);
    put_text(f, OPTION_COMMENT, p->comment);
    put_end(f);
    put_u32(f, bytes);
}

void pcapng_statistics(FILE *f, uint64_t at_us, uint64_t received, uint64_t lost)
{
    const uint32_t bytes = 24 + 2 * 12 + 4;
    put_u32(f, BLOCK_STATISTICS);
    put_u32(f, bytes);
    put_u32(f, 0);
    put_u32(f, (uint32_t)(at_us >> 32));
    put_u32(f, (uint32_t)at_us);
    put_option(f, OPTION_RECEIVED, &received, sizeof received);
    put_option(f, OPTION_LOST, &lost, sizeof lost);
    put_end(f);
    put_u32(f, bytes);
}
