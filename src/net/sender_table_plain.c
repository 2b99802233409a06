/* net/sender_table_plain.c -- the senders of a build without liburing. See net/sender.h. */
#include "net/sender.h"

const struct net_sender_ops *const net_senders[] = { &net_sender_plain, NULL };
