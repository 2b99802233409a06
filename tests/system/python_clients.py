#!/usr/bin/python3
"""Debian's python-socketio, synchronous and asynchronous, over each transport: the same chat as the JavaScript
clients have in clients.mjs, and together with one of them."""

import asyncio
import os
import queue
import sys
import threading
import time

import socketio

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from systest import WAIT_S, LineClient, Server, run, take  # noqa: E402

TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}
TEXTS = ["hello", "", "ünï çødé", "日本語", "👩‍👩‍👧‍👦", '"\\\n\u2028\u0000\u001e', "x" * 5000]
BINARY = bytes([0, 1, 2, 0x1E, 0x62, 0xFF, 0x80])
NESTED = {"a": [BINARY, {"b": b"", "c": "text"}], "d": b"\x07" * 3000, "e": None, "f": [1.5, True]}
BURST = 12

# The synchronous client gives the header of a binary packet and its attachments to threads of their own. Threads that
# run until they wait keep these in order.
sys.setswitchinterval(1)

server = Server("probe")


class Person:
    """Someone in a chat; what was heard waits in order. Subclasses know how to make a call."""

    def __init__(self):
        self.heard = queue.Queue()
        self.acks = queue.Queue()
        self.gone = threading.Event()

    def _hear(self, event, args):
        self.heard.put([event, *args])
        return tuple(args)

    def hears(self, name):
        return take(self.heard, lambda event: event[0] == name, f"the event {name}")[1:]

    def ask(self, event, *args):
        self.say(event, *args, callback=lambda *answer: self.acks.put(list(answer)))
        return take(self.acks, lambda _: True, f"the acknowledgement of {event}")


class SyncPerson(Person):
    def __init__(self, transports, namespace="/", auth=None):
        super().__init__()
        self.namespace = namespace
        self.client = socketio.Client(reconnection=False)
        self.client.on("*", lambda event, *args: self._hear(event, args), namespace=namespace)
        self.client.on("disconnect", lambda *_: self.gone.set(), namespace=namespace)
        self.client.connect(server.url, transports=transports, namespaces=[namespace], auth=auth)

    def say(self, event, *args, callback=None):
        self.client.emit(event, tuple(args), namespace=self.namespace, callback=callback)

    def leave(self):
        self.client.disconnect()


class AsyncPerson(Person):
    """The asynchronous client on an event loop in a thread of its own."""

    loop = asyncio.new_event_loop()

    def __init__(self, transports, namespace="/", auth=None):
        super().__init__()
        self.namespace = namespace
        self._await(self._connect(transports, auth))

    def _await(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    async def _connect(self, transports, auth):
        self.client = socketio.AsyncClient(reconnection=False)

        async def hear(event, *args):
            return self._hear(event, args)

        async def disconnect(*_):
            self.gone.set()

        self.client.on("*", hear, namespace=self.namespace)
        self.client.on("disconnect", disconnect, namespace=self.namespace)
        await self.client.connect(server.url, transports=transports, namespaces=[self.namespace], auth=auth)

    def say(self, event, *args, callback=None):
        self._await(self.client.emit(event, tuple(args), namespace=self.namespace, callback=callback))

    def leave(self):
        self._await(self.client.disconnect())


threading.Thread(target=AsyncPerson.loop.run_forever, daemon=True).start()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:300]}, wanted {str(wanted)[:300]}"


def all_hear(people, *args, name="message"):
    for person in people:
        equal(person.hears(name), list(args))


def chat_of_three(arrive):
    people = [arrive(), arrive(), arrive()]
    for index, text in enumerate(TEXTS):
        people[index % 3].say("message", text, index)
        all_hear(people, text, index)
    for index, value in enumerate([BINARY, b"", NESTED, [NESTED, BINARY]]):
        people[index % 3].say("message", index, value)
        all_hear(people, index, value)
    # The synchronous client handles each packet in a thread of its own, so it has no order within a burst; and
    # python-engineio by default takes 16 packets in a poll's response, so the burst is no longer than that.
    for i in range(BURST):
        people[0].say("message", i, "burst")
    for person in people:
        equal(sorted(person.hears("message") for _ in range(BURST)), [[i, "burst"] for i in range(BURST)])


