#!/usr/bin/python3
"""Counts the instructions our server runs for a piece of work, under callgrind, against bench/budgets.json. Prints TAP.

    bench/budgets.py --build build             fails where a count is more than 5 % over its budget
    bench/budgets.py --build build --update    writes the counts as the new budgets

Times drift on shared machines, counts of instructions do not: they repeat within a fraction of a percent. The kernel's
work is not in them. A count is the difference between 2k operations and k, so what happens once cancels out. It
holds for one compiler and its options; budgets.json says for which.
"""

import argparse
import collections.abc
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import machine, poller, programs  # noqa: E402

ROOT = programs.BENCH.parent
BUDGETS = programs.BENCH / "budgets.json"
TOLERANCE = 0.05
SENDERS = ("plain", "uring")
MEMORY = "/dev/shm"  # a disk whose syncs cost nothing


@dataclasses.dataclass(frozen=True)
class Counted:
    title: str
    program: str  # of PROGRAMS
    prepare: collections.abc.Callable  # (Counter, k): what is counted, and what ends it afterwards
    k: int


def by_command(command):
    """k operations of the generator's, on the connections that it has."""
    def prepare(counter, k):
        return lambda: counter.generator.run(f"{command} count={k}"), lambda: None
    return prepare


def connecting(counter, k):
    """Handshake, Socket.IO's CONNECT and the answers, over WebSocket."""
    made = []
    return lambda: made.append(counter.connect(k)), lambda: counter.part(made[0])


def subscribing(counter, k):
    made = counter.connect(k)
    return lambda: made.run(f"join rooms={ROOMS} each={ROOMS}"), lambda: counter.part(made)


def polling(counter, k):
    """An event by POST, and its answer by the next poll."""
    client = poller.Poller(counter.server.port)
    return lambda: [client.echo("text") for _ in range(k)], client.close


ROOMS = 100
# A post waits for its own commit: how many of several in flight share one is not the same twice. So many that what the log's
# copying costs is spread over them.
COUNTED = {
    "broadcast": Counted("one broadcast to 1,000 receivers", "broadcast", by_command("broadcast w=1"), 10),
    "echo": Counted("one echo with acknowledgement", "broadcast", by_command("echo conns=1"), 200),
    "poll": Counted("one event by POST, answered by a poll", "broadcast", polling, 50),
    "connect": Counted("one connection with its handshakes", "rooms", connecting, 100),
    "subscribe": Counted(f"subscribing to {ROOMS} rooms", "rooms", subscribing, 20),
    "post": Counted("one durable post", "palaver", by_command("post w=1"), 400),
}
PROGRAMS = {"broadcast": ("socketio", 1000), "rooms": ("rooms", 0), "palaver": ("chat", 1)}  # protocol, connections


class Counter:
    """A server under callgrind with its connections. Instructions are counted between zero and dump only."""

    def __init__(self, options, program, sender, folder):
        self.out = pathlib.Path(folder) / f"{program}-{sender}.out"
        protocol, conns = PROGRAMS[program]
        command = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
                   f"--callgrind-out-file={self.out}", *options.programs[program]]
        if program == "palaver":
            command += ["--data", f"{folder}/{sender}"]
        self.server = programs.Server(programs.Spec(sender, f"palaver, {sender}", protocol, tuple(command),
                                                    {"SIO_SENDER": sender, "SIO_THREADS": "1"}, ours=True))
        self.load, self.generator, self.dumps = options.load, None, 0
        try:
            self.generator = self.connect(conns) if conns else None
            if not options.any_sender and machine.uses_io_uring(self.server.process.pid) != (sender == "uring"):
                raise programs.Invalid(f"the server does not use the sender {sender}")
            self._control("--instr=on")
            self.idle = machine.descriptors(self.server.process.pid)
        except BaseException:
            self.stop()
            raise

    def connect(self, conns):
        return programs.Generator(self.load, self.server, conns)

    def part(self, generator):
        """Its connections are gone on the server's side too, so that their end is not counted later."""
        generator.stop()
        self.server.wait_until_alone(self.idle)

    def _control(self, command):
        subprocess.run(["callgrind_control", command, str(self.server.process.pid)], check=True,
                       capture_output=True)

    def _instructions(self, counted, k):
        """The server is idle at both ends: every operation has come back whole."""
        run, end = counted.prepare(self, k)
        self._control("--zero")
        run()
        self._control("--dump")
        end()
        self.dumps += 1
        for line in pathlib.Path(f"{self.out}.{self.dumps}").read_text().splitlines():
            if line.startswith("totals:"):
                return int(line.split()[1])
        raise RuntimeError("no totals in callgrind's output")

    def count(self, counted):
        k = counted.k
        self._instructions(counted, k)  # what is done at first only
        once = self._instructions(counted, k)
        twice = self._instructions(counted, 2 * k)
        return round((twice - once) / k)

    def stop(self):
        if self.generator:
            self.generator.stop()
        self.server.stop()


