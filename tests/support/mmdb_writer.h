// SPDX-License-Identifier: Apache-2.0
// A small MaxMind database of IPv4 networks and their coordinates, written as the format's description says
// (https://maxmind.github.io/MaxMind-DB/), for tests that need more networks than the test data have.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

class MmdbWriter
{
  public:
    // Coordinates to be used by number.
    unsigned place(double latitude, double longitude)
    {
        place_at_.push_back(static_cast<uint32_t>(data_.size()));
        data_ += map(1) + text("location") + map(2) + text("latitude") + real(latitude) + text("longitude") +
                 real(longitude);
        return static_cast<unsigned>(place_at_.size() - 1);
    }
    // Networks do not overlap.
    void network(uint32_t address, unsigned prefix_len, unsigned place)
    {
        size_t at = 0;
        for (unsigned bit = 0; bit + 1 < prefix_len; bit++) {
            const unsigned side = address >> (31 - bit) & 1;
            if (node_[at][side] == 0) {
                node_.push_back({});
                node_[at][side] = static_cast<int64_t>(node_.size() - 1);
            }
            at = static_cast<size_t>(node_[at][side]);
        }
        node_[at][address >> (32 - prefix_len) & 1] = -1 - static_cast<int64_t>(place);
    }
    void write(const std::string &path) const
    {
        std::string out;
        for (const auto &node : node_)
            for (const int64_t side : node) {
                const auto count = static_cast<uint32_t>(node_.size());
                const uint32_t value = side < 0    ? count + 16 + place_at_[static_cast<size_t>(-1 - side)]
                                       : side == 0 ? count
                                                   : static_cast<uint32_t>(side);
                out += big_endian(value, 4);
            }
        out += std::string(16, '\0') + data_ + "\xab\xcd\xefMaxMind.com" + map(9) + text("node_count") +
               number(6, node_.size(), 4) + text("record_size") + number(5, 32, 2) + text("ip_version") +
               number(5, 4, 2) + text("database_type") + text("Test-City") + text("languages") +
               std::string("\0\4", 2) + text("binary_format_major_version") + number(5, 2, 2) +
               text("binary_format_minor_version") + number(5, 0, 2) + text("build_epoch") + "\x08\x02" +
               big_endian(1700000000, 8) + text("description") + map(0);
        std::ofstream(path, std::ios::binary) << out;
    }

  private:
    static std::string big_endian(uint64_t value, unsigned octets)
    {
        std::string out;
        for (unsigned i = octets; i-- > 0;)
            out += static_cast<char>(value >> (8 * i));
        return out;
    }
    static std::string text(const std::string &s)
    {
        return static_cast<char>(2 << 5 | static_cast<int>(s.size())) + s; // up to 28 octets
    }
    static std::string map(unsigned entries)
    {
        return {static_cast<char>(7 << 5 | entries)};
    }
    static std::string number(unsigned type, uint64_t value, unsigned octets)
    {
        return static_cast<char>(type << 5 | octets) + big_endian(value, octets);
    }
    static std::string real(double value)
    {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return static_cast<char>(3 << 5 | 8) + big_endian(bits, 8);
    }
    std::vector<std::array<int64_t, 2>> node_{{}}; // 0: nothing; below: a place
    std::string data_;
    std::vector<uint32_t> place_at_;
};
