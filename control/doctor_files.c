// SPDX-License-Identifier: Apache-2.0
// Files, directories, addresses, and who has port 53.
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/doctor.h"

enum { PORT_DNS = 53, OWNERS_MAX = 64 };

// ---- secrets ----

static void check_secret(struct doctor *d, const char *key, const char *path)
{
    struct stat st;
    if (!path || !*path)
        return;
    if (stat(path, &st) < 0 || access(path, R_OK) < 0)
        doctor_find(d, DOCTOR_BAD, "key files", "make it, readable by the user that runs signpost-control", "%s %s: %s",
                    key, path, strerror(errno));
    else if (st.st_mode & (S_IRWXG & ~S_IRGRP))
        doctor_find(d, DOCTOR_BAD, "key files", "chmod 600", "%s %s can be written by its group", key, path);
    else if (st.st_mode & S_IRWXO)
        doctor_find(d, DOCTOR_BAD, "key files", "chmod 600", "%s %s can be used by everybody", key, path);
    else
        doctor_find(d, DOCTOR_OK, "key files", "", "%s %s is there and private", key, path);
}

// ---- directories ----

static void parent_of(const char *path, char parent[PATH_MAX])
{
    snprintf(parent, PATH_MAX, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent)
        *slash = 0;
}

static void check_folder(struct doctor *d, const char *key, const char *path)
{
    char parent[PATH_MAX];
    if (!path || !*path)
        return;
    if (access(path, W_OK) == 0) {
        doctor_find(d, DOCTOR_OK, "directories", "", "%s %s can be written", key, path);
        return;
    }
    const int why = errno;
    parent_of(path, parent);
    if (why == ENOENT && access(parent, W_OK) == 0)
        doctor_find(d, DOCTOR_OK, "directories", "", "%s %s will be made", key, path);
    else
        doctor_find(d, DOCTOR_BAD, "directories", "install -d -m 750, owned by the user that runs the programs",
                    "%s %s: %s", key, path, strerror(why));
}

// The directory that a socket will stand in.
static void check_socket(struct doctor *d, const char *key, const char *path)
{
    char folder[PATH_MAX];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof to.sun_path)
        return;
    strcpy(to.sun_path, path);
    const int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int packet = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const bool is_served = connect(stream, (struct sockaddr *)&to, sizeof to) == 0 ||
                           connect(packet, (struct sockaddr *)&to, sizeof to) == 0;
    close(stream);
    close(packet);
    if (is_served) {
        doctor_find(d, DOCTOR_NOTE, "programs", "", "a program answers on %s %s", key, path);
        return;
    }
    parent_of(path, folder);
    check_folder(d, key, folder);
}

// ---- addresses ----

static bool has_address(const struct config_address *wanted)
{
    char text[CONFIG_ADDRESS_TEXT_CAP], found[INET6_ADDRSTRLEN];
    struct ifaddrs *list = NULL;
    bool is_there = false;
    config_address_text(wanted, text);
    if (getifaddrs(&list) < 0)
        return true; // unknown
    for (const struct ifaddrs *i = list; i && !is_there; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        const void *at = i->ifa_addr->sa_family == AF_INET
                             ? (const void *)&((struct sockaddr_in *)i->ifa_addr)->sin_addr
                             : &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
        is_there = inet_ntop(i->ifa_addr->sa_family, at, found, sizeof found) && strcmp(found, text) == 0;
    }
    freeifaddrs(list);
    return is_there;
}

static void check_addresses(struct doctor *d)
{
    char text[CONFIG_ADDRESS_TEXT_CAP];
    const struct config_dataplane *dp = &d->config->dataplane;
    bool is_kernels = *dp->kernel_interface != 0;
    for (unsigned i = 0; i < dp->port_count; i++)
        is_kernels = is_kernels || strncmp(dp->ports[i], "af_", 3) == 0;
    if (dp->address_count == 0)
        doctor_find(d, DOCTOR_WARNING, "addresses", "name this node's addresses in dataplane.addresses",
                    "there are none: queries to any address are answered");
    for (unsigned i = 0; is_kernels && i < dp->address_count; i++)
        if (!has_address(&dp->addresses[i]))
            doctor_find(d, DOCTOR_WARNING, "addresses", "ip addr add ADDRESS dev IFACE",
                        "no interface has %s: the kernel answers neither ARP nor TCP for it",
                        config_address_text(&dp->addresses[i], text));
}

