// SPDX-License-Identifier: Apache-2.0
#include "control/ctl_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_manual.h"
#include "control/verdict_manual.h"
#include "control/ctl_client.h"
#include "control/zone_build.h"

static int usage(const char *text)
{
    fprintf(stderr, "signpostctl: wanted: signpostctl %s\n", text);
    return CTL_USAGE;
}

static int finish(struct config_errors *errors, struct config *config, int status)
{
    config_errors_print(errors, stderr);
    config_errors_fini(errors);
    config_free(config);
    return status;
}

int ctl_check(int argc, char **argv, const struct options *o)
{
    (void)o;
    if (argc != 1)
        return usage("check FILE");
    struct config_errors errors = {0};
    struct config *config = NULL;
    if (config_load(argv[0], &config, &errors) < 0) {
        fprintf(stderr, "%s: %u error%s\n", argv[0], errors.error_count, errors.error_count == 1 ? "" : "s");
        return finish(&errors, NULL, CTL_USAGE);
    }
    struct zone_build_result zones;
    const int rc = zone_build(config, NULL, 1, 0, &errors, &zones);
    free(zones.image);
    if (rc < 0 && errors.error_count == 0)
        fprintf(stderr, "signpostctl: the zone image cannot be built: %s\n", strerror(-rc));
    const bool is_good = rc == 0 && errors.error_count == 0;
    if (is_good)
        printf("%s: good; %u sites, %u services, %u zones in %.1f MB%s\n", argv[0], config->site_count,
               config->service_count, zones.zones_loaded, (double)zones.len / 1e6,
               errors.warning_count ? "; there are warnings" : "");
    return finish(&errors, config, is_good ? CTL_OK : CTL_USAGE);
}

static void put(const char *option, const char *value)
{
    printf("%s\n%s\n", option, value);
}

static void put_addresses(const struct config_dataplane *d)
{
    char text[CONFIG_ADDRESS_TEXT_CAP];
    for (unsigned i = 0; i < d->address_count; i++)
        put("--address", config_address_text(&d->addresses[i], text));
}

static void print_arguments(const struct config *config)
{
    static const char *const idle[] = {"auto", "busy", "pause", "sleep"};
    static const char *const tristate[] = {"auto", "on", "off"};
    const struct config_dataplane *d = &config->dataplane;
    for (unsigned i = 0; i < d->port_count; i++)
        put("--port", d->ports[i]);
    if (d->cores && d->cores[0])
        put("--cores", d->cores);
    put("--socket", d->socket);
    put("--state-dir", d->state_dir);
    put("--idle", idle[d->idle]);
    put_addresses(d);
    put("--tcp", d->tcp && !*d->standby_socket ? "on" : "off"); // a standby has it
    put("--huge", tristate[d->huge_pages]);
    if (!d->offloads)
        put("--offloads", "off");
    if (d->kernel_interface && d->kernel_interface[0])
        put("--kernel-interface", d->kernel_interface);
    if (d->eal_option_count)
        puts("--");
    for (unsigned i = 0; i < d->eal_option_count; i++)
        puts(d->eal_options[i]);
}

static void print_standby_arguments(const struct config *config)
{
    const struct config_dataplane *d = &config->dataplane;
    put_addresses(d);
    put("--tcp", d->tcp ? "on" : "off");
    put("--socket", d->standby_socket);
    put("--state-dir", d->standby_state_dir);
}

// What `print` makes of the file; `missing` tells why it cannot, null when it can.
static int print_for_file(const char *path, const char *(*missing)(const struct config_dataplane *),
                          void (*print)(const struct config *))
{
    struct config_errors errors = {0};
    struct config *config = NULL;
    const int rc = config_load(path, &config, &errors);
    const char *why = rc == 0 ? missing(&config->dataplane) : NULL;
    if (why)
        fprintf(stderr, "signpostctl: %s: %s\n", path, why);
    else if (rc == 0)
        print(config);
    return finish(&errors, config, rc == 0 && !why ? CTL_OK : CTL_USAGE);
}

static const char *missing_port(const struct config_dataplane *d)
{
    return d->port_count ? NULL : "dataplane.ports names no port";
}

static const char *missing_standby(const struct config_dataplane *d)
{
    return *d->standby_socket ? NULL : "dataplane.standby_socket is empty: there is no standby";
}

int ctl_dataplane_args(int argc, char **argv, const struct options *o)
{
    (void)o;
    return argc == 1 ? print_for_file(argv[0], missing_port, print_arguments) : usage("dataplane-args FILE");
}

int ctl_standby_args(int argc, char **argv, const struct options *o)
{
    (void)o;
    return argc == 1 ? print_for_file(argv[0], missing_standby, print_standby_arguments) : usage("standby-args FILE");
}

int ctl_manual(int argc, char **argv, const struct options *o)
{
    (void)o;
    const bool is_verdicts = argc == 1 && strcmp(argv[0], "verdicts") == 0;
    if (argc != 0 && !is_verdicts)
        return usage("manual [verdicts]");
    return (is_verdicts ? verdict_manual_write(stdout) : config_manual_write(stdout)) == 0 ? CTL_OK : CTL_REFUSED;
}
