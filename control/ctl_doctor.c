// SPDX-License-Identifier: Apache-2.0
// signpostctl doctor [FILE]: runs the checks of doctor.h and prints them, the worst first.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl_client.h"
#include "control/ctl_local.h"
#include "control/doctor.h"

static const char default_file[] = "/etc/signpost/signpost.conf";

static const char *text_of(const json_t *finding, const char *key)
{
    return json_string_value(json_object_get(finding, key));
}

static void print_level(const struct doctor *d, enum doctor_level level)
{
    size_t i;
    json_t *finding;
    json_array_foreach(d->findings, i, finding)
    {
        if (strcmp(text_of(finding, "level"), doctor_level_name(level)) != 0)
            continue;
        printf("%-8s %s: %s\n", doctor_level_name(level), text_of(finding, "topic"), text_of(finding, "text"));
        if (*text_of(finding, "remedy"))
            printf("         remedy: %s\n", text_of(finding, "remedy"));
    }
}

static void print_text(const struct doctor *d)
{
    for (int level = DOCTOR_BAD; level >= DOCTOR_OK; level--)
        print_level(d, (enum doctor_level)level);
    printf("%u bad, %u warnings, %u notes, %u in order\n", d->count[DOCTOR_BAD], d->count[DOCTOR_WARNING],
           d->count[DOCTOR_NOTE], d->count[DOCTOR_OK]);
}

static void print_json(const struct doctor *d)
{
    json_t *all = json_pack("{s:i, s:i, s:O}", "bad", (int)d->count[DOCTOR_BAD], "warnings",
                            (int)d->count[DOCTOR_WARNING], "findings", d->findings);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(all);
}

// A file with errors is no configuration: only the machine was looked at.
static void find_errors(struct doctor *d, const struct config_errors *errors)
{
    char line[CONFIG_ERROR_TEXT_CAP + 512];
    for (unsigned i = 0; i < errors->count; i++)
        if (errors->entry[i].level == CONFIG_ERROR)
            doctor_find(d, DOCTOR_BAD, "configuration", "signpostctl check FILE, after that doctor looks at the rest",
                        "%s", config_error_format(&errors->entry[i], line, sizeof line));
}

int ctl_doctor(int argc, char **argv, const struct options *o)
{
    const char *path = argc ? argv[0] : access(default_file, R_OK) == 0 ? default_file : NULL;
    struct config_errors errors = {0};
    struct config *config = NULL;
    const int rc = path ? config_load(path, &config, &errors) : 0;
    struct doctor d = {.root = "", .config = config};
    doctor_run(&d);
    if (rc < 0)
        find_errors(&d, &errors);
    else if (!path)
        doctor_find(&d, DOCTOR_NOTE, "configuration", "signpostctl doctor FILE",
                    "no file was given and there is no %s: only the machine was looked at", default_file);
    if (o->is_json)
        print_json(&d);
    else
        print_text(&d);
    json_decref(d.findings);
    config_errors_fini(&errors);
    config_free(config);
    return d.count[DOCTOR_BAD] ? CTL_REFUSED : CTL_OK;
}
