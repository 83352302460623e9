// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "dbsync/tls.h"

namespace
{

// Makes keys and certificates into the test's folder.
struct Maker {
    std::string folder = testing::TempDir() + "dbsync_tls_" + std::to_string(getpid()) + "_";
    std::string path(const std::string &name, const char *kind)
    {
        return folder + name + kind;
    }
    static EVP_PKEY *key()
    {
        return EVP_EC_gen("P-256");
    }
    void write(const std::string &name, X509 *certificate, EVP_PKEY *k)
    {
        FILE *f = fopen(path(name, ".pem").c_str(), "w");
        PEM_write_X509(f, certificate);
        fclose(f);
        f = fopen(path(name, ".key").c_str(), "w");
        PEM_write_PrivateKey(f, k, nullptr, nullptr, 0, nullptr, nullptr);
        fclose(f);
    }
    static X509 *make(const char *common_name, EVP_PKEY *k, const char *dns, long from_s, long to_s, X509 *issuer,
                      EVP_PKEY *issuer_key)
    {
        static long serial = 1;
        X509 *x = X509_new();
        X509_set_version(x, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
        X509_gmtime_adj(X509_getm_notBefore(x), from_s);
        X509_gmtime_adj(X509_getm_notAfter(x), to_s);
        X509_set_pubkey(x, k);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1,
                                   -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
        X509V3_CTX context;
        X509V3_set_ctx(&context, issuer ? issuer : x, x, nullptr, nullptr, 0);
        std::string names = dns ? std::string("DNS:") + dns : "";
        X509_EXTENSION *e =
            issuer ? dns ? X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, names.c_str()) : nullptr
                   : X509V3_EXT_conf_nid(nullptr, &context, NID_basic_constraints, "critical,CA:TRUE");
        if (e) {
            X509_add_ext(x, e, -1);
            X509_EXTENSION_free(e);
        }
        X509_sign(x, issuer_key ? issuer_key : k, EVP_sha256());
        return x;
    }
};

class Tls : public testing::Test
{
  protected:
    static Maker maker;
    static constexpr long DAY = 86400;
    static void SetUpTestSuite()
    {
        EVP_PKEY *ca_key = Maker::key(), *other_key = Maker::key();
        X509 *ca = Maker::make("ca", ca_key, nullptr, -DAY, 10 * DAY, nullptr, nullptr);
        X509 *other = Maker::make("ca", other_key, nullptr, -DAY, 10 * DAY, nullptr, nullptr); // the same name
        maker.write("ca", ca, ca_key);
        maker.write("other", other, other_key);
        struct {
            const char *file, *dns;
            long from, to;
            bool foreign;
        } rows[] = {{"ams", "ams", -DAY, DAY, false},          {"fra", "fra", -DAY, DAY, false},
                    {"expired", "fra", -2 * DAY, -DAY, false}, {"future", "fra", DAY, 2 * DAY, false},
                    {"foreign", "fra", -DAY, DAY, true},       {"nameless", nullptr, -DAY, DAY, false},
                    {"star", "*", -DAY, DAY, false},           {"lon", "lon", -DAY, DAY, false}};
        for (auto &r : rows) {
            EVP_PKEY *k = Maker::key();
            // The common name says "fra" in all of them: it must count for nothing.
            X509 *x =
                Maker::make("fra", k, r.dns, r.from, r.to, r.foreign ? other : ca, r.foreign ? other_key : ca_key);
            maker.write(r.file, x, k);
            X509_free(x);
            EVP_PKEY_free(k);
        }
        X509_free(ca);
        X509_free(other);
        EVP_PKEY_free(ca_key);
        EVP_PKEY_free(other_key);
    }
    static void TearDownTestSuite()
    {
        for (const char *name :
             {"ca", "other", "ams", "fra", "expired", "future", "foreign", "nameless", "star", "lon"})
            for (const char *kind : {".pem", ".key"})
                unlink(maker.path(name, kind).c_str());
    }

