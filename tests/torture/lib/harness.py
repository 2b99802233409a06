"""What the torture tests share: TAP, scales, and servers as child processes with their figures in /proc."""

import atexit
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
TMPDIR = pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
SLOWER = float(os.environ.get("TEST_SLOWER", "1"))  # more than 1: a sanitized build
TORTURE = os.environ.get("TEST_TIER", "test") == "torture"
WAIT_S = 10 * SLOWER
STOP_S = 5  # what sio_stop() promises
FAULT = re.compile(r"Sanitizer|runtime error:|[Aa]ssertion|panic")
# Below those that the kernel gives to who connects: a client that tries a port in that range again and again, while
# nobody listens there, is connected to itself one day.
PORTS = range(20000, 32000)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

children = []


def end_children():
    for child in children:
        if child.poll() is None:
            child.kill()


atexit.register(end_children)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(130))


def scale(name, test, torture):
    """How many: by the environment, else by the tier."""
    return int(os.environ.get(name, torture if TORTURE else test))


def note(text):
    print(f"# {text}", flush=True)


def wait_until(condition, what, seconds=None):
    """Asks until the condition holds; what it returned."""
    deadline = time.monotonic() + (seconds or WAIT_S)
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return result


def readable(file, seconds):
    """Whether there is something to read in that time, whatever number its descriptor has."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def free_port():
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """The probe, on a port of its own; `before` is a command that runs it, such as prlimit or strace."""

    count = 0

    def __init__(self, before=(), **env):
        Server.count += 1
        self.log = TMPDIR / f"server-{os.getpid()}-{Server.count}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([*before, BUILD / "tests/servers/probe"], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "PORT": "0", **{k: str(v) for k, v in env.items()}})
        children.append(self.child)
        self.port = int(wait_until(self._listening, "the server to listen")[1])
        self.pid = self.child.pid
        if before and "probe" not in os.readlink(f"/proc/{self.pid}/exe"):
            children_of = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
            self.pid = int(children_of.read_text().split()[0])

    def _listening(self):
        assert self.child.poll() is None, f"the server did not start: {self.log.read_text()}"
        return re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text())

    def alive(self):
        return self.child.poll() is None

    def faults(self):
        with open(self.log, errors="replace") as lines:
            return [line.rstrip() for line in lines if FAULT.search(line)]

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)

    def stop(self):
        """As an operator ends it. It must be alive, end in time with status 0, and have complained of nothing."""
        assert self.alive(), f"the server ended by itself, status {self.child.returncode}: {self.faults()}"
        self.terminate()
        status = self.child.wait((STOP_S + 1) * SLOWER)
        assert status == 0, f"the server ended with status {status}: {self.faults()}"
        faults = self.faults()
        assert not faults, faults[0]

    def kill(self):
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
            self.child.wait(WAIT_S)

    # Figures

    def cpu_ticks(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def rss_bytes(self):
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+) kB", text, re.M)[1]) * 1024

    def peak_bytes(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", text, re.M)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def switches(self):
        """How often its threads have gone to sleep."""
        total = 0
        for status in pathlib.Path(f"/proc/{self.pid}/task").glob("*/status"):
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)[1])
        return total


class Crowd:
    """Clients of a server in one or several crowd processes (crowd/main.c says what can be asked)."""

    def __init__(self, server, processes=1):
        self.members = [subprocess.Popen([BUILD / "tests/torture/crowd", str(server.port)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=0) for _ in range(processes)]
        self.heard = [b"" for _ in self.members]
        self.sizes = [0 for _ in self.members]
        children.extend(self.members)

    def tell(self, index, line):
        self.members[index].stdin.write(line.encode() + b"\n")

    def answer(self, index, seconds=None):
        deadline = time.monotonic() + (seconds or WAIT_S * 3)
        out = self.members[index].stdout
        while b"\n" not in self.heard[index]:
            left = deadline - time.monotonic()
            assert left > 0 and readable(out, left), "the crowd does not answer"
            more = os.read(out.fileno(), 65536)
            assert more, "the crowd has ended"
            self.heard[index] += more
        line, self.heard[index] = self.heard[index].split(b"\n", 1)
        return json.loads(line)

    def ask(self, line, seconds=None):
        """The same line to all; what each answers."""
        for index in range(len(self.members)):
            self.tell(index, line)
        return [self.answer(index, seconds) for index in range(len(self.members))]

    def connect(self, count, receive_bytes=0, seconds=None):
        share = -(-count // len(self.members))
        shares = [min(share, count - share * index) for index in range(len(self.members))]
        for index, size in enumerate(shares):
            self.tell(index, f"connect {size} {receive_bytes}")
            self.answer(index)
            self.sizes[index] += size
            self.tell(index, f"wait ready {self.sizes[index]} {int((seconds or WAIT_S) * 1000)}")
        states = [self.answer(index, (seconds or WAIT_S) + WAIT_S) for index in range(len(self.members))]
        assert all(state["ok"] for state in states), f"not all have joined: {states}"

    def wait(self, what, count, seconds=None):
        seconds = seconds or WAIT_S
        states = self.ask(f"wait {what} {count} {int(seconds * 1000)}", seconds + WAIT_S)
        assert all(state["ok"] for state in states), f"waited {seconds} s in vain for {count} {what}: {states}"
        return states

    def end(self):
        for member in self.members:
            member.stdin.close()
            member.kill()
            member.wait()


def run(tests):
    """Runs (name, function) pairs, prints TAP, and exits."""
    failed = 0
    only = re.compile(os.environ.get("ONLY", ""))
    chosen = [(name, body) for name, body in tests if only.search(name)]
    print("TAP version 13", flush=True)
    for number, (name, body) in enumerate(chosen, 1):
        began = time.monotonic()
        try:
            body()
            print(f"ok {number} - {name}", flush=True)
        except BaseException:  # noqa: a failed test must not end the others
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                note(line)
        note(f"{name}: {time.monotonic() - began:.2f} s")
    print(f"1..{len(chosen)}", flush=True)
    end_children()
    sys.exit(1 if failed else 0)
