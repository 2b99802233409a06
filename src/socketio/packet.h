/*
 * socketio/packet.h -- Socket.IO 5 packets: text in, slices out.
 *
 *      <type>[<n>-][/<namespace>,][<ack id>][json]
 *      5      1-   /custom,       12        ["name",{"_placeholder":true,"num":0}]
 *
 * What the official parser refuses is refused, and nothing passes that JSON.parse would not take. Pure; no malloc.
 * Used by: socketio/client.c, fuzz/.
 */
#ifndef SOCKETIO_PACKET_H
#define SOCKETIO_PACKET_H

#include "base/str.h"

enum sio_type {
	SIO_CONNECT,
	SIO_DISCONNECT,
	SIO_EVENT,
	SIO_ACK,
	SIO_CONNECT_ERROR,
	SIO_BINARY_EVENT,
	SIO_BINARY_ACK,
};

#define SIO_ACK_ID_MAX UINT64_C(9007199254740991) /* the largest that JavaScript counts to */

struct sio_packet {
	enum sio_type type;
	uint32_t attachments; /* announced: 1 to SIO_ATTACHMENTS_MAX with the binary types, else 0 */
	struct str space; /* "/" if none was given */
	bool has_id;
	uint64_t id;
	struct str name; /* of an event: decoded, or a number's text */
	struct str
		json; /* CONNECT: an object, or empty. Events and acks: an array, of an event's arguments without its name */
};

/*
 * Decode the text of a packet. It is writable and valid UTF-8; an event's is changed (the name is decoded where it stands,
 * and a '[' put before the arguments). Slices lie in it, but for "/" and "[]". NULL, or what is wrong with it: a constant.
 * O(text).
 */
__attribute__((warn_unused_result)) const char *sio_packet_decode(
	char *text, size_t bytes, struct sio_packet *ret);

/*
 * Every {"_placeholder":true,...} in valid JSON names one of `attachments` by an integer `num`. O(json).
 */
__attribute__((warn_unused_result)) bool sio_placeholders_valid(struct str json, uint32_t attachments);

/* A name that no event of an application may have. */
bool sio_event_reserved(struct str name);

#endif
