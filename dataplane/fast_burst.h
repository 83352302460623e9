// SPDX-License-Identifier: Apache-2.0
// A burst on its way through the stages of the short way (fast_stages.h), and what several of them ask of it.
//
// Checksums are kept as numbers modulo 65,535: there 2^16, 2^32 and 2^64 are all 1, so that words of any size may be
// added, a factor of 256 is a swap of octets, and zero is "right" (RFC 1071 section 2, RFC 1624).
#pragma once

#include "dataplane/cookie.h"
#include "dataplane/fast_shape.h"
#include "dataplane/packet.h"
#include "table/order_image.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FAST_ETHERNET_LEN = 14,
    FAST_IPV4_LEN = 20,
    FAST_IPV6_LEN = 40,
    FAST_IPV6_SHIFT = FAST_IPV6_LEN - FAST_IPV4_LEN, // what follows the IP header stands so much further on
    FAST_UDP_LEN = 8,
    FAST_OPT_LEN = 11,
    FAST_OPT_MAX = FAST_OPT_LEN + 24 + 28,        // of an answer: with an IPv6 subnet and a cookie
    FAST_IP_AT = FAST_ETHERNET_LEN,               // offsets in a frame of IPv4
    FAST_UDP_AT = FAST_IP_AT + FAST_IPV4_LEN,     //
    FAST_MESSAGE_AT = FAST_UDP_AT + FAST_UDP_LEN, //
    FAST_NAME_AT = FAST_MESSAGE_AT + 12,
    FAST_NAME_CAP = 64,               // names of up to 64 octets; longer ones are rare and take the plain way
    FAST_ANSWER_MAX = ANSWER_UDP_MIN, // octets of message: every client takes as many
    FAST_NO_SET = INT32_MAX,          // octets of a set that fits nowhere
    // A frame's buffer; all reads and writes stay inside.
    FAST_ROOM = FAST_MESSAGE_AT + FAST_IPV6_SHIFT + FAST_ANSWER_MAX + IMAGE_TAIL,
    FAST_HEADS = 5 // blocks of 16 octets that hold all headers up to the flags of an IPv6 frame's message
};

// The head of the answer's cookie option in memory order: code, and length of both cookies.
#define FAST_COOKIE_HEAD (10u << 8 | 24u << 24)

// DO in the first 8 octets of an OPT record, likewise.
#define FAST_OPT_DO (1ull << 63)

// Where four octets of an OPT record stand at an even offset that are the end of its type, its size, and a zero.
enum { FAST_OPT_SIZE_AT = 2 };

// What a query with EDNS options has besides.
struct fast_options {
    const struct fast_shape *shape;
    uint8_t subnet[16];    // the address; bits past the source length are zero
    uint8_t scope;         // from fast_steer on
    uint8_t lane;          // with FAST_COOKIE: in the batch of its family
    const uint8_t *cookie; // with a server cookie in the query: both, in the frame
} __attribute__((aligned(64)));

// A query on its way through the stages; it has its frame's number in the burst.
struct fast_query {
    uint8_t name[FAST_NAME_CAP]; // folded, zero-filled to a whole block of 16
    const void *at;              // struct zone_slot, then struct zone_node, then struct rrset; never null
    uint64_t hash;
    uint32_t sum;     // over pseudo header and datagram of the query but for the checksum, modulo 65,535
    uint32_t udp_len; // of the query
    uint32_t name_len;
    uint16_t type;    // A or AAAA
    uint16_t service; // its number, of those in fast_burst.tailored
    uint64_t marks;   // FAST_EDNS and so on
    // Of names and types that are not there, and of wildcards.
    uint16_t apex_at;   // where the zone's apex stands in the message, when its SOA is the answer; else 0
    uint8_t rcode;      // enum dns_rcode
    uint8_t rate_class; // enum rate_limit_class
    bool is_wildcard;
    struct fast_options options; // with FAST_OPTIONS
} __attribute__((aligned(64)));
static_assert(sizeof(struct fast_query) == 192, "three cache lines");

