#!/usr/bin/python3
"""Readers that never read while they are flooded: each is closed at its limit, memory stays bounded, others notice nothing."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Crowd, Server, note, run, scale, wait_until  # noqa: E402
from wire import SEPARATOR, Http, Person, Poller  # noqa: E402

SLOW = scale("SLOW", 200 if SLOWER == 1 else 50, 2000)
HEALTHY = scale("HEALTHY", 100 if SLOWER == 1 else 20, 500)
QUEUE_MAX = 262144
MESSAGE_BYTES = 16384
KERNEL_BYTES = 8 << 20  # what may go out before a queue grows: the most that the kernel takes for one socket
ROUNDS_MAX = (KERNEL_BYTES + QUEUE_MAX) // MESSAGE_BYTES
TAKEN_S = 60  # for thousands to take that through windows of a few KiB: the kernel's time, and the machine's
GROWTH_BYTES_MAX = 64 << 20  # threats.md, fault 5
READERS = scale("READERS", 200 if SLOWER == 1 else 20, 1000)
READERS_FEW, READERS_MANY = 10, 150  # of each loop: units past their limits stay below EIO_BURST_UNITS_MAX, or not
BURST = 70000  # messages
OWN_ROOM_EVENTS = 40000
STEADY = 128  # KiB that always wait for a polling client that reads: twice its soft limit
STEADY_POLLS_MAX = 4 * STEADY // 16  # packets of a poll
STEADY_MESSAGES = 1536  # of MESSAGE_BYTES, for one on a WebSocket: more than the kernel takes
KINDS = (("plain", 1), ("uring", 1), ("uring", 4)) if SLOWER == 1 else (("plain", 1), ("uring", 4))
FLOOD = (2000, 1024)  # messages, bytes of each: eight times what a queue may hold, in one iteration


class Scene:
    """A server, readers that read and readers that do not."""

    def __init__(self, sender, threads):
        self.server = Server(SIO_SENDER=sender, SIO_THREADS=threads, QUEUE_MAX=QUEUE_MAX, QUEUE_SOFT=QUEUE_MAX // 4)
        self.watcher = Person(self.server.port)
        self.healthy, self.slow = Crowd(self.server), Crowd(self.server)
        self.healthy.connect(HEALTHY)
        self.slow.connect(SLOW, 4096)
        self.slow.ask("deaf")
        self.before = self.server.rss_bytes()
        self.most = 0

    def overflows(self):
        self.most = max(self.most, self.server.rss_bytes())
        return self.watcher.call("stats")[0]["overflows"]

    def end(self, what, private_bytes):
        overflows = self.overflows()
        grown = self.most - self.before
        note(f"{what}: {overflows} of {SLOW} closed at their limit, {grown >> 10} KiB more memory at most")
        assert overflows == SLOW, f"{overflows} overflows"
        if SLOWER == 1:
            assert grown <= GROWTH_BYTES_MAX + private_bytes, "more memory than the queues may hold"
        [state] = self.healthy.ask("state")
        assert (state["ready"], state["gone"]) == (HEALTHY, 0), state
        wait_until(lambda: self.watcher.call("who") == [HEALTHY + 1], "the slow ones to be gone")
        # What the kernel had taken was theirs; then the connection ends.
        self.slow.ask("hear")
        [state] = self.slow.wait("gone", SLOW, TAKEN_S)
        note(f"{what}: close codes {state['codes']}, {state['resets']} resets")
        self.watcher.close()
        self.healthy.end()
        self.slow.end()
        self.server.stop()


def broadcast(sender, threads):
    scene = Scene(sender, threads)
    text = "x" * MESSAGE_BYTES
    rounds = 0
    while scene.overflows() < SLOW and rounds < ROUNDS_MAX:
        scene.watcher.emit("message", text)
        scene.watcher.hears("message")
        rounds += 1
        scene.healthy.wait("events", rounds)
    [state] = scene.healthy.wait("events", rounds)
    assert len(state["hashes"]) == 1 and state["events"] == [rounds, rounds], state
    scene.end(f"{sender}, {threads} loops, {rounds} broadcasts", 0)


def own_flood(sender, threads):
    """What waits for a client that has asked for it belongs to nobody else: memory grows with each."""
    scene = Scene(sender, threads)
    scene.slow.ask(f'say 42["flood",{FLOOD[0]},{FLOOD[1]}]')
    wait_until(lambda: scene.overflows() == SLOW, "all to be closed")
    scene.healthy.ask('say 421["echo"]')
    scene.healthy.wait("acks", 1)
    scene.end(f"{sender}, {threads} loops, floods", SLOW * QUEUE_MAX)


def overflows(server):
    watcher = Person(server.port)
    [stats] = watcher.call("stats")
    watcher.close()
    return stats["overflows"]


def posted_burst(sender, threads):
    """As many broadcasts as one POST carries: they take turns with what they cause, so who reads needs no memory for them."""
    server = Server(SIO_SENDER=sender, SIO_THREADS=threads)
    readers = Crowd(server)
    readers.connect(READERS)
    before = server.rss_bytes()
    with Http(server.port, seconds=10 * SLOWER) as http:
        poster = Poller(http, join=False)
        events = int(poster.opened["maxPayload"]) // len('42["others"]' + SEPARATOR)
        poster.post(http, "40")
        poster.post(http, *['42["others"]'] * events)
    [state] = readers.wait("events", events)
    assert (state["ready"], state["gone"]) == (READERS, 0), state
    grown = server.peak_bytes() - before
    note(f"{sender}, {threads} loops: {events} broadcasts in one POST, {grown >> 10} KiB more memory at most")
    if SLOWER == 1:
        assert grown <= GROWTH_BYTES_MAX, "the readers' queues have grown meanwhile"
    readers.end()
    server.stop()


def own_room(sender, threads):
    """Who hears what it posts, and more than its queue may hold, has the rest taken as it polls: nothing is lost."""
    server = Server(SIO_SENDER=sender, SIO_THREADS=threads)
    with Http(server.port) as http, Http(server.port, seconds=60 * SLOWER) as other:
        poster = Poller(http)
        events = OWN_ROOM_EVENTS if SLOWER == 1 else OWN_ROOM_EVENTS // 10
        poster.post(http, *[f'42["message",{number}]' for number in range(10)])
        body = SEPARATOR.join(f'42["message",{number}]' for number in range(10, events))
        other.send("POST", poster.target, body.encode())
        heard, most = 0, server.rss_bytes()
        while heard < events:
            for packet in poster.poll(http):
                assert packet == f'42["message",{heard}]', f"{packet} is not message {heard}"
                heard += 1
        answer = other.answer()
        assert (answer.status, answer.body) == (200, b"ok"), answer
    assert overflows(server) == 0
    grown = server.peak_bytes() - most
    note(f"{sender}, {threads} loops: {events} messages of its own, {grown >> 10} KiB more memory at most")
    server.stop()


def emitted_burst(sender, threads):
    """Emitted by one handler: whoever reads is closed for none of them, unless they are too many for the memory."""
    server = Server(SIO_SENDER=sender, SIO_THREADS=threads)
    few, many = Crowd(server), Crowd(server)
    few.connect(READERS_FEW)
    with Http(server.port) as http:
        poster = Poller(http, join=False)
        poster.post(http, "40", f'42["flood-all",{BURST},0]')
    [state] = few.wait("events", BURST)
    assert (state["ready"], state["gone"]) == (READERS_FEW, 0), state
    assert overflows(server) == 0
    many.connect(READERS_MANY * threads)
    with Http(server.port) as http:
        Poller(http, join=False).post(http, "40", f'42["flood-all",{BURST},0]')
    wait_until(lambda: overflows(server) > 1, "more to be closed than who has not polled")
    note(f"{sender}, {threads} loops: {BURST} messages close {overflows(server)} of "
         f"{READERS_FEW + READERS_MANY * threads + 2}, {server.peak_bytes() >> 20} MiB of memory at most")
    few.end()
    many.end()
    server.stop()


def steady_poller(sender, threads):
    """Who takes as much as comes, but has always more than the soft limit to take, is heard all the same."""
    server = Server(SIO_SENDER=sender, SIO_THREADS=threads, QUEUE_SOFT=STEADY << 9, QUEUE_MAX=STEADY << 13)
    watcher = Person(server.port)
    with Http(server.port) as http, Http(server.port) as other:
        poller = Poller(http)
        watcher.emit("flood-others", STEADY, 1024)
        watcher.call("echo")
        other.send("POST", poller.target, b'421["echo"]')
        polls = 0
        while not any(packet.startswith("431") for packet in poller.poll(http)):
            polls += 1
            assert polls < STEADY_POLLS_MAX, f"not heard within {polls} polls"
            watcher.emit("flood-others", 16, 1024)
            watcher.call("echo")
        answer = other.answer()
        assert (answer.status, answer.body) == (200, b"ok"), answer
    note(f"{sender}, {threads} loops: answered after {polls} polls")
    assert overflows(server) == 0
    watcher.close()
    server.stop()


def steady_websocket(sender, threads):
    """The same on a WebSocket."""
    server = Server(SIO_SENDER=sender, SIO_THREADS=threads, QUEUE_SOFT=STEADY << 9, QUEUE_MAX=4 * STEADY_MESSAGES * MESSAGE_BYTES)
    watcher, reader = Person(server.port), Person(server.port, receive_bytes=4096)
    watcher.emit("flood-others", STEADY_MESSAGES, MESSAGE_BYTES)
    watcher.call("echo")
    reader.say('421["echo"]')
    messages = 0
    while not reader.hear()[1].startswith(b"431"):
        messages += 1
        assert messages < 3 * STEADY_MESSAGES, f"not heard while it took {messages} messages"
        watcher.emit("flood-others", 1, MESSAGE_BYTES)
    note(f"{sender}, {threads} loops: answered after {messages} messages")
    assert overflows(server) == 0
    watcher.close()
    reader.close()
    server.stop()


run([(f"{body.__name__.replace('_', ' ')}, {sender}, {threads} loops", lambda body=body, sender=sender, threads=threads: body(sender, threads))
     for body in (broadcast, own_flood, posted_burst, own_room, emitted_burst, steady_poller, steady_websocket)
     for sender, threads in (KINDS[:1] if body is emitted_burst and SLOWER > 1 else KINDS)])
