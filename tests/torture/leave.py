#!/usr/bin/python3
"""Clients come in waves, join rooms and leave: memory and descriptors come back."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import Crowd, Server, note, run, scale, wait_until  # noqa: E402
from wire import Person  # noqa: E402

WAVE = scale("WAVE", 1000, 1000)
WAVES = scale("WAVES", 5, 50)
WARM = 1 + WAVES // 5  # waves, until each loop has had its largest
ROOMS = ("own-%", "lobby", "a room with a long name, as people like to have them: %")
GROWTH_MAX = 1.10  # of the memory after the warm waves


def wave(server, watcher, orderly):
    crowd = Crowd(server)
    crowd.connect(WAVE, seconds=30)
    for number, room in enumerate(ROOMS):
        crowd.ask(f'say 42{number}["join","{room}"]')
    crowd.wait("acks", len(ROOMS))
    crowd.ask('say 427["say-all","own-%","to myself"]')
    crowd.wait("events", 1)
    crowd.ask('say 428["leave","own-%"]')
    crowd.wait("acks", len(ROOMS) + 1)
    if orderly:
        crowd.ask("say 41")
        crowd.ask("say 1")
        crowd.wait("gone", WAVE)
    else:
        crowd.ask("cut")
    crowd.end()
    wait_until(lambda: watcher.call("who") == [1] and watcher.call("stats")[0]["sessions"] == 1, "all to be gone")


def waves(threads):
    server = Server(SIO_THREADS=threads)
    watcher = Person(server.port)
    descriptors = server.descriptors()
    sizes = []
    for number in range(WAVES):
        wave(server, watcher, orderly=number % 2 == 0)
        wait_until(lambda: server.descriptors() == descriptors, "descriptors to come back")
        sizes.append(server.rss_bytes())
        watcher.call("forget-reasons")  # else the probe remembers why each has gone
    note(f"{threads} loops, {WAVES} waves of {WAVE}: {sizes[0] >> 10} KiB after the first, {sizes[WARM - 1] >> 10} after "
         f"{WARM}, {sizes[-1] >> 10} after the last, {max(sizes) >> 10} at most; {descriptors} descriptors")
    watcher.close()
    server.stop()
    assert sizes[-1] <= sizes[WARM - 1] * GROWTH_MAX, "memory does not come back"


run([
    ("memory and descriptors come back, one loop", lambda: waves(1)),
    ("memory and descriptors come back, four loops", lambda: waves(4)),
])
