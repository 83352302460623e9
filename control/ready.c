// SPDX-License-Identifier: Apache-2.0
#include "control/ready.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void send_ready(const char *path)
{
    static const char text[] = "READY=1";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const size_t len = strlen(path);
    if (len == 0 || len >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') // the abstract name space
        to.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (const struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void ready_notify(const struct steering *steering, const struct publisher *publisher)
{
    static bool is_told;
    const bool is_published = publisher_status(publisher)->kind[1].published > 0;
    if (is_told || !(is_published || steering_is_ready(steering)))
        return;
    is_told = true;
    const char *path = getenv("NOTIFY_SOCKET");
    if (path)
        send_ready(path);
}
