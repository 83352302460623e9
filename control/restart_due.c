// SPDX-License-Identifier: Apache-2.0
#include "control/restart_due.h"

#include <string.h>

#include "control/config_units.h"

static void report_if(bool differs, const char *key, const char *program, const char *path,
                      struct config_errors *errors)
{
    if (differs)
        config_errors_add(errors, CONFIG_WARNING, path, 0, key, NULL, "has changed; in force when %s is started again",
                          program);
}

static bool text_differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

static bool texts_differ(const char *const *a, unsigned a_count, const char *const *b, unsigned b_count)
{
    bool differs = a_count != b_count;
    for (unsigned i = 0; !differs && i < a_count; i++)
        differs = text_differs(a[i], b[i]);
    return differs;
}

static bool addresses_differ(const struct config_dataplane *a, const struct config_dataplane *b)
{
    bool differs = a->address_count != b->address_count;
    for (unsigned i = 0; !differs && i < a->address_count; i++)
        differs = !config_address_equal(&a->addresses[i], &b->addresses[i]);
    return differs;
}

void restart_due_report(const struct config *now, const struct config *next, const char *path,
                        struct config_errors *errors)
{
    static const char data_plane[] = "signpost-dataplane", standby[] = "signpost-standby",
                      both[] = "each of the programs", control[] = "signpost-control";
    const struct config_dataplane *a = &now->dataplane, *b = &next->dataplane;
    const struct {
        bool differs;
        const char *key, *program;
    } keys[] = {
        {texts_differ(a->ports, a->port_count, b->ports, b->port_count), "dataplane.ports", data_plane},
        {text_differs(a->cores, b->cores), "dataplane.cores", data_plane},
        {addresses_differ(a, b), "dataplane.addresses", *b->standby_socket ? both : data_plane},
        {a->idle != b->idle, "dataplane.idle", data_plane},
        {a->huge_pages != b->huge_pages, "dataplane.huge_pages", data_plane},
        {a->offloads != b->offloads, "dataplane.offloads", data_plane},
        {a->tcp != b->tcp, "dataplane.tcp", *b->standby_socket ? both : data_plane},
        {text_differs(a->kernel_interface, b->kernel_interface), "dataplane.kernel_interface", data_plane},
        {text_differs(a->socket, b->socket), "dataplane.socket", both},
        {text_differs(a->standby_socket, b->standby_socket), "dataplane.standby_socket", both},
        {text_differs(a->state_dir, b->state_dir), "dataplane.state_dir", data_plane},
        {text_differs(a->standby_state_dir, b->standby_state_dir), "dataplane.standby_state_dir", standby},
        {texts_differ(a->eal_options, a->eal_option_count, b->eal_options, b->eal_option_count),
         "dataplane.eal_options", data_plane},
        {text_differs(now->control.socket, next->control.socket), "control.socket", control},
        {text_differs(now->control.socket_group, next->control.socket_group), "control.socket_group", control},
        {text_differs(now->control.state_dir, next->control.state_dir), "control.state_dir", control},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        report_if(keys[i].differs, keys[i].key, keys[i].program, path, errors);
}
