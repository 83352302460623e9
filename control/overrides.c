// SPDX-License-Identifier: Apache-2.0
#include "control/overrides.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/config_units.h"

struct overrides {
    unsigned references;
    // Of the services: state[first[service] + place]; null when nothing is said of any.
    unsigned *first;
    uint8_t *state;
    struct config_address *withdrawn;
    unsigned withdrawn_count;
};

char *overrides_member_name(const struct config_service *service, unsigned place, char out[OPERATOR_NAME_CAP])
{
    snprintf(out, OPERATOR_NAME_CAP, "%s/%s", service->name, service->sites[place].site);
    return out;
}

static unsigned count_kind(const struct operator_states *states, enum operator_kind kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < states->count; i++)
        count += states->entry[i].kind == kind;
    return count;
}

static int lay_services(struct overrides *o, const struct config *config, const struct operator_states *states)
{
    char name[OPERATOR_NAME_CAP];
    unsigned total = 0;
    if (count_kind(states, OPERATOR_OF_SERVICE) == 0)
        return 0;
    o->first = calloc(config->service_count + 1, sizeof *o->first);
    for (unsigned i = 0; o->first && i < config->service_count; i++) {
        o->first[i] = total;
        total += config->services[i].site_count;
    }
    o->state = calloc(total + 1, sizeof *o->state);
    if (!o->first || !o->state)
        return -ENOMEM;
    for (unsigned i = 0; i < config->service_count; i++)
        for (unsigned k = 0; k < config->services[i].site_count; k++) {
            const struct operator_entry *e =
                operator_states_find(states, OPERATOR_OF_SERVICE, overrides_member_name(&config->services[i], k, name));
            o->state[o->first[i] + k] = (uint8_t)(e ? e->state : OPERATOR_AUTO);
        }
    return 0;
}

static int lay_addresses(struct overrides *o, const struct operator_states *states)
{
    const unsigned count = count_kind(states, OPERATOR_OF_ADDRESS);
    if (count == 0)
        return 0;
    o->withdrawn = calloc(count, sizeof *o->withdrawn);
    for (unsigned i = 0; o->withdrawn && i < states->count; i++)
        if (states->entry[i].kind == OPERATOR_OF_ADDRESS &&
            config_parse_address(states->entry[i].name, &o->withdrawn[o->withdrawn_count]) == 0)
            o->withdrawn_count++;
    return o->withdrawn ? 0 : -ENOMEM;
}

struct overrides *overrides_new(const struct config *config, const struct operator_states *states)
{
    struct overrides *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->references = 1;
    if (lay_services(o, config, states) == 0 && lay_addresses(o, states) == 0)
        return o;
    overrides_drop(o);
    errno = ENOMEM;
    return NULL;
}

struct overrides *overrides_hold(struct overrides *o)
{
    if (o)
        o->references++;
    return o;
}

void overrides_drop(struct overrides *o)
{
    if (!o || --o->references)
        return;
    free(o->first);
    free(o->state);
    free(o->withdrawn);
    free(o);
}

enum evidence_operator overrides_member(const struct overrides *o, unsigned service, unsigned place)
{
    return o && o->state ? (enum evidence_operator)o->state[o->first[service] + place] : OPERATOR_AUTO;
}

bool overrides_is_withdrawn(const struct overrides *o, const struct config_address *address)
{
    for (unsigned i = 0; o && i < o->withdrawn_count; i++)
        if (config_address_equal(&o->withdrawn[i], address))
            return true;
    return false;
}

bool overrides_is_emptied(const struct overrides *o, const struct config_member *member)
{
    if (!o || o->withdrawn_count == 0 || member->address_count == 0)
        return false;
    for (unsigned i = 0; i < member->address_count; i++)
        if (!overrides_is_withdrawn(o, &member->addresses[i]))
            return false;
    return true;
}
