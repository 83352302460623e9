// SPDX-License-Identifier: Apache-2.0
#include "health/balancer_copy.h"

#include <stdlib.h>
#include <string.h>

static bool copy_texts(struct balancer_copy *c, const struct balancer_spec *spec)
{
    const char *const from[] = {spec->status_path, spec->up_value, spec->servers_up_path, spec->load_path,
                                spec->weight_path};
    for (unsigned i = 0; i < sizeof from / sizeof *from; i++) {
        c->text[i] = strdup(from[i] ? from[i] : "");
        if (!c->text[i])
            return false;
    }
    c->backend = calloc(spec->backend_count + 1, sizeof *c->backend);
    for (unsigned i = 0; c->backend && i < spec->backend_count; i++) {
        c->backend[i] = strdup(spec->backends[i]);
        if (!c->backend[i])
            return false;
    }
    return c->backend != NULL;
}

struct balancer_copy *balancer_copy_new(const struct balancer_spec *spec)
{
    struct balancer_copy *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->spec = (struct balancer_spec){.type = spec->type,
                                     .backend_count = spec->backend_count,
                                     .need = spec->need,
                                     .sessions_max = spec->sessions_max};
    if (!copy_texts(c, spec)) {
        balancer_copy_free(c);
        return NULL;
    }
    c->spec.backends = (const char *const *)c->backend;
    c->spec.status_path = c->text[0];
    c->spec.up_value = c->text[1];
    c->spec.servers_up_path = c->text[2];
    c->spec.load_path = c->text[3];
    c->spec.weight_path = c->text[4];
    return c;
}

void balancer_copy_free(struct balancer_copy *c)
{
    if (!c)
        return;
    for (unsigned i = 0; c->backend && i < c->spec.backend_count; i++)
        free(c->backend[i]);
    free(c->backend);
    for (unsigned i = 0; i < sizeof c->text / sizeof *c->text; i++)
        free(c->text[i]);
    free(c);
}