// ---- port 53 ----

// Inodes of sockets on port 53 in one of the kernel's tables.
static unsigned list_sockets(const struct doctor *d, const char *table, unsigned long inode[OWNERS_MAX], unsigned count)
{
    char path[PATH_MAX], line[512];
    snprintf(path, sizeof path, "%s/proc/net/%s", d->root, table);
    FILE *f = fopen(path, "re");
    while (f && count < OWNERS_MAX && fgets(line, sizeof line, f)) {
        unsigned port = 0, state = 0;
        unsigned long number = 0;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", &port, &state, &number) == 3 &&
            port == PORT_DNS && (state == 0x0a || state == 0x07)) // listening, or unconnected UDP
            inode[count++] = number;
    }
    if (f)
        fclose(f);
    return count;
}

static bool owns(const struct doctor *d, const char *pid, const unsigned long *inode, unsigned count)
{
    char path[PATH_MAX], target[64], wanted[64];
    bool is_owner = false;
    snprintf(path, sizeof path, "%s/proc/%.16s/fd", d->root, pid);
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && !is_owner && (e = readdir(folder)) != NULL;) {
        const ssize_t n = readlinkat(dirfd(folder), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        for (unsigned i = 0; i < count && !is_owner; i++) {
            snprintf(wanted, sizeof wanted, "socket:[%lu]", inode[i]);
            is_owner = strcmp(target, wanted) == 0;
        }
    }
    if (folder)
        closedir(folder);
    return is_owner;
}

static void check_port_53(struct doctor *d)
{
    static const char *const tables[] = {"udp", "udp6", "tcp", "tcp6"};
    unsigned long inode[OWNERS_MAX];
    unsigned count = 0, others = 0;
    char path[64], name[64];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        count = list_sockets(d, tables[i], inode, count);
    snprintf(path, sizeof path, "%s/proc", d->root);
    DIR *list = count ? opendir(path) : NULL;
    for (struct dirent *e; list && (e = readdir(list)) != NULL;) {
        if (!isdigit((unsigned char)e->d_name[0]) || !owns(d, e->d_name, inode, count))
            continue;
        snprintf(path, sizeof path, "/proc/%.16s/comm", e->d_name);
        doctor_read(d, path, name, sizeof name);
        if (strncmp(name, "signpost", 8) == 0)
            continue;
        others++;
        doctor_find(d, DOCTOR_WARNING, "port 53", "stop it, or bind it to other addresses (`ss -lunpt sport = 53`)",
                    "%s (pid %.16s) has port 53 on some address of this machine", name, e->d_name);
    }
    if (list)
        closedir(list);
    if (!others)
        doctor_find(d, DOCTOR_OK, "port 53", "", "no other name server has it");
}

// ---- all ----

void doctor_check_files(struct doctor *d)
{
    const struct config *c = d->config;
    check_secret(d, "heartbeat.key_file", c->heartbeat.key_file);
    check_secret(d, "heartbeat.previous_key_file", c->heartbeat.previous_key_file);
    check_secret(d, "dns.cookies.secret_file", c->dns.cookies.secret_file);
    check_folder(d, "control.state_dir", c->control.state_dir);
    check_folder(d, "dataplane.state_dir", c->dataplane.state_dir);
    check_socket(d, "control.socket", c->control.socket);
    check_socket(d, "dataplane.socket", c->dataplane.socket);
    if (*c->dataplane.standby_socket) {
        check_folder(d, "dataplane.standby_state_dir", c->dataplane.standby_state_dir);
        check_socket(d, "dataplane.standby_socket", c->dataplane.standby_socket);
    }
    check_addresses(d);
    check_port_53(d);
}
