// SPDX-License-Identifier: Apache-2.0
#include "table/name.h"

#include <errno.h>
#include <string.h>

int name_check(const uint8_t *wire, size_t cap, unsigned *label_count)
{
    size_t at = 0;
    unsigned labels = 0;
    size_t limit = cap < NAME_MAX_LEN ? cap : NAME_MAX_LEN;
    while (at < limit) {
        uint8_t len = wire[at];
        if (len == 0) {
            if (label_count)
                *label_count = labels;
            return (int)at + 1;
        }
        if (len > LABEL_MAX_LEN)
            return -EINVAL;
        at += len + 1u;
        labels++;
    }
    return -EINVAL;
}

static inline uint8_t fold_octet(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

void name_fold(uint8_t *out, const uint8_t *wire, size_t len)
{
    // Length octets are at most 63, below 'A', so the whole name folds as one string.
    for (size_t i = 0; i < len; i++)
        out[i] = fold_octet(wire[i]);
}

static size_t name_len(const uint8_t *wire)
{
    size_t at = 0;
    while (wire[at] != 0)
        at += wire[at] + 1u;
    return at + 1;
}

static bool octets_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (fold_octet(a[i]) != fold_octet(b[i]))
            return false;
    return true;
}

bool name_equal(const uint8_t *a, const uint8_t *b)
{
    size_t len = name_len(a);
    return len == name_len(b) && octets_equal(a, b, len);
}

bool name_is_at_or_below(const uint8_t *name, size_t len, const uint8_t *ancestor, size_t ancestor_len)
{
    size_t at = 0;
    while (len - at > ancestor_len && name[at] != 0)
        at += name[at] + 1u;
    return len - at == ancestor_len && octets_equal(name + at, ancestor, ancestor_len);
}

// One character of presentation form, escapes resolved. Characters consumed, or negative -EINVAL.
static int text_octet(const char *text, uint8_t *octet)
{
    if (text[0] != '\\') {
        *octet = (uint8_t)text[0];
        return 1;
    }
    if (text[1] == '\0')
        return -EINVAL;
    if (text[1] < '0' || text[1] > '9') {
        *octet = (uint8_t)text[1];
        return 2;
    }
    unsigned value = 0;
    for (int i = 1; i <= 3; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value > 255)
        return -EINVAL;
    *octet = (uint8_t)value;
    return 4;
}

int name_from_text(uint8_t out[NAME_MAX_LEN], const char *text)
{
    size_t label_at = 0, at = 1;
    if (text[0] == '\0')
        return -EINVAL;
    if (strcmp(text, ".") == 0) {
        out[0] = 0;
        return 1;
    }
    for (size_t i = 0; text[i] != '\0';) {
        if (text[i] == '.') {
            if (at - label_at == 1)
                return -EINVAL; // empty label
            out[label_at] = (uint8_t)(at - label_at - 1);
            label_at = at++;
            i++;
        } else {
            uint8_t octet = 0;
            int used = text_octet(text + i, &octet);
            if (used < 0 || at - label_at > LABEL_MAX_LEN || at >= NAME_MAX_LEN - 1)
                return -EINVAL;
            out[at++] = octet;
            i += (size_t)used;
        }
        if (at >= NAME_MAX_LEN)
            return text[i] == '\0' && label_at == NAME_MAX_LEN - 1 ? (out[label_at] = 0, NAME_MAX_LEN) : -EINVAL;
    }
    if (at - label_at > 1) { // no final dot
        out[label_at] = (uint8_t)(at - label_at - 1);
        label_at = at++;
    }
    out[label_at] = 0;
    return (int)label_at + 1;
}

char *name_to_text(char out[NAME_TEXT_CAP], const uint8_t *wire)
{
    char *p = out;
    if (wire[0] == 0)
        *p++ = '.';
    for (size_t at = 0; wire[at] != 0; at += wire[at] + 1u) {
        for (unsigned i = 1; i <= wire[at]; i++) {
            uint8_t c = wire[at + i];
            if (c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' || c == '@' || c == '$') {
                *p++ = '\\';
                *p++ = (char)c;
            } else if (c > 32 && c < 127) {
                *p++ = (char)c;
            } else {
                *p++ = '\\';
                *p++ = (char)('0' + c / 100);
                *p++ = (char)('0' + c / 10 % 10);
                *p++ = (char)('0' + c % 10);
            }
        }
        *p++ = '.';
    }
    *p = '\0';
    return out;
}

uint64_t name_hash(const uint8_t *padded, size_t len, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t at = 0; at < len; at += 16) {
        uint64_t word[2];
        memcpy(word, padded + at, 16);
        h = name_hash_step(h, word[0], word[1]);
    }
    return h;
}
