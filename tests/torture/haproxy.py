#!/usr/bin/python3
"""Many polling sessions over few connections, as behind a proxy: each message comes back once, in order, on any loop.

Sessions belong to loops, requests of all sessions arrive on any connection: so connections move from loop to loop at nearly
every request. Once through HAProxy, which deals requests out to a handful of server connections; once straight, pipelined.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from harness import TMPDIR, WAIT_S, Server, children, free_port, note, run, scale, wait_until  # noqa: E402
from wire import Http, Numbered, Person  # noqa: E402

REQUESTS = scale("REQUESTS", 10000, 100000)
LOOPS = 4
WORKERS = 12  # client connections
SESSIONS_EACH = 16  # sessions of a worker
SERVER_CONNECTIONS = 5  # of HAProxy, for all of them
PACKETS_MAX = 5  # messages in one POST
PIPELINED_MAX = 24  # requests under way on one connection
IDLE_S = 5  # after which HAProxy drops a connection to the server, by a reset (its pool-purge-delay)
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))

CONFIG = """
global
	maxconn 1000
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	timeout queue 60s
	http-reuse always
	retries 0
frontend front
	bind 127.0.0.1:{front}
	default_backend back
backend back
	server probe 127.0.0.1:{back} maxconn {connections}
"""


def words(session, chance):
    """A body of some messages."""
    return session.words("x" * chance.choice((1, 10, 300)) for _ in range(chance.randint(1, PACKETS_MAX)))


def posted(answer):
    assert (answer.status, answer.body) == (200, b"ok"), f"POST: {answer.status} {answer.body[:100]}"
    return answer


def polled(answer):
    assert answer.status == 200, f"GET: {answer.status} {answer.body[:100]}"
    return answer


def one_by_one(http, sessions, chance, count):
    """A request at a time, of a session chosen by chance: it says something, or hears all that it has said."""
    done = 0
    while done < count:
        session = chance.choice(sessions)
        if session.said == session.heard or chance.random() < 0.3:
            posted(http.ask("POST", session.target, words(session, chance)))
        else:
            session.take(polled(http.ask("GET", session.target)).body)
        done += 1
    return done + sum(finish(http, session) for session in sessions)


def finish(http, session):
    """Hear what is left."""
    done = 0
    while session.heard < session.said:
        session.take(polled(http.ask("GET", session.target)).body)
        done += 1
    return done


def pipelined(http, sessions, chance, count):
    """Requests of different sessions in one go: POSTs and GETs mixed, each of its own session, answered in their order."""
    done = 0
    while done < count:
        chosen = chance.sample(sessions, min(len(sessions), chance.randint(1, PIPELINED_MAX)))
        kinds = []
        for session in chosen:
            if session.said == session.heard:
                http.send("POST", session.target, words(session, chance))
                kinds.append("POST")
            else:
                http.send("GET", session.target)
                kinds.append("GET")
        for session, kind in zip(chosen, kinds):
            answer = http.answer()
            if kind == "POST":
                posted(answer)
            else:
                session.take(polled(answer).body)
        done += len(chosen)
    return done + sum(finish(http, session) for session in sessions)


class Worker(threading.Thread):
    """One client connection and its sessions."""

    def __init__(self, number, server, port, way, count):
        super().__init__(daemon=True)
        self.server, self.port, self.way, self.count = server, port, way, count
        self.chance = random.Random(f"{SEED} {number} {way.__name__}")
        self.done, self.failure = 0, None

    def run(self):
        try:
            sessions = []
            for _ in range(SESSIONS_EACH):  # a connection for each, to the server itself: so they are born on all loops
                with Http(self.server.port) as http:
                    sessions.append(Numbered(http))
            with Http(self.port, seconds=WAIT_S * 2) as http:
                self.done = self.way(http, sessions, self.chance, self.count)
        except BaseException as failure:  # noqa: told by the test
            self.failure = failure


def work(server, port, way, workers):
    watcher = Person(server.port)
    threads = [Worker(number, server, port, way, REQUESTS // workers) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = watcher.call("stats")[0]
    note(f"{way.__name__}: {sum(t.done for t in threads)} requests of {workers * SESSIONS_EACH} sessions, connections "
         f"{stats['accepted']} accepted, {stats['moved']} moves")
    failures = [thread.failure for thread in threads if thread.failure]
    watcher.close()
    if failures:
        raise failures[0]
    assert stats["moved"] > 0, "no connection moved"
    assert stats["packets_bad"] == 0
    return stats


def start_proxy(server):
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    front = free_port()
    config = TMPDIR / "haproxy.cfg"
    config.write_text(CONFIG.format(front=front, back=server.port, connections=SERVER_CONNECTIONS))
    with open(TMPDIR / "haproxy.log", "wb") as log:
        child = subprocess.Popen([program, "-db", "-f", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    children.append(child)

    def answers():
        assert child.poll() is None, (TMPDIR / "haproxy.log").read_text()
        try:
            Http(front).close()
            return True
        except ConnectionRefusedError:
            return False

    wait_until(answers, "HAProxy to listen")
    return child, front


def behind_haproxy():
    server = Server(SIO_THREADS=LOOPS, PING_INTERVAL=600000)
    child, front = start_proxy(server)
    stats = work(server, front, one_by_one, WORKERS)
    assert stats["accepted"] < REQUESTS // 10, "the proxy did not reuse its connections"
    child.terminate()
    child.wait(WAIT_S)
    server.stop()


def straight(way, workers):
    server = Server(SIO_THREADS=LOOPS, PING_INTERVAL=600000)
    work(server, server.port, way, workers)
    server.stop()


def idle_connection_reset():
    """A proxy drops a connection that it has not used for a while, by a reset: what it carried before has arrived."""
    server = Server(PING_INTERVAL=600000)
    with Http(server.port) as first, Http(server.port) as other:
        session = Numbered(other)
        posted(other.ask("POST", session.target, session.words()))
        session.take(polled(first.ask("GET", session.target)).body)
        time.sleep(IDLE_S)  # that it has been idle is the case
        there = server.descriptors()
        first.reset()
        wait_until(lambda: server.descriptors() < there, "the reset to be seen")
        posted(other.ask("POST", session.target, session.words()))
        session.take(polled(other.ask("GET", session.target)).body)
        assert session.heard == session.said
    server.stop()


note(f"SEED={SEED}")
run([
    (f"behind HAProxy, {SERVER_CONNECTIONS} connections to the server", behind_haproxy),
    ("a connection reset after it was idle", idle_connection_reset),
    ("straight, one request at a time", lambda: straight(one_by_one, WORKERS)),
    ("straight, pipelined on one connection", lambda: straight(pipelined, 1)),
    ("straight, pipelined on several connections", lambda: straight(pipelined, WORKERS)),
])
