// SPDX-License-Identifier: Apache-2.0
#include "tests/support/answer_fixture.h"

namespace
{

const char example_zone[] = R"(
@        3600 SOA ns1 hostmaster 2026 7200 900 1209600 300
@        3600 NS ns1
@        3600 NS ns2.example.net.
@        3600 MX 10 mail
ns1      3600 A 192.0.2.1
mail     3600 A 192.0.2.2
mail     3600 AAAA 2001:db8::2
www      300 A 192.0.2.10
www      300 A 192.0.2.11
www      300 TXT hello
alias    300 CNAME www
far      300 CNAME www.example.org.
chain1   300 CNAME chain2
chain2   300 CNAME chain3
chain3   300 CNAME www
dangling 300 CNAME nothing
loop1    300 CNAME loop2
loop2    300 CNAME loop1
self     300 CNAME self
a.ent    300 A 192.0.2.20
*.wild   300 A 192.0.2.30
*.wild   300 MX 5 mail
real.wild 300 TXT real
*.cwild  300 CNAME www
deep.sub.wild 300 A 192.0.2.31
old      300 DNAME new
older    300 DNAME sub.old
sub.new  300 DNAME child
grows    300 DNAME deeper.grows
www.new  300 A 192.0.2.40
child    3600 NS ns.child
child    3600 NS ns.other
child    3600 DS 00010203
ns.child 3600 A 192.0.2.50
ns.child 3600 AAAA 2001:db8::50
other    3600 NS ns.other
ns.other 3600 A 192.0.2.51
tochild  300 CNAME x.child
srv      300 SRV 1 2 443 mail
big      300 TYPE65400 0102
@        300 TYPE257 00056973737565
)";

const char soa[] = "example.com. 300 SOA ns1.example.com. hostmaster.example.com. 2026 7200 900 1209600 300";

struct Row {
    const char *qname, *qtype, *expected, *why;
};

class Resolve : public AnswerFixture
{
  public:
    Resolve()
    {
        zones.zone("example.com.", example_zone);
        publish();
    }
};

std::string with_soa(const char *expected)
{
    std::string text = expected;
    size_t at = text.find("SOA!");
    return at == std::string::npos ? text : text.replace(at, 4, soa);
}

