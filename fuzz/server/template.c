/*
 * fuzz/server/template.c -- requests and packets that make sense, or nearly: see fuzz/server/raw.h.
 *
 *	$H further headers      $U those of an upgrade     $L the body's bytes   $B the body   $C the body in chunks
 *	$S a session's id       $I a socket's id           $P a private id       $O a place    $N a number  $X a long text
 */
#include <stdio.h>
#include <string.h>

#include "server/raw.h"

#define SIO "/socket.io/?EIO=4&transport="
#define EIO "/eio/?EIO=4&transport="
#define V   " HTTP/1.1\r\nHost: sim\r\n$H"

static const char *const requests[] = {
	"GET " SIO "polling" V "\r\n",
	"GET " SIO "polling&sid=$S" V "\r\n",
	"POST " SIO "polling&sid=$S" V "Content-Length: $L\r\n\r\n$B",
	"GET " SIO "websocket" V "$U\r\n",
	"GET " SIO "websocket&sid=$S" V "$U\r\n",
	"GET " EIO "polling" V "\r\n",
	"GET " EIO "polling&sid=$S" V "\r\n",
	"POST " EIO "polling&sid=$S" V "Content-Length: $L\r\n\r\n$B",
	"GET " EIO "websocket" V "$U\r\n",
	"GET " EIO "websocket&sid=$S" V "$U\r\n",
	"GET /ws" V "$U\r\n",
	"POST " SIO "polling&sid=$S" V "Transfer-Encoding: chunked\r\n\r\n$C",
	"POST /http" V "Content-Length: $L\r\n\r\n$B",
	"POST /http?later" V "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n$C",
	"GET /http?later&bad" V "\r\n",
	"GET /asset" V "\r\n",
	"HEAD /asset" V "If-None-Match: \"0\", W/\"1\"\r\n\r\n",
	"OPTIONS " SIO "polling" V
	"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: X-A\r\n\r\n",
	"OPTIONS " EIO "polling&sid=$S" V "Access-Control-Request-Method: POST\r\n\r\n",
	"GET " SIO "polling&j=%41$N" V "\r\n",
	"GET " SIO "polling&no=1" V "\r\n",
	"GET " SIO "websocket&no=1" V "$U\r\n",
	"GET /socket.io/?EIO=3&transport=polling" V "\r\n",
	"GET /socket.io/?EIO=3&transport=websocket" V "$U\r\n",
	"GET /socket.io/?EIO=4&transport=foo&sid=$S" V "\r\n",
	"GET " SIO "polling&sid=AAAAAAAAAAAAAAAAAAAA" V "\r\n",
	"PUT " SIO "polling&sid=$S" V "Content-Length: $L\r\n\r\n$B",
	"DELETE " SIO "polling" V "\r\n",
	"GET " SIO "polling&sid=$S" V "\r\nGET " SIO "polling&sid=$S" V "\r\n",
	"POST " SIO "polling&sid=$S" V "Content-Length: $L\r\n\r\n$BGET " SIO "polling&sid=$S" V "\r\n",
	"POST " SIO "polling&sid=$S HTTP/1.0\r\nHost: sim\r\nContent-Length: $L\r\n\r\n$B",
	"POST " SIO "polling&sid=$S" V "Content-Length: 99999999999\r\n\r\n$B",
	"POST " SIO "polling&sid=$S" V "Content-Length: $L\r\nTransfer-Encoding: chunked\r\n\r\n$B",
	"GET /socket.io/socket.io.js" V "\r\n",
	"GET /none" V "X: $X\r\n\r\n",
	"GET /ws" V "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
	"POST /ws" V "$UContent-Length: 3\r\n\r\nabc",
	"TRACE / HTTP/1.1\r\nHost: sim\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET http://sim/asset HTTP/1.1\r\nHost: sim\r\nAccept-Encoding: br;q=0.5, gzip;q=0.25, identity;q=0, "
	"*;q=x\r\n\r\n",
	"GET http://[::1]:3000/%61sset HTTP/1.1\r\nHost: [::1]:3000\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: sim\r\n\r\n",
	"PUT /asset" V "Content-Length: 0\r\n\r\n",
	"POST /http" V "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Trailer: $X\r\n\r\n",
	"POST /http" V "Transfer-Encoding: chunked\r\n\r\n3$N;$X\r\nabc\r\n",
	"POST /all/of%20it?a=%zz&b=%41+$N" V "Content-Length: $L\r\n\r\n$B",
	"GET /%2e%2e/%5c%00" V "\r\n",
	"GET /a%2fb/%c0%ae" V "\r\n",
	"GET /../a\\b" V "\r\n",
	"GET " SIO "poll%69ng&EIO=4&a=%zz&sid=$S" V "\r\n",
	"GET /asset HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\nGET /asset HTTP/1.0\r\n\r\n",
	"GET /http HTTP/1.1\r\nHost: sim\r\nX: a\r\n b\r\n\r\n",
	"GET /asset\r\n\r\n",
	"POST /http HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n",
	"POST /http" V "Transfer-Encoding: gzip, chunked\r\nExpect: more\r\n\r\n",
	"POST /http" V "Content-Length: +$N\r\n\r\n",
	"GET /asset HTTP/1.1\r\n\r\n",
	"GET /ws" V "Upgrade: websocket\r\nConnection: keep-alive , upgrade\r\nSec-WebSocket-Version: "
	"13\r\nSec-WebSocket-Key: short\r\n\r\n",
	"GET /ws" V "\r\n",
	"GET " EIO "polling&no=1" V "\r\n",
	"GET /ws?no=1" V "$U\r\n",
	"POST " SIO "polling&sid=$S" V
	"Content-Type: application/octet-stream\r\nContent-Length: $L\r\n\r\n$B",
};

