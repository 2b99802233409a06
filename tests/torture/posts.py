#!/usr/bin/python3
"""POSTs that hold more than a turn's worth: what becomes of the rest when the client polls slowly, goes, upgrades or ends."""

import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Server, run, wait_until  # noqa: E402
from wire import SEPARATOR, TEXT, Http, Numbered, Person, Poller, WebSocket  # noqa: E402

WORDS = 20000  # answers of more weight than a queue may have; the body has some 50 turns even so
UNHEARD = (SEPARATOR + '42["unheard"]').encode() * 1000  # some turns of events that nobody handles
PING_MS = 300 * SLOWER
BEATS = 8 if SLOWER == 1 else 4  # more than an interval and a timeout
PONG_MS = 600 * SLOWER
UPGRADE_MS = 1500 * SLOWER
FLOOD = (1000, 1024)  # messages, bytes of each: many times what a client that lags has
HELD_S = 0.2 * SLOWER  # all turns together take less


def post(http, session, count):
    """Send, and wait for no answer."""
    http.send("POST", session.target, session.words([""] * count))


def quiet(http, seconds):
    return not select.select([http.socket], [], [], seconds)[0]


def held_back(http):
    assert quiet(http, HELD_S), "nothing was held back"


def expect_ok(http):
    answer = http.answer()
    assert (answer.status, answer.body) == (200, b"ok"), answer


def stats(server):
    watcher = Person(server.port)
    [figures] = watcher.call("stats")
    watcher.close()
    return figures


def take(session, body):
    packets = [packet for packet in body.split(b"\x1e") if packet not in (b"2", b"6")]
    if packets:
        session.take(b"\x1e".join(packets))


def hear(session, http):
    answer = http.ask("GET", session.target)
    assert answer.status == 200, answer
    take(session, answer.body)


def slow_poller():
    """It asks seldom, and its pong has to wait behind the POST: it stays, and misses nothing."""
    server = Server(PING_INTERVAL=PING_MS, PING_TIMEOUT=PING_MS * 2)
    beats = WebSocket(server.port)
    with Http(server.port) as http, Http(server.port) as other:
        session = Numbered(http)
        post(other, session, WORDS)
        for _ in range(BEATS):
            hear(session, http)
            assert beats.hear() == (TEXT, b"2")
            beats.say("3")
        assert session.heard < WORDS
        held_back(other)
        while session.heard < WORDS:
            hear(session, http)
        expect_ok(other)
    beats.close()
    server.stop()


def never_polls():
    """It ends as one that answers no ping, and its POST is answered then."""
    server = Server(PING_INTERVAL=PING_MS, PING_TIMEOUT=PING_MS)
    with Http(server.port) as http:
        session = Numbered(http)
        post(http, session, WORDS)
        expect_ok(http)
        assert http.ask("GET", session.target).status == 400, "it has not ended"
    assert stats(server)["overflows"] == 0
    server.stop()


def goes_away():
    """Its connection ends, in order or not, when all of the POST has been sent: all of it counts."""
    server = Server(PING_INTERVAL=600000)
    watcher = Person(server.port)
    with Http(server.port) as http:
        for reset in (False, True):
            session, other = Numbered(http), Http(server.port)
            post(other, session, WORDS)
            hear(session, http)  # so it has been read whole
            other.reset() if reset else other.close()
            while session.heard < WORDS:
                hear(session, http)
    assert watcher.call("stats")[0]["packets_bad"] == 0
    watcher.close()
    server.stop()


def two_at_once():
    """The second ends the session, and both are answered."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as http, Http(server.port) as other:
        session = Numbered(http)
        post(http, session, WORDS)
        hear(session, other)
        assert other.ask("POST", session.target, b'42["echo"]').status == 400
        expect_ok(http)
        assert other.ask("GET", session.target).status == 400
    server.stop()


def closed_by_the_application():
    """Its POST is answered, and what it posts after that; what it was to hear comes, and it goes."""
    server = Server(PING_INTERVAL=600000)
    watcher = Person(server.port)
    with Http(server.port) as http, Http(server.port) as other:
        session = Numbered(http)
        session.post(http, '42["hold"]', '420["hold"]')
        post(other, session, WORDS)
        held_back(other)
        watcher.emit("kick-held")
        expect_ok(other)
        post(other, session, 1)
        expect_ok(other)
        while http.ask("GET", session.target).body != b"1":
            pass
        wait_until(lambda: watcher.call("stats")[0]["sessions"] == 1, "it to have gone")
    watcher.close()
    server.stop()


def stopped():
    """The server ends at once, and the POST is answered."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as http:
        session = Numbered(http)
        post(http, session, WORDS)
        held_back(http)
        began = time.monotonic()
        server.terminate()
        expect_ok(http)
        assert http.at_end()
        http.close()
        server.child.wait(20 * SLOWER)
        assert time.monotonic() - began < SLOWER, "the held POST has delayed it"


