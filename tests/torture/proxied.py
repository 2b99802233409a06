#!/usr/bin/python3
"""Polls as proxies and browsers send them: over whichever connection is free, and connections that end when it suits.

What a client has read comes once, whatever becomes of the connection afterwards; and nobody waits for a late ACK.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Server, note, run, scale, wait_until  # noqa: E402
from wire import Http, Numbered, Poller  # noqa: E402

ROUNDS = scale("ROUNDS", 100, 1000)
TURNS = 100  # of polling on two connections by turns
TURNS_OF_A_PROXY = 2
ENDS = 20
TURN_S_MAX = 0.015  # on average: a delayed ACK takes 40 ms


class Session(Numbered):
    """Chooses a connection for each request."""

    def say(self, http):
        answer = http.ask("POST", self.target, self.words())
        assert (answer.status, answer.body) == (200, b"ok"), f"{answer.status} {answer.body[:100]}"

    def hear(self, http):
        answer = http.ask("GET", self.target)
        assert answer.status == 200, f"{answer.status} {answer.body[:100]}"
        self.take(answer.body)

    def hear_all(self, http):
        while self.heard < self.said:
            self.hear(http)


def by_turns():
    """A browser has several connections to a server, and takes any."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as first, Http(server.port) as second, Http(server.port) as third:
        session = Session(third)
        began = time.monotonic()
        for turn in range(TURNS):
            session.say(third)
            session.hear((first, second)[turn % 2])
            assert session.heard == session.said
        took = time.monotonic() - began
        note(f"{took / TURNS * 1e3:.2f} ms a turn")
        assert took < TURNS * TURN_S_MAX * SLOWER
    server.stop()


def shared_and_reset():
    """A connection that has carried several sessions is a proxy's, which resets it as soon as it has the answer."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as other:
        session, neighbour = Session(other), Session(other)
        for turn in range(ROUNDS):
            session.say(other)
            neighbour.say(other)
            with Http(server.port) as shared:
                for _ in range(TURNS_OF_A_PROXY):
                    session.hear(shared)
                    session.say(other)
                    neighbour.hear(shared)
                    neighbour.say(other)
                session.hear(shared)
                shared.reset()
            neighbour.hear_all(other)
            session.say(other)
            with Http(server.port) as alone:
                session.hear_all(alone)
    server.stop()


def reconnected_and_reset():
    """One client's connection, kept alive over a reconnect: what a reset cuts short comes again."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as other:
        for turn in range(ROUNDS // 10):
            with Http(server.port) as kept:
                Session(kept)
                session = Session(kept)
                session.say(other)
                kept.send("GET", session.target)
                kept.read(1 + turn)
                kept.reset()
            with Http(server.port) as alone:
                session.hear_all(alone)
    server.stop()


def told_its_end(server, other):
    """A session whose end is told by a first poll, of which it is not known whether it arrived, while a second one waits
    for that. True: the second was let go. False: this time the case did not come about.

    The first answer lies behind files of which the client's window takes little. The second poll comes from another
    address, so it is not taken for proof that the first has arrived.
    """
    session = Poller(other, join=False)
    with Http(server.port, receive_bytes=2048) as first, Http(server.port, source="127.0.0.2") as second:
        for _ in range(2):
            first.send("GET", "/socket.io/socket.io.js", headers="Accept-Encoding: identity\r\n")
        first.send("GET", session.target)
        session.post(other, '42["early"]')  # in no namespace: the session is closed
        second.send("GET", session.target)
        told = [first.answer() for _ in range(3)][2]
        answer = second.answer()
    return [(told.status, told.body), (answer.status, answer.body)] == [(200, b"1"), (200, b"1")]


def released_when_told():
    """Whoever waits for the verdict on a poll that told the end is answered when that has arrived."""
    server = Server(PING_INTERVAL=600000, SIO_THREADS=1)
    with Http(server.port) as other:
        Poller(other)
        there = server.descriptors()
        came_about = sum(told_its_end(server, other) for _ in range(ENDS))
        note(f"{came_about} of {ENDS} times the second poll had to wait")
        assert came_about > 0
        wait_until(lambda: server.descriptors() <= there, "the descriptors")
    server.stop()


def fresh_and_reset():
    """A proxy's new connection, reset after its first answer; the next poll comes on one that others use, too."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as other, Http(server.port) as mixed:
        session, neighbour = Session(other), Session(other)
        for turn in range(ROUNDS):
            session.say(other)
            with Http(server.port) as fresh:
                session.hear(fresh)
                fresh.reset()
            session.say(other)
            neighbour.say(mixed)
            session.hear_all(mixed)
        neighbour.hear_all(other)
    server.stop()


def alone_and_reset():
    """Nobody but this session uses these connections: a reset means that the answer was not taken, and it comes again."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as other:
        session = Session(other)
        for turn in range(ROUNDS):
            session.say(other)
            with Http(server.port) as fresh:
                fresh.send("GET", session.target)
                fresh.read(1 + turn % 100)
                fresh.reset()
            with Http(server.port) as alone:
                session.hear_all(alone)
    server.stop()


run([
    ("two connections by turns, without a wait", by_turns),
    ("a shared connection, reset after a whole answer: nothing twice", shared_and_reset),
    ("a connection kept over a reconnect, reset within an answer: nothing lost", reconnected_and_reset),
    ("a second poll of a session that was told its end is answered", released_when_told),
    ("a fresh connection, reset after a whole answer, and mixed polls: nothing twice", fresh_and_reset),
    ("a connection of its own, reset within an answer: nothing lost", alone_and_reset),
])
