#!/usr/bin/python3
"""The server stands still for a while, or its clock is wrong by a day: nobody is disconnected, nothing is there twice."""

import asyncio
import os
import random
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from chat import Link  # noqa: E402
from harness import BUILD, note, run, scale  # noqa: E402
from load import World, until  # noqa: E402
from palaver import Palaver, new_folder  # noqa: E402

PAUSES = scale("PAUSES", 2, 3)
PAUSE_S = scale("PAUSE_S", 2, 30)  # 30 is more than pingInterval and than pingTimeout, and less than both
SENDERS = scale("SENDERS", 20, 50)
HOLDING = 20  # clients whose pong comes while the server stands still
TALK_S = 0.5
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
DAY_S = 86400
SHIFTS = (DAY_S, -DAY_S, 0)


class Holding(Link):
    """Answers a ping when it is told."""

    pinged = False

    def say(self, text):
        if text == "3":
            self.pinged = True
        else:
            super().say(text)

    def pong(self):
        super().say("3")
        self.pinged = False


async def hold(world):
    """Who has been pinged, and has not answered yet. Where the pause is shorter than the timeout there is none."""
    links = [await Holding.open(world.server.port) for _ in range(HOLDING if PAUSE_S > 20 else 0)]
    for number, link in enumerate(links):
        await link.call("hello", {"name": f"holding {number}"})
    await until(lambda: all(link.pinged for link in links), "pings")
    return links


async def stand_still(world, links):
    before = world.counts["arrivals"]
    assert before == len(world.clients), "somebody has come twice"
    os.kill(world.server.pid, signal.SIGSTOP)
    await until(world.server.stands_still, "it to stand still")
    stopped = time.monotonic()
    for link in links:
        link.pong()
    late = asyncio.ensure_future(Link.open(world.server.port))  # he comes meanwhile
    await asyncio.sleep(PAUSE_S)  # the time itself is what is tested
    assert not late.done(), f"whoever came while it stood still was answered: {late}"
    answered = len(world.acknowledged())
    os.kill(world.server.pid, signal.SIGCONT)
    (await late).abort()
    await world.until(lambda: len(world.acknowledged()) >= answered + len(world.senders), "answers afterwards")
    note(f"stood still for {time.monotonic() - stopped:.1f} s; {world.counts['arrivals'] - before} came again")
    for link in links:
        assert not link.lost.done(), f"closed with {link.ends}"
        assert (await link.call("room.history", {"room": 1, "limit": 1}))["ok"]
    assert world.counts["arrivals"] == before, "somebody was disconnected"


async def pauses():
    chance = random.Random(f"{SEED} pauses")
    async with World(Palaver(), SEED, SENDERS) as world:
        world.loud.set()
        await world.start_for_good()
        await until(lambda: len(world.present) == len(world.clients), "all to be there")
        links = await hold(world)
        for _ in range(PAUSES):
            await asyncio.sleep(chance.random() * TALK_S)
            await stand_still(world, links)
            await until(lambda: all(link.pinged for link in links), "pings")
        for link in links:
            link.abort()
        await world.finish(world.server.stop)


async def shifts():
    file = new_folder("clock") / "shift"
    file.write_bytes(struct.pack("q", 0))
    server = Palaver(LD_PRELOAD=BUILD / "tests/torture/libclock_shift.so", CLOCK_SHIFT=file)
    async with World(server, SEED, SENDERS) as world:
        world.loud.set()
        await world.start_for_good()
        for shift in SHIFTS:
            with open(file, "r+b") as out:
                out.write(struct.pack("q", shift))
            answered = len(world.acknowledged())
            await world.until(lambda: len(world.acknowledged()) >= answered + 5 * SENDERS, "answers")  # noqa: B023
        assert world.counts["arrivals"] == len(world.clients), "somebody was disconnected"
        await world.settle()
        ats = [entry.at for entry in await world.read()]
        jumps = [round((after - before) / 1000 / DAY_S) for before, after in zip(ats, ats[1:])]
        note(f"days from an entry to the next: {sorted(jump for jump in jumps if jump)}")
        assert set(jumps) == {-2, 0, 1}, "the clock was not as it was meant to be"
        await world.finish(world.server.stop)


note(f"SEED={SEED} PAUSES={PAUSES} PAUSE_S={PAUSE_S} SENDERS={SENDERS}")
run([(f"{PAUSES} times {PAUSE_S} s", lambda: asyncio.run(pauses())),
     ("the clock jumps by days", lambda: asyncio.run(shifts()))])
