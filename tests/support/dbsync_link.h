// SPDX-License-Identifier: Apache-2.0
// Two links over memory with all that a daemon would do for them: batches to send, a spool that survives cuts, a
// database that counts what it applied. The wire can be cut after any number of octets, and its octets can be damaged.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dbsync/link.h"

namespace dbsync_test
{

inline void digest_of(const std::string &bytes, uint8_t out[FRAME_DIGEST_LEN])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
    memcpy(out, canonical.digest, FRAME_DIGEST_LEN);
}

struct LinkEnd {
    struct link *link = nullptr;
    uint16_t site;
    std::vector<std::string> batch; // number = place + 1; each sent after the other
    uint64_t acked = 0;             // the door's
    std::map<uint64_t, std::string> spool;
    std::vector<std::string> applied; // what came of the other, in order
    uint64_t room = 1 << 30;
    std::string wire; // octets on their way to the other
    uint64_t sent_octets = 0;
    std::string closed; // reason of LINK_CLOSE
    std::vector<std::string> shown;
    int apply_status = 0, meet_result = 0;
    enum apply_verdict verdict = APPLY_DONE;
    unsigned applies = 0, resets = 0, requests = 0;

    LinkEnd(uint16_t own, uint16_t peer, uint64_t credit = LINK_CREDIT_BYTES, int level = 1) : site(own)
    {
        struct link_config c = {};
        c.site = own;
        c.peer = peer;
        c.uuid[0] = (uint8_t)own;
        c.incarnation = own * 100u;
        c.credit_bytes = credit;
        c.compression_level = level;
        link = link_new(&c);
    }
    ~LinkEnd()
    {
        link_free(link);
    }
    LinkEnd(const LinkEnd &) = delete;
    LinkEnd &operator=(const LinkEnd &) = delete;

    void connect(struct link_time now)
    {
        struct link_start s = {};
        s.applied = applied.size();
        s.room_bytes = room;
        closed.clear();
        wire.clear();
        auto partial = spool.find(applied.size() + 1);
        if (partial != spool.end() && !partial->second.empty()) {
            s.spool_number = partial->first;
            s.spool_offset = partial->second.size();
            digest_of(partial->second, s.spool_digest);
        }
        link_connected(link, now, &s);
        link_news(link);
    }

    void read(const struct link_order &o)
    {
        struct door_batch b = {};
        uint8_t digest[FRAME_DIGEST_LEN] = {}, prefix[FRAME_DIGEST_LEN] = {};
        const uint8_t *bytes = nullptr;
        if (o.number < batch.size()) {
            const std::string &content = batch[o.number];
            b.number = o.number + 1;
            b.previous = o.number;
            b.rows = 1;
            b.bytes = content.size();
            b.more = b.number < batch.size();
            bytes = (const uint8_t *)content.data();
            digest_of(content, digest);
            if (o.resume == b.number && o.offset <= content.size())
                digest_of(content.substr(0, o.offset), prefix);
        }
        link_batch_ready(link, 0, &b, bytes, digest, prefix);
    }

    void apply(const struct link_order &o)
    {
        struct apply_result r = {};
        applies++;
        r.verdict = verdict;
        if (apply_status == 0 && verdict == APPLY_DONE) {
            if (o.number == applied.size() + 1)
                applied.push_back(spool[o.number]);
            else
                r.verdict = o.number <= applied.size() ? APPLY_REPEATED : APPLY_GAP;
            spool.erase(o.number);
        }
        r.applied = applied.size();
        r.hold_us = 1000;
        link_applied(link, apply_status, &r, "cannot be applied", room);
    }

    void obey(const struct link_order &o)
    {
        uint8_t digest[FRAME_DIGEST_LEN];
        switch (o.wish) {
        case LINK_READ_BATCH:
            read(o);
            break;
        case LINK_SPOOL:
            spool[o.number].append((const char *)o.bytes, o.len);
            link_spooled(link, 0, room);
            break;
        case LINK_RESET_SPOOL:
            resets++;
            spool.erase(o.number);
            break;
        case LINK_FINISH:
            digest_of(spool[o.number], digest);
            link_finished(link, 0, digest);
            break;
        case LINK_APPLY:
            apply(o);
            break;
        case LINK_ACKED:
            acked = o.number;
            break;
        case LINK_MEET:
            link_met(link, meet_result, "met badly");
            break;
        case LINK_REQUESTED:
            requests++;
            break;
        case LINK_SHOW:
            if (o.frame->type == FRAME_ERROR)
                shown.emplace_back((const char *)o.frame->error.text.bytes, o.frame->error.text.len);
            break;
        case LINK_CLOSE:
            closed = o.text;
            break;
        case LINK_NOTHING:
        case LINK_SEND:
            break;
        }
    }

    // Everything it wants now; what it sends goes to `wire`. False when it wanted nothing.
    bool run()
    {
        struct link_order o;
        bool did = false;
        for (;;) {
            link_next(link, &o);
            if (o.wish == LINK_NOTHING)
                return did;
            did = true;
            if (o.wish == LINK_SEND) {
                wire.append((const char *)o.bytes, o.len);
                sent_octets += o.len;
                link_sent(link, o.len);
            } else {
                obey(o);
            }
        }
    }
};

// Moves octets both ways in pieces of `piece` until nothing moves, a side closes, or `cut_after` octets have passed
// (0: never), when both see the connection end. True when it was cut.
struct Wire {
    LinkEnd &a, &b;
    struct link_time now = {1000000, 1000000};
    size_t piece = 1000;
    uint64_t passed = 0;
    std::function<void(std::string &)> damage;

    Wire(LinkEnd &first, LinkEnd &second) : a(first), b(second) {}

    void end()
    {
        link_disconnected(a.link);
        link_disconnected(b.link);
        a.wire.clear();
        b.wire.clear();
    }
    bool move(LinkEnd &from, LinkEnd &to, uint64_t &left)
    {
        size_t n = std::min<size_t>(std::min<size_t>(piece, from.wire.size()), left);
        std::string part = from.wire.substr(0, n);
        from.wire.erase(0, n);
        if (damage)
            damage(part);
        if (!part.empty())
            link_received(to.link, part.data(), part.size(), now);
        left -= n;
        passed += n;
        return n > 0;
    }
    void tick(int64_t us)
    {
        now.mono_us += us;
        now.wall_us += us;
        link_tick(a.link, now);
        link_tick(b.link, now);
    }
    bool session(uint64_t cut_after)
    {
        uint64_t left = cut_after ? cut_after : UINT64_MAX;
        a.connect(now);
        b.connect(now);
        for (bool moved = true; moved && left;) {
            moved = a.run();
            moved |= b.run();
            if (!a.closed.empty() || !b.closed.empty())
                break;
            moved |= move(a, b, left);
            if (left)
                moved |= move(b, a, left);
        }
        a.run();
        b.run();
        bool was_cut = left == 0;
        end();
        now.mono_us += 1000000;
        now.wall_us += 1000000;
        return was_cut;
    }
};

} // namespace dbsync_test
