#!/usr/bin/python3
"""Where the CPU of a delivery goes, by function, beside a program that does nothing but send. Needs perf.

    bench/profile.py --build build       about 3 minutes, writes bench/results/<date>-<commit>-profile.md

perf samples the server's CPU clock while it works, its lead-in included; what it costs per send comes from the same time, so samples
become nanoseconds. (The core's ksoftirqd is in what it costs, and sampled nowhere: of the functions' figures it is a share.) The two programs take turns. Hardware counters are not asked for: virtual machines have none.
"""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import machine, programs, report, rounds  # noqa: E402

ROOT = programs.BENCH.parent
CONNS = 1000
SAMPLES_PER_S = 15000
SHOWN_NS = 20  # a function that takes less in both is not shown
LINE = re.compile(r"\s*(\d+)\s+\S+\s+\[(.)\]\s+(\S+)")
CONNECT = rounds.Workload("connect", "", "connection")


class Perf:
    """Samples of one process, by (is the kernel's, function), from now until stop()."""

    def __init__(self, pid, folder):
        self.data = f"{folder}/perf.data"
        (told, tell), (heard, answer) = os.pipe(), os.pipe()
        self.process = subprocess.Popen(
            ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "-p", str(pid), "-o", self.data, "--delay=-1",
             f"--control=fd:{told},{answer}"], stderr=subprocess.PIPE, text=True, pass_fds=(told, answer))
        os.close(told)
        os.close(answer)
        self.control, self.acknowledged = open(tell, "w"), open(heard)
        with contextlib.suppress(BrokenPipeError):
            print("enable", file=self.control, flush=True)
        if "ack" not in self.acknowledged.readline():  # nothing is read where it has ended
            self.stop()
            raise programs.Invalid(f"perf cannot look at process {pid}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        said = self.process.communicate()[1].strip()
        with contextlib.suppress(BrokenPipeError):
            self.control.close()
        self.acknowledged.close()
        if said:
            print(f"perf: {said}", file=sys.stderr)

    def samples(self):
        """When it has stopped."""
        said = subprocess.run(["perf", "report", "-q", "-i", self.data, "--stdio", "--sort", "dso,symbol", "-F", "sample,dso,symbol"],
                              capture_output=True, text=True).stdout
        found = (LINE.match(line) for line in said.splitlines())
        samples = collections.Counter({(m[2] == "k", m[3]): int(m[1]) for m in found if m})
        if not samples:
            raise programs.Invalid("perf took no samples")
        return samples


@dataclasses.dataclass
class Taken:
    """Of one program in one workload."""
    samples: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    cpu_ns: int = 0
    units: int = 0

    def per_unit_ns(self):
        return self.cpu_ns / self.units

    def by_function(self):
        every = self.samples.total()
        return {key: count / every * self.per_unit_ns() for key, count in self.samples.items()}

    def part_ns(self, kernel):
        return sum(ns for (k, _), ns in self.by_function().items() if k == kernel)


@contextlib.contextmanager
def watched(server, folder):
    """The Perf of the server for as long as the block takes; its samples afterwards."""
    perf = Perf(server.process.pid, folder)
    try:
        yield perf
    finally:
        perf.stop()


def work(options, generator, workload, folder):
    """One slice and its lead-in under perf: samples, CPU, sends (of an echo: round trips)."""
    with watched(generator.server, folder) as perf:
        answers = [generator.run(workload.command.format(seconds=seconds)) for seconds in (rounds.LEAD_IN_SECONDS, options.seconds)]
    return perf.samples(), sum(a["cpu_ns"] for a in answers), sum(a["receives"] for a in answers)


def connect(options, server, folder):
    """Connections that come anew, beside those that are there."""
    open_files = machine.descriptors(server.process.pid)
    with watched(server, folder) as perf:
        before = server.cpu_ns()
        generator = programs.Generator(options.load, server, options.connects)
        cpu_ns = server.cpu_ns() - before
    generator.stop()
    server.wait_until_alone(open_files)
    return perf.samples(), cpu_ns, options.connects


def measure(options):
    """{(workload, sender, program): Taken}"""
    taken = collections.defaultdict(Taken)
    specs = {}
    for sender, mine, least in zip(("uring", "plain"), programs.ours([options.ours]), programs.floors(options.floor)):
        specs[sender, "ours"], specs[sender, "floor"] = mine, least
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        generators = {}
        for key, spec in specs.items():
            server = programs.Server(spec)
            stack.callback(server.stop)
            generators[key] = programs.Generator(options.load, server, CONNS)
            stack.callback(generators[key].stop)
        for number in range(options.rounds):
            for workload in (*rounds.DECIDING, CONNECT):
                for key in rounds.in_turn(generators, number):
                    one = taken[workload.name, *key]
                    got = (connect(options, generators[key].server, folder) if workload is CONNECT
                           else work(options, generators[key], workload, folder))
                    one.samples += got[0]
                    one.cpu_ns += got[1]
                    one.units += got[2]
                print(f"round {number + 1}/{options.rounds} {workload.name}", flush=True)
    return taken


def summary(taken):
    rows = []
    for (workload, sender, program), mine in taken.items():
        if program == "ours":
            least = taken[workload, sender, "floor"]
            rows.append([workload, sender, *(f"{ns:,.0f}" for t in (mine, least) for ns in (
                t.per_unit_ns(), t.part_ns(False), t.part_ns(True))), f"{mine.part_ns(True) / mine.per_unit_ns():.1%}",
                f"{mine.samples.total():,}"])
    rows.sort(key=lambda row: row[1], reverse=True)
    return report.table(["workload", "sender", "ours: CPU ns", "in the program", "in the kernel", "floor: CPU ns", "in the program",
                         "in the kernel", "our share in the kernel", "our samples"], rows)


def functions(mine, least):
    ours, floor = mine.by_function(), least.by_function()
    keys = [key for key in ours.keys() | floor.keys() if max(ours.get(key, 0), floor.get(key, 0)) >= SHOWN_NS]
    keys.sort(key=lambda key: -ours.get(key, 0))
    return report.table(["function", "of the", "ours: ns", "floor: ns", "ours more"], [
        [f"`{name}`", "kernel" if kernel else "program", f"{ours.get((kernel, name), 0):,.0f}", f"{floor.get((kernel, name), 0):,.0f}",
         f"{ours.get((kernel, name), 0) - floor.get((kernel, name), 0):+,.0f}"] for kernel, name in keys])


def write(options, taken):
    date, commit = datetime.date.today().isoformat(), machine.commit()
    path = programs.BENCH / "results" / f"{date}-{commit}-profile.md"
    facts = machine.describe() + [
        ("rounds", f"{options.rounds}, slices of {options.seconds} s, {SAMPLES_PER_S:,} samples a second of cpu-clock"),
        ("network", "own namespace" if options.own_network else "the machine's")]
    text = (f"# Where the time goes, {date}, commit {commit}\n\n"
            f"CPU of the server, by samples: a send with {CONNS:,} receivers (W=1, W=8), a round trip (echo), and a connection with its "
            "handshakes (connect). `floor` is `bench/prototypes/floor.c`, which sends as many bytes (of an echo some more) and does nothing else; of a "
            "connection it answers the WebSocket's handshake alone. perf itself makes all of it some per cent dearer.\n\n"
            f"{summary(taken)}")
    for (workload, sender, program), mine in taken.items():
        if program == "ours" and sender == "plain":
            text += f"\n## {workload}, plain sends, by function\n\n{functions(mine, taken[workload, sender, 'floor'])}"
    path.write_text(f"{text}\n## The run\n\n{report.table(['what', ''], facts)}")
    print(f"\n{summary(taken)}\nWritten: {path.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a slice")
    parser.add_argument("--connects", type=int, default=4000, help="connections made at a time")
    o = parser.parse_args()
    if shutil.which("perf") is None:
        parser.error("perf is needed (Debian's package linux-perf)")
    build = ROOT / o.build
    o.load, o.floor = str(build / "bench" / "load"), str(build / "bench" / "floor")
    o.ours = str(build / "examples" / "broadcast")
    o.own_network = machine.own_network([sys.executable, *sys.argv])
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    try:
        write(o, measure(o))
    except programs.Invalid as invalid:
        print(f"\nNot valid: {invalid}", file=sys.stderr)
        return 3
    return 0


sys.exit(main())
