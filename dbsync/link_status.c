// SPDX-License-Identifier: Apache-2.0
#include "dbsync/link_private.h"

void link_get_status(const struct link *l, struct link_status *s)
{
    *s = (struct link_status){.is_connected = l->is_connected,
                              .is_met = l->is_met,
                              .may_send = l->may_send,
                              .may_apply = l->may_apply,
                              .sending = l->send.state,
                              .receiving = l->recv.state,
                              .out_number = l->send.state >= LINK_OUT_SENDING ? l->send.batch.number : 0,
                              .out_at = l->send.at,
                              .out_bytes = l->send.batch.bytes,
                              .out_rows = l->send.batch.rows,
                              .in_number = l->recv.state != LINK_IN_IDLE ? l->recv.number : 0,
                              .in_at = l->recv.at,
                              .in_bytes = l->recv.bytes,
                              .in_rows = l->recv.rows,
                              .acked = l->send.acked,
                              .applied = l->recv.applied,
                              .waits_for_credit = l->send.is_stalled,
                              .skew_us = l->skew_us,
                              .round_trip_us = l->round_trip_us,
                              .peer_behind_us = l->peer_behind_us,
                              .heard_us = l->heard_us,
                              .peer_clock = l->peer_clock,
                              .peer_wall_us = l->peer_wall_us,
                              .peer_incarnation = l->peer_incarnation};
}

const struct link_counters *link_counted(const struct link *l)
{
    return &l->count;
}
