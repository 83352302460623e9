// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config_check.h"

enum { SECRET_FILE_CAP = 4096 }; // a key file is far shorter; anything longer is another file

// The file into `out`; its length, or a negative errno. `mode` receives the permissions.
static ssize_t read_small(const char *path, uint8_t out[SECRET_FILE_CAP], mode_t *mode)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ssize_t used = 0;
    if (fstat(fd, &st) < 0)
        used = -errno;
    else if (!S_ISREG(st.st_mode))
        used = -EISDIR;
    else
        *mode = st.st_mode;
    for (ssize_t n = 1; used >= 0 && n > 0 && used < SECRET_FILE_CAP;) {
        n = read(fd, out + used, (size_t)(SECRET_FILE_CAP - used));
        used = n < 0 ? -errno : used + n;
    }
    close(fd);
    return used == SECRET_FILE_CAP ? -EFBIG : used;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (uint8_t)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Exactly 2 * len digits at `text`, and nothing but blanks behind them up to `end`.
static bool parse_hex(const uint8_t *text, const uint8_t *end, uint8_t *out, size_t len)
{
    if ((size_t)(end - text) < 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    for (text += 2 * len; text < end; text++)
        if (!isspace(*text))
            return false;
    return true;
}

// Reports what makes the file unusable; its length, or -1. Others who can read a key can forge what it protects.
static ssize_t read_secret(struct config_reader *r, const void *at, const char *key, const char *path,
                           uint8_t out[SECRET_FILE_CAP])
{
    mode_t mode = 0;
    ssize_t len = read_small(path, out, &mode);
    if (len < 0) {
        config_report(r, CONFIG_ERROR, at, key, "cannot read %.300s: %s", path,
                      len == -EISDIR ? "not a regular file" : strerror((int)-len));
        return -1;
    }
    if (mode & (S_IWGRP | S_IRWXO)) {
        config_report(r, CONFIG_ERROR, at, key,
                      "%.300s has mode %04o: others could read or change the key; allowed: "
                      "0600, 0400, 0640 or 0440",
                      path, (unsigned)(mode & 07777));
        return -1;
    }
    return len;
}

static void read_heartbeat_key(struct config_reader *r, struct config_heartbeat *hb, const char *key, const char *path)
{
    uint8_t text[SECRET_FILE_CAP], *to = hb->key[hb->key_count];
    ssize_t len = read_secret(r, hb, key, path, text);
    if (len < 0)
        return;
    bool is_good = true;
    if (len == CONFIG_HEARTBEAT_KEY_LEN)
        memcpy(to, text, CONFIG_HEARTBEAT_KEY_LEN);
    else
        is_good = parse_hex(text, text + len, to, CONFIG_HEARTBEAT_KEY_LEN);
    explicit_bzero(text, sizeof(text));
    if (is_good)
        hb->key_count++;
    else
        config_report(r, CONFIG_ERROR, hb, key, "%.300s holds no key; allowed: 64 hexadecimal digits, or 32 octets",
                      path);
}

static void read_cookie_secrets(struct config_reader *r, struct config_cookies *cookies)
{
    uint8_t text[SECRET_FILE_CAP];
    ssize_t len = read_secret(r, cookies, "secret_file", cookies->secret_file, text);
    if (len < 0)
        return;
    const uint8_t *p = text, *end = text + len;
    bool is_good = true;
    while (p < end && is_good) {
        const uint8_t *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end ? line_end : end;
        const uint8_t *from = p;
        while (from < line_end && isspace(*from))
            from++;
        p = line_end < end ? line_end + 1 : end;
        if (from == line_end)
            continue;
        is_good = cookies->secret_count < 2 &&
                  parse_hex(from, line_end, cookies->secret[cookies->secret_count], CONFIG_COOKIE_SECRET_LEN);
        cookies->secret_count += is_good;
    }
    explicit_bzero(text, sizeof(text));
    if (!is_good || cookies->secret_count == 0)
        config_report(r, CONFIG_ERROR, cookies, "secret_file",
                      "%.300s holds no secret; allowed: one or two lines of 32 hexadecimal digits",
                      cookies->secret_file);
}

// One secret for the life of the process, so that a reload does not make all cookies worthless.
static uint8_t own_secret[CONFIG_COOKIE_SECRET_LEN];
static pthread_once_t own_secret_once = PTHREAD_ONCE_INIT;

static void make_own_secret(void)
{
    for (size_t at = 0; at < sizeof own_secret;) { // ends: the kernel has random octets once it has booted
        const ssize_t n = getrandom(own_secret + at, sizeof own_secret - at, 0);
        at += n > 0 ? (size_t)n : 0;
    }
}

static void take_own_secret(struct config_cookies *cookies)
{
    pthread_once(&own_secret_once, make_own_secret);
    memcpy(cookies->secret[0], own_secret, sizeof own_secret);
    cookies->secret_count = 1;
}

void config_read_secrets(struct config_reader *r, struct config *config)
{
    struct config_heartbeat *hb = &config->heartbeat;
    if (*hb->key_file)
        read_heartbeat_key(r, hb, "key_file", hb->key_file);
    if (*hb->previous_key_file && hb->key_count == 1)
        read_heartbeat_key(r, hb, "previous_key_file", hb->previous_key_file);
    if (*config->dns.cookies.secret_file)
        read_cookie_secrets(r, &config->dns.cookies);
    else if (config->dns.cookies.enable)
        take_own_secret(&config->dns.cookies);
}