    struct problem why = {};
    // `identity` only names what tls_context_new checks of our own certificate.
    struct tls_context *context(const char *name, const char *identity, const char *ca = "ca")
    {
        struct tls_context *c = nullptr;
        tls_context_new(maker.path(name, ".pem").c_str(), maker.path(name, ".key").c_str(),
                        maker.path(ca, ".pem").c_str(), identity, &c, &why);
        return c;
    }
};
Maker Tls::maker;

struct Ends {
    struct tls_session *client = nullptr, *server = nullptr;
    struct buffer to_server = {}, to_client = {}, plain_server = {}, plain_client = {};
    struct problem client_why = {}, server_why = {};
    int client_result = 0, server_result = 0;
    ~Ends()
    {
        tls_session_free(client);
        tls_session_free(server);
        for (struct buffer *b : {&to_server, &to_client, &plain_server, &plain_client})
            buffer_fini(b);
    }
    void run()
    {
        for (unsigned i = 0; i < 20 && (to_server.len || to_client.len); i++) {
            std::string a((char *)to_server.data, to_server.len), b((char *)to_client.data, to_client.len);
            buffer_reset(&to_server);
            buffer_reset(&to_client);
            if (!a.empty() && server_result == 0)
                server_result = tls_receive(server, a.data(), a.size(), &plain_server, &to_client, &server_why);
            if (!b.empty() && client_result == 0)
                client_result = tls_receive(client, b.data(), b.size(), &plain_client, &to_server, &client_why);
        }
    }
};

// A context of OpenSSL's own, which checks nothing: what an attacker would use.
SSL *attacker(const std::string &pem, const std::string &key, int version, SSL_CTX **context)
{
    *context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_max_proto_version(*context, version);
    if (!pem.empty()) {
        SSL_CTX_use_certificate_file(*context, pem.c_str(), SSL_FILETYPE_PEM);
        SSL_CTX_use_PrivateKey_file(*context, key.c_str(), SSL_FILETYPE_PEM);
    }
    SSL *ssl = SSL_new(*context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return ssl;
}

TEST_F(Tls, two_sites_of_one_cluster_talk_and_know_each_other)
{
    struct tls_context *a = context("ams", "ams"), *b = context("fra", "fra");
    ASSERT_TRUE(a && b) << why.text;
    {
        Ends e;
        ASSERT_EQ(tls_session_new(a, "fra", &e.client, &why), 0);
        ASSERT_EQ(tls_session_new(b, nullptr, &e.server, &why), 0);
        ASSERT_EQ(tls_start(e.client, &e.to_server, &why), 0);
        e.run();
        ASSERT_TRUE(tls_is_open(e.client) && tls_is_open(e.server)) << e.client_why.text << e.server_why.text;
        EXPECT_TRUE(tls_is(e.server, "ams"));
        EXPECT_FALSE(tls_is(e.server, "fra"));
        char text[TLS_NAME_CAP];
        tls_describe(e.server, text);
        EXPECT_EQ(std::string(text).rfind("TLSv1.3 ", 0), 0u) << text;
        std::string big(300000, 'x');
        ASSERT_EQ(tls_send(e.client, big.data(), big.size(), &e.to_server, &why), 0);
        e.run();
        EXPECT_EQ(std::string((char *)e.plain_server.data, e.plain_server.len), big);
        tls_close(e.client, &e.to_server);
        e.run();
        EXPECT_EQ(e.server_result, -ECONNRESET);
    }
    tls_context_free(a);
    tls_context_free(b);
}

struct Refusal {
    const char *certificate, *expected;
};

class Refused : public Tls, public testing::WithParamInterface<Refusal>
{
};

// The caller shows the certificate to our server.
TEST_P(Refused, as_a_caller)
{
    struct tls_context *b = context("fra", "fra");
    Ends e;
    ASSERT_EQ(tls_session_new(b, nullptr, &e.server, &why), 0);
    SSL_CTX *their;
    std::string name = GetParam().certificate;
    SSL *ssl = attacker(name.empty() ? "" : maker.path(name, ".pem"), maker.path(name, ".key"), TLS1_3_VERSION, &their);
    SSL_set_connect_state(ssl);
    for (unsigned i = 0; i < 10 && e.server_result == 0; i++) {
        SSL_do_handshake(ssl);
        char *out;
        long n = BIO_get_mem_data(SSL_get_wbio(ssl), &out);
        std::string bytes(out, (size_t)n);
        (void)BIO_reset(SSL_get_wbio(ssl));
        e.server_result = tls_receive(e.server, bytes.data(), bytes.size(), &e.plain_server, &e.to_client, &why);
        BIO_write(SSL_get_rbio(ssl), e.to_client.data, (int)e.to_client.len);
        buffer_reset(&e.to_client);
    }
    if (std::string("other identity") == GetParam().expected) { // a good certificate, of nobody we look for
        EXPECT_EQ(e.server_result, 0);
        EXPECT_FALSE(tls_is(e.server, "ams"));
    } else {
        EXPECT_EQ(e.server_result, -EPROTO);
        EXPECT_FALSE(tls_is_open(e.server));
        EXPECT_NE(std::string(why.text).find(GetParam().expected), std::string::npos) << why.text;
    }
    SSL_free(ssl);
    SSL_CTX_free(their);
    tls_context_free(b);
}

INSTANTIATE_TEST_SUITE_P(Rows, Refused,
                         testing::Values(Refusal{"expired", "expired"}, Refusal{"future", "not yet valid"},
                                         Refusal{"foreign", "certificate"}, Refusal{"", "certificate"},
                                         Refusal{"nameless", "other identity"}, Refusal{"star", "other identity"},
                                         Refusal{"lon", "other identity"}));

class RefusedServer : public Tls, public testing::WithParamInterface<Refusal>
{
};

// Our client meets the certificate at the address of `fra`.
TEST_P(RefusedServer, as_the_one_who_answers)
{
    struct tls_context *a = context("ams", "ams");
    Ends e;
    ASSERT_EQ(tls_session_new(a, "fra", &e.client, &why), 0);
    ASSERT_EQ(tls_start(e.client, &e.to_server, &why), 0);
    SSL_CTX *their;
    std::string name = GetParam().certificate;
    SSL *ssl = attacker(maker.path(name, ".pem"), maker.path(name, ".key"), TLS1_3_VERSION, &their);
    SSL_set_accept_state(ssl);
    for (unsigned i = 0; i < 10 && e.client_result == 0; i++) {
        BIO_write(SSL_get_rbio(ssl), e.to_server.data, (int)e.to_server.len);
        buffer_reset(&e.to_server);
        SSL_do_handshake(ssl);
        char *out;
        long n = BIO_get_mem_data(SSL_get_wbio(ssl), &out);
        std::string bytes(out, (size_t)n);
        (void)BIO_reset(SSL_get_wbio(ssl));
        e.client_result = tls_receive(e.client, bytes.data(), bytes.size(), &e.plain_client, &e.to_server, &why);
    }
    EXPECT_EQ(e.client_result, -EPROTO);
    EXPECT_FALSE(tls_is_open(e.client));
    EXPECT_NE(std::string(why.text).find(GetParam().expected), std::string::npos) << why.text;
    SSL_free(ssl);
    SSL_CTX_free(their);
    tls_context_free(a);
}

INSTANTIATE_TEST_SUITE_P(Rows, RefusedServer,
                         testing::Values(Refusal{"expired", "expired"}, Refusal{"future", "not yet valid"},
                                         Refusal{"foreign", "certificate"}, Refusal{"nameless", "hostname mismatch"},
                                         Refusal{"star", "hostname mismatch"}, Refusal{"lon", "hostname mismatch"}));

TEST_F(Tls, nothing_older_than_1_3_is_spoken)
{
    struct tls_context *b = context("fra", "fra");
    Ends e;
    ASSERT_EQ(tls_session_new(b, nullptr, &e.server, &why), 0);
    SSL_CTX *their;
    SSL *ssl = attacker(maker.path("ams", ".pem"), maker.path("ams", ".key"), TLS1_2_VERSION, &their);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    char *out;
    long n = BIO_get_mem_data(SSL_get_wbio(ssl), &out);
    EXPECT_EQ(tls_receive(e.server, out, (size_t)n, &e.plain_server, &e.to_client, &why), -EPROTO);
    EXPECT_NE(std::string(why.text).find("unsupported protocol"), std::string::npos) << why.text;
    SSL_free(ssl);
    SSL_CTX_free(their);
    tls_context_free(b);
}

TEST_F(Tls, our_own_files_are_checked_at_the_start)
{
    struct {
        const char *name, *identity, *ca, *expected;
    } rows[] = {{"ams", "fra", "ca", "no subject alternative name DNS:fra"},
                {"expired", "fra", "ca", "expired"},
                {"ams", "ams", "other", "not acceptable under"},
                {"missing", "ams", "ca", "no usable certificate"}};
    for (auto &r : rows) {
        EXPECT_EQ(context(r.name, r.identity, r.ca), nullptr) << r.expected;
        EXPECT_NE(std::string(why.text).find(r.expected), std::string::npos) << why.text;
    }
    struct tls_context *c;
    EXPECT_EQ(tls_context_new(maker.path("ams", ".pem").c_str(), maker.path("fra", ".key").c_str(),
                              maker.path("ca", ".pem").c_str(), "ams", &c, &why),
              -EINVAL);
    EXPECT_NE(std::string(why.text).find("fra.key"), std::string::npos) << why.text;
    c = context("ams", "ams");
    ASSERT_TRUE(c);
    EXPECT_NEAR((double)tls_context_expires_s(c), 86400, 60);
    tls_context_free(c);
}

TEST_F(Tls, noise_instead_of_a_handshake_ends_the_session)
{
    struct tls_context *b = context("fra", "fra");
    for (const char *noise : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", "\0\0\0\0\0\0\0"}) {
        Ends e;
        ASSERT_EQ(tls_session_new(b, nullptr, &e.server, &why), 0);
        int result =
            tls_receive(e.server, noise, strlen(noise) ? strlen(noise) : 7, &e.plain_server, &e.to_client, &why);
        EXPECT_TRUE(result == -EPROTO || (result == 0 && !tls_is_open(e.server)));
    }
    tls_context_free(b);
}

} // namespace
