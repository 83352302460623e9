// SPDX-License-Identifier: Apache-2.0
#include "control/doctor.h"

#include <string.h>

void doctor_run(struct doctor *d)
{
    d->findings = json_array();
    memset(d->count, 0, sizeof d->count);
    doctor_check_host(d);
    if (!d->config)
        return;
    doctor_check_ports(d);
    doctor_check_files(d);
}
