// SPDX-License-Identifier: Apache-2.0
// For tests: zones and messages as text. Independent of the code under test except for the builders' interfaces.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include "table/name.h"
#include "table/order_image.h"
#include "table/zone_builder.h"
}

namespace dns_text
{

using Bytes = std::vector<uint8_t>;

inline const std::map<std::string, uint16_t> &types()
{
    static const std::map<std::string, uint16_t> t = {
        {"A", 1},      {"NS", 2},     {"CNAME", 5},  {"SOA", 6},    {"PTR", 12},     {"HINFO", 13},
        {"MX", 15},    {"TXT", 16},   {"AAAA", 28},  {"SRV", 33},   {"DNAME", 39},   {"OPT", 41},
        {"DS", 43},    {"RRSIG", 46}, {"SVCB", 64},  {"HTTPS", 65}, {"TKEY", 249},   {"MAILB", 253},
        {"TSIG", 250}, {"IXFR", 251}, {"AXFR", 252}, {"ANY", 255},  {"TYPE257", 257}};
    return t;
}

inline std::string type_name(uint16_t type)
{
    for (const auto &t : types())
        if (t.second == type)
            return t.first;
    return "TYPE" + std::to_string(type);
}

inline uint16_t type_number(const std::string &name)
{
    auto found = types().find(name);
    if (found != types().end())
        return found->second;
    EXPECT_EQ(name.substr(0, 4), "TYPE") << name;
    return static_cast<uint16_t>(std::stoi(name.substr(4)));
}

inline Bytes name(const std::string &text, const std::string &origin = "")
{
    std::string full = text == "@" ? origin : text;
    if (full.empty() || full.back() != '.')
        full += origin.empty() ? "." : (origin == "." ? "." : "." + origin);
    uint8_t out[NAME_MAX_LEN];
    int len = name_from_text(out, full.c_str());
    EXPECT_GT(len, 0) << full;
    return Bytes(out, out + (len > 0 ? len : 0));
}

inline void put16(Bytes &b, unsigned v)
{
    b.push_back(static_cast<uint8_t>(v >> 8));
    b.push_back(static_cast<uint8_t>(v));
}

inline void put32(Bytes &b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

inline void append(Bytes &b, const Bytes &more)
{
    b.insert(b.end(), more.begin(), more.end());
}

inline Bytes rdata(uint16_t type, std::istringstream &in, const std::string &origin)
{
    Bytes out;
    std::string word;
    auto next = [&]() {
        in >> word;
        return word;
    };
    auto number = [&]() { return static_cast<uint32_t>(std::stoul(next())); };
    switch (type) {
    case 1:
    case 28: {
        uint8_t address[16];
        EXPECT_EQ(inet_pton(type == 1 ? AF_INET : AF_INET6, next().c_str(), address), 1) << word;
        out.assign(address, address + (type == 1 ? 4 : 16));
        break;
    }
    case 2:
    case 5:
    case 12:
    case 39:
        out = name(next(), origin);
        break;
    case 6:
        out = name(next(), origin);
        append(out, name(next(), origin));
        for (int i = 0; i < 5; i++)
            put32(out, number());
        break;
    case 15:
        put16(out, number());
        append(out, name(next(), origin));
        break;
    case 33:
        for (int i = 0; i < 3; i++)
            put16(out, number());
        append(out, name(next(), origin));
        break;
    case 64:
    case 65:
        put16(out, number());
        append(out, name(next(), origin));
        break;
    case 16:
        next();
        out.push_back(static_cast<uint8_t>(word.size()));
        out.insert(out.end(), word.begin(), word.end());
        break;
    default: // hexadecimal, perhaps behind \# and a length (RFC 3597 section 5)
        if (in >> word && word == "\\#")
            number(), next();
        if (!word.empty())
            for (size_t i = 0; i + 1 < word.size(); i += 2)
                out.push_back(static_cast<uint8_t>(std::stoi(word.substr(i, 2), nullptr, 16)));
    }
    return out;
}

struct FreeImage {
    void operator()(void *p) const
    {
        std::free(p);
    }
};

struct Image {
    std::unique_ptr<void, FreeImage> data;
    size_t len = 0;
    const void *get() const
    {
        return data.get();
    }
};

// Collects what the builder reports, one line each: "error example.com. www.example.com.: text".
struct ZoneSource {
    zone_builder *builder;
    std::vector<std::string> issues;
    std::vector<std::string> apexes;

    ZoneSource() : builder(zone_builder_new(&ZoneSource::report, this)) {}
    ~ZoneSource()
    {
        zone_builder_free(builder);
    }
    ZoneSource(const ZoneSource &) = delete;

    static void report(void *user, zone_issue_level level, unsigned, const uint8_t *owner, uint64_t, const char *text)
    {
        char buffer[NAME_TEXT_CAP];
        static_cast<ZoneSource *>(user)->issues.push_back(
            std::string(level == ZONE_ISSUE_ERROR ? "error " : "warning ") + name_to_text(buffer, owner) + ": " + text);
    }

    // Lines "owner ttl type rdata"; owners and names in rdata without a final dot are relative to the apex.
    int zone(const std::string &apex, const std::string &text)
    {
        int number = zone_builder_add_zone(builder, name(apex).data());
        EXPECT_GE(number, 0);
        apexes.push_back(apex);
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            std::istringstream in(line);
            std::string owner, type;
            uint32_t ttl;
            if (!(in >> owner >> ttl >> type))
                continue;
            Bytes data = rdata(type_number(type), in, apex);
            zone_builder_add_record(builder, static_cast<unsigned>(number), name(owner, apex).data(), type_number(type),
                                    ttl, data.data(), static_cast<uint16_t>(data.size()), 0);
        }
        return number;
    }

    Image build(uint64_t generation = 1, uint64_t pairing = 7)
    {
        Image image;
        void *p = nullptr;
        int rc = zone_builder_finish(builder, generation, pairing, 1000, &p, &image.len);
        EXPECT_EQ(rc, 0) << (issues.empty() ? "" : issues.back());
        image.data.reset(p);
        return image;
    }
};

// One service: for each class the list of addresses.
struct OrderSource {
    struct Answer {
        std::vector<std::string> addresses;
        uint32_t ttl = 30;
        order_mode mode = ORDER_ANSWER;
        uint16_t ede = 0;
    };
    struct Service {
        uint32_t flags = 0;
        unsigned buckets = 1;
        std::vector<Answer> answers;
        std::vector<uint32_t> classes = {0};
    };
    std::vector<Service> services;
    unsigned regions = 1;

