// SPDX-License-Identifier: Apache-2.0
#include "tests/support/dbsync_site.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>

namespace dbsync_test
{

namespace
{
int64_t clocks[64];
sqlite3_vfs shims[2][64]; // over memory, over disk

template <unsigned N> int current_time(sqlite3_vfs *, sqlite3_int64 *milliseconds)
{
    *milliseconds = clocks[N] / 1000 + 210866760000000; // since the Julian epoch
    return SQLITE_OK;
}

template <unsigned N> void register_shims()
{
    if constexpr (N > 0) {
        static std::string names[2];
        for (int where : {IN_MEMORY, ON_DISK}) {
            sqlite3_vfs &shim = shims[where][N];
            names[where] = (where == ON_DISK ? "disk" : "site") + std::to_string(N);
            shim = *sqlite3_vfs_find(where == ON_DISK ? nullptr : "memdb");
            shim.zName = names[where].c_str();
            shim.pNext = nullptr;
            shim.xCurrentTimeInt64 = current_time<N>;
            sqlite3_vfs_register(&shim, 0);
        }
        clocks[N] = 1700000000000000;
        register_shims<N - 1>();
    }
}
} // namespace

int64_t &clock_of(unsigned site)
{
    static bool is_ready = (register_shims<8>(), true);
    (void)is_ready;
    return clocks[site];
}

Site::Site(unsigned number_, const std::string &database, storage where)
    : number(number_), name("site" + std::to_string(number_))
{
    static std::atomic<unsigned> serial{0};
    clock_of(number);
    url = where == ON_DISK ? "file:" + database + "?vfs=disk" + std::to_string(number)
                           : "file:/" + database + std::to_string(serial++) + "?vfs=" + name;
    EXPECT_EQ(sqlite3_open_v2(url.c_str(), &app, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, nullptr),
              SQLITE_OK);
    sqlite3_busy_timeout(app, 5000);
    open();
    EXPECT_EQ(d->ops->init(d, static_cast<uint16_t>(number), name.c_str(), &why), 0) << why.text;
}

Site::~Site()
{
    close();
    sqlite3_close(app);
}

void Site::open()
{
    if (!d) {
        ASSERT_EQ(door_open(("sqlite:" + url).c_str(), &d, &why), 0) << why.text;
    }
}

void Site::close()
{
    if (d)
        d->ops->close(d);
    d = nullptr;
}

int Site::try_run(const std::string &sql)
{
    return sqlite3_exec(app, sql.c_str(), nullptr, nullptr, nullptr);
}

void Site::run(const std::string &sql)
{
    ASSERT_EQ(try_run(sql), SQLITE_OK) << name << ": " << sql << ": " << sqlite3_errmsg(app);
}

std::string Site::rows(const std::string &query)
{
    std::string out;
    sqlite3_stmt *s = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(app, query.c_str(), -1, &s, nullptr), SQLITE_OK) << query << sqlite3_errmsg(app);
    while (sqlite3_step(s) == SQLITE_ROW) {
        for (int c = 0; c < sqlite3_column_count(s); c++) {
            if (c)
                out += "|";
            switch (sqlite3_column_type(s, c)) {
            case SQLITE_NULL:
                out += "NULL";
                break;
            case SQLITE_TEXT:
                out += "'" +
                       std::string(reinterpret_cast<const char *>(sqlite3_column_text(s, c)),
                                   static_cast<size_t>(sqlite3_column_bytes(s, c))) +
                       "'";
                break;
            case SQLITE_BLOB: {
                out += "x'";
                static const char digit[] = "0123456789abcdef";
                const auto *bytes = static_cast<const uint8_t *>(sqlite3_column_blob(s, c));
                for (int i = 0; i < sqlite3_column_bytes(s, c); i++)
                    out += std::string{digit[bytes[i] >> 4], digit[bytes[i] & 15]};
                out += "'";
                break;
            }
            default:
                out += reinterpret_cast<const char *>(sqlite3_column_text(s, c));
            }
        }
        out += "\n";
    }
    sqlite3_finalize(s);
    return out;
}

int64_t Site::number_of(const std::string &query)
{
    sqlite3_stmt *s = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(app, query.c_str(), -1, &s, nullptr), SQLITE_OK) << query << sqlite3_errmsg(app);
    int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    sqlite3_finalize(s);
    return n;
}

void Site::add(const std::string &table, granularity g, unique_policy u)
{
    door_table_options options{g, u};
    ASSERT_EQ(d->ops->add_table(d, table.c_str(), &options, &why), 0) << why.text;
}

static int collect_bytes(void *context, const void *bytes, size_t len)
{
    auto *out = static_cast<std::vector<uint8_t> *>(context);
    const auto *p = static_cast<const uint8_t *>(bytes);
    out->insert(out->end(), p, p + len);
    return 0;
}

std::vector<uint8_t> Site::read(unsigned peer, uint64_t after, door_batch *info)
{
    std::vector<uint8_t> batch;
    door_read_request request{};
    request.peer = static_cast<uint16_t>(peer);
    request.after = after;
    door_batch ignored;
    int result = d->ops->read_batch(d, &request, collect_bytes, &batch, info ? info : &ignored, &why);
    EXPECT_EQ(result, 0) << why.text;
    return batch;
}

apply_result Site::apply(unsigned peer, const std::vector<uint8_t> &batch)
{
    arena memory{};
    apply_result result{};
    int status = d->ops->apply(d, static_cast<uint16_t>(peer), batch.data(), batch.size(), &memory, &result, &why);
    EXPECT_EQ(status, 0) << name << ": " << why.text;
    result.request = nullptr;
    arena_fini(&memory);
    return result;
}

unsigned settle(const std::vector<Site *> &sites)
{
    std::map<std::pair<unsigned, unsigned>, uint64_t> sent;
    unsigned moved = 0;
    for (bool again = true; again && moved < 1000;) {
        again = false;
        for (Site *from : sites) {
            for (Site *to : sites) {
                if (from == to)
                    continue;
                door_batch info{};
                door_peer peers[8];
                unsigned count = 0;
                EXPECT_EQ(to->d->ops->peers(to->d, peers, 8, &count, &to->why), 0);
                uint64_t applied = 0;
                for (unsigned i = 0; i < count; i++)
                    applied = peers[i].site == from->number ? peers[i].applied : applied;
                auto batch = from->read(to->number, applied, &info);
                if (info.number == 0)
                    continue;
                apply_result result = to->apply(from->number, batch);
                EXPECT_EQ(result.verdict, APPLY_DONE) << apply_verdict_name(result.verdict);
                if (getenv("SIGNPOST_SIM_SEED"))
                    printf("settle: %s to %s: batch %llu rows %llu: %s\n", from->name.c_str(), to->name.c_str(),
                           (unsigned long long)info.number, (unsigned long long)info.rows,
                           apply_verdict_name(result.verdict));
                from->d->ops->acked(from->d, static_cast<uint16_t>(to->number), result.applied, &from->why);
                again = true;
                moved++;
            }
        }
    }
    EXPECT_LT(moved, 1000u) << "the sites do not fall silent";
    return moved;
}

} // namespace dbsync_test
