// SPDX-License-Identifier: Apache-2.0
// Record data from text to wire, type by type; expected octets are written out from the RFCs.
#include <gmock/gmock.h>

#include <string>

#include "control/zone_load_rdata.h"

namespace
{

using ::testing::HasSubstr;

const uint8_t origin[] = "\7example\3com";

struct Result {
    int rc;
    std::string hex, why;
};

std::string hex_of(const uint8_t *p, size_t len)
{
    std::string out;
    char two[3];
    for (size_t i = 0; i < len; i++) {
        snprintf(two, sizeof two, "%02x", p[i]);
        out += two;
    }
    return out;
}

// "MX 10 mail": the first word is the type.
Result parse(std::string text)
{
    static zone_lex_entry entry;
    zone_lex lex;
    text += "\n";
    zone_lex_init(&lex, text.data(), text.size());
    if (!zone_lex_next(&lex, &entry) || entry.error)
        return {-EINVAL, "", entry.error ? entry.error : "empty"};
    zone_rdata *z = zone_rdata_new();
    const uint8_t *wire;
    uint16_t len;
    char why[ZONE_WHY_CAP] = "";
    Result r{zone_type_parse(&entry.token[0]), "", "no type"};
    if (r.rc >= 0) {
        r.rc = zone_rdata_parse(z, (uint16_t)r.rc, &entry.token[0], &entry.token[1], entry.token_count - 1, origin,
                                &wire, &len, why);
        r.why = why;
        r.hex = r.rc ? "" : hex_of(wire, len);
    }
    zone_rdata_free(z);
    return r;
}

struct Good {
    const char *text, *hex, *why;
};

#define EXAMPLE_COM "076578616d706c6503636f6d00"

const Good good[] = {
    {"A 192.0.2.1", "c0000201", "RFC 1035 section 3.4.1"},
    {"AAAA 2001:db8::1", "20010db8000000000000000000000001", "RFC 3596"},
    {"aaaa 2001:DB8::1", "20010db8000000000000000000000001", "types without regard to case"},
    {"NS ns", "026e73" EXAMPLE_COM, "a relative name gets the origin"},
    {"NS ns.", "026e7300", "an absolute one does not"},
    {"NS @", EXAMPLE_COM, "@ is the origin"},
    {"NS \\@", "0140" EXAMPLE_COM, "an escaped @ is a label, which ldns takes for the origin"},
    {"NS a\\.b", "03612e62" EXAMPLE_COM, "an escaped dot does not end a label"},
    {"NS \\000\\255", "0200ff" EXAMPLE_COM, "any octet"},
    {"CNAME WwW", "03577757" EXAMPLE_COM, "case is kept"},
    {"MX 10 mail", "000a046d61696c" EXAMPLE_COM, "RFC 1035 section 3.3.9"},
    {"MX 0 .", "000000", "null MX, RFC 7505"},
    {"SOA ns hostmaster 1 1h 10m 2w 5m",
     "026e73" EXAMPLE_COM "0a686f73746d6173746572" EXAMPLE_COM "0000000100000e100000025800127500"
     "0000012c",
     "times with units"},
    {"SOA a. b. 4294967295 1 1 1 1",
     "01610001620"
     "0ffffffff00000001000000010000000100000001",
     "the highest serial"},
    {"TXT a \"b c\" \"\"",
     "016103622063"
     "00",
     "strings with and without quotes, an empty one"},
    {"TXT \"a\\\"b\\;\\065\"",
     "0561"
     "22623b41",
     "escapes in a string"},
    {"TXT \"a;b(c)\"", "06613b62286329", "a comment and parentheses in quotes are text"},
    {"SRV 1 2 443 www", "0001000201bb03777777" EXAMPLE_COM, "RFC 2782"},
    {"SRV 0 0 0 .", "00000000000000", "the service is not there"},
    {"CAA 0 issue \"ca.example.net\"", "0005697373756563612e6578616d706c652e6e6574", "RFC 8659"},
    {"CAA 128 issue \";\"",
     "80056973737565"
     "3b",
     "nobody may"},
    {"PTR www.example.com.", "03777777" EXAMPLE_COM, "RFC 1035 section 3.3.12"},
    {"DNAME x", "0178" EXAMPLE_COM, "RFC 6672"},
    {"TLSA 3 1 1 ab cd", "030101abcd", "RFC 6698; hexadecimal in pieces"},
    {"SSHFP 4 2 0a0b", "04020a0b", "RFC 4255"},
    {"NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .",
     "0064000a0175074532552b7369700e215e2e2a24217369703a6140622100", "RFC 3403"},
    {"DS 12345 13 2 00ff", "30390d0200ff", "RFC 4034"},
    {"URI 10 1 \"https://example.com/\"", "000a000168747470733a2f2f6578616d706c652e636f6d2f", "RFC 7553"},
    {"RP a b", "0161" EXAMPLE_COM "0162" EXAMPLE_COM, "two names"},
    {"HINFO \"PC\" Linux", "025043054c696e7578", "RFC 1035 section 3.3.2"},
    {"LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "000016138b3cf018810cbce0009895b8", "RFC 1876"},
    {"HTTPS 1 .", "000100", "RFC 9460 without parameters"},
    {"HTTPS 0 www", "000003777777" EXAMPLE_COM, "an alias"},
    {"HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1",
     "00010000010006026832026833"
     "00040004c0000201",
     "two parameters"},
    {"HTTPS 1 . alpn=\"h2,h3\"", "00010000010006026832026833", "a value in quotes"},
    {"HTTPS 1 . port=8443 alpn=h2",
     "0001000001000302683200030002"
     "20fb",
     "parameters are sorted"},
    {"SVCB 1 x mandatory=port port=53", "00010178" EXAMPLE_COM "000000020003000300020035",
     "a mandatory key that is there"},
    {"SVCB 1 . key65333=\"a b\"",
     "000100ff35000361"
     "2062",
     "an unknown key"},
    {"TYPE65280 \\# 3 aabb CC", "aabbcc", "RFC 3597, hexadecimal in pieces"},
    {"TYPE65280 \\# 0", "", "no data at all"},
    {"TYPE1 \\# 4 c0000201", "c0000201", "a known type by its number"},
    {"A \\# 4 c0000201", "c0000201", "a known type in the unknown form"},
    {"MX \\# 5 000a016100", "000a016100", "a name in it"},
    {"EUI48 00-11-22-33-44-55", "001122334455", "RFC 7043"},
    {"APL 1:192.0.2.0/24 !2:2001:db8::/32", "00011803c000020002208420010db8", "RFC 3123"},
};

TEST(ZoneRdata, every_type_as_its_rfc_writes_it)
{
    for (const Good &row : good) {
        const Result r = parse(row.text);
        EXPECT_EQ(r.rc, 0) << row.text << ": " << r.why;
        EXPECT_EQ(r.hex, row.hex) << row.text << ": " << row.why;
    }
}

const Good bad[] = {
    {"A 192.0.2", "is no data of a record of type A", "three numbers"},
    {"A 192.0.2.256", "is no data of a record of type A", "past an octet"},
    {"A 192.0.2.1 192.0.2.2", "the data are not those of a record of type A", "two addresses"},
    {"A", "the data are missing", "none"},
    {"AAAA 192.0.2.1", "is no data of a record of type AAAA", "the other family"},
    {"MX 70000 mail", "70000 is not a number from 0 to 65535", "ldns stores 4464"},
    {"MX -1 mail", "-1 is not a number", "ldns stores 65535"},
    {"MX 0x10 mail", "0x10 is not a number", "hexadecimal"},
    {"MX 10", "the data are not those of a record of type MX", "no name"},
    {"MX 10 \"mail\"", "is not a name", "ldns keeps the quotes"},
    {"NS a..b", "is not a name", "an empty label"},
    {"NS aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "is not a name", "a label of 65"},
    {"NS \\300", "is not a name", "past an octet"},
    {"NS \\", "is not a name", "an escape of nothing"},
    {"SOA a b 1 2 3 4", "the data are not those of a record of type SOA", "a number short"},
    {"SOA a b 4294967296 1 1 1 1", "4294967296 is not a number from 0 to 4294967295", "serial past 32 bits"},
    {"SOA a b 1 1y 1 1 1", "1y is not a time", "an unknown unit"},
    {"SOA a b 1 4294967296 1 1 1", "is not a time from 0 to 2147483647 seconds", "past 31 bits"},
    {"CAA 256 issue \"x\"", "256 is not a number from 0 to 255", "ldns stores 0"},
    {"SRV 1 2 65536 a", "65536 is not a number", "a port past 16 bits"},
    {"TLSA 3 1 1 abc", "an odd number of hexadecimal digits", "ldns fills up with a zero"},
    {"TLSA 3 1 1 xy", "xy is not hexadecimal", "not hexadecimal"},
    {"TXT", "the data are missing", "RFC 1035: one string at least"},
    {"HTTPS 1 . alpn=h2 alpn=h3", "the parameter key1 stands there twice", "ldns stores both"},
    {"HTTPS 1 . mandatory=port", "key3 is mandatory but missing", "RFC 9460 section 8"},
    {"HTTPS 1 . no-default-alpn", "no-default-alpn needs alpn", "RFC 9460 section 7.1.1"},
    {"HTTPS 1 . ipv4hint=2001:db8::1", "the data are not those", "the other family"},
    {"TYPE65280 abc", "must be written as \\# LENGTH HEX", "RFC 3597"},
    {"TYPE65280 \\# 2 aa", "2 hexadecimal digits for the 2 octets", "too little"},
    {"TYPE65280 \\# 1 aabb", "more data than the 1 octets", "too much"},
    {"TYPE65280 \\# 1 a", "1 hexadecimal digits for the 1 octets", "half an octet"},
    {"TYPE65280 \\# 65536 aa", "a length of 0 to 65535 must follow", "past rdlength"},
    {"TYPE65280 \\# x", "a length of 0 to 65535 must follow", "no length"},
    {"TYPE65280 \\#", "a length of 0 to 65535 must follow", "nothing"},
    {"TYPE65280 \\# 1 zz", "zz is not hexadecimal", "not hexadecimal"},
    {"A \\# 3 c00002", "no data of this type", "three octets of an address"},
    {"A \\# 5 c000020101", "no data of this type", "five"},
    {"MX \\# 4 000ac000", "no data of this type", "a compression pointer"},
    {"NS \\# 2 0161", "no data of this type", "an unfinished name"},
};

TEST(ZoneRdata, refuses_what_is_not_meant)
{
    for (const Good &row : bad) {
        const Result r = parse(row.text);
        EXPECT_EQ(r.rc, -EINVAL) << row.text << ": " << row.why << " gave " << r.hex;
        EXPECT_THAT(r.why, HasSubstr(row.hex)) << row.text << ": " << row.why;
    }
}

TEST(ZoneRdata, strings_and_records_have_their_limits)
{
    EXPECT_EQ(parse("TXT " + std::string(255, 'a')).hex.size(), 512u);
    EXPECT_EQ(parse("TXT " + std::string(256, 'a')).rc, -EINVAL) << "RFC 1035 section 3.3: 255 octets";
    std::string many = "TXT";
    for (int i = 0; i < 200; i++)
        many += " " + std::string(255, 'a');
    EXPECT_EQ(parse(many).hex.size(), 200u * 256 * 2) << "51,200 octets in one record";
    for (int i = 0; i < 100; i++)
        many += " " + std::string(255, 'a');
    EXPECT_THAT(parse(many).why, HasSubstr("longer than 65000 characters"));
    std::string opaque = "TYPE65280 \\# 65535 ";
    opaque.append(2 * 65535, 'a');
    EXPECT_EQ(parse(opaque).hex.size(), 2u * 65535) << "as long as a record can be";
}

// The classes of faults that docs/conformance.md lists.

TEST(ZoneRdata, class_02_addresses_of_ten_thousand_characters_are_refused)
{
    for (const char *unit : {"1", "1.", "f:", ":", "0000:", "1.1.1.1.", "::"}) {
        std::string endless;
        while (endless.size() < 10240)
            endless += unit;
        EXPECT_EQ(parse("A " + endless).rc, -EINVAL) << unit;
        EXPECT_EQ(parse("AAAA " + endless).rc, -EINVAL) << unit;
        EXPECT_EQ(parse("HTTPS 1 . ipv4hint=" + endless).rc, -EINVAL) << unit;
        EXPECT_EQ(parse("HTTPS 1 . ipv6hint=" + endless).rc, -EINVAL) << unit;
        EXPECT_EQ(parse("APL 1:" + endless + "/8").rc, -EINVAL) << unit;
    }
}

std::string opaque(const char *type, const std::string &hex)
{
    return std::string(type) + " \\# " + std::to_string(hex.size() / 2) + " " + hex;
}

TEST(ZoneRdata, class_12_lengths_of_service_parameters_are_added_up_right)
{
    const std::string head = "000100"; // priority 1, target "."
    struct {
        std::string hex;
        bool is_good;
        const char *why;
    } const rows[] = {
        {head, true, "no parameters"},
        {head + "00030002"
                "01bb",
         true, "port"},
        {head + "0003", false, "a key alone"},
        {head + "000300", false, "half a length"},
        {head + "00030002"
                "01",
         false, "shorter than its length"},
        {head + "0003ffff"
                "01bb",
         false, "a length of 65,535 with two octets"},
        {head + "ff01fff8" + std::string(2 * 65528, 'a'), true, "as long as a record can be"},
        {head + "ff01fff7" + std::string(2 * 65528, 'a'), false, "one octet left over"},
        {head + "00030002"
                "01bb"
                "00010003"
                "026832",
         false, "keys out of order"},
        {head + "00030002"
                "01bb"
                "00030002"
                "01bb",
         false, "a key twice"},
        {head + "00000002"
                "0003"
                "00030002"
                "01bb",
         true, "a mandatory key that is there"},
        {head + "00000004"
                "00030003"
                "00030002"
                "01bb",
         false, "a mandatory key twice"},
        {head + "00000003"
                "000300"
                "00030002"
                "01bb",
         false, "half a mandatory key"},
        {head + "00000002"
                "0000",
         false, "mandatory itself mandatory"},
        {head + "00000000", false, "an empty list"},
        {head + "00010003"
                "ff6832",
         false, "an ALPN longer than its value"},
        {head + "00010001"
                "00",
         false, "an empty ALPN"},
        {head + "00040003"
                "c00002",
         false, "three octets of an address hint"},
        {head + "00040000", false, "no address in a hint"},
        {"0001"
         "3f",
         false, "a target without end"},
        {"0001"
         "c00c"
         "00030002"
         "01bb",
         false, "a pointer as target"},
        {"00", false, "half a priority"},
    };
    for (const auto &row : rows)
        for (const char *type : {"SVCB", "HTTPS"})
            EXPECT_EQ(parse(opaque(type, row.hex)).rc, row.is_good ? 0 : -EINVAL) << type << ": " << row.why;
}

TEST(ZoneRdata, class_13_random_data_of_every_type_are_refused_or_read)
{
    uint64_t state = 4711;
    unsigned accepted = 0;
    for (unsigned type = 1; type < 300; type++) // those with names, and some without
        for (unsigned len : {0u, 1u, 2u, 3u, 5u, 8u, 13u, 21u, 34u, 55u, 255u, 300u}) {
            std::string hex;
            for (unsigned i = 0; i < len; i++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                const uint8_t octet = static_cast<uint8_t>(state >> 56) & (state >> 40 & 1 ? 0xff : 0x07);
                hex += hex_of(&octet, 1);
            }
            const Result r = parse(opaque(("TYPE" + std::to_string(type)).c_str(), hex));
            if (r.rc == 0) {
                EXPECT_EQ(r.hex, hex) << type;
            }
            accepted += r.rc == 0;
        }
    EXPECT_GT(accepted, 500u) << "unknown types take anything";
}

TEST(ZoneRdata, names_have_255_octets)
{
    const std::string label(63, 'a');
    const std::string three = label + "." + label + "." + label + ".";
    // 3 * 64 + 13 of the origin leave 50: a label of 49.
    EXPECT_EQ(parse("NS " + three + std::string(49, 'b')).rc, 0);
    EXPECT_THAT(parse("NS " + three + std::string(50, 'b')).why, HasSubstr("longer than 255 octets"));
    EXPECT_EQ(parse("NS " + three + std::string(61, 'b') + ".").rc, 0) << "absolute: 255 without the origin";
    EXPECT_EQ(parse("NS " + three + std::string(62, 'b') + ".").rc, -EINVAL);
    std::string escaped;
    for (int i = 0; i < 60; i++)
        escaped += "\\001";
    EXPECT_EQ(parse("NS " + escaped + "." + escaped + "." + escaped).rc, 0) << "720 characters, 183 octets";
    EXPECT_EQ(parse("NS " + std::string(10240, 'a')).rc, -EINVAL);
}

TEST(ZoneRdata, types_and_ttls)
{
    struct {
        const char *text;
        int type;
    } const types[] = {
        {"A", 1},          {"https", 65},     {"TYPE0", 0},        {"TYPE65535", 65535}, {"TYPE65536", -EINVAL},
        {"TYPE", -EINVAL}, {"NOPE", -EINVAL}, {"TYPE1x", -EINVAL}, {"\"A\"", -EINVAL}};
    for (const auto &row : types) {
        const zone_token t{row.text, (unsigned)strlen(row.text), 1, *row.text == '"'};
        EXPECT_EQ(zone_type_parse(&t), row.type) << row.text;
    }
    for (const int meta : {0, 41, 128, 249, 250, 251, 252, 255, 65535})
        EXPECT_TRUE(zone_type_is_meta((uint16_t)meta)) << meta;
    for (const int data : {1, 2, 40, 42, 127, 256, 65534})
        EXPECT_FALSE(zone_type_is_meta((uint16_t)data)) << data;
    struct {
        const char *text;
        int rc;
        uint32_t ttl;
    } const ttls[] = {{"0", 0, 0},
                      {"3600", 0, 3600},
                      {"1h30M", 0, 5400},
                      {"1w1d1h1m1s", 0, 694861},
                      {"2147483647", 0, 2147483647},
                      {"2147483648", -ERANGE, 0},
                      {"99999999999", -ERANGE, 0},
                      {"4000w", -ERANGE, 0},
                      {"1y", -EINVAL, 0},
                      {"h", -EINVAL, 0},
                      {"-1", -EINVAL, 0},
                      {"1h m", -EINVAL, 0},
                      {"", -EINVAL, 0}};
    for (const auto &row : ttls) {
        const zone_token t{row.text, (unsigned)strlen(row.text), 1, false};
        uint32_t ttl = 0;
        EXPECT_EQ(zone_ttl_parse(&t, &ttl), row.rc) << row.text;
        EXPECT_EQ(ttl, row.ttl) << row.text;
    }
}

} // namespace
