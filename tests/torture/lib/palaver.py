"""`palaver serve` as a child process that is killed and started again on the same port and folder."""

import errno
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import harness
from harness import BUILD, TMPDIR, WAIT_S, Server
from history import Entry

DATABASE = "palaver.db"
LOBBY = 1
PROGRAM = BUILD / "src/app/palaver"


def new_folder(name="data"):
    Server.count += 1
    folder = TMPDIR / f"{name}-{os.getpid()}-{Server.count}"
    folder.mkdir()
    return folder


class Palaver(Server):
    """Started by start(), as often as one likes; `before` is a command that runs it, such as nsenter."""

    def __init__(self, folder=None, args=(), before=(), **env):
        self.folder = folder or new_folder()
        self.log = TMPDIR / f"{self.folder.name}.log"
        self.log.write_bytes(b"")
        self.port = harness.free_port()
        self.command = [*before, PROGRAM, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.folder,
            "--rate-limits", "off", "--log-level", "warn", *args]
        self.env = {**os.environ, **{name: str(value) for name, value in env.items()}}
        self.child = None
        self.starts = 0

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)
        harness.children[:] = [child for child in harness.children if child.poll() is None] + [self.child]
        self.pid = self.child.pid
        self.began = time.monotonic()
        self.starts += 1

    def listens(self):
        """Whether somebody is there at all: not refused."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != errno.ECONNREFUSED

    def accepts(self):
        """Whether it lets somebody in now, and answers him; it must not have ended."""
        assert self.alive(), f"the server ended by itself, status {self.child.returncode}: {self.tail()}"
        with socket.socket() as probe:
            probe.settimeout(WAIT_S)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return probe.recv(4096).startswith(b"HTTP/1.1 200")
            except (ConnectionRefusedError, ConnectionResetError):
                return False

    def start_and_wait(self):
        """Seconds until it accepts."""
        self.start()
        while not self.accepts():
            assert time.monotonic() - self.began < WAIT_S, f"it does not accept: {self.tail()}"
            time.sleep(0.0005)
        return time.monotonic() - self.began

    def tail(self):
        return self.log.read_text(errors="replace")[-500:]

    def kill(self):
        """With SIGKILL; whether it was alive until then is the caller's to know."""
        assert self.alive(), f"the server ended by itself, status {self.child.returncode}: {self.tail()}"
        os.kill(self.pid, signal.SIGKILL)
        self.child.wait(WAIT_S)

    def stands_still(self):
        """Each of its threads: a signal to stop takes its time."""
        stats = pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in stats)

    def figure(self, name, file="status"):
        """A line of /proc in bytes."""
        with open(f"/proc/{self.pid}/{file}") as lines:
            return int(re.search(rf"^{name}:\s+(\d+) kB", lines.read(), re.M)[1]) * 1024

    # The folder, while nobody serves it

    def database(self):
        return sqlite3.connect(self.folder / DATABASE)

    def check_integrity(self):
        with self.database() as db:
            [(said,)] = db.execute("PRAGMA integrity_check")
        db.close()
        assert said == "ok", f"integrity_check: {said}"

    def read_log(self):
        db = self.database()
        rows = db.execute("SELECT seq, nonce, at_ms, author, name, text, cid FROM entries WHERE room = ? ORDER BY seq",
            (LOBBY,)).fetchall()
        db.close()
        return [Entry(*row) for row in rows]

    def lose_last(self):
        """Takes the newest entry out as if it had never been written, and is it."""
        log = self.read_log()
        db = self.database()
        with db:
            db.execute("DELETE FROM entries WHERE room = ? AND seq = ?", (LOBBY, log[-1].seq))
            db.execute("DELETE FROM sends WHERE room = ? AND seq = ?", (LOBBY, log[-1].seq))
            db.execute("UPDATE rooms SET head = ?, head_nonce = ? WHERE id = ?", (log[-2].seq, log[-2].nonce, LOBBY))
        db.close()
        return log[-1]

    def save(self):
        copy = new_folder("backup")
        shutil.copytree(self.folder, copy, dirs_exist_ok=True)
        return copy

    def restore(self, copy):
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