    Image build(uint64_t generation = 1, uint64_t pairing = 7) const
    {
        std::vector<order_service_input> inputs;
        std::vector<std::unique_ptr<Bytes>> data;
        std::vector<std::unique_ptr<std::vector<order_record>>> records;
        std::vector<std::unique_ptr<std::vector<order_rrset>>> sets;
        std::vector<std::unique_ptr<std::vector<order_answer_input>>> answers;
        for (const Service &s : services) {
            answers.push_back(std::make_unique<std::vector<order_answer_input>>());
            for (const Answer &a : s.answers) {
                sets.push_back(std::make_unique<std::vector<order_rrset>>());
                for (uint16_t type : {uint16_t(1), uint16_t(28)}) {
                    records.push_back(std::make_unique<std::vector<order_record>>());
                    for (const std::string &text : a.addresses) {
                        if ((text.find(':') != std::string::npos) != (type == 28))
                            continue;
                        uint8_t address[16];
                        EXPECT_EQ(inet_pton(type == 1 ? AF_INET : AF_INET6, text.c_str(), address), 1) << text;
                        data.push_back(std::make_unique<Bytes>(address, address + (type == 1 ? 4 : 16)));
                        records.back()->push_back({data.back()->data(), static_cast<uint16_t>(data.back()->size())});
                    }
                    if (!records.back()->empty())
                        sets.back()->push_back(
                            {type, a.ttl, records.back()->data(), static_cast<unsigned>(records.back()->size())});
                }
                answers.back()->push_back(
                    {a.mode, 0, a.ede, 1, sets.back()->data(), static_cast<unsigned>(sets.back()->size())});
            }
            inputs.push_back({s.flags, s.buckets, 1ull << 1 | 1ull << 28, answers.back()->data(),
                              static_cast<unsigned>(answers.back()->size()), s.classes.data()});
        }
        Image image;
        void *p = nullptr;
        EXPECT_EQ(order_image_build(inputs.data(), static_cast<unsigned>(inputs.size()), regions, generation, pairing,
                                    1000, &p, &image.len),
                  0);
        image.data.reset(p);
        return image;
    }
};

// ---- messages ----

struct QueryText {
    std::string qname = "www.example.com";
    std::string qtype = "A";
    uint16_t qclass = 1;
    uint16_t flags = 0x0100;
    bool edns = false;
    uint16_t udp_size = 1232;
    uint32_t opt_ttl = 0;
    Bytes options = {};
};

inline Bytes option(uint16_t code, const Bytes &data)
{
    Bytes out;
    put16(out, code);
    put16(out, static_cast<unsigned>(data.size()));
    append(out, data);
    return out;
}

inline Bytes query(const QueryText &q)
{
    Bytes m;
    put16(m, 0x1234);
    put16(m, q.flags);
    put16(m, 1);
    put16(m, 0);
    put16(m, 0);
    put16(m, q.edns ? 1 : 0);
    append(m, name(q.qname));
    put16(m, type_number(q.qtype));
    put16(m, q.qclass);
    if (q.edns) {
        m.push_back(0);
        put16(m, 41);
        put16(m, q.udp_size);
        put32(m, q.opt_ttl);
        put16(m, static_cast<unsigned>(q.options.size()));
        append(m, q.options);
    }
    return m;
}

// Reads a message strictly: pointers only backward, everything inside, nothing behind the last record.
class Reader
{
  public:
    explicit Reader(const Bytes &message) : m(message) {}
    Bytes m;
    size_t at = 0;
    bool bad = false;

