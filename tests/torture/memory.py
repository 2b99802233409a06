#!/usr/bin/python3
"""What an idle Socket.IO client costs the server in memory: over WebSocket, in a room, its heartbeat armed."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import Crowd, Server, note, run, scale, wait_until  # noqa: E402
from wire import Person  # noqa: E402

CLIENTS = scale("CLIENTS", 5000, 5000)
EACH_BYTES_MAX = 1200


def idle_clients():
    server = Server()
    # One who has been here: what a server needs once for its first client is no client's cost.
    with Person(server.port) as first:
        first.call("join", "lobby")
        wait_until(lambda: first.call("stats")[0]["sessions"] == 1, "the first client")
    crowd = Crowd(server)
    before = server.rss_bytes()
    crowd.connect(CLIENTS, seconds=30)
    crowd.ask('say 421["join","lobby"]')
    crowd.wait("acks", 1)
    each = (server.rss_bytes() - before) / CLIENTS
    note(f"{CLIENTS} idle clients: {each:.0f} bytes each ({before} bytes without them)")
    crowd.end()
    server.stop()
    assert each <= EACH_BYTES_MAX, f"{each:.0f} bytes for each client, more than {EACH_BYTES_MAX}"


run([(f"an idle client costs at most {EACH_BYTES_MAX} bytes", idle_clients)])