const Row rows[] = {
    {"www.example.com", "A", "NOERROR aa | www.example.com. 300 A 192.0.2.10; www.example.com. 300 A 192.0.2.11 | |",
     "records keep the order of the zone file"},
    {"WWW.eXample.Com", "TXT", "NOERROR aa | WWW.eXample.Com. 300 TXT hello | |",
     "case ignored in matching, kept in the owner (RFC 4343)"},
    {"www.example.com", "AAAA", "NOERROR aa | | SOA! |", "NODATA with SOA, TTL lowered to minimum (RFC 2308)"},
    {"no.example.com", "A", "NXDOMAIN aa | | SOA! |", "NXDOMAIN with SOA"},
    {"x.www.example.com", "A", "NXDOMAIN aa | | SOA! |", "nothing below a leaf"},
    {"ent.example.com", "A", "NOERROR aa | | SOA! |", "empty non-terminal is NODATA (RFC 8020)"},
    {"b.ent.example.com", "A", "NXDOMAIN aa | | SOA! |", "beside the name that makes the empty non-terminal"},
    {"example.org", "A", "REFUSED | | |", "outside every zone: no SOA, no AA"},
    {"com", "A", "REFUSED | | |", "above the zone"},
    {".", "NS", "REFUSED | | |", "the root is not ours"},
    {"example.com", "SOA",
     "NOERROR aa | example.com. 3600 SOA ns1.example.com. hostmaster.example.com. 2026 7200 900 1209600 300 | |",
     "own TTL when asked for"},
    {"example.com", "NS",
     "NOERROR aa | example.com. 3600 NS ns1.example.com.; example.com. 3600 NS ns2.example.net. | | ns1.example.com. "
     "3600 A 192.0.2.1",
     "apex NS with the address that is in the zone"},
    {"example.com", "MX",
     "NOERROR aa | example.com. 3600 MX 10 mail.example.com. | | mail.example.com. 3600 A 192.0.2.2; mail.example.com. "
     "3600 AAAA 2001:db8::2",
     "additional addresses of the exchange"},
    {"alias.example.com", "A",
     "NOERROR aa | alias.example.com. 300 CNAME www.example.com.; www.example.com. 300 A 192.0.2.10; www.example.com. "
     "300 A 192.0.2.11 | |",
     "alias followed inside the zone"},
    {"alias.example.com", "CNAME", "NOERROR aa | alias.example.com. 300 CNAME www.example.com. | |",
     "asked for itself it is not followed"},
    {"alias.example.com", "AAAA", "NOERROR aa | alias.example.com. 300 CNAME www.example.com. | SOA! |",
     "NODATA at the end of the alias"},
    {"far.example.com", "A", "NOERROR aa | far.example.com. 300 CNAME www.example.org. | |",
     "out of the zone: the resolver goes on"},
    {"chain1.example.com", "TXT",
     "NOERROR aa | chain1.example.com. 300 CNAME chain2.example.com.; chain2.example.com. 300 CNAME "
     "chain3.example.com.; "
     "chain3.example.com. 300 CNAME www.example.com.; www.example.com. 300 TXT hello | |",
     "a chain of aliases"},
    {"dangling.example.com", "A", "NXDOMAIN aa | dangling.example.com. 300 CNAME nothing.example.com. | SOA! |",
     "rcode speaks of the last name (RFC 6604)"},
    {"loop1.example.com", "A",
     "NOERROR aa | loop1.example.com. 300 CNAME loop2.example.com.; loop2.example.com. 300 CNAME loop1.example.com. | "
     "|",
     "a loop ends"},
    {"self.example.com", "A", "NOERROR aa | self.example.com. 300 CNAME self.example.com. | |",
     "an alias of itself ends"},
    {"x.wild.example.com", "A", "NOERROR aa | x.wild.example.com. 300 A 192.0.2.30 | |",
     "wildcard: the owner is the name asked for (RFC 4592)"},
    {"y.x.wild.example.com", "A", "NOERROR aa | y.x.wild.example.com. 300 A 192.0.2.30 | |",
     "a wildcard matches several labels"},
    {"x.wild.example.com", "TXT", "NOERROR aa | | SOA! |", "wildcard NODATA"},
    {"real.wild.example.com", "A", "NOERROR aa | | SOA! |", "an existing name blocks the wildcard"},
    {"x.sub.wild.example.com", "A", "NXDOMAIN aa | | SOA! |", "an empty non-terminal blocks the wildcard"},
    {"*.wild.example.com", "A", "NOERROR aa | *.wild.example.com. 300 A 192.0.2.30 | |", "the wildcard itself"},
    {"wild.example.com", "A", "NOERROR aa | | SOA! |", "the wildcard's parent exists"},
    {"x.wild.example.com", "MX",
     "NOERROR aa | x.wild.example.com. 300 MX 5 mail.example.com. | | mail.example.com. 3600 A 192.0.2.2; "
     "mail.example.com. 3600 AAAA 2001:db8::2",
     "names in a wildcard's rdata are compressed to the question too"},
    {"q.cwild.example.com", "TXT",
     "NOERROR aa | q.cwild.example.com. 300 CNAME www.example.com.; www.example.com. 300 TXT hello | |",
     "wildcard alias"},
    {"www.old.example.com", "A",
     "NOERROR aa | old.example.com. 300 DNAME new.example.com.; www.old.example.com. 300 CNAME www.new.example.com.; "
     "www.new.example.com. 300 A 192.0.2.40 | |",
     "DNAME with its made CNAME, followed (RFC 6672)"},
    {"a.b.older.example.com", "A",
     "NOERROR aa | older.example.com. 300 DNAME sub.old.example.com.; a.b.older.example.com. 300 CNAME "
     "a.b.sub.old.example.com.; old.example.com. 300 DNAME new.example.com.; a.b.sub.old.example.com. 300 CNAME "
     "a.b.sub.new.example.com.; sub.new.example.com. 300 DNAME child.example.com.; a.b.sub.new.example.com. 300 CNAME "
     "a.b.child.example.com. | child.example.com. 3600 NS ns.child.example.com.; child.example.com. 3600 NS "
     "ns.other.example.com. | ns.child.example.com. 3600 A 192.0.2.50; ns.child.example.com. 3600 AAAA 2001:db8::50; "
     "ns.other.example.com. 3600 A 192.0.2.51",
     "three DNAMEs and a delegation: every owner is a pointer into a name that is compressed itself"},
    {"x.grows.example.com", "A",
     "NOERROR aa | grows.example.com. 300 DNAME deeper.grows.example.com.; x.grows.example.com. 300 CNAME "
     "x.deeper.grows.example.com. | |",
     "a DNAME that points below itself is followed once"},
    {"x.old.example.com", "A",
     "NXDOMAIN aa | old.example.com. 300 DNAME new.example.com.; x.old.example.com. 300 CNAME x.new.example.com. | "
     "SOA! |",
     "nothing where it leads"},
    {"old.example.com", "A", "NOERROR aa | | SOA! |", "the DNAME's owner itself is not redirected"},
    {"old.example.com", "DNAME", "NOERROR aa | old.example.com. 300 DNAME new.example.com. | |", "asked for itself"},
    {"www.old.example.com", "CNAME",
     "NOERROR aa | old.example.com. 300 DNAME new.example.com.; www.old.example.com. 300 CNAME www.new.example.com. | "
     "|",
     "CNAME asked at a redirected name"},
    {"host.child.example.com", "A",
     "NOERROR | | child.example.com. 3600 NS ns.child.example.com.; child.example.com. 3600 NS ns.other.example.com. | "
     "ns.child.example.com. 3600 A 192.0.2.50; ns.child.example.com. 3600 AAAA 2001:db8::50; ns.other.example.com. "
     "3600 A 192.0.2.51",
     "referral without AA, glue: in-domain first, sibling after"},
    {"child.example.com", "NS",
     "NOERROR | | child.example.com. 3600 NS ns.child.example.com.; child.example.com. 3600 NS ns.other.example.com. | "
     "ns.child.example.com. 3600 A 192.0.2.50; ns.child.example.com. 3600 AAAA 2001:db8::50; ns.other.example.com. "
     "3600 A 192.0.2.51",
     "NS at the cut is a referral"},
    {"ns.child.example.com", "A",
     "NOERROR | | child.example.com. 3600 NS ns.child.example.com.; child.example.com. 3600 NS ns.other.example.com. | "
     "ns.child.example.com. 3600 A 192.0.2.50; ns.child.example.com. 3600 AAAA 2001:db8::50; ns.other.example.com. "
     "3600 A 192.0.2.51",
     "glue is not authoritative data"},
    {"child.example.com", "DS", "NOERROR aa | child.example.com. 3600 DS 00010203 | |",
     "DS belongs to the parent's side (RFC 4035)"},
    {"tochild.example.com", "A",
     "NOERROR aa | tochild.example.com. 300 CNAME x.child.example.com. | child.example.com. 3600 NS "
     "ns.child.example.com.; "
     "child.example.com. 3600 NS ns.other.example.com. | "
     "ns.child.example.com. 3600 A 192.0.2.50; ns.child.example.com. 3600 AAAA 2001:db8::50; ns.other.example.com. "
     "3600 A 192.0.2.51",
     "an alias into a delegation"},
    {"srv.example.com", "SRV",
     "NOERROR aa | srv.example.com. 300 SRV 1 2 443 mail.example.com. | | mail.example.com. 3600 A 192.0.2.2; "
     "mail.example.com. 3600 AAAA 2001:db8::2",
     "SRV with addresses, target not compressed"},
    {"big.example.com", "TYPE65400", "NOERROR aa | big.example.com. 300 TYPE65400 0102 | |",
     "unknown types are served as they are (RFC 3597)"},
    {"www.example.com", "TYPE65401", "NOERROR aa | | SOA! |", "any type at an existing name is NODATA, never an error"},
    {"www.example.com", "ANY", "NOERROR aa | www.example.com. 3789 HINFO 075246433834383200 | |", "RFC 8482"},
    {"www.example.com", "AXFR", "REFUSED | | |", "no transfers"},
    {"www.example.com", "IXFR", "REFUSED | | |", "no transfers"},
    {"www.example.com", "OPT", "FORMERR | | |", "a meta type"},
};

