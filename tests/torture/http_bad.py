#!/usr/bin/python3
"""Bad HTTP against a running server, in numbered cases: what each gets, that nobody else notices, and that memory and
descriptors come back. ws_bad.py goes on with the numbers."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Server, note, run, wait_until  # noqa: E402
from wire import PATH, Ended, Http, Person, Poller  # noqa: E402

GET = b"GET /nothing HTTP/1.1\r\nHost: t\r\n"
POST = f"POST {PATH}polling&sid=@SID@ HTTP/1.1\r\nHost: t\r\n".encode()  # a body is let come for a session only
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HEAD_S = 10  # a head takes no longer, nor a body below the least rate
EARLY_S, LATE_S = 1, 2  # tolerances

# number and what, bytes, statuses. Each ends the connection.
CLOSING = [
    ("1 Content-Length with Transfer-Encoding", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("2 two differing lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400}),
    *[(f"3 length {length!r}", POST + f"Content-Length: {length}\r\n\r\nhello".encode(), {400})
      for length in ("+5", "0x5", "18446744073709551616", "18446744073709551621", "-1", "5 5", "5,6", "", "5a")],
    *[(f"4 coding {coding!r}", POST + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n".encode(), {400, 501})
      for coding in ("xchunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked, gzip", "identity", "")],
    ("5 a chunk size of 17 digits", CHUNKED + b"10000000000000001\r\n", {400, 413}),  # too large before it is too long
    ("5 a chunk size with a sign", CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", {400}),
    ("5 a chunk extension of 4 KB", CHUNKED + b"5;" + b"x" * 4096, {400}),
    ("5 bare LF after a chunk size", CHUNKED + b"5\nhello\r\n0\r\n\r\n", {400}),
    ("5 no line end after a chunk", CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n", {400}),
    ("6 a blank before the colon", GET + b"Name : value\r\n\r\n", {400}),
    ("7 a folded header", GET + b"Name: value\r\n more\r\n\r\n", {400}),
    ("8 NUL in a header", GET + b"Name: va\0lue\r\n\r\n", {400}),
    ("8 bare CR in a header", GET + b"Name: va\rlue\r\n\r\n", {400}),
    ("9 no Host", b"GET / HTTP/1.1\r\n\r\n", {400}),
    ("9 two Hosts", GET + b"Host: u\r\n\r\n", {400}),
    ("10 a target over 8 KB", b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\nHost: t\r\n\r\n", {414}),
    ("11 over 100 headers", GET + b"".join(b"N%d: v\r\n" % n for n in range(101)) + b"\r\n", {431}),
    ("11 over 16 KB of headers", GET + b"Name: " + b"x" * 16400 + b"\r\n\r\n", {431}),
    ("11 a head without an end", GET + b"Name: " + b"x" * 70000, {431}),
    ("12 HTTP/0.9", b"GET /\r\n", {400, 505}),
    ("12 HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    ("12 HTTP/1.2 to come", b"GET / HTTP/3.7\r\nHost: t\r\n\r\n", {400, 505}),
    ("12 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {400}),
    ("13 CONNECT", b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", {400, 405}),
    ("16 10 GB announced and expected", POST + b"Content-Length: 10737418240\r\nExpect: 100-continue\r\n\r\n", {413, 417}),
]
# These may leave the connection open.
OTHERS = [
    ("13 TRACE", b"TRACE / HTTP/1.1\r\nHost: t\r\n\r\n", {405}),
    *[(f"14 target {target}", f"GET {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode("latin-1"), {400, 404})
      for target in ("/a%00b", "/..%2f..%2fetc/passwd", "/%c0%ae%c0%ae/", "/..\\..\\etc", "/../../etc/passwd", "/%", "/%zz")],
]

server = Server()
neighbour = Person(server.port)


def live(data):
    """With the id of a new session where one is named."""
    if b"@SID@" not in data:
        return data
    with Http(server.port) as http:
        return data.replace(b"@SID@", Poller(http, join=False).opened["sid"].encode())


def harmless(body):
    """Around a case: the neighbour is served, and descriptors come back."""
    before = server.descriptors()
    body()
    assert neighbour.call("echo", "still here") == ["still here"]
    wait_until(lambda: server.descriptors() == before, "descriptors to come back")


def refused(data, statuses, closes):
    with Http(server.port) as http:
        try:
            http.write(live(data))
            answer = http.answer()
        except (Ended, ConnectionError) as end:
            raise AssertionError(f"ended without an answer, wanted {statuses}: {end!r}") from None
        assert answer.status in statuses, f"{answer.status}, wanted {statuses}"
        if closes:
            assert http.at_end(), "the connection stays"


def byte_by_byte(data, statuses):
    """The same in single bytes gets the same."""
    data = live(data)
    with Http(server.port) as http:
        try:
            for at in range(len(data)):
                http.write(data[at:at + 1])
        except ConnectionError:
            pass  # refused before its end
        try:
            status = http.answer().status
        except (Ended, ConnectionError):
            return  # what it sent after the refusal may have reset the connection, and with it the answer
        assert status in statuses, f"{status}, wanted {statuses}"


def all_byte_by_byte():
    for _, data, statuses in CLOSING + OTHERS:
        if len(data) < 1000:
            byte_by_byte(data, statuses)


def pipelined():
    """15: each on its own, in order; a bad one ends it, and what was behind is not served."""
    good = f"GET {PATH}polling HTTP/1.1\r\nHost: t\r\n\r\n".encode()
    sessions = neighbour.call("stats")[0]["sessions"]
    with Http(server.port) as http:
        http.write(good + GET + b"\r\n" + good + GET + b"Name : bad\r\n\r\n" + good * 3)
        statuses = [http.answer().status for _ in range(4)]
        assert statuses == [200, 404, 200, 400], statuses
        assert http.at_end(), "the connection stays"
    assert neighbour.call("stats")[0]["sessions"] == sessions + 2, "what followed a bad request was served"


def hidden_in_a_body():
    """15: what is in a body is no request."""
    sessions = neighbour.call("stats")[0]["sessions"]
    inner = f"GET {PATH}polling HTTP/1.1\r\nHost: t\r\n\r\n".encode()
    with Http(server.port) as http:
        answer = http.ask("POST", PATH + "polling&sid=AAAAAAAAAAAAAAAAAAAA", inner)
        assert answer.status == 400 and b'"code":1' in answer.body, answer.body
        assert http.ask("GET", "/nothing").status == 404, "the connection is out of step"
    assert neighbour.call("stats")[0]["sessions"] == sessions, "a body was served as a request"


def huge_announcements():
    """16: nothing is allocated for what is only announced."""
    before = server.rss_bytes()
    for _ in range(200):
        refused(POST + b"Content-Length: 10737418240\r\nExpect: 100-continue\r\n\r\n", {413, 417}, True)
    grown = server.rss_bytes() - before
    note(f"200 announcements of 10 GB: {grown >> 10} KiB more")
    assert SLOWER > 1 or grown < 1 << 20, "memory for what was only announced"


def trickle(http, first, byte, every_s, result):
    """Sends a byte so often until there is an answer; its status, and when it came."""
    began = time.monotonic()
    http.write(live(first))
    http.socket.settimeout(every_s)
    while True:
        try:
            result.append((http.answer().status, time.monotonic() - began))
            return
        except TimeoutError:
            http.write(byte)
        except (Ended, ConnectionError) as end:
            result.append((repr(end), time.monotonic() - began))
            return


def too_slow():
    """17, 18: a head, and bodies of both kinds, at a byte a second."""
    cases = [
        ("17 a head", b"GET / HTTP/1.1\r\nHost: t\r\nName: ", b"x"),
        ("18 a body of known length", POST + b"Content-Length: 1000\r\n\r\n", b"x"),
        ("18 a chunked body", CHUNKED + b"3e8\r\n", b"x"),
    ]
    threads, results = [], []
    for _, first, byte in cases:
        results.append([])
        args = (Http(server.port), first, byte, 1, results[-1])
        threads.append(threading.Thread(target=trickle, args=args, daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join((HEAD_S + LATE_S) * SLOWER + 5)
    for (name, _, _), result in zip(cases, results):
        [(status, seconds)] = result or [("no answer", 0)]
        note(f"{name}: {status} after {seconds:.2f} s")
        assert status == 408, f"{name}: {status}"
        assert HEAD_S - EARLY_S <= seconds <= HEAD_S + LATE_S * SLOWER, f"{name}: after {seconds:.2f} s"


def half_closed():
    """19"""
    with Http(server.port) as http:
        http.write(f"GET {PATH}polling HTTP/1.1\r\nHost: t\r\n\r\n".encode() + GET + b"\r\n")
        http.end_output()
        assert [http.answer().status, http.answer().status] == [200, 404]
        assert http.at_end(), "the connection stays"


def many_ranges():
    """21"""
    with Http(server.port) as http:
        there = http.ask("GET", "/socket.io/socket.io.js").status == 200  # a build may be without it
        ranges = ",".join(f"{n}-{n}" for n in range(0, 2000, 2))
        answer = http.ask("GET", "/socket.io/socket.io.js", headers=f"Range: bytes={ranges}\r\n")
        assert answer.status in ((200, 416) if there else (404,)), answer.status
        assert len(answer.body) < 1 << 20, f"{len(answer.body)} bytes"


def finish():
    assert server.alive()
    neighbour.close()
    server.stop()


run([(name, lambda data=data, statuses=statuses, closes=closes: harmless(lambda: refused(data, statuses, closes)))
     for cases, closes in ((CLOSING, True), (OTHERS, False)) for name, data, statuses in cases] + [
    ("1 to 16 in single bytes", lambda: harmless(all_byte_by_byte)),
    ("15 pipelined", lambda: harmless(pipelined)),
    ("15 hidden in a body", lambda: harmless(hidden_in_a_body)),
    ("16 many announcements", lambda: harmless(huge_announcements)),
    ("17, 18 at a byte a second", lambda: harmless(too_slow)),
    ("19 half-closed", lambda: harmless(half_closed)),
    ("21 a thousand ranges", lambda: harmless(many_ranges)),
    ("the server ends when told, without complaints", finish),
])