    unsigned u8()
    {
        if (at >= m.size()) {
            bad = true;
            return 0;
        }
        return m[at++];
    }
    unsigned u16()
    {
        unsigned high = u8();
        return high << 8 | u8();
    }
    uint32_t u32()
    {
        uint32_t high = u16();
        return high << 16 | u16();
    }
    std::string text_name()
    {
        Bytes wire;
        size_t p = at, end = 0, limit = m.size();
        for (int steps = 0; steps < 300; steps++) {
            if (p >= m.size()) {
                bad = true;
                return "?";
            }
            unsigned len = m[p];
            if (len >= 0xc0) {
                size_t to = p + 1 < m.size() ? (len & 0x3f) << 8 | m[p + 1] : m.size();
                if (!end)
                    end = p + 2;
                if (to >= limit || to >= p) {
                    bad = true;
                    return "?";
                }
                limit = to + 1;
                p = to;
                continue;
            }
            if (len > 63 || p + len >= m.size() || wire.size() + len + 1 > 255) {
                bad = true;
                return "?";
            }
            wire.insert(wire.end(), m.begin() + static_cast<long>(p), m.begin() + static_cast<long>(p + len + 1));
            p += len + 1;
            if (len == 0)
                break;
        }
        at = end ? end : p;
        char buffer[NAME_TEXT_CAP];
        if (name_check(wire.data(), wire.size(), nullptr) != static_cast<int>(wire.size())) {
            bad = true;
            return "?";
        }
        return name_to_text(buffer, wire.data());
    }
    std::string text_rdata(unsigned type, size_t len)
    {
        size_t end = at + len;
        std::string out;
        char buffer[INET6_ADDRSTRLEN];
        if (end > m.size()) {
            bad = true;
            return "?";
        }
        if (type == 1 && len == 4)
            out = inet_ntop(AF_INET, &m[at], buffer, sizeof buffer), at = end;
        else if (type == 28 && len == 16)
            out = inet_ntop(AF_INET6, &m[at], buffer, sizeof buffer), at = end;
        else if (type == 2 || type == 5 || type == 12 || type == 39)
            out = text_name();
        else if (type == 15)
            out = std::to_string(u16()), out += " " + text_name();
        else if (type == 33)
            out = std::to_string(u16()) + " ", out += std::to_string(u16()) + " ", out += std::to_string(u16()) + " ",
            out += text_name();
        else if (type == 6) {
            out = text_name();
            out += " " + text_name();
            for (int i = 0; i < 5; i++)
                out += " " + std::to_string(u32());
        } else if (type == 16 && len > 0) {
            size_t n = u8();
            out.assign(m.begin() + static_cast<long>(at), m.begin() + static_cast<long>(std::min(at + n, end)));
            at = end;
        } else {
            char hex[3];
            for (; at < end; at++) {
                snprintf(hex, sizeof hex, "%02x", m[at]);
                out += hex;
            }
        }
        if (at != end)
            bad = true;
        return out;
    }
};

struct ReplyText {
    unsigned id = 0, flags = 0, rcode = 0;
    bool parsed = false;
    std::string question;
    std::vector<std::string> section[3]; // answer, authority, additional (without OPT)
    bool has_opt = false;
    unsigned opt_udp_size = 0, opt_version = 0;
    bool opt_do = false;
    std::map<unsigned, Bytes> options;
    bool aa() const
    {
        return flags & 0x0400;
    }
    bool tc() const
    {
        return flags & 0x0200;
    }

