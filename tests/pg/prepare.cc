// SPDX-License-Identifier: Apache-2.0
// dbsync_prepare CONNINFO SITE PEER TABLE...: makes a database a site, for benchmarks and crash tests of the doors.
#include <cstdio>
#include <cstdlib>

extern "C" {
#include "dbsync/door.h"
}

int main(int argc, char **argv)
{
    door *d = nullptr;
    problem why{};
    door_table_options options{};
    if (argc < 4)
        return 2;
    auto site = static_cast<uint16_t>(std::atoi(argv[2])), peer = static_cast<uint16_t>(std::atoi(argv[3]));
    int result = door_open(argv[1], &d, &why);
    if (result == 0)
        result = d->ops->init(d, site, "site", &why);
    if (result == 0)
        result = d->ops->peer_add(d, peer, "peer", &why);
    for (int i = 4; result == 0 && i < argc; i++)
        result = d->ops->add_table(d, argv[i], &options, &why);
    if (result < 0)
        std::fprintf(stderr, "%s\n", why.text);
    if (d)
        d->ops->close(d);
    return result < 0;
}
