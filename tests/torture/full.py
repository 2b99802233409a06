#!/usr/bin/python3
"""A disk that is full: what is said is refused, what was said can be read, and with space all goes on without a restart.

The data folder is a small tmpfs of the server's own, in a mount namespace: root makes one, anybody else one of a user namespace.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from chat import Link, read_backward, read_forward  # noqa: E402
from harness import note, run, scale  # noqa: E402
from load import World  # noqa: E402
from palaver import LOBBY, Palaver, new_folder  # noqa: E402
from wire import Http  # noqa: E402

ROUNDS = scale("ROUNDS", 2, 20)
SENDERS = scale("SENDERS", 10, 50)
DISK_BYTES = (12 + 4 * ROUNDS) << 20  # what is said in a round, and the log of it, has place
MESSAGES = 60  # between one full disk and the next
REFUSALS = 3  # of each sender
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
# In a chroot there are no user namespaces, and its root may be no mount whose propagation could be set.
NAMESPACE = ["unshare", "--mount", "--propagation", "unchanged"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
MOUNT = 'mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size="$1" palaver "$2" && shift 2 && exec "$@"'


class Disk:
    """Seen through the server, whose alone it is; it lasts as long as this."""

    def __init__(self, server):
        self.fd = os.open(f"/proc/{server.pid}/root{server.folder}", os.O_DIRECTORY | os.O_RDONLY)
        assert os.fstatvfs(self.fd).f_blocks * os.fstatvfs(self.fd).f_frsize == DISK_BYTES, "it has no disk of its own"

    def fill(self):
        filler = os.open("filler", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=self.fd)
        try:
            for piece in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(filler, bytes(piece))
        finally:
            os.close(filler)
        assert os.fstatvfs(self.fd).f_bavail == 0

    def free(self):
        os.unlink("filler", dir_fd=self.fd)

    def copy(self):
        folder = new_folder("copy")
        shutil.copytree(f"/proc/self/fd/{self.fd}", folder, dirs_exist_ok=True)
        return folder


def health(port):
    with Http(port) as http:
        answer = http.ask("GET", "/healthz")
        return answer.status, answer.body


async def read_all(world, token):
    """By one who is known already, while nothing can be written."""
    link = await Link.open(world.server.port)
    hello = await link.call("hello", {"token": token})
    assert hello["ok"], hello
    log = await read_backward(link, world.entries)
    more = await read_forward(link, world.entries, hello["epoch"])
    new = await link.call("message.send", {"room": LOBBY, "cid": f"no-{time.monotonic_ns()}", "text": "x" * 60000})
    link.abort()
    assert (new["ok"], new.get("error")) == (False, "unavailable"), new
    assert log == more[:len(log)], "the two readings differ"
    return log


async def fill_and_free(world, disk):
    disk.fill()
    counts, refusal = world.counts, "message.send: unavailable"
    before = counts[refusal]
    await world.until(lambda: counts[refusal] >= before + REFUSALS * len(world.senders), "refusals")
    acknowledged = [(send.cid, send.acks[0][0]) for send in world.acknowledged()]
    log = await read_all(world, world.senders[0].token)
    cids = {entry.cid: entry.seq for entry in log}
    assert all(cids.get(cid) == seq for cid, seq in acknowledged), "what was acknowledged cannot be read"
    said = health(world.server.port)
    assert said == (200, b"ok\n"), f"healthz: {said}"
    disk.free()
    freed = time.monotonic()
    wanted = len(world.acknowledged()) + MESSAGES
    await world.until(lambda: len(world.acknowledged()) >= wanted, "answers once there is space")
    note(f"{counts[refusal] - before} refusals, {len(log)} entries read meanwhile, {MESSAGES} more after "
         f"{time.monotonic() - freed:.2f} s")


async def rounds():
    folder = new_folder()
    server = Palaver(folder, before=[*NAMESPACE, "sh", "-c", MOUNT, "sh", str(DISK_BYTES), folder])
    async with World(server, SEED, SENDERS, listeners=2) as world:
        await world.start_for_good()
        disk = Disk(server)
        world.loud.set()
        await world.until(lambda: len(world.acknowledged()) >= MESSAGES, "answers")
        for _ in range(ROUNDS):
            await fill_and_free(world, disk)
        assert world.counts["arrivals"] == len(world.clients), "somebody was disconnected"
        assert server.starts == 1

        def end():
            server.kill()
            server.folder = disk.copy()

        await world.finish(end)


note(f"SEED={SEED} ROUNDS={ROUNDS} SENDERS={SENDERS}")
run([(f"{ROUNDS} times full", lambda: asyncio.run(rounds()))])
