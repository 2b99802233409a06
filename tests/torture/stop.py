#!/usr/bin/python3
"""SIGTERM while clients arrive: whoever was let in is answered, whoever was there is told, and the server ends in time."""

import asyncio
import collections
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, STOP_S, WAIT_S, Server, note, run, scale  # noqa: E402
from wire import PATH, Ended, Http, Person, Poller  # noqa: E402

ROUNDS = scale("ROUNDS", 10, 100)
PER_S = scale("PER_S", 200, 200)
BEFORE_S, AFTER_S = 0.4, 0.8  # they arrive for so long before and after the signal
THINK_S = (0.02, 0.5)  # at most, between connect and request, mostly and now and then
TRAVELLERS, SESSIONS_EACH = 4, 8
FLOOD = (12, 1000000)  # messages, bytes of each: more than the kernel takes for a slow reader at once
SOON_S = 1
STAYING = 20  # clients of each kind that are there already
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
UPGRADE = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
PROPER = {"refused", "101", "200", "503"}


async def arrive(port, kind, think):
    """Connects and shakes hands; what became of it: a status, `refused`, or what must not be. Then waits for the end."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return f"connect: {error}"
    try:
        await asyncio.sleep(think)
        writer.write(f"GET {PATH}{kind} HTTP/1.1\r\nHost: t\r\n{UPGRADE if kind == 'websocket' else ''}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return "ended without an answer"
    except OSError as error:
        return f"no answer: {error}"
    status = head.split(b" ")[1].decode()
    try:
        rest = await reader.read()
    except OSError as error:
        return f"after {status}: {error}"
    finally:
        writer.close()
    if status == "101" and not rest.endswith(b"\x88\x02\x03\xf4"):
        return f"101 without a close frame of 1012: {rest[-40:]}"
    return status


async def crowd(server, chance, ended):
    """PER_S arrivals a second; the signal comes in their midst. What became of each."""
    tasks, began, signalled = [], time.monotonic(), None
    while signalled is None or time.monotonic() - signalled < AFTER_S:
        kind = chance.choice(["polling", "websocket"])
        tasks.append(asyncio.create_task(arrive(server.port, kind, chance.random() * THINK_S[chance.random() < 0.1])))
        await asyncio.sleep(1 / PER_S)
        if signalled is None and time.monotonic() - began > BEFORE_S:
            server.terminate()
            signalled = time.monotonic()
            threading.Thread(target=lambda: ended.append((server.child.wait(), time.monotonic() - signalled))).start()
    done = await asyncio.wait_for(asyncio.gather(*tasks), WAIT_S)
    return collections.Counter(done)


def stay_by_polling(port, told):
    with Http(port) as http:
        poller = Poller(http)
        told.append("there")
        told.append("polling: " + poller.poll(http)[-1])


def stay_by_websocket(port, told):
    with Person(port) as person:
        told.append("there")
        told.append(f"websocket: {person.close_code()}")


def travel(port, sessions, chance, outcomes):
    """Requests of many sessions over one connection, which so moves from loop to loop; until the server ends it."""
    with Http(port) as http:
        try:
            while True:
                answer = http.ask("POST", chance.choice(sessions).target, b'42["leave","nowhere"]')
                if answer.status != 200:
                    outcomes.append(str(answer.status))
        except Ended:
            outcomes.append("ended")
        except OSError as error:
            outcomes.append(f"travelling: {error}")


def begin_travels(port, chance):
    """Sessions on all loops, each owned by one traveller; the threads and what becomes of them."""
    outcomes, threads = [], []
    for _ in range(TRAVELLERS):
        sessions = []
        for _ in range(SESSIONS_EACH):
            with Http(port) as http:
                sessions.append(Poller(http))
        args = (port, sessions, random.Random(chance.random()), outcomes)
        threads.append(threading.Thread(target=travel, args=args, daemon=True))
        threads[-1].start()
    return threads, outcomes


def one_round(number, threads):
    chance = random.Random(f"{SEED} {number}")
    server = Server(SIO_THREADS=threads)
    told, ended = [], []
    travellers, travels = begin_travels(server.port, chance)
    staying = [threading.Thread(target=kind, args=(server.port, told), daemon=True)
        for kind in (stay_by_polling, stay_by_websocket) for _ in range(STAYING)]
    for thread in staying:
        thread.start()
    while told.count("there") < 2 * STAYING:
        time.sleep(0.01)
    became = asyncio.run(crowd(server, chance, ended))
    for thread in staying + travellers:
        thread.join(WAIT_S)
    told, travels = collections.Counter(told), collections.Counter(travels)
    server.child.wait(WAIT_S)
    note(f"round {number}, {threads} loops: {dict(became)}; {dict(told)}; "
         f"{dict(travels)}; ended {[(s, round(t, 2)) for s, t in ended]}")
    assert not server.faults(), server.faults()[0]
    assert set(became) <= PROPER, f"not proper: {set(became) - PROPER}"
    assert set(travels) <= {"ended", "503"} and travels["ended"] == TRAVELLERS, f"travellers: {dict(travels)}"
    assert told["polling: 1"] == STAYING and told["websocket: 1012"] == STAYING, "somebody was not told"
    [(status, seconds)] = ended
    assert status == 0, f"ended with status {status}"
    assert "cutting" not in server.log.read_text(), f"it waited {seconds:.2f} s for somebody whom it had not told"
    assert seconds <= STOP_S * SLOWER, f"ended after {seconds:.2f} s"


def answer_under_way():
    """An answer that has begun is given whole, and its connection ends with it, not with the last moment."""
    server = Server(QUEUE_MAX=64 << 20)
    with Http(server.port) as other, Http(server.port, receive_bytes=65536) as slow:
        poller = Poller(other)
        poller.post(other, f'42["flood",{FLOOD[0]},{FLOOD[1]}]')
        slow.send("GET", poller.target)
        begun = slow.socket.recv(16, socket.MSG_PEEK)
        assert begun.startswith(b"HTTP/1.1 200"), begun
        server.terminate()
        assert other.at_end(), "an idle connection stays"
        body = slow.answer().body
        assert len(body) > FLOOD[1], len(body)
        began = time.monotonic()
        assert slow.at_end(), "the connection stays"
        note(f"an answer of {len(body)} bytes, then the end after {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < SOON_S * SLOWER, "the connection lingers"
    assert server.child.wait(WAIT_S) == 0
    assert "cutting" not in server.log.read_text(), "it waited for somebody whom it had not told"


note(f"SEED={SEED}")
run([("an answer under way is given whole", answer_under_way)] + [(f"round {number}: SIGTERM among {PER_S} arrivals a second, {threads} loops",
      lambda number=number, threads=threads: one_round(number, threads))
     for number, threads in ((n, (1, 4)[n % 2]) for n in range(ROUNDS))])
