#!/usr/bin/python3
"""How soon the program accepts, and what it costs while nobody is there: with a new folder, and with one that has been used."""

import asyncio
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from chat import Link  # noqa: E402
from harness import SLOWER, note, run, scale, wait_until  # noqa: E402
from palaver import LOBBY, Palaver  # noqa: E402
from wire import Http  # noqa: E402

STARTS = scale("STARTS", 10, 50)
MESSAGES = scale("MESSAGES", 10000, 100000)
BETWEEN = 600  # messages between two kills
AT_ONCE = 60  # under way, of each of
WRITERS = 4
ACCEPT_S = 0.1  # median
IDLE_BYTES = 15 << 20
RESTS = 5  # of so many starts one is left to rest
STILL_S = 0.2  # without a tick of CPU: it is idle


def idle(server):
    """Its memory once it has answered and rests."""
    with Http(server.port) as http:
        assert http.ask("GET", "/healthz").status == 200
    last = [server.cpu_ticks(), 0]

    def rests():
        ticks = server.cpu_ticks()
        last[:] = [ticks, last[1] + 1 if ticks == last[0] else 0]
        return last[1] * 0.01 >= STILL_S  # wait_until asks every 10 ms

    wait_until(rests, "it to rest")
    return server.figure("VmRSS"), server.figure("Pss", "smaps_rollup")


def measure(what, servers):
    seconds, rss, pss = [], 0, 0
    for number, server in enumerate(servers):
        seconds.append(server.start_and_wait())
        if number % RESTS == 0:
            memory = idle(server)
            rss, pss = max(rss, memory[0]), max(pss, memory[1])
        server.stop()
    median = statistics.median(seconds)
    note(f"{what}: accepts after {median * 1e3:.1f} ms (median of {len(seconds)}, {min(seconds) * 1e3:.1f} to "
         f"{max(seconds) * 1e3:.1f}); idle: RSS {rss / 1e6:.1f} MB, Pss {pss / 1e6:.1f} MB")
    if SLOWER == 1:
        assert median < ACCEPT_S, f"it accepts after {median:.3f} s"
        assert rss < IDLE_BYTES, f"{rss} bytes while idle"


def new_folders():
    measure("a new folder", [Palaver() for _ in range(STARTS)])


async def write(port, name, count):
    link = await Link.open(port)
    assert (await link.call("hello", {"name": name}))["ok"]
    for first in range(0, count, AT_ONCE):
        calls = [link.begin("message.send", {"room": LOBBY, "cid": f"{name}-{n}", "text": f"message {n} of {name}, as people write"})
            for n in range(first, min(first + AT_ONCE, count))]
        for call in calls:
            assert (await link.answer(call))["ok"]
    link.abort()


async def write_all(port):
    share = -(-MESSAGES // WRITERS)
    await asyncio.gather(*(write(port, f"writer{n}", share) for n in range(WRITERS)))


def used_folder():
    server = Palaver()
    server.start_and_wait()
    asyncio.run(write_all(server.port))
    rss, pss = idle(server)
    note(f"after {MESSAGES} messages: RSS {rss / 1e6:.1f} MB, Pss {pss / 1e6:.1f} MB")
    server.stop()
    measure(f"a folder with {MESSAGES} messages", [server] * STARTS)
    assert len(server.read_log()) >= MESSAGES


def killed_folder():
    """What a crash leaves is looked at before anything else: that takes its time."""
    server = Palaver()
    server.start_and_wait()
    seconds = []
    for number in range(STARTS):
        asyncio.run(write(server.port, f"writer{number}", BETWEEN))
        server.kill()
        seconds.append(server.start_and_wait())
    server.stop()
    note(f"after a kill: accepts after {statistics.median(seconds) * 1e3:.1f} ms, at most {max(seconds) * 1e3:.1f}")
    if SLOWER == 1:
        assert max(seconds) < 1, f"it accepts after {max(seconds):.2f} s"  # threats.md, fault 3


run([(f"{STARTS} starts with a new folder", new_folders), (f"{STARTS} starts after {MESSAGES} messages", used_folder),
     (f"{STARTS} starts after a kill", killed_folder)])
