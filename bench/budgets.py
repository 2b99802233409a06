#!/usr/bin/python3
"""Counts the instructions our server runs for a piece of work, under callgrind, against bench/budgets.json. Prints TAP.

    bench/budgets.py --build build             fails where a count is more than 5 % over its budget
    bench/budgets.py --build build --update    writes the counts as the new budgets

Times drift on shared machines, counts of instructions do not: they repeat within a fraction of a percent. The kernel's
work is not in them. A count is the difference between 2k operations and k, so what happens once cancels out. It
holds for one compiler and its options; budgets.json says for which.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import machine, programs  # noqa: E402

ROOT = programs.BENCH.parent
BUDGETS = programs.BENCH / "budgets.json"
TOLERANCE = 0.05
SENDERS = ("plain", "uring")

# What is counted: the generator's command for one connection set, and k.
COUNTED = {
    "broadcast": ("one broadcast to 1,000 receivers", "broadcast w=1", 10),
    "echo": ("one echo with acknowledgement", "echo conns=1", 200),
}
CONNS = 1000


class Counter:
    """A server under callgrind with its connections. Instructions are counted between zero and dump only."""

    def __init__(self, options, sender, folder):
        self.out = pathlib.Path(folder) / f"{sender}.out"
        command = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
                   f"--callgrind-out-file={self.out}", *options.ours]
        self.server = programs.Server(programs.Spec(sender, f"palaver, {sender}", "socketio", tuple(command),
                                                    {"SIO_SENDER": sender, "SIO_THREADS": "1"}, ours=True))
        self.generator, self.dumps = None, 0
        try:
            self.generator = programs.Generator(options.load, self.server, CONNS)
            if not options.any_sender and machine.uses_io_uring(self.server.process.pid) != (sender == "uring"):
                raise programs.Invalid(f"the server does not use the sender {sender}")
            self._control("--instr=on")
        except BaseException:
            self.stop()
            raise

    def _control(self, command):
        subprocess.run(["callgrind_control", command, str(self.server.process.pid)], check=True,
                       capture_output=True)

    def _instructions(self, command):
        """The server is idle at both ends: every operation has come back whole."""
        self._control("--zero")
        self.generator.run(command)
        self._control("--dump")
        self.dumps += 1
        for line in pathlib.Path(f"{self.out}.{self.dumps}").read_text().splitlines():
            if line.startswith("totals:"):
                return int(line.split()[1])
        raise RuntimeError("no totals in callgrind's output")

    def count(self, command, k):
        self._instructions(f"{command} count={k}")  # what is done at first only
        once, twice = (self._instructions(f"{command} count={n}") for n in (k, 2 * k))
        return round((twice - once) / k)

    def stop(self):
        if self.generator:
            self.generator.stop()
        self.server.stop()


def count_all(options):
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        for sender in SENDERS:
            counter = Counter(options, sender, folder)
            try:
                for name, (_, command, k) in COUNTED.items():
                    counts.setdefault(name, {})[sender] = counter.count(command, k)
            finally:
                counter.stop()
    return counts


def compare(counts, budgets):
    """TAP lines on stdout; returns how many are over."""
    print(f"TAP version 13\n1..{len(COUNTED) * len(SENDERS)}")
    number = failed = 0
    for name, (title, _, _) in COUNTED.items():
        for sender in SENDERS:
            number += 1
            count, budget = counts[name][sender], budgets.get(name, {}).get(sender)
            over = budget is None or count > budget * (1 + TOLERANCE)
            failed += over
            against = f"budget {budget:,}, {count / budget - 1:+.1%}" if budget else "no budget"
            print(f"{'not ok' if over else 'ok'} {number} - {title}, {sender}: {count:,} instructions ({against})")
            if budget and count < budget * (1 - TOLERANCE):
                print("# well below: --update keeps what was won")
    return failed


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--ours", nargs="+", help="our server (BUILD/examples/broadcast)")
    parser.add_argument("--any-sender", action="store_true", help="do not check that --ours uses what SENDER says")
    parser.add_argument("--update", action="store_true", help="write the counts as budgets")
    parser.add_argument("--budgets", type=pathlib.Path, default=BUDGETS, help="another file of budgets")
    options = parser.parse_args()
    build = ROOT / options.build
    options.load = str(build / "bench" / "load")
    options.ours = options.ours or [str(build / "examples" / "broadcast")]
    return options


def main():
    options = parse()
    try:
        counts = count_all(options)
    except programs.Invalid as invalid:
        print(f"Bail out! {invalid}")
        return 1
    if options.update:
        counts = {"compiler": dict(machine.describe())["compiler"], **counts}
        options.budgets.write_text(json.dumps(counts, indent=2) + "\n")
    return compare(counts, json.loads(options.budgets.read_text()) if options.budgets.exists() else {}) > 0


sys.exit(main())
