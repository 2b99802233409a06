#!/usr/bin/python3
"""One broadcast makes thousands of sessions dirty in one iteration: each reader, with hardly a buffer, gets every byte."""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import SLOWER, Crowd, Server, note, run, scale  # noqa: E402
from wire import Person  # noqa: E402

CLIENTS = scale("CLIENTS", 3000 if SLOWER == 1 else 600, 15000)
BROADCASTS = scale("BROADCASTS", 2, 3)
BYTES = scale("BYTES", 64 << 10, 64 << 10)
PROCESSES = 2  # of readers: a process has 20,000 descriptors
RECEIVE_BYTES = 4096  # SO_RCVBUF of each
TIME_S = scale("TIME_S", 20, 300) * SLOWER
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))

FNV_START, FNV_PRIME, FNV_MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def fnv(data):
    value = FNV_START
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & FNV_MASK
    return value


def broadcast(sender, threads, small):
    """The hash over all that is said must be every reader's."""
    chance = random.Random(SEED)
    server = Server(SIO_SENDER=sender, SIO_THREADS=threads, PING_INTERVAL=600000)
    speaker = Person(server.port, seconds=TIME_S)
    crowd = Crowd(server, PROCESSES)
    crowd.connect(CLIENTS, RECEIVE_BYTES, seconds=TIME_S)
    began, expected = time.monotonic(), FNV_START
    for number in range(BROADCASTS):
        size = chance.randrange(1, 200) if small else BYTES
        text = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz 0123456789", k=size))
        speaker.emit("message", number, text)
        assert speaker.hears("message") == [number, text]
        expected = ((expected ^ fnv(f'42["message",{number},"{text}"]'.encode())) * FNV_PRIME) & FNV_MASK
    states = crowd.wait("events", BROADCASTS, TIME_S)
    seconds = time.monotonic() - began
    note(f"{sender}, {threads} loops: {BROADCASTS} broadcasts to {CLIENTS} readers in {seconds:.2f} s")
    for state in states:
        assert state["gone"] == 0 and state["events"] == [BROADCASTS, BROADCASTS], state
        assert state["hashes"] == {f"{expected:016x}": state["ready"]}, f"{state['hashes']}, wanted {expected:016x}"
    assert speaker.call("stats")[0]["overflows"] == 0
    speaker.close()
    crowd.end()
    server.stop()


note(f"SEED={SEED}")
run([(f"{sender}, {'small' if small else 'large'} messages, {threads} loops: each reader gets every byte",
      lambda sender=sender, threads=threads, small=small: broadcast(sender, threads, small))
     for sender in ("plain", "uring") for threads, small in ((1, False), (1, True), (2, False))])