    // "NOERROR aa | answer; answer | authority | additional"
    std::string summary() const
    {
        static const char *const names[] = {"NOERROR", "FORMERR",  "SERVFAIL", "NXDOMAIN", "NOTIMP",
                                            "REFUSED", "YXDOMAIN", "7",        "8",        "NOTAUTH"};
        std::string out = rcode < 10 ? names[rcode] : rcode == 16 ? "BADVERS" : std::to_string(rcode);
        out += aa() ? " aa" : "";
        out += tc() ? " tc" : "";
        for (const auto &records : section) {
            out += " |";
            for (size_t i = 0; i < records.size(); i++)
                out += (i ? "; " : " ") + records[i];
        }
        return out;
    }
};

inline ReplyText parse(const Bytes &message)
{
    ReplyText r;
    Reader in(message);
    r.id = in.u16();
    r.flags = in.u16();
    r.rcode = r.flags & 0xf;
    unsigned counts[4] = {in.u16(), 0, 0, 0};
    for (int i = 1; i < 4; i++)
        counts[i] = in.u16();
    for (unsigned i = 0; i < counts[0] && !in.bad; i++) {
        r.question += in.text_name() + " ";
        unsigned type = in.u16(), cls = in.u16();
        r.question += type_name(static_cast<uint16_t>(type)) + (cls == 1 ? "" : " class" + std::to_string(cls));
    }
    for (int s = 0; s < 3; s++) {
        for (unsigned i = 0; i < counts[s + 1] && !in.bad; i++) {
            std::string owner = in.text_name();
            unsigned type = in.u16(), cls = in.u16();
            uint32_t ttl = in.u32();
            size_t len = in.u16();
            if (type == 41) {
                EXPECT_FALSE(r.has_opt);
                r.has_opt = true;
                r.opt_udp_size = cls;
                r.opt_version = ttl >> 16 & 0xff;
                r.opt_do = ttl >> 15 & 1;
                r.rcode |= (ttl >> 24) << 4;
                size_t end = in.at + len;
                while (in.at + 4 <= end && !in.bad) {
                    unsigned code = in.u16(), n = in.u16();
                    if (in.at + n > end)
                        in.bad = true;
                    else
                        r.options[code] = Bytes(message.begin() + static_cast<long>(in.at),
                                                message.begin() + static_cast<long>(in.at + n));
                    in.at += n;
                }
                continue;
            }
            r.section[s].push_back(owner + " " + std::to_string(ttl) + " " + type_name(static_cast<uint16_t>(type)) +
                                   " " + in.text_rdata(type, len));
        }
    }
    r.parsed = !in.bad && in.at == message.size();
    return r;
}

} // namespace dns_text
