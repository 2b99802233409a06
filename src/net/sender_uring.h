/*
 * net/sender_uring.h -- the io_uring sender, for the table of senders alone.
 */
#ifndef NET_SENDER_URING_H
#define NET_SENDER_URING_H

#include "net/sender.h"

extern const struct net_sender_ops net_sender_uring;

#endif
