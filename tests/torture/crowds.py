#!/usr/bin/python3
"""Many at once: a storm of connections, thousands who are idle or never end their request, thousands who do not read; and what
others who are there notice of them. What others wait is measured in turns with a server that has none of those."""

import os
import selectors
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Crowd, Server, note, run, scale, wait_until  # noqa: E402
from wire import Person  # noqa: E402

STORM = scale("STORM", 2000 if SLOWER == 1 else 300, 5000)
STORM_S = 5
IDLE = scale("IDLE", 2000 if SLOWER == 1 else 200, 10000)
LORIS = scale("LORIS", 300 if SLOWER == 1 else 50, 2000)
LORIS_S = 15  # gone by then
STALLED = scale("STALLED", 300 if SLOWER == 1 else 50, 2000)
HEALTHY = 50
EVERY_MS = 50
FOR_MS = scale("FOR_MS", 600, 3000)
ROUNDS = 5
TRIES = 3
RATIO_MAX = 2
FLOOR_US = scale("FLOOR_US", 3000, 500)  # less is nobody's wait; cores that others share cannot tell it apart
BROADCAST = (640, 16384)  # messages, bytes of each: 10 MiB
MEMORY_MAX = 64 << 20
QUEUE_MAX = 64 << 20  # they stay; torture/slow has those who reach their limit
HEAD = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nX-Slow: "


def storm(threads):
    server = Server(SIO_THREADS=threads)
    crowd = Crowd(server, 2)
    began = time.monotonic()
    crowd.connect(STORM, seconds=STORM_S * SLOWER)  # fails if one does not join in time
    took = time.monotonic() - began
    watcher = Person(server.port)
    assert watcher.call("who") == [STORM + 1]
    note(f"{threads} loops: {STORM} clients have joined after {took:.2f} s, none failed")
    crowd.ask('say 421["join","lobby"]')
    crowd.wait("acks", 1)
    crowd.end()
    wait_until(lambda: watcher.call("who") == [1], "the storm to be over")
    watcher.close()
    server.stop()


class Loris(threading.Thread):
    """So many connections that send a byte of a header each second, for as long as they are let; then anew."""

    def __init__(self, server, count):
        super().__init__(daemon=True)
        self.port, self.count, self.over = server.port, count, False
        self.selector, self.began, self.asked, self.lives = selectors.DefaultSelector(), {}, set(), []

    def _open(self):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", self.port))
        self.selector.register(s, selectors.EVENT_READ)
        self.began[s] = time.monotonic()

    def _close(self, s):
        self.lives.append(time.monotonic() - self.began.pop(s))
        self.asked.discard(s)
        self.selector.unregister(s)
        s.close()

    def run(self):
        # It is the server that is looked at, not who gets the clients' core: as in flooder.py.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        tick = 0
        while not self.over:
            while len(self.began) < self.count:
                self._open()
            for key, _ in self.selector.select(0.1):
                try:
                    data = key.fileobj.recv(4096)
                except OSError:
                    data = b""
                if data == b"" or b" 408 " in data:
                    self._close(key.fileobj)
            tick += 1
            for s in list(self.began)[tick % 10 :: 10]:  # each once a second
                try:
                    s.send(b"x" if s in self.asked else HEAD)
                    self.asked.add(s)
                except OSError:
                    pass
        for s in list(self.began):
            self._close(s)


def p99_in_turns(what, plain, beset, besetting=lambda: None):
    """The p99 of echoes of both crowds, in turns; the second, while `besetting` goes on."""
    for _ in range(TRIES):
        alone, beside = [], []
        for _ in range(ROUNDS):
            alone.append(plain.ask(f"echo {EVERY_MS} {FOR_MS}")[0])
            besetting()
            beside.append(beset.ask(f"echo {EVERY_MS} {FOR_MS}")[0])
        p99 = [statistics.median(part["p99_us"] for part in parts) for parts in (alone, beside)]
        note(f"{what}: p99 {p99[0]} us without, {p99[1]} us beside ({p99[1] / p99[0]:.2f} times), medians of {ROUNDS}")
        if p99[1] <= max(RATIO_MAX * p99[0], FLOOR_US):
            assert all(part["missed"] == 0 for part in beside), "answers did not come"
            return
    raise AssertionError(f"others wait {p99[1] / p99[0]:.2f} times as long")


def idle_and_loris(threads):
    plain_server, beset_server = Server(SIO_THREADS=threads), Server(SIO_THREADS=threads, PING_INTERVAL=300000)
    plain, beset, idle = Crowd(plain_server), Crowd(beset_server), Crowd(beset_server, 2)
    plain.connect(HEALTHY)
    beset.connect(HEALTHY)
    idle.connect(IDLE, seconds=60)
    loris = Loris(beset_server, LORIS)
    loris.start()
    wait_until(lambda: len(loris.began) == LORIS, "the slow ones")
    p99_in_turns(f"{threads} loops, {IDLE} idle and {LORIS} that never end their request", plain, beset)
    wait_until(lambda: len(loris.lives) >= LORIS, "the slow ones to be cut off", LORIS_S * 2 * SLOWER)
    loris.over = True
    loris.join()
    longest = max(loris.lives)  # who is still there has lived until now
    note(f"{threads} loops: the slow ones were gone after {longest:.1f} s at most, {len(loris.lives)} of them")
    assert longest <= LORIS_S * SLOWER
    for crowd in (plain, beset, idle):
        crowd.end()
    plain_server.stop()
    beset_server.stop()


def stalled(threads):
    """10 MiB to all, a message at a time, where thousands take none of it, and where there are none such."""
    servers = [Server(SIO_THREADS=threads, QUEUE_MAX=QUEUE_MAX) for _ in range(2)]
    healthy = [Crowd(server) for server in servers]
    watchers = [Person(server.port) for server in servers]
    for others in healthy:
        others.connect(HEALTHY)
    deaf = Crowd(servers[1], 2)
    deaf.connect(STALLED, 4096, seconds=60)
    deaf.ask("deaf")
    before = servers[1].rss_bytes()
    messages, size = BROADCAST
    share = messages // ROUNDS
    most, taken = 0, [[], []]
    for _ in range(ROUNDS):
        for i in range(2):
            healthy[i].tell(0, f"echo {EVERY_MS} {FOR_MS}")
            for _ in range(share):
                watchers[i].emit("flood-others", 1, size)
                time.sleep(FOR_MS / 1000 / share)
            most = max(most, servers[1].rss_bytes())
            taken[i].append(healthy[i].answer(0))
    for crowd in healthy:
        [state] = crowd.ask("state")
        assert (state["ready"], state["gone"]) == (HEALTHY, 0), state
    p99 = [statistics.median(part["p99_us"] for part in parts) for parts in taken]
    note(f"{threads} loops, {messages * size >> 20} MiB to all, {STALLED} take none: p99 {p99[1]} us, {p99[0]} us without those "
         f"({p99[1] / p99[0]:.2f} times), medians of {ROUNDS}; {(most - before) >> 10} KiB more memory at most")
    assert p99[1] <= max(RATIO_MAX * p99[0], FLOOR_US)
    if SLOWER == 1:
        assert most - before <= MEMORY_MAX
    for crowd in (*healthy, deaf):
        crowd.end()
    for watcher in watchers:
        watcher.close()
    for server in servers:
        server.stop()


run([
    ("one loop: a storm", lambda: storm(1)),
    ("four loops: a storm", lambda: storm(4)),
    ("idle ones, and requests that never end", lambda: idle_and_loris(2)),
    ("those who do not read", lambda: stalled(2)),
])
