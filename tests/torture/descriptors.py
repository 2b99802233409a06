#!/usr/bin/python3
"""More connections than descriptors: those beyond are refused at once, nothing spins, and room made is used at once."""

import os
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Server, note, run, wait_until  # noqa: E402
from wire import Ended, Person, Stream  # noqa: E402

LIMIT = 256
BEYOND = 100
ROOM = 10
AT_ONCE_S = 1 * SLOWER
INTERVAL_S = 1  # the CPU is measured over it
TICKS_MAX = 2


def fill(server):
    """People until the server takes no more."""
    people = []
    while True:
        try:
            people.append(Person(server.port))
        except (Ended, ConnectionError):
            return people
        assert len(people) <= LIMIT, "no limit was met"


def refused(server):
    """How long the server takes to turn one away."""
    began = time.monotonic()
    with Stream(server.port, seconds=AT_ONCE_S) as stream:
        assert stream.at_end(), f"not refused within {AT_ONCE_S} s"
    return time.monotonic() - began


def served_again(server):
    """Someone new is served as soon as there is room."""
    began = time.monotonic()

    def arrive():
        try:
            return Person(server.port)
        except (Ended, ConnectionError):
            return None

    person = wait_until(arrive, "a new one to be served", AT_ONCE_S)
    assert person.call("echo", "new") == ["new"]
    return person, time.monotonic() - began


def beyond(server, people):
    slowest = max(refused(server) for _ in range(BEYOND))
    ticks = server.cpu_ticks()
    time.sleep(INTERVAL_S)
    ticks = server.cpu_ticks() - ticks
    # A crowd at the door does not keep it busy either.
    door = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(BEYOND)]
    busy = server.cpu_ticks()
    time.sleep(INTERVAL_S)
    busy = server.cpu_ticks() - busy
    for one in door:
        one.close()
    assert people[-1].call("echo", "still here") == ["still here"]
    for person in people[:ROOM]:
        person.close()
    again, seconds = served_again(server)
    more = people[-1].call("stats")[0]
    note(f"{len(people)} served, {more['refused']} refused, the slowest in {slowest * 1000:.1f} ms; {ticks} and {busy} ticks "
         f"of CPU in {INTERVAL_S} s; served again after {seconds * 1000:.0f} ms")
    again.close()
    assert ticks <= TICKS_MAX * SLOWER and busy <= TICKS_MAX * SLOWER, "the server spins"
    assert more["refused"] >= 2 * BEYOND, "not counted"


def from_the_start(threads):
    server = Server(before=["prlimit", f"--nofile={LIMIT}"], SIO_THREADS=threads)
    people = fill(server)
    assert LIMIT // 2 <= len(people) < LIMIT, f"{len(people)} were served"
    beyond(server, people)
    for person in people:
        person.close()
    server.stop()


def taken_away(threads):
    """The kernel says that there are none, where the server had counted on more."""
    server = Server(SIO_THREADS=threads)
    people = [Person(server.port) for _ in range(LIMIT // 2)]
    used = server.descriptors()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used, used))
    people += fill(server)
    assert len(people) == LIMIT // 2, f"{len(people)} were served"
    beyond(server, people)
    for person in people:
        person.close()
    server.stop()


run([
    ("a limit known from the start, one loop", lambda: from_the_start(1)),
    ("a limit known from the start, four loops", lambda: from_the_start(4)),
    ("no descriptor is left, one loop", lambda: taken_away(1)),
    ("no descriptor is left, four loops", lambda: taken_away(4)),
])
