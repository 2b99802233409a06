#!/usr/bin/python3
"""Bad WebSocket frames on the Engine.IO path, in numbered cases: what each gets, and that nobody else notices. http_bad.py
has the numbers before these."""

import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Server, note, run, scale, wait_until  # noqa: E402
from wire import BINARY, CLOSE, PING, PONG, TEXT, Person, frame  # noqa: E402

RESETS = scale("RESETS", 2000, 10000)
RESET_GROWTH_MAX = 256 << 10  # bytes of memory, after so many
PINGS = 10000
MESSAGE_MAX = 1000000  # the probe's default
CUT_S = 5  # a peer that does not close
FRAGMENTS = 65536

# number and what, bytes, the code of the close frame.
CASES = [
    ("29 unmasked", frame(TEXT, b"42", mask=None), 1002),
    ("29 an unmasked ping", frame(PING, b"", mask=None), 1002),
    *[(f"30 reserved bits {bits}", frame(TEXT, b"42", rsv=bits), 1002) for bits in (1, 2, 4, 7)],
    *[(f"31 opcode {op}", frame(op, b""), 1002) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    *[(f"32 a control frame of 126 bytes, {op}", frame(op, b"x" * 126), 1002) for op in (CLOSE, PING, PONG)],
    *[(f"32 a control frame in pieces, {op}", frame(op, b"", fin=False), 1002) for op in (CLOSE, PING, PONG)],
    ("33 a close of one byte", frame(CLOSE, b"\x03"), 1002),
    *[(f"33 close code {code}", frame(CLOSE, struct.pack("!H", code)), 1002)
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
    ("33 a close reason that is no UTF-8", frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    *[(f"34 bad UTF-8 {bad.hex()}", frame(TEXT, b"42" + bad), 1007)
      for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")],
    ("34 at the first bad byte", frame(TEXT, b"42\xffx", length=1000), 1007),
    ("34 inside a fragment", frame(TEXT, b"42\xe2\x82", fin=False) + frame(0, b"\xffx", fin=False, length=500), 1007),
    ("35 a length of 16 bits that fits 7", b"\x81\xfe\x00\x05\0\0\0\0hello", 1002),
    ("35 a length of 64 bits that fits 16", b"\x81\xff" + struct.pack("!Q", 300) + b"\0\0\0\0" + b"x" * 300, 1002),
    ("35 a length with its top bit", b"\x81\xff" + struct.pack("!Q", 1 << 63 | 5) + b"\0\0\0\0hello", 1002),
    ("36 a length of 2^63-1", b"\x82\xff" + struct.pack("!Q", (1 << 63) - 1) + b"\0\0\0\0", 1009),
    ("36 a byte over the limit", b"\x82\xff" + struct.pack("!Q", MESSAGE_MAX + 1) + b"\0\0\0\0", 1009),
    ("40 a reserved bit on a continuation", frame(TEXT, b"42", fin=False) + frame(0, b"", rsv=4), 1002),
    ("44 a new text inside a fragmented one", frame(TEXT, b"42", fin=False) + frame(TEXT, b"42"), 1002),
    ("44 a continuation of nothing", frame(0, b"42"), 1002),
]

server = Server()
neighbour = Person(server.port)


def harmless(body):
    """Around a case: the neighbour is served, and descriptors come back."""
    before = server.descriptors()
    body()
    assert neighbour.call("echo", "still here") == ["still here"]
    wait_until(lambda: server.descriptors() == before, "descriptors to come back")


def refused(data, code):
    """As one write, and byte by byte."""
    for step in (len(data), 1):
        with Person(server.port) as person:
            try:
                for at in range(0, len(data), step):
                    person.write(data[at:at + step])
            except ConnectionError:
                pass  # refused before its end
            got = person.close_code()
            assert got == code, f"closed with {got}, wanted {code}, in steps of {step}"
            assert person.at_end(), "the connection stays"


def endless_fragments():
    """37: the limit is one of bytes, or of pieces; what is kept is no more than a message may have."""
    before = server.rss_bytes()
    piece = frame(0, b"x", fin=False)
    with Person(server.port) as person:
        person.write(frame(TEXT, b"42", fin=False))
        try:
            for _ in range(2 * MESSAGE_MAX // 1000):
                person.write(piece * 1000)
        except ConnectionError:
            pass
        code = person.close_code()
        grown = server.rss_bytes() - before
    note(f"endless fragments: closed with {code}, {grown >> 10} KiB more")
    assert code in (1008, 1009, None), code
    assert SLOWER > 1 or grown < 4 * MESSAGE_MAX, "more memory than a message may have"


def many_fragments():
    """37: a legal message of 65,536 pieces passes."""
    text = json.dumps(["echo", "x" * (FRAGMENTS - 10)], separators=(",", ":"))
    data = ("421" + text)[:FRAGMENTS].encode()
    data = data[:-2] + b'"]'
    with Person(server.port) as person:
        pieces = [frame(TEXT if at == 0 else 0, data[at:at + 1], fin=at == FRAGMENTS - 1) for at in range(FRAGMENTS)]
        person.write(b"".join(pieces))
        [answer] = json.loads(person.packet("431"))
        assert len(answer) == FRAGMENTS - len('421["echo",""]'), len(answer)


def too_many_pings():
    """41: the last is answered, then it is enough."""
    with Person(server.port) as person:
        for number in range(500):
            person.write(frame(PING, b"%d" % number))
        while person.hear() != (PONG, b"499"):
            pass
        try:
            for number in range(PINGS // 100):
                person.write(frame(PING, b"again") * 100)
        except ConnectionError:
            pass
        code = person.close_code()
        assert code == 1008, f"closed with {code}"


def data_after_close():
    """42: nobody hears it."""
    with Person(server.port) as person:
        person.write(frame(CLOSE, struct.pack("!H", 1000)) + frame(TEXT, b'42["message","from the grave"]'))
        assert person.close_code() == 1000
        assert person.at_end()
    neighbour.emit("message", "alive")
    assert neighbour.hears("message") == ["alive"], "a message after its sender's close was passed on"


def ping_between_fragments():
    """43: answered at once, and the message comes to its end."""
    with Person(server.port) as person:
        person.write(frame(TEXT, b'421["ec', fin=False) + frame(PING, b"between"))
        while True:
            opcode, payload = person.hear()
            if opcode == PONG:
                assert payload == b"between"
                break
        person.write(frame(0, b'ho",7]'))
        assert person.packet("431") == "[7]"


def never_closes():
    """45: a peer that was told to go, and does not, is cut."""
    before = server.descriptors()
    person = Person(server.port)
    person.emit("kick-close")
    assert person.close_code() is not None
    wait_until(lambda: server.descriptors() == before, "the connection to be cut", CUT_S + 1 * SLOWER)
    person.close()


def resets():
    """47: reset in mid-frame."""
    beginnings = [b"\x81", frame(TEXT, b"42", length=100), b"\x81\xfe\x10", frame(TEXT, b'421["echo"', fin=False),
        frame(BINARY, b"x" * 50, length=90000)]
    size = None
    for number in range(RESETS):
        person = Person(server.port)
        person.write(beginnings[number % len(beginnings)])
        person.reset()
        if number == RESETS // 10:
            wait_until(lambda: neighbour.call("who") == [1], "all to be gone")
            size = server.rss_bytes()
    wait_until(lambda: neighbour.call("who") == [1], "all to be gone")
    grown = server.rss_bytes() - size
    note(f"{RESETS} resets in mid-frame: {grown >> 10} KiB more")
    assert SLOWER > 1 or grown <= RESET_GROWTH_MAX, "memory does not come back"


def finish():
    assert server.alive()
    neighbour.close()
    server.stop()


run([(name, lambda data=data, code=code: harmless(lambda: refused(data, code))) for name, data, code in CASES] + [
    ("37 endless fragments", lambda: harmless(endless_fragments)),
    ("37 a legal message of 65,536 fragments", lambda: harmless(many_fragments)),
    ("41 too many pings", lambda: harmless(too_many_pings)),
    ("42 data after close", lambda: harmless(data_after_close)),
    ("43 a ping between fragments", lambda: harmless(ping_between_fragments)),
    ("45 a peer that never closes", lambda: harmless(never_closes)),
    ("47 resets in mid-frame", lambda: harmless(resets)),
    ("the server ends when told, without complaints", finish),
])