TEST_F(Resolve, answers_every_kind_of_question)
{
    for (const Row &row : rows)
        EXPECT_EQ(ask(row.qname, row.qtype).summary(), with_soa(row.expected))
            << row.qname << " " << row.qtype << ": " << row.why;
}

TEST_F(Resolve, dname_target_that_grows_too_long_is_yxdomain)
{
    std::string label(63, 'x');
    std::string qname = label + "." + label + "." + label + "." + std::string(40, 'y') + ".old.example.com";
    const dns_text::ReplyText cut = ask(qname, "A");
    EXPECT_TRUE(cut.tc()) << "the made CNAME finds no room in 512 octets";
    EXPECT_EQ(cut.rcode, 3u) << "the rcode is that of the last name all the same (RFC 6604 section 3)";
    dns_text::ZoneSource other;
    other.zone("example.com.",
               "@ 60 SOA a b 1 1 1 1 1\nd 60 DNAME " + std::string(60, 'z') + "." + std::string(60, 'z') + ".org.\n");
    dns_text::Image image = other.build();
    context.zone_image = image.get();
    dns_text::ReplyText reply = ask(label + "." + label + "." + label + ".d.example.com", "A");
    EXPECT_EQ(reply.rcode, 6u) << "RFC 6672 section 2.2";
    EXPECT_EQ(reply.section[0].size(), 1u);
}

