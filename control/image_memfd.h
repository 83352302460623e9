// SPDX-License-Identifier: Apache-2.0
// An image as a sealed memfd, the form in which it goes to the data plane. Any thread.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Copies the image into a memfd and seals it against writing, shrinking and growing. The descriptor, which the caller
// closes, or a negative errno.
int image_memfd_make(const void *image, size_t len);

#ifdef __cplusplus
}
#endif
