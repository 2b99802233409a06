#!/usr/bin/python3
"""SIGTERM, again and again while people talk: it ends in time with status 0 and an empty log; the rest as with SIGKILL.

Then: who has asked right before the signal is told, and what he was not answered can be repeated.
"""

import asyncio
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from chat import Link  # noqa: E402
from harness import SLOWER, STOP_S, note, run, scale  # noqa: E402
from history import Send  # noqa: E402
from load import FLOOD, World, until  # noqa: E402
from palaver import DATABASE, LOBBY, Palaver  # noqa: E402

STOPS = scale("STOPS", 3, 20)
SENDERS = scale("SENDERS", 50, 50)
ASKED = scale("ASKED", 4, 100)  # stops with something under way
AT_ONCE = scale("AT_ONCE", 20, 100)  # stops as soon as somebody can connect
FLOODERS = 4
TALK_S = 1  # at most, before a signal
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
RESTARTING = 1012


async def stop(server):
    """As an operator does; seconds to its end."""
    server.terminate()
    began = time.monotonic()
    await until(lambda: not server.alive(), "its end", (STOP_S + 5) * SLOWER)
    took = time.monotonic() - began
    assert server.child.returncode == 0, f"status {server.child.returncode}: {server.tail()}"
    assert took <= STOP_S * SLOWER, f"ended after {took:.2f} s"
    assert "cutting" not in server.log.read_text(), "it waited for somebody whom it had not told"
    left = server.folder / f"{DATABASE}-wal"
    assert not left.exists() or not left.stat().st_size, f"{left.stat().st_size} bytes are left in the log"
    return took


async def stops():
    chance = random.Random(f"{SEED} stops")
    took = []
    async with World(Palaver(args=("--log-level", "info")), SEED, SENDERS, flooders=FLOODERS) as world:
        world.loud.set()
        for number in range(STOPS):
            world.start()
            await world.accept()
            await world.all_back()
            if number % 3 == 1:
                world.flooding.set()
            await asyncio.sleep(chance.random() * TALK_S)
            took.append(await stop(world.server))
            world.flooding.clear()
        note(f"ended after {', '.join(f'{seconds:.2f}' for seconds in took)} s")
        await world.start_for_good()
        await world.finish(world.server.stop)
        assert world.counts["resets"] == 0
        cut = world.counts["cut"]
        told = world.counts[f"closed with {RESTARTING}"]
        assert told >= STOPS * (SENDERS + len(world.listeners)), f"{told} were told that it restarts, {cut} were not"


async def last_words(world, number, first_answer):
    """Many messages in one piece, with the signal right behind them or behind an answer; what is unanswered is repeated."""
    world.server.start_and_wait()
    link = await Link.open(world.server.port)
    hello = await link.call("hello", {"name": f"last {number}"})
    sent = world.sends[f"last {number}"] = [Send(f"{number}-{n}", hello["user"]["id"], f"{number} {n}") for n in range(FLOOD)]
    calls = [(send, link.begin("message.send", words(send))) for send in sent]
    if first_answer is not None:
        await link.answer(calls[first_answer][1])
    stopped = asyncio.ensure_future(stop(world.server))
    await asyncio.wait_for(asyncio.shield(link.lost), STOP_S * SLOWER)
    await stopped
    assert link.ends == RESTARTING, f"closed with {link.ends}"
    for send, call in calls:
        if call.done():
            send.acks.append((call.result()["seq"], call.result()["nonce"]))
    answered = sum(bool(send.acks) for send in sent)
    world.server.start_and_wait()
    link = await Link.open(world.server.port)
    await link.call("hello", {"token": hello["token"]})
    for send, call in [(send, link.begin("message.send", words(send))) for send in sent]:
        answer = await link.answer(call)
        send.acks.append((answer["seq"], answer["nonce"]))
    link.abort()
    await stop(world.server)
    return answered


def words(send):
    return {"room": LOBBY, "cid": send.cid, "text": send.text}


async def asked_before():
    chance = random.Random(f"{SEED} asked")
    answered = []
    async with World(Palaver(), SEED, 0, 0) as world:
        for number in range(ASKED):
            first = chance.randrange(FLOOD) if number % 2 else None
            answered.append(await last_words(world, number, first))
        note(f"answered before the end, of {FLOOD} each: {answered}")
        await world.start_for_good()
        await world.finish(world.server.stop)


async def at_once():
    """As soon as somebody can connect, who is not answered yet."""
    server = Palaver()
    for _ in range(AT_ONCE):
        server.start()
        while not server.listens():
            assert server.alive(), server.tail()
        await stop(server)


note(f"SEED={SEED} STOPS={STOPS} SENDERS={SENDERS}")
run([(f"{STOPS} stops", lambda: asyncio.run(stops())),
     (f"{AT_ONCE} stops as soon as it listens", lambda: asyncio.run(at_once())),
     (f"{ASKED} stops right behind a question", lambda: asyncio.run(asked_before()))])
