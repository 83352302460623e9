// SPDX-License-Identifier: Apache-2.0
// A thread that validates zone images, so that a million names do not delay the next site-order image.
//
// One job at a time. The manager thread is the only caller of everything here.
#pragma once

#include <stdbool.h>

#include "dataplane/image_map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct image_checker;

// `event_fd` (an eventfd, borrowed) is written when a job is done. Null with errno.
struct image_checker *image_checker_new(int event_fd);

// Waits for the job under way, drops its image and ends the thread. Null is legal.
void image_checker_free(struct image_checker *checker);

// Takes over the reference to `map`. False, and nothing taken, while a job is under way or its result uncollected.
bool image_checker_submit(struct image_checker *checker, struct image_map *map);

// The finished job's image (its reference goes to the caller), image_map_check's result in *rc and reason in `why`;
// null when no job is finished.
struct image_map *image_checker_result(struct image_checker *checker, int *rc, char why[IMAGE_TEXT_CAP]);

#ifdef __cplusplus
}
#endif
