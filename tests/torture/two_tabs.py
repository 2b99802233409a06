#!/usr/bin/python3
"""Two tabs of one guest with one outbox, behind a connection that is cut before a message or behind it: each is there once.

A proxy takes each connection and cuts it after so many bytes towards the server, or after so many from it; what it has
taken before that is passed on. The points lie one after the other over the whole of a talk: before a request, within it,
between it and its answer, within that.
"""

import asyncio
import contextlib
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from chat import Entries, Link, Lost, read_backward  # noqa: E402
from harness import SLOWER, note, run, scale  # noqa: E402
from history import Send, check  # noqa: E402
from load import until  # noqa: E402
from palaver import LOBBY, Palaver  # noqa: E402

KILL_POINTS = scale("KILL_POINTS", 50, 500)
MESSAGES = 4  # in an outbox
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
PASS_BYTES = 1 << 16


class Proxy:
    """To `server`. The next connection is cut as `cuts` says: (towards, bytes); without an entry it is not cut."""

    def __init__(self, server):
        self.server, self.cuts = server, []
        self.passed = {"up": 0, "down": 0}  # the most of a connection
        self.done = 0
        self.tasks = set()

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def connected(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        towards, most = self.cuts.pop(0) if self.cuts else (None, None)
        onward, outward = await asyncio.open_connection("127.0.0.1", self.server.port)
        ways = [self.carry("up", reader, outward, most if towards == "up" else None),
            self.carry("down", onward, writer, most if towards == "down" else None)]
        ways = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, outward):
                # What was passed on still arrives: the server is to have got all before the cut.
                end.close()
            self.tasks.discard(asyncio.current_task())

    async def carry(self, name, reader, writer, most):
        """Until an end, or `most` bytes have been passed on."""
        passed = 0
        with contextlib.suppress(OSError):
            while most is None or passed < most:
                data = await reader.read(PASS_BYTES if most is None else most - passed)
                if not data:
                    return
                writer.write(data)
                passed += len(data)
                self.passed[name] = max(self.passed[name], passed)
                await writer.drain()
            self.done += 1


class Outbox:
    """What both tabs have to send: they may both try the same message at once, but only the first that is unanswered."""

    def __init__(self, sent):
        self.sent = sent

    def first(self):
        return next((send for send in self.sent if not send.acks), None)


async def tab(port, token, outbox, chance):
    """Connects, sends the first of the outbox until it is empty, connects again."""
    while outbox.first() is not None:
        link = None
        try:
            link = await Link.open(port)
            answer = await link.call("hello", {"token": token})
            assert answer["ok"], answer
            while (send := outbox.first()) is not None:
                send.attempts += 1
                answer = await link.call("message.send", {"room": LOBBY, "cid": send.cid, "text": send.text})
                assert answer["ok"], answer
                send.acks.append((answer["seq"], answer["nonce"]))
        except Lost:
            await asyncio.sleep(chance.random() * 0.005)
        finally:
            if link is not None:
                link.abort()


async def points():
    chance = random.Random(f"{SEED} points")
    server = Palaver()
    server.start_and_wait()
    link = await Link.open(server.port)
    guest = await link.call("hello", {"name": "two tabs"})
    assert guest["ok"], guest
    sends, tries = {}, 0

    async def talk(number, proxy):
        sent = [Send(f"p{number}-{n}", guest["user"]["id"], f"point {number}, {n}") for n in range(MESSAGES)]
        sends[number] = sent
        outbox = Outbox(sent)
        tabs = [tab(proxy.port, guest["token"], outbox, chance) for _ in range(2)]
        await asyncio.wait_for(asyncio.gather(*tabs), 10 * SLOWER)
        return sum(send.attempts for send in sent)

    async with Proxy(server) as proxy:
        tries += await talk("whole", proxy)  # what there is to cut
        sizes, cut = dict(proxy.passed), 0
        for number in range(KILL_POINTS):
            before, towards = proxy.done, ("up", "down")[number % 2]
            at = 1 + (sizes[towards] - 1) * (number // 2) // max((KILL_POINTS - 1) // 2, 1)
            # Both tabs, and now and then the first one again.
            proxy.cuts = [(towards, at), (chance.choice(["up", "down"]), chance.randrange(1, sizes["up"]))]
            proxy.cuts += [proxy.cuts[0]] * (number % 3 == 2)
            tries += await talk(number, proxy)
            proxy.cuts.clear()
            cut += proxy.done > before
        note(f"{cut} of {KILL_POINTS} talks cut, {proxy.done} connections; up to {sizes['up']} bytes up, {sizes['down']} down")
        note(f"{sum(map(len, sends.values()))} messages, sent {tries} times")
        await until(lambda: not proxy.tasks, "the proxy's connections to end")
    log = await read_backward(link, Entries())
    link.abort()
    findings = check(log, sends, {})
    note(f"log of {len(log)}: {findings.figures()}")
    for line in findings.lines():
        note(line)
    assert not findings, findings.figures()
    assert len(log) == (KILL_POINTS + 1) * MESSAGES, f"{len(log)} entries"
    assert cut >= KILL_POINTS * 9 // 10, f"only {cut} were cut"
    assert tries > (KILL_POINTS + 1) * MESSAGES, "nothing was sent twice"
    server.stop()
    server.check_integrity()


note(f"SEED={SEED} KILL_POINTS={KILL_POINTS}")
run([(f"{KILL_POINTS} points", lambda: asyncio.run(points()))])
