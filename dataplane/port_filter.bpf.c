// SPDX-License-Identifier: Apache-2.0
// The XDP program of a card that is shared with the kernel: DNS queries over UDP to the node's addresses go to our
// queues, all else stays where it was. TCP, ARP, neighbour discovery, echo, fragments, IP options and foreign stations'
// frames never leave the kernel.
//
// Compiled for the kernel's BPF machine, built into the data plane and attached by it (port_filter.c), beside others
// where libxdp's dispatcher can be had. A queue without our socket, and a gate that is shut, pass everything on: the
// standby answers then.
//
// Its function's name and version are those by which libxdp, and with it DPDK's net_af_xdp, knows a program that hands
// frames to AF_XDP sockets; finding it there, it puts its sockets into xsks_map and attaches no program of its own.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

#include "dataplane/port_filter_map.h"

enum { DNS_PORT = 53, QUEUE_MAX = 256, FRAGMENT_MASK = 0x3fff }; // more fragments, or an offset

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, QUEUE_MAX);
    __type(key, int);
    __type(value, int);
} xsks_map SEC(".maps");

// Entry 0: struct port_filter_gate. Written by the data plane's main thread.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct port_filter_gate);
} signpost_gate SEC(".maps");

// The node's addresses. Written by the data plane's main thread.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PORT_FILTER_ADDRESS_MAX);
    __type(key, struct port_filter_address);
    __type(value, __u8);
} signpost_addr SEC(".maps");

// By enum port_filter_count, one number per CPU.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PORT_FILTER_COUNT_MAX);
    __type(key, __u32);
    __type(value, __u64);
} signpost_count SEC(".maps");

struct vlan {
    __be16 tag, protocol;
};

static __always_inline void count(__u32 what)
{
    __u64 *n = bpf_map_lookup_elem(&signpost_count, &what);
    if (n)
        (*n)++;
}

static __always_inline int pass(__u32 why)
{
    count(why);
    return XDP_PASS;
}

static __always_inline int is_same_mac(const unsigned char *a, const __u8 *b)
{
    int is_same = 1;
#pragma unroll
    for (int i = 0; i < ETH_ALEN; i++) // memcmp would be a call of a function that is not there
        is_same &= a[i] == b[i];
    return is_same;
}

// Where the UDP header is, and whom it is for; 0: this is no plain UDP packet.
static __always_inline void *find_udp(void *at, void *end, __be16 protocol, struct port_filter_address *to)
{
    if (protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = at;
        if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP || ip->ihl != 5 ||
            ip->frag_off & bpf_htons(FRAGMENT_MASK))
            return 0;
        __builtin_memcpy(to->address, &ip->daddr, sizeof ip->daddr);
        return ip + 1;
    }
    if (protocol == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = at;
        if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_UDP)
            return 0;
        __builtin_memcpy(to->address, &ip->daddr, sizeof ip->daddr);
        to->is_ipv6 = 1;
        return ip + 1;
    }
    return 0;
}

// Among programs on the same card: where libxdp's own stands, behind filters (xdp-filter: 10) and before what counts
// and watches (50). What we pass on goes to the next.
struct {
    __uint(priority, 20);
    __uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(xsk_def_prog);

SEC("xdp")
int xsk_def_prog(struct xdp_md *context)
{
    void *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = at;
    if ((void *)(ethernet + 1) > end)
        return pass(PORT_FILTER_OTHER);
    __be16 protocol = ethernet->h_proto;
    at = ethernet + 1;
#pragma unroll
    for (int tags = 0; tags < 2; tags++) {
        struct vlan *vlan = at;
        if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
            break;
        if ((void *)(vlan + 1) > end)
            return pass(PORT_FILTER_OTHER);
        protocol = vlan->protocol;
        at = vlan + 1;
    }
    struct port_filter_address to = {};
    struct udphdr *udp = find_udp(at, end, protocol, &to);
    if (!udp || (void *)(udp + 1) > end || udp->dest != bpf_htons(DNS_PORT))
        return pass(PORT_FILTER_OTHER);
    const __u32 zero = 0;
    const struct port_filter_gate *gate = bpf_map_lookup_elem(&signpost_gate, &zero);
    if (!gate || !gate->is_open)
        return pass(PORT_FILTER_SHUT);
    // A switch floods other stations' frames to us; the kernel knows what to do with them.
    if (!is_same_mac(ethernet->h_dest, gate->mac) || (gate->has_addresses && !bpf_map_lookup_elem(&signpost_addr, &to)))
        return pass(PORT_FILTER_NOT_OURS);
    const __u32 queue = context->rx_queue_index;
    if (!bpf_map_lookup_elem(&xsks_map, &queue))
        return pass(PORT_FILTER_NO_QUEUE);
    count(PORT_FILTER_TAKEN);
    return (int)bpf_redirect_map(&xsks_map, queue, XDP_PASS);
}

char _license[] SEC("license") = "Apache-2.0";
__uint(xsk_prog_version, 1) SEC("xdp_metadata");