TEST_F(Resolve, longest_zone_wins_and_ds_is_asked_at_the_parent)
{
    dns_text::ZoneSource two;
    two.zone("example.com.",
             "@ 60 SOA a b 1 1 1 1 1\nsub 60 NS ns.sub\nsub 60 DS 0a0b\nns.sub 60 A 192.0.2.9\nx.sub 60 TXT parent\n");
    two.zone("sub.example.com.", "@ 60 SOA c d 2 2 2 2 2\n@ 60 NS ns\nns 60 A 192.0.2.8\n");
    dns_text::Image image = two.build();
    char why[IMAGE_TEXT_CAP] = "";
    ASSERT_EQ(zone_image_check(image.get(), image.len, why), 0) << why;
    context.zone_image = image.get();
    EXPECT_EQ(ask("ns.sub.example.com", "A").summary(), "NOERROR aa | ns.sub.example.com. 60 A 192.0.2.8 | |");
    EXPECT_EQ(ask("x.sub.example.com", "TXT").rcode, 3u) << "the parent's data below the child's apex are hidden";
    EXPECT_EQ(ask("sub.example.com", "DS").summary(), "NOERROR aa | sub.example.com. 60 DS 0a0b | |");
    EXPECT_EQ(ask("sub.example.com", "SOA").section[0].size(), 1u);
}

TEST_F(Resolve, root_zone_can_be_served)
{
    dns_text::ZoneSource root;
    root.zone(".", "@ 60 SOA a. b. 1 1 1 1 1\n@ 60 NS a.\ncom 60 NS ns.com\nns.com 60 A 192.0.2.9\n");
    dns_text::Image image = root.build();
    context.zone_image = image.get();
    EXPECT_EQ(ask("www.example.com", "A").summary(), "NOERROR | | com. 60 NS ns.com. | ns.com. 60 A 192.0.2.9");
    EXPECT_EQ(ask(".", "NS").summary(), "NOERROR aa | . 60 NS a. | |");
}

} // namespace
