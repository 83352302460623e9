// SPDX-License-Identifier: Apache-2.0
#include "dataplane/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parse {
    struct options *options;
    bool is_standby;
    char *why;
    size_t why_cap;
};

static int fail(const struct parse *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(const struct parse *p, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(p->why, p->why_cap, format, list);
    va_end(list);
    return -EINVAL;
}

static const char *const kind_name[] = {
    [PORT_AF_PACKET] = "af_packet", [PORT_AF_XDP] = "af_xdp", [PORT_MEMIF] = "memif", [PORT_PCI] = "pci",
    [PORT_VDEV] = "vdev",
};

const char *port_kind_name(enum port_kind kind)
{
    return kind_name[kind];
}

static bool is_pci_address(const char *s) // DDDD:BB:DD.F or BB:DD.F
{
    unsigned domain, bus, device, function;
    int end = 0;
    if (sscanf(s, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) == 4 && s[end] == 0)
        return device < 32 && function < 8;
    return sscanf(s, "%2x:%2x.%1x%n", &bus, &device, &function, &end) == 3 && s[end] == 0 && device < 32 &&
           function < 8;
}

static int check_port(const struct parse *p, struct port_spec *spec, const char *text)
{
    switch (spec->kind) {
    case PORT_AF_PACKET:
    case PORT_AF_XDP:
        if (strlen(spec->name) >= IF_NAMESIZE || strchr(spec->name, ',') || strchr(spec->name, '/'))
            return fail(p, "--port %s: '%s' cannot be the name of an interface", text, spec->name);
        return 0;
    case PORT_MEMIF:
        spec->is_memif_server = strncmp(spec->name, "server:", 7) == 0;
        if ((!spec->is_memif_server && strncmp(spec->name, "client:", 7) != 0) || spec->name[7] == 0)
            return fail(p, "--port %s: expected memif:server:SOCKET or memif:client:SOCKET", text);
        memmove(spec->name, spec->name + 7, strlen(spec->name + 7) + 1);
        if (strlen(spec->name) > 107 || strchr(spec->name, ',')) // struct sockaddr_un
            return fail(p, "--port %s: the socket's path is longer than 107 characters or has a comma", text);
        return 0;
    case PORT_PCI:
        if (!is_pci_address(spec->name))
            return fail(p, "--port %s: expected a PCI address such as pci:0000:01:00.0 (see lspci -D)", text);
        return 0;
    case PORT_VDEV:
        return 0;
    }
    return -EINVAL;
}

static int parse_port(const struct parse *p, const char *text)
{
    struct options *o = p->options;
    if (o->port_count == OPTIONS_PORT_MAX)
        return fail(p, "--port %s: at most %d ports", text, OPTIONS_PORT_MAX);
    struct port_spec *spec = &o->port[o->port_count];
    const char *colon = strchr(text, ':');
    const size_t len = colon ? (size_t)(colon - text) : 0;
    unsigned kind = 0;
    while (kind <= PORT_VDEV && (strlen(kind_name[kind]) != len || strncmp(text, kind_name[kind], len) != 0))
        kind++;
    if (!colon || kind > PORT_VDEV || colon[1] == 0)
        return fail(p,
                    "--port %s: expected af_packet:IFACE, af_xdp:IFACE, memif:server|client:SOCKET, pci:BDF or "
                    "vdev:DPDK-VDEV-STRING",
                    text);
    spec->kind = (enum port_kind)kind;
    if (strlen(colon + 1) >= sizeof spec->name)
        return fail(p, "--port %.60s...: longer than %zu characters", text, sizeof spec->name - 1);
    strcpy(spec->name, colon + 1);
    for (unsigned i = 0; i < o->port_count; i++)
        if (o->port[i].kind == spec->kind && strcmp(o->port[i].name, spec->name) == 0)
            return fail(p, "--port %s: given twice", text);
    const int rc = check_port(p, spec, text);
    o->port_count += rc == 0;
    return rc;
}

static int add_core(const struct parse *p, const char *text, unsigned long cpu)
{
    struct options *o = p->options;
    if (cpu >= OPTIONS_CPU_MAX)
        return fail(p, "--cores %s: CPU numbers are 0 to %d", text, OPTIONS_CPU_MAX - 1);
    if (o->core_count == OPTIONS_CORE_MAX)
        return fail(p, "--cores %s: at most %d workers", text, OPTIONS_CORE_MAX);
    for (unsigned i = 0; i < o->core_count; i++)
        if (o->core[i] == cpu)
            return fail(p, "--cores %s: CPU %lu is named twice", text, cpu);
    o->core[o->core_count++] = (uint16_t)cpu;
    return 0;
}

static int parse_cores(const struct parse *p, const char *text)
{
    const char *at = text;
    do { // each turn consumes at least one character
        char *end;
        unsigned long first, last;
        if (*at < '0' || *at > '9')
            return fail(p, "--cores %s: expected CPU numbers such as 2 or 2,4 or 2-5", text);
        first = last = strtoul(at, &end, 10);
        if (*end == '-' && end[1] >= '0' && end[1] <= '9')
            last = strtoul(end + 1, &end, 10);
        if (last < first || (*end && *end != ',') || (*end == ',' && !end[1]))
            return fail(p, "--cores %s: expected CPU numbers such as 2 or 2,4 or 2-5", text);
        for (unsigned long cpu = first; cpu <= last; cpu++) { // ends at the limits of add_core
            int rc = add_core(p, text, cpu);
            if (rc < 0)
                return rc;
        }
        at = *end ? end + 1 : end;
    } while (*at);
    return 0;
}

static int parse_address(const struct parse *p, const char *text)
{
    struct options *o = p->options;
    if (o->address_count == OPTIONS_ADDRESS_MAX)
        return fail(p, "--address %s: at most %d addresses", text, OPTIONS_ADDRESS_MAX);
    struct node_address *a = &o->address[o->address_count];
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, text, a->address) != 1) {
        a->is_ipv6 = true;
        if (inet_pton(AF_INET6, text, a->address) != 1)
            return fail(p, "--address %s: expected an IPv4 or IPv6 address without prefix length", text);
    }
    o->address_count++;
    return 0;
}

