// SPDX-License-Identifier: Apache-2.0
// Messages between the control process and the data plane's manager thread, over AF_UNIX SOCK_SEQPACKET.
//
// Each message is one structure below, host byte order (both ends are one machine). A receiver refuses a wrong magic,
// version, type or size and closes the connection. Descriptors travel as one SCM_RIGHTS entry of the same datagram.
#pragma once

#include <stdint.h>

#include "table/image.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAGE_MESSAGE_MAGIC 0x53504d31u // "SPM1"

enum {
    IMAGE_PROTOCOL_VERSION = 1,
    IMAGE_CONNECTION_MAX = 8 // control processes and tools at once; one more is refused
};

enum image_message_type {
    IMAGE_MESSAGE_HELLO = 1,     // data plane -> control, first; carries the counters memfd
    IMAGE_MESSAGE_IMAGE = 2,     // control -> data plane; carries the sealed image memfd
    IMAGE_MESSAGE_RESULT = 3,    // data plane -> control: image accepted or refused
    IMAGE_MESSAGE_PUBLISHED = 4, // data plane -> control: every worker has this generation, older ones are reclaimed
    // tool -> data plane: wants to capture packets. data plane -> tool: status 0 and the memfd of capture_page.h,
    // -EBUSY while another tool does, or -ENOTSUP. The capture is over when the connection ends.
    IMAGE_MESSAGE_CAPTURE = 5
};

struct image_message {
    uint32_t magic;
    uint16_t version;
    uint16_t type;            // enum image_message_type
    uint32_t kind;            // enum image_kind; IMAGE, RESULT, PUBLISHED
    int32_t status;           // RESULT: 0 or negative errno (-EALREADY: not newer than what is held)
    uint64_t generation;      // IMAGE, RESULT, PUBLISHED
    uint64_t image_bytes;     // IMAGE
    uint64_t zone_generation; // HELLO, PUBLISHED: generations in use, 0 when none
    uint64_t order_generation;
    uint64_t monotonic_ns;     // time of the event at the data plane (CLOCK_MONOTONIC)
    uint32_t pid;              // HELLO
    uint32_t worker_count;     // HELLO
    char text[IMAGE_TEXT_CAP]; // RESULT: the reason for people; HELLO: version of the program
};

#ifdef __cplusplus
}
#endif
