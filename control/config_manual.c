// SPDX-License-Identifier: Apache-2.0
#include "control/config_manual.h"

#include <errno.h>
#include <string.h>

#include "control/config_schema.h"

enum { SECTIONS_MAX = 64, TEXT_CAP = 512 };

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "This page is printed by `signpostctl manual` from the table that the programs read the file with\n"
    "(`control/config_schema.c`); do not edit it. Whole examples are in [examples/](examples/).\n"
    "\n"
    "One file configures a node. `signpostctl check FILE` reads it with its zones and reports every problem with "
    "file,\n"
    "line and key; a reload that finds one changes nothing.\n"
    "\n"
    "## How the file is written\n"
    "\n"
    "    # a comment, also // and /* ... */\n"
    "    node = { name = \"ns-ams\"; site = \"ams\"; };      # a group: { key = value; ... }\n"
    "    zones = ( { name = \"example.com\"; } );          # a list: ( value, ... ), no comma behind the last\n"
    "\n"
    "- Texts stand in double quotes; a list of one may be written without its parentheses.\n"
    "- **Durations** are texts with units: `\"500ms\"`, `\"2h\"`, `\"1h30m\"`; ns, us, ms, s, m, h, d, w. `0` needs "
    "none.\n"
    "- **TTLs** are seconds (`30`) or durations (`\"1h\"`).\n"
    "- **Sizes** are bytes or texts: `\"64K\"`, `\"16M\"`, `\"2G\"` (powers of 1024).\n"
    "- **Percentages** are `80` or `\"80%\"`, whole numbers. Numbers are decimal.\n"
    "- **Addresses** are literal: `\"192.0.2.1\"`, `\"2001:db8::1\"`, with a port `\"192.0.2.1:80\"`,\n"
    "  `\"[2001:db8::1]:80\"`. Host names are not resolved.\n"
    "- **Paths** that do not start with `/` start at the directory of the main file.\n"
    "- **Names** have letters, digits, `-`, `_` and `.`, at most 63 of them.\n"
    "- Unknown keys are errors.\n"
    "\n"
    "Secrets stand in files of their own, which others must not be able to read or write (mode 0600 or 0640).\n"
    "\n"
    "## Zone files\n"
    "\n"
    "Master files as in RFC 1035: `$ORIGIN`, `$TTL`, `$INCLUDE` (relative to `zone_dir`, and never outside it, also\n"
    "behind symbolic links), parentheses, escapes, TTLs with units, unknown types as in RFC 3597. Only class IN. A "
    "zone\n"
    "with an error is left out, the others load.\n";

static void write_keys(FILE *out, const struct config_section *section)
{
    for (unsigned i = 0; i < section->key_count; i++) {
        const struct config_key *k = &section->keys[i];
        char accepts[TEXT_CAP];
        const bool is_group = k->type == CONFIG_KEY_GROUP;
        fprintf(out, "\n**`%s`**", k->name);
        if (k->is_required)
            fputs(" (required)", out);
        fputs(": ", out);
        if (k->is_list && is_group)
            fprintf(out, "a list of groups, at most %u", k->list_max);
        else if (k->is_list)
            fprintf(out, "a list, at most %u; each %s", k->list_max,
                    config_schema_accepts(k, accepts, sizeof(accepts)));
        else
            fputs(config_schema_accepts(k, accepts, sizeof(accepts)), out);
        if (k->default_text && *k->default_text)
            fprintf(out, "; default `%s`", k->default_text);
        fprintf(out, ".  \n%s\n", k->help);
        if (k->when) {
            const struct config_key *on = config_schema_find(section, k->when);
            fprintf(out, "*Only with `%s` =", on->name);
            const char *separator = " ";
            for (unsigned c = 0; on->choices[c].name; c++)
                if (k->when_mask >> c & 1) {
                    fprintf(out, "%s`%s`", separator, on->choices[c].name);
                    separator = " or ";
                }
            fputs(".*\n", out);
        }
        for (const struct config_choice *c = k->choices; c && c->name; c++)
            if (*c->help)
                fprintf(out, "%s- `\"%s\"`: %s\n", c == k->choices ? "\n" : "", c->name, c->help);
    }
}

struct outline {
    FILE *out;
    const struct config_section *section[SECTIONS_MAX]; // in the order of their first use
    char path[SECTIONS_MAX][TEXT_CAP];                  // every place they are used at
    unsigned count;
};

// "sites[].web" from "sites.web": which of the groups on the way are lists.
static void mark_lists(const char *path, char out[TEXT_CAP])
{
    const struct config_section *section = config_schema();
    size_t used = 0;
    out[0] = 0;
    while (*path && section && used < TEXT_CAP) {
        char name[64];
        const size_t len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        const struct config_key *key = config_schema_find(section, name);
        used += (size_t)snprintf(out + used, TEXT_CAP - used, "%s%s%s", used ? "." : "", name,
                                 key && key->is_list ? "[]" : "");
        section = key ? key->section : NULL;
        path += len + (path[len] == '.');
    }
}

static int collect(void *user, const char *path, const struct config_key *key)
{
    struct outline *o = user;
    char marked[TEXT_CAP];
    if (key->type != CONFIG_KEY_GROUP)
        return 0;
    mark_lists(path, marked);
    unsigned i = 0;
    while (i < o->count && o->section[i] != key->section)
        i++;
    if (i == SECTIONS_MAX)
        return 0;
    const size_t used = strlen(o->path[i]);
    snprintf(o->path[i] + used, TEXT_CAP - used, "%s`%s`", used ? ", " : "", marked);
    if (i == o->count) {
        o->section[i] = key->section;
        o->count++;
    }
    return 0;
}

int config_manual_write(FILE *out)
{
    static const char rule[] = "\n## %s\n\n%s\n";
    struct outline o = {.out = out};
    fputs(introduction, out);
    fprintf(out, rule, "The file", "At the top level:");
    write_keys(out, config_schema());
    config_schema_visit(collect, &o);
    for (unsigned i = 0; i < o.count; i++) {
        fprintf(out, rule, o.path[i], o.section[i]->help);
        if (o.section[i]->shorthand)
            fprintf(out, "A bare text stands for `{ %s = \"...\"; }`.\n", o.section[i]->shorthand);
        write_keys(out, o.section[i]);
    }
    return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