// The index of `text` in a list of words, -EINVAL when it is none of them.
static int parse_word(const struct parse *p, const char *option, const char *text, const char *const *word)
{
    char allowed[64] = "";
    for (int i = 0; word[i]; i++) {
        if (strcmp(text, word[i]) == 0)
            return i;
        snprintf(allowed + strlen(allowed), sizeof allowed - strlen(allowed), "%s%s", i ? ", " : "", word[i]);
    }
    return fail(p, "%s %s: expected one of %s", option, text, allowed);
}

static int parse_kernel_interface(const struct parse *p, const char *value)
{
    struct options *o = p->options;
    const char *name = value;
    o->kernel_way = strncmp(value, "tap:", 4) == 0     ? KERNEL_WAY_TAP
                    : strncmp(value, "vhost:", 6) == 0 ? KERNEL_WAY_VHOST
                                                       : KERNEL_WAY_AUTO;
    if (o->kernel_way != KERNEL_WAY_AUTO)
        name = strchr(value, ':') + 1;
    if (name[0] == 0 || strlen(name) > OPTIONS_INTERFACE_MAX || strpbrk(name, "/ :,"))
        return fail(
            p,
            "--kernel-interface %.40s: expected the name of an interface, at most %d characters, or tap:NAME or "
            "vhost:NAME",
            value, OPTIONS_INTERFACE_MAX);
    o->kernel_interface = name;
    return 0;
}

