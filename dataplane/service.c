// SPDX-License-Identifier: Apache-2.0
#include "dataplane/service.h"

#include <string.h>
#include <time.h>

#include "shared/log.h"
#include "dataplane/notify.h"

void service_block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigprocmask(SIG_BLOCK, signals, NULL); // inherited by every thread; the main thread takes them
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); // there is nothing to reload here
}

void service_run(const sigset_t *signals, bool (*duty)(void *user), void *user)
{
    struct timespec period = {1, 0};
    const uint64_t watchdog_us = notify_watchdog_us();
    if (watchdog_us && watchdog_us / 2 < 1000000) // feed twice per interval
        period = (struct timespec){0, (long)(watchdog_us / 2) * 1000};
    for (;;) {
        const int signal_number = sigtimedwait(signals, NULL, &period);
        if (signal_number > 0) {
            log_notice("ending on %s", strsignal(signal_number));
            return;
        }
        if (duty(user))
            notify_send("WATCHDOG=1");
    }
}