def acks_both_ways(arrive):
    alice = arrive()
    equal(alice.ask("echo"), [])
    equal(alice.ask("echo", 1, "zwei", [3]), [1, "zwei", [3]])
    equal(alice.ask("echo", BINARY, NESTED), [BINARY, NESTED])
    alice.say("ask", "how", "are you", BINARY)
    equal(alice.hears("answered"), ["how", "are you", BINARY])


def rooms(arrive):
    alice, bob, carol = arrive(), arrive(), arrive()
    for person, room in ((alice, "red"), (bob, "red"), (carol, "blue")):
        equal(person.ask("join", room), ["ok"])
    alice.say("say", "red", "one", BINARY)
    equal(bob.hears("said"), ["red", "one", BINARY])
    carol.say("say-all", "red", "two")
    all_hear([alice, bob], "red", "two", name="said")
    equal(bob.ask("leave", "red"), ["ok"])
    alice.say("say-all", "red", "three")
    equal(alice.hears("said"), ["red", "three"])
    alice.say("message", "end")
    for person in (bob, carol):
        event = take(person.heard, lambda event: event[0] in ("said", "message"), "the end")
        equal(event, ["message", "end"])


def others(arrive):
    people = [arrive(), arrive(), arrive()]
    people[1].say("others", "not me", BINARY)
    all_hear([people[0], people[2]], "not me", BINARY, name="others")
    people[1].say("message", "end")
    equal(take(people[1].heard, lambda event: event[0] in ("others", "message"), "the end"), ["message", "end"])


def namespaces(arrive):
    auth = {"token": "ünï", "nested": {"n": 1}}
    alice, bob, main = arrive("/custom", auth), arrive("/custom"), arrive()
    equal(alice.hears("welcome"), [{"nsp": "/custom", "auth": auth}])
    equal(bob.hears("welcome"), [{"nsp": "/custom", "auth": {}}])
    equal(main.hears("welcome"), [{"nsp": "/", "auth": {}}])
    alice.say("message", "within", BINARY)
    all_hear([alice, bob], "within", BINARY)
    main.say("message", "elsewhere")
    equal(main.hears("message"), ["elsewhere"])
    try:
        arrive("/nope")
    except socketio.exceptions.ConnectionError:
        return
    raise AssertionError("an unknown namespace was joined")


def leaving_and_being_kicked(arrive):
    watcher, leaver, kicked = arrive(), arrive(), arrive()
    # What the server makes of a goodbye is tested with other clients: these may cut their own short.
    leaver.leave()
    assert leaver.gone.wait(WAIT_S), "the leaver was not told"
    kicked.say("kick")
    assert kicked.gone.wait(WAIT_S), "the kicked one was not told"
    deadline = time.monotonic() + WAIT_S
    while "server namespace disconnect" not in watcher.ask("reasons")[0]:
        assert time.monotonic() < deadline, "the server has no reason"
    equal(watcher.ask("echo", "still here"), ["still here"])


def with_javascript(arrive):
    scripted = [LineClient(server, name) for name in TRANSPORTS]
    people = [arrive(), arrive()]
    for index, client in enumerate([*scripted, *people]):
        client.say("message", "from", index, "ünï 日本語")
        all_hear([*scripted, *people], "from", index, "ünï 日本語")
    people[0].say("message", BINARY)
    equal(people[1].hears("message"), [BINARY])
    for client in scripted:
        equal(client.hears("message"), [{"$binary": "AAECHmL/gA=="}])
    equal(scripted[0].ask("echo", {"$binary": "AAECHmL/gA=="}), [{"$binary": "AAECHmL/gA=="}])
    for client in scripted:
        client.leave()


SUBJECTS = [chat_of_three, acks_both_ways, rooms, others, namespaces, leaving_and_being_kicked, with_javascript]


def make_test(subject, kind, transports):
    def test():
        there = []

        def arrive(namespace="/", auth=None):
            there.append(kind(transports, namespace, auth))
            return there[-1]

        try:
            subject(arrive)
        finally:
            for person in there:
                if not person.gone.is_set():
                    person.leave()
    return test


tests = [
    (f"{kind.__name__[:-6].lower()}, {name}: {subject.__name__.replace('_', ' ')}", make_test(subject, kind, transports))
    for kind in (SyncPerson, AsyncPerson)
    for name, transports in TRANSPORTS.items()
    for subject in SUBJECTS
]
tests.append(("the server ends when told, without complaints", server.stop))

run(tests, [server])
