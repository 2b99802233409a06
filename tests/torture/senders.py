#!/usr/bin/python3
"""Which system calls carry a broadcast: one for all by io_uring, one for each by plain sends."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import TMPDIR, Crowd, Server, note, run, wait_until  # noqa: E402
from wire import Person  # noqa: E402

CLIENTS = 200
BROADCASTS = 10
URING_CALLS_MAX = 2  # of io_uring_enter for one broadcast
CALL = re.compile(r"^(?:\d+ +)?(io_uring_enter|sendto|sendmsg|sendmmsg|write|writev)\((\d+)", re.M)


def traced(sender):
    """Calls while broadcasts go out, by name; the speaker's own hearing of each is among them."""
    trace = TMPDIR / f"trace-{sender}"
    server = Server(before=["strace", "-f", "-qq", "-o", trace, "-e", "trace=io_uring_enter,sendto,sendmsg,sendmmsg"],
        SIO_SENDER=sender)
    crowd = Crowd(server)
    crowd.connect(CLIENTS)
    speaker = Person(server.port)
    speaker.call("echo")
    calls = {}
    for number in range(1, BROADCASTS + 1):
        begin = quiet_size(trace)
        speaker.emit("message", number)
        speaker.hears("message")
        crowd.wait("events", number)
        quiet_size(trace)
        for name, _ in CALL.findall(trace.read_text()[begin:]):
            calls[name] = calls.get(name, 0) + 1
    note(f"{sender}: {BROADCASTS} broadcasts to {CLIENTS + 1} clients took {calls}")
    speaker.close()
    crowd.end()
    server.stop()
    return calls


def quiet_size(trace):
    """The trace's size once it has stopped to grow."""
    sizes = [-1] * 5

    def settled():
        sizes.append(trace.stat().st_size)
        return len(set(sizes[-5:])) == 1

    wait_until(settled, "the trace to settle")
    return sizes[-1]


def plain():
    calls = traced("plain")
    assert "io_uring_enter" not in calls, "io_uring although plain sends were asked for"
    sends = calls.get("sendto", 0) + calls.get("sendmsg", 0) + calls.get("sendmmsg", 0)
    assert sends == BROADCASTS * (CLIENTS + 1), f"{sends} sends"


def uring():
    calls = traced("uring")
    assert set(calls) == {"io_uring_enter"}, "sends that io_uring did not carry"
    assert calls["io_uring_enter"] <= BROADCASTS * URING_CALLS_MAX, "a call for few sends"


run([("plain: a send for each, no io_uring", plain), ("uring: one call for all, no other send", uring)])
