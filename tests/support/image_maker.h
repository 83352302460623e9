// SPDX-License-Identifier: Apache-2.0
// For tests: small valid pairs of images, as memory, memfds, files and maps.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "tests/support/dns_text.h"

extern "C" {
#include "dataplane/image_map.h"
}

namespace image_maker
{

enum { SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK };

// example.com with mail (static) and www (service 0); the node's address is 192.0.2.53.
inline dns_text::Image zone(uint64_t generation, uint64_t pairing = 7, bool has_service = true,
                            uint16_t stale_after_s = 0)
{
    dns_text::ZoneSource source;
    zone_settings settings{};
    settings.udp_max = 1232;
    settings.any_ttl = 3789;
    settings.stale_after_s = stale_after_s;
    settings.address_count = 2;
    inet_pton(AF_INET, "192.0.2.53", settings.address[0].address);
    inet_pton(AF_INET6, "2001:db8::53", settings.address[1].address);
    settings.address[1].is_ipv6 = 1;
    zone_builder_set_settings(source.builder, &settings);
    source.zone("example.com.", "@ 300 SOA ns1 host 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"
                                "mail 300 A 192.0.2.9\n");
    if (has_service) {
        EXPECT_EQ(zone_builder_add_service(source.builder, dns_text::name("www.example.com.").data(), 0), 0);
    }
    return source.build(generation, pairing);
}

inline dns_text::Image order(uint64_t generation, uint64_t pairing = 7,
                             std::vector<std::string> addresses = {"198.51.100.1", "203.0.113.1"})
{
    dns_text::OrderSource source;
    dns_text::OrderSource::Service service;
    service.answers.push_back({std::move(addresses)});
    source.services.push_back(service);
    return source.build(generation, pairing);
}

inline dns_text::Image order_without_services(uint64_t generation, uint64_t pairing = 7)
{
    return dns_text::OrderSource().build(generation, pairing);
}

inline int memfd(const dns_text::Image &image, int seals = SEALS)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    EXPECT_EQ(write(fd, image.get(), image.len), static_cast<ssize_t>(image.len));
    EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

// A checked map with one reference; the caller drops it.
inline image_map *map(const dns_text::Image &image, image_kind kind)
{
    char why[IMAGE_TEXT_CAP] = "";
    image_map *m = nullptr;
    int fd = memfd(image);
    EXPECT_EQ(image_map_from_memfd(fd, image.len, kind, &m, why), 0) << why;
    close(fd);
    EXPECT_EQ(image_map_check(m, why), 0) << why;
    return m;
}

inline void write_file(const std::string &path, const dns_text::Image &image)
{
    FILE *f = fopen(path.c_str(), "wb");
    ASSERT_NE(f, nullptr) << path;
    EXPECT_EQ(fwrite(image.get(), 1, image.len, f), image.len);
    fclose(f);
}

} // namespace image_maker