static int parse_value(const struct parse *p, const char *option, const char *value)
{
    static const char *const idle[] = {"auto", "busy", "pause", "sleep", NULL}; // enum idle_policy
    static const char *const huge[] = {"auto", "on", "off", NULL};              // enum huge_policy
    static const char *const on_off[] = {"off", "on", NULL};
    struct options *o = p->options;
    int word = 0;
    if (strcmp(option, "--port") == 0)
        return parse_port(p, value);
    if (strcmp(option, "--cores") == 0)
        return o->core_count ? fail(p, "--cores: given twice") : parse_cores(p, value);
    if (strcmp(option, "--address") == 0)
        return parse_address(p, value);
    if (strcmp(option, "--socket") == 0)
        o->socket_path = value;
    else if (strcmp(option, "--state-dir") == 0)
        o->state_dir = value;
    else if (strcmp(option, "--idle") == 0 && (word = parse_word(p, option, value, idle)) >= 0)
        o->idle = (enum idle_policy)word;
    else if (strcmp(option, "--huge") == 0 && (word = parse_word(p, option, value, huge)) >= 0)
        o->huge = (enum huge_policy)word;
    else if (strcmp(option, "--kernel-interface") == 0)
        return parse_kernel_interface(p, value);
    else if (strcmp(option, "--offloads") == 0 && (word = parse_word(p, option, value, on_off)) >= 0)
        o->has_offloads = word;
    else if (strcmp(option, "--tcp") == 0 && (word = parse_word(p, option, value, on_off)) >= 0)
        o->has_tcp = word;
    return word < 0 ? word : 0;
}

static bool is_word_of(const char *text, const char *const *word)
{
    for (; *word; word++)
        if (strcmp(text, *word) == 0)
            return true;
    return false;
}

static bool takes_value(const struct parse *p, const char *option)
{
    static const char *const everywhere[] = {"--socket", "--state-dir", "--address", "--tcp", NULL};
    static const char *const of_ports[] = {"--port",     "--cores", "--idle", "--huge", "--kernel-interface",
                                           "--offloads", NULL};
    return is_word_of(option, everywhere) || (!p->is_standby && is_word_of(option, of_ports));
}

static int parse_flag(const struct parse *p, const char *option)
{
    if (strcmp(option, "-v") == 0 || strcmp(option, "--verbose") == 0)
        p->options->is_verbose = true;
    else if (strcmp(option, "-h") == 0 || strcmp(option, "--help") == 0)
        p->options->wants_help = true;
    else if (strcmp(option, "--version") == 0)
        p->options->wants_version = true;
    else
        return fail(p, "%.60s: unknown option; --help lists them", option);
    return 0;
}

// One option at argv[*at], with its value there or behind it.
static int parse_option(const struct parse *p, int argc, char **argv, int *at)
{
    char option[24];
    const char *text = argv[*at];
    const char *equals = text[0] == '-' ? strchr(text, '=') : NULL; // --option=value as well
    const size_t len = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(option, sizeof option, "%.*s", (int)(len < sizeof option ? len : sizeof option - 1), text);
    if (!takes_value(p, option))
        return parse_flag(p, text);
    if (equals)
        return parse_value(p, option, equals + 1);
    if (*at + 1 < argc)
        return parse_value(p, option, argv[++*at]);
    return fail(p, "%s: a value is missing", option);
}

int options_parse(struct options *options, int argc, char **argv, char *why, size_t why_cap)
{
    const struct parse p = {options, false, why, why_cap};
    memset(options, 0, sizeof *options);
    options->socket_path = "/run/signpost/dataplane.sock";
    options->state_dir = "/var/lib/signpost/dataplane";
    options->has_tcp = true;
    options->has_offloads = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            options->eal = argv + i + 1;
            options->eal_count = (unsigned)(argc - i - 1);
            break;
        }
        const int rc = parse_option(&p, argc, argv, &i);
        if (rc < 0)
            return rc;
    }
    if (options->wants_help || options->wants_version)
        return 0;
    if (options->port_count == 0)
        return fail(&p, "no --port: name at least one, for instance --port af_packet:eth0");
    return 0;
}

int options_parse_standby(struct options *options, int argc, char **argv, char *why, size_t why_cap)
{
    const struct parse p = {options, true, why, why_cap};
    memset(options, 0, sizeof *options);
    options->socket_path = "/run/signpost/standby.sock";
    options->state_dir = "/var/lib/signpost/standby";
    options->has_tcp = true;
    for (int i = 1; i < argc; i++) {
        const int rc = parse_option(&p, argc, argv, &i);
        if (rc < 0)
            return rc;
    }
    if (options->wants_help || options->wants_version)
        return 0;
    if (options->address_count == 0)
        return fail(&p, "no --address: name the addresses that the node answers on, for instance --address 192.0.2.53");
    return 0;
}

