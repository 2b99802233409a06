/* net/sender_table_uring.c -- the senders of a build with liburing. See net/sender.h. */
#include "net/sender_uring.h"

const struct net_sender_ops *const net_senders[] = { &net_sender_uring, &net_sender_plain, NULL };
