#!/usr/bin/python3
"""SIGKILL, again and again while people talk: what was acknowledged is there once, in order, and no listener has a gap.

Then a control: a folder from which an entry is taken, and one that is put back as it was before, must be noticed.
"""

import asyncio
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import history  # noqa: E402
from harness import SLOWER, note, run, scale  # noqa: E402
from load import World  # noqa: E402
from palaver import Palaver  # noqa: E402

KILLS = scale("KILLS", 5, 100)
SENDERS = scale("SENDERS", 50, 50)
FLOODERS = 4
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
ACCEPT_S, BACK_S = 1, 5  # threats.md, fault 3
# When it is killed, each with the most seconds to that: after the start, after it accepts, after most are back.
MOMENTS = (("starting", 0.03), ("arriving", 0.15), ("talking", 2), ("flooded", 0.6))
SHARES = (3, 4, 9, 4)
CONTROL_SENDERS = 10
CONTROL_MESSAGES = 100


async def live(world, moment, seconds):
    """From its start to its end."""
    world.start()
    if moment == "starting":
        time.sleep(seconds)  # nothing else happens until then, so that it comes to the moment
        return world.kill()
    await world.accept()
    if moment != "arriving":
        await world.all_back()
    if moment == "flooded":
        world.flooding.set()
    await asyncio.sleep(seconds)
    world.kill()
    world.flooding.clear()


async def kills():
    chance = random.Random(f"{SEED} kills")
    # Each of them at least once, whatever the seed.
    moments = list(MOMENTS) + chance.choices(MOMENTS, SHARES, k=max(KILLS - len(MOMENTS), 0))
    chance.shuffle(moments)
    async with World(Palaver(), SEED, SENDERS, flooders=FLOODERS) as world:
        world.loud.set()
        for moment, most_s in moments[:KILLS]:
            await live(world, moment, chance.random() * most_s)
        await world.start_for_good()
        await world.finish(world.server.kill)
        assert world.counts["resets"] == 0
        if SLOWER == 1:
            assert max(world.accept_s) <= ACCEPT_S, f"accepted after {max(world.accept_s):.2f} s"
            assert max(world.back_s) <= BACK_S, f"back after {max(world.back_s):.2f} s"


async def talk(world, messages):
    """Until so many more are acknowledged, and all that was said."""
    wanted = len(world.acknowledged()) + messages
    world.loud.set()
    await world.until(lambda: len(world.acknowledged()) >= wanted, "answers")
    await world.settle()


async def lossy(change):
    """A server that is killed, and whose folder is changed meanwhile: what the checker says then."""
    async with World(Palaver(), SEED, CONTROL_SENDERS, plain=True) as world:
        world.start()
        await talk(world, CONTROL_MESSAGES)
        world.kill()
        await change(world)
        world.start()
        await talk(world, CONTROL_MESSAGES)
        log = await world.read()
        await world.__aexit__()
        world.server.kill()
        assert not world.faults, world.faults[0]
        findings = world.check(log)
        note(findings.figures())
        return world, findings.counts


async def one_taken():
    async def take(world):
        gone.append(world.server.lose_last())

    gone = []
    world, counts = await lossy(take)
    assert counts[history.LOST] == 1, "the checker has not noticed"
    assert counts[history.PUSHED] > 0, "it was pushed, and is not there"
    assert counts[history.RESET] == len(world.listeners), "somebody was not told to forget it"
    assert counts[history.GAP] == counts[history.AGAIN] == counts[history.TWICE] == counts[history.ORDER] == 0


async def older_copy():
    async def restore(world):
        copy = world.server.save()
        before.append(len(world.acknowledged()))
        world.start()
        await talk(world, CONTROL_MESSAGES)
        world.kill()
        before.append(len(world.acknowledged()))
        world.server.restore(copy)

    before = []
    world, counts = await lossy(restore)
    assert counts[history.LOST] == before[1] - before[0], f"the checker has not noticed {before[1] - before[0]}"
    assert counts[history.RESET] == len(world.listeners), "somebody was not told to forget"
    assert counts[history.GAP] == counts[history.AGAIN] == counts[history.TWICE] == counts[history.ORDER] == 0


note(f"SEED={SEED} KILLS={KILLS} SENDERS={SENDERS}")
run([(f"{KILLS} kills", lambda: asyncio.run(kills())),
     ("control: an entry is taken", lambda: asyncio.run(one_taken())),
     ("control: an older copy is put back", lambda: asyncio.run(older_copy()))])