enum idle_policy options_idle(const struct options *options)
{
    if (options->idle != IDLE_AUTO)
        return options->idle;
    for (unsigned i = 0; i < options->port_count; i++)
        if (options->port[i].kind == PORT_PCI)
            return IDLE_BUSY;
    return IDLE_SLEEP;
}

const char *options_usage(void)
{
    return "Usage: signpost-dataplane --port SPEC [--port SPEC ...] [OPTION ...] [-- EAL OPTIONS]\n"
           "Answers DNS queries from the tables that signpost-control sends.\n"
           "\n"
           "  --port SPEC       where packets come from (at most 8):\n"
           "                      af_packet:IFACE             any interface, shared with the kernel; for trials\n"
           "                      af_xdp:IFACE                an interface, through XDP sockets\n"
           "                      memif:server|client:SOCKET  shared memory to another process\n"
           "                      pci:BDF                     a NIC of its own, bound to vfio-pci\n"
           "                      vdev:STRING                 any other DPDK device, as in EAL's --vdev\n"
           "  --cores LIST      CPUs of the workers, one worker each: 2 or 2,4 or 2-5\n"
           "                    (default: one worker; on the last CPU when busy, on any when sleeping)\n"
           "  --idle POLICY     busy: poll without pause; sleep: wait while there is nothing to do;\n"
           "                    auto (default): busy with a pci port, otherwise sleep\n"
           "  --address IP      address of this node, repeatable: DNS over TCP listens there, and af_packet ports\n"
           "                    keep the kernel from refusing UDP port 53 there (default: all addresses)\n"
           "  --kernel-interface [tap:|vhost:]NAME  for ports that are not shared with the kernel: an interface that\n"
           "                    gets all but the queries, so that TCP, ARP and echo work on the same addresses; of\n"
           "                    further ports NAME-1, NAME-2 (default: vhost-net where it works, else TAP)\n"
           "  --tcp on|off      DNS over TCP on kernel sockets (default on)\n"
           "  --socket PATH     image socket (default /run/signpost/dataplane.sock)\n"
           "  --state-dir DIR   last good tables (default /var/lib/signpost/dataplane)\n"
           "  --offloads on|off  let cards check checksums (default on; off for a card that does it wrong)\n"
           "  --huge WHEN       huge pages: auto (default: when enough are free), on, off\n"
           "  -v, --verbose     say more on standard error\n"
           "  --help, --version\n"
           "  -- EAL OPTIONS    passed to DPDK as they are, after our own\n"
           "\n"
           "Exit status: 0 ended by SIGTERM or SIGINT, 1 could not start or run, 2 wrong command line.\n";
}

const char *options_usage_standby(void)
{
    return "Usage: signpost-standby --address IP [--address IP ...] [OPTION ...]\n"
           "Answers DNS queries on kernel sockets, from the same tables as signpost-dataplane: while that one is "
           "stopped,\n"
           "restarted or upgraded, whatever its XDP program does not take arrives here. Serves DNS over TCP as well.\n"
           "\n"
           "  --address IP      address to answer on, repeatable\n"
           "  --tcp on|off      DNS over TCP (default on; the data plane then runs with --tcp off)\n"
           "  --socket PATH     image socket (default /run/signpost/standby.sock)\n"
           "  --state-dir DIR   last good tables (default /var/lib/signpost/standby)\n"
           "  -v, --verbose     say more on standard error\n"
           "  --help, --version\n"
           "\n"
           "Exit status: 0 ended by SIGTERM or SIGINT, 1 could not start or run, 2 wrong command line.\n";
}

bool port_spec_is_xdp(const struct port_spec *spec)
{
    static const char driver[] = "net_af_xdp";
    return spec->kind == PORT_AF_XDP || (spec->kind == PORT_VDEV && strncmp(spec->name, driver, strlen(driver)) == 0);
}