def count_all(options):
    counts = {}
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for program in PROGRAMS:
            names = [name for name in options.only if COUNTED[name].program == program]
            for sender in SENDERS if names else ():
                counter = Counter(options, program, sender, folder)
                try:
                    for name in names:
                        counts.setdefault(name, {})[sender] = counter.count(COUNTED[name])
                finally:
                    counter.stop()
    return counts


def compiler():
    return dict(machine.describe())["compiler"]


def compare(counts, budgets):
    """TAP lines on stdout; returns how many are over."""
    print(f"TAP version 13\n1..{len(counts) * len(SENDERS)}")
    if budgets.get("compiler") != compiler():
        print(f"# the budgets are of {budgets.get('compiler', 'no compiler')}, and this is {compiler()}: --update, if it is to stay")
    number = failed = 0
    for name, by_sender in counts.items():
        for sender in SENDERS:
            number += 1
            count, budget = by_sender[sender], budgets.get(name, {}).get(sender)
            over = budget is None or count > budget * (1 + TOLERANCE)
            failed += over
            against = f"budget {budget:,}, {count / budget - 1:+.1%}" if budget else "no budget"
            print(f"{'not ok' if over else 'ok'} {number} - {COUNTED[name].title}, {sender}: {count:,} instructions ({against})")
            if budget and count < budget * (1 - TOLERANCE):
                print("# well below: --update keeps what was won")
    return failed


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--ours", nargs="+", help="our server (BUILD/examples/broadcast)")
    parser.add_argument("--any-sender", action="store_true", help="do not check that --ours uses what SENDER says")
    parser.add_argument("--only", nargs="+", choices=COUNTED, default=list(COUNTED), help="some of them")
    parser.add_argument("--update", action="store_true", help="write the counts as budgets")
    parser.add_argument("--budgets", type=pathlib.Path, default=BUDGETS, help="another file of budgets")
    options = parser.parse_args()
    build = ROOT / options.build
    options.load = str(build / "bench" / "load")
    options.programs = {
        "broadcast": options.ours or [str(build / "examples" / "broadcast")],
        "rooms": [str(build / "bench" / "rooms")],
        "palaver": [str(build / "src" / "app" / "palaver"), "serve", "--listen", "127.0.0.1:{port}", "--threads", "1",
                    "--rate-limits", "off", "--log-level", "warn", "--drain-ms", "0"],
    }
    return options


def main():
    options = parse()
    try:
        counts = count_all(options)
    except programs.Invalid as invalid:
        print(f"Bail out! {invalid}")
        return 1
    budgets = json.loads(options.budgets.read_text()) if options.budgets.exists() else {}
    if options.update:
        if budgets.get("compiler") != compiler() and len(counts) < len(COUNTED):
            print("Bail out! the budgets are of another compiler: all of them are to be counted anew")
            return 1
        budgets = {**budgets, "compiler": compiler(), **counts}
        options.budgets.write_text(json.dumps(budgets, indent=2) + "\n")
    return compare(counts, budgets) > 0


sys.exit(main())
