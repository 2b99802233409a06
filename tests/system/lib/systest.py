"""What the Python system tests share: TAP, the server under test, and a JavaScript client driven by lines."""

import atexit
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import traceback

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WAIT_S = float(os.environ.get("WAIT_MS", "10000")) / 1000 * float(os.environ.get("TEST_SLOWER", "1"))
FAULT = re.compile(r"Sanitizer|runtime error:|[Aa]ssertion|panic")
NODE = shutil.which("node") or "node"

children = []


@atexit.register
def end_children():
    for child in children:
        if child.poll() is None:
            child.kill()


def server_path():
    if "--server" in sys.argv:
        return sys.argv[sys.argv.index("--server") + 1]
    return os.environ.get("SERVER", "node")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def take(inbox, fits, what):
    """The next item that fits, others before it dropped; fails after WAIT_S."""
    while True:
        try:
            item = inbox.get(timeout=WAIT_S)
        except queue.Empty:
            raise AssertionError(f"waited {WAIT_S} s in vain for {what}") from None
        if fits(item):
            return item


class Process:
    """A child whose lines of output can be waited for."""

    def __init__(self, command, env=None, stdin=None):
        self.child = subprocess.Popen(
            command, env={**os.environ, **(env or {})}, stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, bufsize=1)
        children.append(self.child)
        self.output = []
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.output.append(line.rstrip("\n"))
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)


class Server(Process):
    """The server under test, as lib/server.mjs starts it."""

    def __init__(self, kind, env=None):
        path = server_path()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [NODE, os.path.join(HERE, "peers", f"{kind}.mjs")] if path == "node" else [path]
        super().__init__(command, {**(env or {}), "PORT": str(self.port)})
        line = take(self.lines, lambda text: text is None or "listening" in text.lower(), "the server to listen")
        assert line is not None, "the server ended: " + "\n".join(self.output)

    def stop(self):
        assert self.child.poll() is None, f"the server ended by itself: {self.child.returncode}"
        self.child.terminate()
        code = self.child.wait(WAIT_S)
        assert code in (0, -15, 143), f"the server ended with {code}"
        faults = [line for line in self.output if FAULT.search(line)]
        assert not faults, faults[0]


class LineClient(Process):
    """peers/line_client.mjs: an official JavaScript client in another process."""

    def __init__(self, server, transport):
        program = os.path.join(HERE, "peers", "line_client.mjs")
        super().__init__([NODE, program, server.url, transport], stdin=subprocess.PIPE)
        self._take(lambda line: line.get("connected"), "the JavaScript client to connect")

    def _take(self, fits, what):
        line = take(self.lines, lambda text: text is None or fits(json.loads(text)), what)
        assert line is not None, "the JavaScript client ended"
        return json.loads(line)

    def tell(self, command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()

    def say(self, *args):
        self.tell({"emit": args})

    def ask(self, *args):
        self.tell({"ask": args})
        return self._take(lambda line: "ack" in line, "the acknowledgement")["ack"]

    def hears(self, name):
        return self._take(lambda line: line.get("event", [None])[0] == name, name)["event"][1:]

    def leave(self):
        self.child.stdin.close()


def run(tests, servers):
    """Runs (name, function) pairs, prints TAP, and exits."""
    failed = 0
    only = re.compile(os.environ.get("ONLY", ""))
    chosen = [(name, body) for name, body in tests if only.search(name)]
    print("TAP version 13", flush=True)
    for number, (name, body) in enumerate(chosen, 1):
        try:
            body()
            print(f"ok {number} - {name}", flush=True)
        except BaseException:  # noqa: a failed test must not end the others
            failed += 1
            print(f"not ok {number} - {name}")
            text = traceback.format_exc() + "".join(
                f"\n--- output of server on port {server.port} (last 40 lines)\n" + "\n".join(server.output[-40:])
                for server in servers)
            for line in text.splitlines():
                print(f"# {line}", flush=True)
    print(f"1..{len(chosen)}", flush=True)
    end_children()
    os._exit(1 if failed else 0)