static const char *const packets[] = {
	"40",
	"42[\"echo\",$N]",
	"42$N[\"echo\",\"a\"]",
	"42[\"say\",\"r$N\",\"$X\"]",
	"3",
	"2probe",
	"5",
	"1",
	"40{\"pid\":\"$P\",\"offset\":\"$O\"}",
	"40/two,{\"pid\":\"$P\",\"offset\":\"$O\"}",
	"40/two,",
	"40/d$N,",
	"41",
	"41/two,",
	"451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1e"
	"bAQID",
	"452-$N[\"cry\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]\x1e"
	"bAA==\x1e"
	"bAQI=",
	"451-/two,[\"cry\",{\"a\":{\"_placeholder\":true,\"num\":0}}]\x1e"
	"bAQID",
	"43$N[\"yes\"]",
	"43/two,$N[]",
	"461-$N[{\"_placeholder\":true,\"num\":0}]\x1e"
	"bAQID",
	"42$N[\"later\"]",
	"42[\"join\",\"r$N\"]",
	"42[\"leave\",\"r$N\"]",
	"42[\"kick\"]",
	"42[\"kick\",$N]",
	"42[\"word\",\"\\u00e9\\n$N\"]",
	"42[\"ask\"]",
	"42[\"with\",$N]\x1e"
	"42[\"ask\"]",
	"42[\"each\",\"r$N\"]",
	"42[\"data\",\"me\"]",
	"42[\"expiry\"]",
	"42[\"handshake\"]",
	"42[\"cry\",\"$X\"]",
	"42/two,[\"cry\",\"$X\"]",
	"42/two,$N[\"other\"]",
	"42/two,[\"drop\"]",
	"42/d$N,[\"cry\"]",
	"40{\"l\":1}",
	"40{\"r\":1}",
	"40{\"x\":1}",
	"40/two,{\"l\":\"$X\"}",
	"40/d$N,{\"n\":1}",
	"42[\"say\",\"$I\",1]",
	"42[\"say\",\"r0\",\"$P\",\"$O\"]",
	"6",
	"2",
	"4",
	"b!",
	"bAQID",
	"7",
	"42[\"connect\"]",
	"42[]",
	"42[1]",
	"42[\"e\\u0063ho\",1]",
	"40[]",
	"43",
	"4399999999999999999999[]",
	"42/$X,[\"echo\"]",
	"49",
	"42{\"a\":1}",
	"42[\"echo\"",
	"459999-[\"echo\"]",
	"451-[\"echo\",{\"_placeholder\":true,\"num\":9}]\x1e"
	"bAQID",
	"451-[\"echo\",{\"_placeholder\":true,\"num\":0}]",
	"44{\"message\":\"no\"}",
	"4close",
	"4closeid",
	"4all of you",
	"4volatile",
	"4id",
	"4$X",
	"bAQIDBAUG\x1e"
	"bAQIDBAUG\x1e"
	"4$X",
	"42[\"echo\",\"$X\"]\x1e"
	"42[\"echo\",\"$X\"]\x1e"
	"42[\"echo\",\"$X\"]\x1e"
	"42[\"echo\",\"$X\"]",
	"42[\"cry\"]\x1e"
	"42[\"cry\"]\x1e"
	"42[\"cry\"]\x1e"
	"42[\"ask\"]\x1e"
	"42[\"kick\"]\x1e"
	"42[\"say\"]",
	"40/none,",
};

