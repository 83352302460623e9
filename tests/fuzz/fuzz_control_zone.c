// SPDX-License-Identifier: Apache-2.0
// Hostile zone text: it is loaded or refused with a reason, and an image made of it passes the validator.
#include <errno.h>
#include <stdlib.h>

#include "control/zone_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// ldns 1.8.3 loses a few octets of some records that it refuses, such as CERT; the unit tests run without this.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libldns.so\n";
}

static const struct zone_load_limits limits = {
    .file_bytes = 1 << 20, .include_depth = 2, .include_count = 2, .record_count = 10000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_errors errors = {0};
    struct zone_load *load = zone_load_new(&errors, &limits);
    if (!load)
        return 0;
    const int zone = zone_load_text(load, "example.com", "f", (const char *)data, size);
    if ((zone == 0) != (errors.error_count == 0))
        abort();
    if (zone_load_check(load) < 0)
        abort();
    void *image = NULL;
    size_t len = 0;
    char why[IMAGE_TEXT_CAP];
    // Too much for one image is a reason to refuse it; anything that was built is good.
    const int rc = zone_builder_finish(zone_load_builder(load), 1, 1, 1, &image, &len);
    if (rc != 0 && rc != -E2BIG)
        abort();
    if (rc == 0 && zone_image_check(image, len, why) != 0)
        abort();
    free(image);
    zone_load_free(load);
    config_errors_fini(&errors);
    return 0;
}
