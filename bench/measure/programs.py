"""The programs of a run: servers on one core, a load generator for each on another."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from measure import machine

BENCH = pathlib.Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 15
PART_SECONDS_MAX = 10
NODE = "{node}"  # in a command: that of node()


class Invalid(Exception):
    """A slice that does not count: something was lost, doubled, broken or closed."""


ROOT = BENCH.parent
PEER_PACKAGES = ("socket.io", "engine.io", "ws", "@trufflesuite/uws-js-unofficial")
NODE_MAJOR = 20  # newer ones have no native uWebSockets.js
OWN_NODE = ROOT / "web" / "node"  # of the web application's tools


def node_version(node):
    try:
        return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


@functools.cache
def node():
    """The system's if it is of the right version, else the one that the web application's tools bring along."""
    for candidate in (shutil.which("node") or "node", str(OWN_NODE / "node_modules" / ".bin" / "node")):
        if node_version(candidate).startswith(f"v{NODE_MAJOR}."):
            return candidate
    raise Invalid(f"the peers are measured under Node {NODE_MAJOR}, and there is {node_version('node')}")


def fetch_peers():
    """The packages of the lock file, and a Node for them. Needs the network the first time. Raises Invalid."""
    try:
        if not node_version("node").startswith(f"v{NODE_MAJOR}."):
            subprocess.run([str(ROOT / "tools" / "npm.sh"), str(OWN_NODE)], check=True)
        subprocess.run([str(ROOT / "tools" / "npm.sh"), str(BENCH)], check=True,
                       env={**os.environ, "PATH": f"{pathlib.Path(node()).parent}:{os.environ['PATH']}"})
    except subprocess.CalledProcessError as failed:
        raise Invalid("the peers' packages cannot be had") from failed


def versions():
    """(what, version) of what the peers are run with, as it is there."""
    return [("Node", node_version(node()))] + [
        (name, json.loads((BENCH / "node_modules" / name / "package.json").read_text())["version"]) for name in PEER_PACKAGES]


@dataclasses.dataclass(frozen=True)
class Spec:
    name: str  # a word, unique
    title: str  # for people
    protocol: str  # of the generator: socketio, raw or chat
    command: tuple  # with {port}, unless it takes PORT from its environment
    env: dict = dataclasses.field(default_factory=dict)
    ours: bool = False
    floor: bool = False  # no server but the price of the kernel's part
    warm: bool = False  # compiles while it runs: 300,000 deliveries before anything counts
    cores: str = str(machine.SERVER_CORE)
    text_bytes: int = 100  # of what is said to it


def peer(name, title, protocol):
    return Spec(name, title, protocol, (NODE, str(BENCH / "peers" / f"{name}.mjs")),
                {"NODE_ENV": "production"}, warm=True)


PEERS = {spec.name: spec for spec in (
    peer("socketio", "socket.io on Node", "socketio"),
    peer("socketio_uws", "socket.io over uWebSockets.js", "socketio"),
    peer("uws_raw", "uWebSockets.js, raw frames", "raw"),
    peer("ws_raw", "ws on Node, raw frames", "raw"),
)}


def ours(command):
    """The same program with either sender, and the first a second time: what differs there is noise."""
    def one(name, title, sender):
        return Spec(name, title, "socketio", tuple(command), {"SIO_SENDER": sender, "SIO_THREADS": "1"}, ours=True)
    return [
        one("uring", "palaver, io_uring", "uring"),
        one("plain", "palaver, plain send", "plain"),
        one("again", "palaver, io_uring, again", "uring"),
    ]


def floors(command):
    """bench/prototypes/floor.c with either sender. A broadcast is as long as ours, `42["message","` and `"]` included."""
    return [Spec(f"floor_{sender}", f"the kernel's part, {title}", "raw", (command,), {"SENDER": sender}, floor=True, text_bytes=115)
            for sender, title in (("uring", "io_uring"), ("plain", "plain send"))]


class Server:
    def __init__(self, spec):
        self.spec, self.port = spec, machine.free_port()
        self.process = subprocess.Popen(
            ["taskset", "-c", spec.cores,
             *(node() if word == NODE else word.replace("{port}", str(self.port)) for word in spec.command)],
            env={**os.environ, **spec.env, "PORT": str(self.port)}, stdout=subprocess.DEVNULL)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_listens(self):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Invalid(f"{self.spec.title} ended at its start with {self.process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Invalid(f"{self.spec.title} does not listen after {START_SECONDS_MAX} s")

    def cpu_ns(self):
        return machine.cpu_ns(self.process.pid)

    def wait_until_alone(self, descriptors):
        """It has no more open than these: who has left is gone on its side too."""
        until = time.monotonic() + PART_SECONDS_MAX
        while machine.descriptors(self.process.pid) > descriptors:
            if time.monotonic() > until:
                raise Invalid(f"{self.spec.title} keeps connections that were closed")
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Generator:
    """N connections to one server, which stay while slices come and go."""

    def __init__(self, load, server, conns, *options, cores=str(machine.GENERATOR_CORE)):
        self.server = server
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, load, "--port", str(server.port),
             "--protocol", server.spec.protocol, "--n", str(conns), "--bytes", str(server.spec.text_bytes), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._answer()
        except BaseException:
            self.stop()
            raise

    def _answer(self):
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"why": "the generator has ended"}
        if answer.get("event") != "connected" and not answer.get("valid"):
            raise Invalid(f"{self.server.spec.title}: {answer['why']}")
        return answer

    def run(self, command):
        """One slice; its answer, with the server's CPU nanoseconds per delivery."""
        before = self.server.cpu_ns()
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Invalid(f"{self.server.spec.title}: the generator has ended") from None
        answer = self._answer()
        answer["cpu_ns"] = self.server.cpu_ns() - before
        return answer

    def stop(self):
        """Its connections are reset when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what an ended one was still to be told
            self.process.stdin.close()
        self.process.stdout.close()