def small_ones():
    """What is less than a turn is held back as well."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as http, Http(server.port) as other:
        session = Numbered(http)
        post(other, session, 50)
        while not quiet(other, HELD_S):
            expect_ok(other)
            post(other, session, 50)
        assert stats(server)["overflows"] == 0
        while session.heard < session.said:
            hear(session, http)
        expect_ok(other)
    server.stop()


class Upgrade(WebSocket):
    def __init__(self, server, session):
        Http.__init__(self, server.port)
        self.send("GET", session.target.replace("polling", "websocket"), headers="Upgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        assert self.answer().status == 101
        self.say("2probe")

    def told(self):
        assert self.hear() == (TEXT, b"3probe")

    def says_and_hears(self, session):
        self.say("5")
        self.say(session.words().decode())
        while session.heard < session.said:
            take(session, self.hear()[1])


def upgrades_meanwhile():
    """Its probe is answered when all has been taken, for which it polls; nothing is lost or overtakes."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as http, Http(server.port) as other:
        session = Numbered(http)
        post(other, session, WORDS)
        held_back(other)
        with Upgrade(server, session) as ws:
            assert quiet(ws, HELD_S), "a probe was answered early"
            while session.heard < WORDS and quiet(other, 0):
                hear(session, http)
            expect_ok(other)
            ws.told()
            ws.says_and_hears(session)
    server.stop()


def upgrades_while_it_uploads():
    """Its probe is answered when its body has come, or comes no more, and then it has all of its time to upgrade."""
    server = Server(PING_INTERVAL=600000, UPGRADE_TIMEOUT=UPGRADE_MS)
    for more, ends in ((b"", False), (UNHEARD, False), (b"", True)):
        with Http(server.port) as http, Http(server.port) as other:
            session = Numbered(http)
            body = b"never comes" if ends else session.words([""] * 10) + more
            other.send("POST", session.target, headers=f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n")
            assert other.read_to(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            with Upgrade(server, session) as ws:
                assert quiet(ws, 0.6 * UPGRADE_MS / 1000), "a probe was answered early"
                if ends:
                    other.close()
                else:
                    other.write(body)
                    expect_ok(other)
                ws.told()
                assert quiet(ws, 0.6 * UPGRADE_MS / 1000), "its time was over early"
                ws.says_and_hears(session)
    server.stop()


def its_pong_waits(first, rest):
    """Its pong is held back, before any turn or after some: it has answered, and may poll as late as anybody."""
    server = Server(PING_INTERVAL=PONG_MS, PING_TIMEOUT=PONG_MS, QUEUE_MAX=64 << 20)
    with Http(server.port) as http, Http(server.port) as other:
        session = Poller(http, join=False)
        beats = WebSocket(server.port)  # its first ping comes after the session's
        session.post(http, "40", *first)
        assert beats.hear() == (TEXT, b"2")
        beats.say("3")
        packets = []
        while "2" not in packets:
            packets += session.poll(http)
        other.send("POST", session.target, SEPARATOR.join([*rest, "3"]).encode())
        assert quiet(other, 1.5 * PONG_MS / 1000), "its pong was not held back, or it has ended"
        while sum(packet.startswith('42["flood"') for packet in packets) < FLOOD[0]:
            packets += session.poll(http)
        expect_ok(other)
        beats.close()
    server.stop()


def upgrades_before():
    """Who has heard that its probe is well does not poll: what it posts is taken all the same, and first."""
    server = Server(PING_INTERVAL=600000, UPGRADE_TIMEOUT=600000, QUEUE_MAX=64 << 20)
    for patient in (False, True):
        with Http(server.port) as http, Http(server.port) as other:
            session = Numbered(http)
            with Upgrade(server, session) as ws:
                ws.told()
                post(http, session, WORDS)
                hear(session, other)
                while session.heard == 0:
                    hear(session, other)  # then the POST has been read whole
                if patient:
                    expect_ok(http)
                ws.says_and_hears(session)
                if not patient:
                    expect_ok(http)
    server.stop()


FLOOD_EVENT = f'42["flood",{FLOOD[0]},{FLOOD[1]}]'
SOME_TURNS = UNHEARD.decode().strip(SEPARATOR)
TESTS = (slow_poller, never_polls, goes_away, two_at_once, closed_by_the_application, stopped, small_ones, upgrades_meanwhile,
    upgrades_while_it_uploads, upgrades_before)
run([(body.__name__.replace("_", " "), body) for body in TESTS] + [
    ("its pong is held back alone", lambda: its_pong_waits([FLOOD_EVENT], [])),
    ("its pong is held back after some turns", lambda: its_pong_waits([], [SOME_TURNS, FLOOD_EVENT, SOME_TURNS]))])
