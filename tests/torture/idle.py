#!/usr/bin/python3
"""A server whose clients are silent sleeps: no CPU, no wake-up, until a heartbeat is due."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import Crowd, Server, note, run, scale  # noqa: E402
from wire import Http, Poller  # noqa: E402

CLIENTS = scale("CLIENTS", 1000, 10000)
POLLERS = 50
INTERVAL_S = 2  # the CPU is measured over it
QUIET_TRIES = 5  # what came before takes a moment to settle


def silent(threads):
    server = Server(SIO_THREADS=threads, PING_INTERVAL=300000)
    crowd = Crowd(server)
    crowd.connect(CLIENTS, seconds=30)
    crowd.ask('say 421["join","lobby"]')
    crowd.wait("acks", 1)
    waiting = [Http(server.port) for _ in range(POLLERS)]
    for http in waiting:
        poller = Poller(http)
        http.send("GET", poller.target)
    for _ in range(QUIET_TRIES):
        ticks, switches = server.cpu_ticks(), server.switches()
        time.sleep(INTERVAL_S)
        ticks, switches = server.cpu_ticks() - ticks, server.switches() - switches
        note(f"{threads} loops, {CLIENTS} clients and {POLLERS} polls: {ticks} ticks of CPU, {switches} wake-ups in {INTERVAL_S} s")
        if (ticks, switches) == (0, 0):
            break
    for http in waiting:
        http.close()
    crowd.end()
    server.stop()
    assert (ticks, switches) == (0, 0), "an idle server wakes up"


run([
    ("one loop sleeps", lambda: silent(1)),
    ("four loops sleep", lambda: silent(4)),
])
