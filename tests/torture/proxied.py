#!/usr/bin/python3
"""Polls as proxies and browsers send them: over whichever connection is free, and connections that end when it suits.

What a client has read comes once, whatever becomes of the connection afterwards; and nobody waits for a late ACK.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Server, note, run, scale, wait_until  # noqa: E402
from wire import Http, Poller  # noqa: E402

ROUNDS = scale("ROUNDS", 100, 1000)
TURNS = 100  # of polling on two connections by turns
TURNS_OF_A_PROXY = 2
TURN_S_MAX = 0.015  # on average: a delayed ACK takes 40 ms


class Session(Poller):
    """Numbers what it says, and expects just that."""

    def __init__(self, http):
        super().__init__(http)
        self.said = self.heard = 0

    def say(self, http, count=1):
        packets = [f'42{self.said + i}["echo",{self.said + i}]' for i in range(count)]
        self.said += count
        self.post(http, *packets)

    def hear(self, http):
        """All of one poll's packets must be the next ones."""
        for packet in self.poll(http):
            number, text = packet[2:].split("[", 1)
            assert packet.startswith("43"), f"got {packet[:80]}"
            assert int(number) == self.heard and json.loads("[" + text)[0] == self.heard, \
                f"got answer {packet[:40]}, {self.heard} is next"
            self.heard += 1

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


def released_when_told():
    """A second poll waits for the verdict on one that told the end: it is answered when that has arrived."""
    server = Server(PING_INTERVAL=600000, CONNECT_TIMEOUT=300)
    with Http(server.port) as other:
        session = Poller(other, join=False)  # in no namespace: it is closed soon
        there = server.descriptors()
        with Http(server.port, receive_bytes=2048) as first, Http(server.port) as second:
            for _ in range(2):  # more than its window takes
                first.send("GET", "/socket.io/socket.io.js", headers="Accept-Encoding: identity\r\n")
            first.send("GET", session.target)
            time.sleep(1)  # that its end lies unacknowledged behind the files, and for long, is the case
            second.send("GET", session.target)
            time.sleep(0.1)  # so that it waits
            assert [first.answer().body for _ in range(3)][2] == b"1"
            answer = second.answer()
            assert (answer.status, answer.body) == (200, b"1"), f"{answer.status} {answer.body}"
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
