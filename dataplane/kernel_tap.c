// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

static int fail(char why[KERNEL_TAP_WHY_CAP], const char *name, const char *what, int error)
{
    snprintf(why, KERNEL_TAP_WHY_CAP, "kernel interface %.15s: %s: %s", name, what, strerror(error));
    return -error;
}

int kernel_tap_open(const char *name, char why[KERNEL_TAP_WHY_CAP])
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail(why, name, "/dev/net/tun (`modprobe tun`)", errno);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    const int rc = fail(why, name, "making it needs CAP_NET_ADMIN, and a name that no other interface has", errno);
    close(fd);
    return rc;
}

static int set_flags_up(int fd, struct ifreq *request)
{
    if (ioctl(fd, SIOCGIFFLAGS, request) < 0)
        return -1;
    request->ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, request);
}

int kernel_tap_set_up(const char *name, const uint8_t mac[6], unsigned mtu, char why[KERNEL_TAP_WHY_CAP])
{
    struct ifreq request = {0};
    int rc = 0;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(why, name, "socket", errno);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (mac) {
        request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(request.ifr_hwaddr.sa_data, mac, 6);
    }
    if (mac && ioctl(fd, SIOCSIFHWADDR, &request) < 0)
        rc = fail(why, name, "setting the port's hardware address", errno);
    request.ifr_mtu = (int)mtu;
    if (rc == 0 && ioctl(fd, SIOCSIFMTU, &request) < 0)
        rc = fail(why, name, "setting the port's MTU", errno);
    if (rc == 0 && set_flags_up(fd, &request) < 0)
        rc = fail(why, name, "bringing it up", errno);
    close(fd);
    return rc;
}

int kernel_tap_set_carrier(const char *name, int fd, bool is_up)
{
    int value = is_up;
    if (fd >= 0)
        return ioctl(fd, TUNSETCARRIER, &value) < 0 ? -errno : 0;
    char path[64];
    snprintf(path, sizeof path, "/sys/class/net/%.15s/carrier", name);
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    const int rc = write(file, is_up ? "1" : "0", 1) == 1 ? 0 : -errno;
    close(file);
    return rc;
}

bool kernel_tap_write(int fd, const void *frame, size_t len)
{
    return write(fd, frame, len) == (ssize_t)len;
}

size_t kernel_tap_read(int fd, void *frame, size_t cap)
{
    const ssize_t n = read(fd, frame, cap);
    return n > 0 ? (size_t)n : 0;
}
