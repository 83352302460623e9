// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet_sieve.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/filter.h>

enum { BLOCK_LEN = 15, PROGRAM_LEN = 4 + 2 * BLOCK_LEN, UDP = 17, DNS = 53, WHOLE = 0x40000 };

#define LOAD_BYTE(k)         BPF_STMT(BPF_LD | BPF_B | BPF_ABS, k)
#define LOAD_HALF(k)         BPF_STMT(BPF_LD | BPF_H | BPF_ABS, k)
#define IF_EQUAL(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)

// With the type of what follows loaded: 15 instructions that end in accept or reject. `o`: octets of tags before it.
#define BLOCK(o)                                                                                                       \
    IF_EQUAL(0x0800, 0, 7), LOAD_BYTE(23 + (o)), IF_EQUAL(UDP, 0, 11), LOAD_HALF(20 + (o)),                            \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 9, 0), BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14 + (o)),             \
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16 + (o)), IF_EQUAL(DNS, 5, 6), IF_EQUAL(0x86dd, 0, 5),                     \
        LOAD_BYTE(20 + (o)), IF_EQUAL(UDP, 0, 3), LOAD_HALF(56 + (o)), IF_EQUAL(DNS, 0, 1),                            \
        BPF_STMT(BPF_RET | BPF_K, WHOLE), BPF_STMT(BPF_RET | BPF_K, 0)

static struct sock_filter program[PROGRAM_LEN] = {
    LOAD_HALF(12), IF_EQUAL(0x8100, BLOCK_LEN + 1, 0), IF_EQUAL(0x88a8, BLOCK_LEN, 0), BLOCK(0), LOAD_HALF(16),
    BLOCK(4),
};

int packet_sieve_attach(int fd)
{
    const struct sock_fprog all = {PROGRAM_LEN, program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) < 0 ? -errno : 0;
}