enum {
	REQUESTS = sizeof(requests) / sizeof(requests[0]),
	PACKETS = sizeof(packets) / sizeof(packets[0]),
	LONG_BYTES_STEP = 48,
};

static void add_headers(struct bytes *out, uint8_t which)
{
	if (which & 1)
		bytes_add_text(out, "Accept-Encoding: gzip, deflate\r\n");
	if (which & 2)
		bytes_add_text(out, "Origin: http://a.test\r\n");
	if (which & 4)
		bytes_add_text(out, "Connection: close\r\n");
	if (which & 8)
		bytes_add_text(out, "Cookie: a=b\r\nSec-WebSocket-Protocol: x, one\r\n");
}

static void add_number(struct bytes *out, unsigned long long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", n);
	bytes_add_text(out, text);
}

/* In two chunks, if there is enough of it. */
static void add_chunked(struct bytes *out, const struct bytes *body)
{
	size_t half = body->count / 2, pieces[2] = { half, body->count - half }, at = 0;
	char size[24];

	for (int i = 0; i < 2; at += pieces[i++]) {
		if (pieces[i] == 0)
			continue;
		snprintf(size, sizeof(size), "%zx\r\n", pieces[i]);
		bytes_add_text(out, size);
		bytes_add(out, body->data + at, pieces[i]);
		bytes_add_text(out, "\r\n");
	}
	bytes_add_text(out, "0\r\n\r\n");
}

static void add_session(struct bytes *out, const struct filling *f)
{
	bool own = f->index == 0 && f->raw->session[0] != '\0';

	bytes_add_text(out, own ? f->raw->session : raw_id(RAW_SESSION, f->index));
}

static void add_field(struct bytes *out, char field, const struct filling *f)
{
	switch (field) {
	case 'H':
		add_headers(out, f->headers);
		break;
	case 'U':
		bytes_add_text(out,
			"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
		break;
	case 'L':
		add_number(out, f->body == NULL ? 0 : f->body->count);
		break;
	case 'B':
		if (f->body != NULL)
			bytes_add(out, f->body->data, f->body->count);
		break;
	case 'C':
		if (f->body != NULL)
			add_chunked(out, f->body);
		break;
	case 'S':
		add_session(out, f);
		break;
	case 'I':
		bytes_add_text(out, raw_id(RAW_SID, f->index));
		break;
	case 'P':
		bytes_add_text(out, raw_id(RAW_PID, f->index));
		break;
	case 'O':
		bytes_add_text(out, raw_id(RAW_OFFSET, f->index));
		break;
	case 'N':
		add_number(out, f->number & 15);
		break;
	default:
		for (uint32_t i = 0; i < (uint32_t)f->number * LONG_BYTES_STEP; i++)
			bytes_add(out, "x", 1);
	}
}

static void fill(struct bytes *out, const char *text, const struct filling *f)
{
	for (; *text != '\0'; text++) {
		if (*text == '$')
			add_field(out, *++text, f);
		else
			bytes_add(out, text, 1);
	}
}

bool template_has_body(uint8_t n)
{
	const char *text = requests[n % REQUESTS];

	return strstr(text, "$B") != NULL || strstr(text, "$C") != NULL;
}

void template_request(struct bytes *out, uint8_t n, const struct filling *f)
{
	fill(out, requests[n % REQUESTS], f);
}

void template_packets(struct bytes *out, uint8_t n, const struct filling *f)
{
	fill(out, packets[n % PACKETS], f);
}
