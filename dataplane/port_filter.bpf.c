// SPDX-License-Identifier: Apache-2.0
// The XDP program of a card that is shared with the kernel: DNS queries over UDP go to our queues, all else stays where
// it was. TCP, ARP, neighbour discovery, echo and fragments never leave the kernel.
//
// Compiled for the kernel's BPF machine, built into the data plane (port_filter.c), loaded by net_af_xdp, which looks
// for the map by its name. A queue without our socket passes everything on.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { DNS_PORT = 53, QUEUE_MAX = 256, FRAGMENT_MASK = 0x3fff }; // more fragments, or an offset

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, QUEUE_MAX);
    __type(key, int);
    __type(value, int);
} xsks_map SEC(".maps");

struct vlan {
    __be16 tag, protocol;
};

// Where the UDP header is; 0: this is no UDP packet, or a fragment.
static __always_inline void *find_udp(void *at, void *end, __be16 protocol)
{
    if (protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = at;
        if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP || ip->ihl < 5 ||
            ip->frag_off & bpf_htons(FRAGMENT_MASK))
            return 0;
        return at + ip->ihl * 4;
    }
    if (protocol == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = at;
        if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_UDP)
            return 0;
        return ip + 1;
    }
    return 0;
}

SEC("xdp")
int signpost_port(struct xdp_md *context)
{
    void *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = at;
    if ((void *)(ethernet + 1) > end)
        return XDP_PASS;
    __be16 protocol = ethernet->h_proto;
    at = ethernet + 1;
#pragma unroll
    for (int tags = 0; tags < 2; tags++) {
        struct vlan *vlan = at;
        if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
            break;
        if ((void *)(vlan + 1) > end)
            return XDP_PASS;
        protocol = vlan->protocol;
        at = vlan + 1;
    }
    struct udphdr *udp = find_udp(at, end, protocol);
    if (!udp || (void *)(udp + 1) > end || udp->dest != bpf_htons(DNS_PORT))
        return XDP_PASS;
    return (int)bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Apache-2.0";