// Six bits for each, so that a burst's marks can be added up.
#define FAST_EDNS    1ull
#define FAST_SERVICE (1ull << 6)
// What is not the common query's is written apart.
#define FAST_IPV6        (1ull << 12)
#define FAST_OPTIONS     (1ull << 18) // struct fast_options is filled
#define FAST_MISS        (1ull << 24) // the query's last fields are filled
#define FAST_UNANSWERED  (1ull << 30) // options have data that are not answered
#define FAST_SUBNET      (1ull << 36) // answered: so is the client's subnet
#define FAST_COOKIE      (1ull << 42) // and its cookie,
#define FAST_COOKIE_GOOD (1ull << 48) // which is one of ours,
#define FAST_COOKIE_BAD  (1ull << 54) // or looked as if
enum { FAST_MARK_COUNTS = (1 << 6) - 1 };

// By family: IPv4, IPv6.
struct fast_family {
    uint8_t mask[FAST_HEADS][16], expected[FAST_HEADS][16]; // of the first octets of a frame
    uint8_t reply_mac[16];                                  // the start of the reply behind the client's address
    bool has_more_addresses;                                // more than the one in `expected`
} __attribute__((aligned(16)));

// Queries of clients of one family whose cookie is to be answered.
struct fast_cookies {
    unsigned count, sent_count;
    struct fast_query *sent[PACKET_BURST_MAX]; // of them those with a server cookie
    struct cookie_batch batch;                 // a lane for each; from fast_cookies on with the answer's server cookie
    uint64_t growth[COOKIE_BATCH_MAX];         // what that adds to a sum less what the query's did; less than 2^35
};
static_assert((int)PACKET_BURST_MAX <= (int)COOKIE_BATCH_MAX, "the cookies of a burst are hashed at once");

struct fast_burst {
    struct fast_family family[2];
    const uint8_t *mac;    // of the port
    bool is_ipv6_expected; // the second family is filled: when its first frame comes
    const struct zone_settings *settings;
    const void *zone_image, *order_image;
    const struct zone_slot *slot;
    const struct order_service *service;
    uint64_t hash_seed, opt; // the OPT record of replies, without DO
    uint32_t slot_mask, probe_limit;
    uint32_t size_sum;             // what the size in the OPT record adds to a sum, less what the query's has
    uint32_t checksum_known;       // the enum packet_checksum that needs no look
    struct rate_limit *rate_limit; // null: no limit
    uint64_t now_ns;
    bool is_checksum_trusted;
    bool answers_subnets, answers_cookies; // which options, by the settings
    unsigned tailored_count, missed_count;
    unsigned plain_count, answer_count;
    uint64_t marks;                    // their sum over the answers
    uint32_t now_s;                    // wall clock
    uint16_t missed[PACKET_BURST_MAX]; // numbers of queries whose name or type was not found
    struct fast_query query[PACKET_BURST_MAX];
    struct fast_query *tailored[PACKET_BURST_MAX]; // for services that have no answer for everybody
    struct fast_cookies cookies[2];                // by family
    uint16_t plain[PACKET_BURST_MAX];              // numbers of the frames left to the plain way
    uint8_t decided[PACKET_BURST_MAX];             // by frame, under a rate limit: answer_context.rate_decided
    struct fast_shapes *shapes;
    struct fast_shapes own_shapes; // for who keeps none
} __attribute__((aligned(64)));

// Offset behind the question in a frame of IPv4.
static inline unsigned fast_end(unsigned name_len)
{
    return FAST_NAME_AT + name_len + 4;
}

// Whether the answer is short enough for every client. The plain way keeps 6 octets back for an extended error: near
// the limit it decides.
static inline bool fast_fits(const struct fast_query *q, const struct rrset *set)
{
    return fast_end(q->name_len) + set->wire_len <= FAST_MESSAGE_AT + FAST_ANSWER_MAX - FAST_OPT_MAX - 6;
}

// Where a client's address stands in its frame.
static inline const uint8_t *fast_client_of(const uint8_t *frame, bool is_ipv6)
{
    return frame + FAST_IP_AT + (is_ipv6 ? 8 : 12);
}

static inline const uint8_t *fast_client(const struct fast_query *q, const uint8_t *frame)
{
    return fast_client_of(frame, q->marks & FAST_IPV6);
}

#ifdef __cplusplus
}
#endif
