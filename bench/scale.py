#!/usr/bin/python3
"""How far one process goes: connections, rooms, memberships, loops. docs/benchmark.md says what and how.

    bench/scale.py           about 4 minutes, writes bench/results/<date>-<commit>-scale.md
    bench/scale.py --quick   shorter slices, no report

Exit: 0 all targets reached, 1 one was missed, 3 a slice was not valid.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import machine, plot, programs, report, rounds  # noqa: E402

ROOT = programs.BENCH.parent
CONNS = (10, 100, 1000, 5000, 15000)  # receivers of a broadcast
FLAT_MAX = 1.3  # the dearest delivery over the cheapest
SETTLE_SECONDS = 1
MEMBERSHIP_BYTES_MAX = 32

# Connections, rooms, rooms of each connection: none; everybody in a thousand rooms; rooms of ten. A million memberships each.
ARRANGEMENTS = ((10_000, 0, 0), (1_000, 1_000, 1_000), (10_000, 100_000, 100))
ARRANGEMENTS_QUICK = ((1_000, 0, 0), (100, 1_000, 1_000), (1_000, 10_000, 100))


def ours(options, name="uring", **more):
    return programs.Spec(name, name, "rooms", (options.rooms_server,), {"SIO_SENDER": "uring", **more.pop("env", {"SIO_THREADS": "1"})},
                         ours=True, **more)


def mean_ns(answers):
    return sum(a["cpu_ns"] for a in answers) / sum(a["deliveries"] for a in answers)


class Scale:
    def __init__(self, options):
        self.options = options
        self.date, self.commit = datetime.date.today().isoformat(), machine.commit()
        self.goals = []  # what, figure, at most
        self.sections = []  # Markdown

    def judge(self, what, figure, most):
        self.goals.append((what, figure, most))

    # The cost of a delivery, by the number of receivers

    def flat(self):
        """The same broadcast to 10 and to 15,000, beside the kernel's part of it, in turns."""
        o, figures = self.options, {}
        specs = [programs.ours([o.broadcast])[0]] + [f for f in programs.floors(o.floor) if f.name == "floor_uring"]
        with contextlib.ExitStack() as stack:
            generators = {}
            for spec in specs:
                for n in o.conns:
                    server = programs.Server(spec)
                    stack.callback(server.stop)
                    generators[spec.name, n] = programs.Generator(o.load, server, n)
                    stack.callback(generators[spec.name, n].stop)
                    generators[spec.name, n].run(f"broadcast w=1 count={max(3, 20_000 // n)}")
            for number in range(o.rounds):
                for key in [*generators, *reversed(generators)]:
                    figure = figures.setdefault(key, [])
                    if len(figure) <= number:
                        figure.append(rounds.Figure())
                    figure[number].add(generators[key].run(f"broadcast w=1 seconds={o.seconds}"))
                self._say(f"round {number + 1}/{o.rounds}: " + "  ".join(
                    f"{name} {n}: {f[number].cpu_per_delivery_ns:,.0f}" for (name, n), f in figures.items()))
        median = {key: statistics.median(f.cpu_per_delivery_ns for f in fs) for key, fs in figures.items()}
        mine = [median["uring", n] for n in o.conns]
        self.judge(f"a delivery's CPU with {o.conns[0]} to {o.conns[-1]:,} receivers, dearest over cheapest",
                   max(mine) / min(mine), FLAT_MAX)
        self.curves = {title: [(n, median[name, n]) for n in o.conns]
                       for name, title in (("uring", "palaver"), ("floor_uring", "the kernel's part"))}
        self.section("Receivers", "One broadcast in flight (W=1), io_uring. The kernel's part is `bench/prototypes/floor.c`, which "
                     "sends and does nothing else: what the machine itself asks for more where there are more sockets.",
                     ["receivers", "CPU ns per delivery", "of the kernel's part", "ours over it"],
                     [[f"{n:,}", f"{median['uring', n]:,.0f}", f"{median['floor_uring', n]:,.0f}",
                       f"{median['uring', n] / median['floor_uring', n]:.2f}"] for n in o.conns])

    # Rooms

    def rooms(self):
        """A fresh server for each arrangement: what it takes, and what a delivery costs with one and 64 rooms spoken in at once."""
        o, rows, memory = self.options, [], {}
        for conns, count, each in o.arrangements:
            server = programs.Server(ours(o))
            try:
                idle = self._settled_rss(server)
                generator = programs.Generator(o.load, server, conns, "--at-once", "64")
                joined = connected = self._settled_rss(server)
                cells = ["–", "–", "–"]
                if count:
                    join = generator.run(f"join rooms={count} each={each}")
                    joined = self._settled_rss(server)
                    generator.run("rooms w=64 count=2000")
                    one, many = ([generator.run(f"rooms w={w} seconds={o.seconds}") for _ in range(o.rounds)] for w in (1, 64))
                    cells = [f"{join['cpu_ns'] / conns / each / 1e3:.2f}", f"{mean_ns(one):,.0f}", f"{mean_ns(many):,.0f}"]
                    memory[count] = (joined - connected, conns * each)
                generator.stop()
            finally:
                server.stop()
            members = conns * each // count if count else 0
            rows.append([f"{conns:,}", f"{count:,}", f"{members:,}", f"{each:,}", *cells, f"{(connected - idle) / conns:,.0f}",
                         f"{(joined - connected) / (conns * each):.1f}" if count else "–", f"{joined / 2**20:,.0f}"])
            self._say("  ".join(rows[-1]))
        (few, few_bytes), (many, many_bytes) = ((count, memory[count]) for count in sorted(memory))
        membership = few_bytes[0] / few_bytes[1]
        room = (many_bytes[0] - membership * many_bytes[1]) / (many - few)
        self.judge("bytes of a membership", membership, MEMBERSHIP_BYTES_MAX)
        self.section("Rooms", "A message goes to one room, its sender included. W is how many rooms are spoken in at once. Memory is "
                     f"resident: what the connections add, then what joining adds. So a membership takes {membership:.1f} bytes, and "
                     f"a room {room:.0f} besides.",
                     ["connections", "rooms", "members of each", "rooms of each connection", "CPU µs per join", "CPU ns per delivery, W=1",
                      "W=64", "bytes per connection", "bytes per membership, room included", "MiB in all"], rows)

    def _settled_rss(self, server):
        time.sleep(SETTLE_SECONDS)
        return machine.rss_bytes(server.process.pid)

    # Loops

    def loops(self):
        """One loop and two, on two cores that the generator is on as well."""
        o, rows, taken = self.options, [], {}
        with contextlib.ExitStack() as stack:
            generators = {}
            for loops in (1, 2):
                server = programs.Server(programs.Spec(f"loops{loops}", "", "socketio", (o.broadcast,),
                                                       {"SIO_SENDER": "uring", "SIO_THREADS": str(loops)}, cores=machine.ALL_CORES))
                stack.callback(server.stop)
                generators[loops] = programs.Generator(o.load, server, 1000, cores=machine.ALL_CORES)
                stack.callback(generators[loops].stop)
            for _ in range(o.rounds):
                for w in (1, 8):
                    for loops in (1, 2, 2, 1):
                        before = machine.cpu_ns(generators[loops].process.pid)
                        answer = generators[loops].run(f"broadcast w={w} seconds={o.seconds}")
                        answer["generator_ns"] = machine.cpu_ns(generators[loops].process.pid) - before
                        taken.setdefault((loops, w), []).append(answer)
        for (loops, w), answers in sorted(taken.items()):
            seconds = sum(a["seconds"] for a in answers)
            rows.append([loops, w, f"{sum(a['deliveries'] for a in answers) / seconds:,.0f}", f"{mean_ns(answers):,.0f}",
                         f"{sum(a['cpu_ns'] for a in answers) / seconds / 1e9:.2f}",
                         f"{sum(a['generator_ns'] for a in answers) / seconds / 1e9:.2f}"])
            self._say("  ".join(str(cell) for cell in rows[-1]))
        self.section("Loops", "1,000 connections, server and generator both on both cores. The generator busy-polls, so it takes a core "
                     "whenever it can: a second loop has only what is left of it. On a machine with cores to spare for both, the "
                     "CPU per delivery says what each loop costs.",
                     ["loops", "W", "deliveries a second", "CPU ns per delivery", "cores used by the server", "by the generator"], rows)

    # The report

    def section(self, title, text, head, rows):
        self.sections.append(f"## {title}\n\n{text}\n\n{report.table(head, rows)}")

    def _say(self, line):
        print(line, flush=True)

    def missed(self):
        return [what for what, figure, most in self.goals if figure > most]

    def verdict(self):
        return "Missed: " + "; ".join(self.missed()) + "." if self.missed() else "All targets reached."

    def goals_table(self):
        return report.table(["target", "figure", "at most", ""], [
            [what, f"{figure:.2f}", f"{most:g}", "**missed**" if figure > most else "reached"] for what, figure, most in self.goals])

    def write(self):
        path = programs.BENCH / "results" / f"{self.date}-{self.commit}-scale.md"
        svg = path.with_suffix(".svg")
        svg.write_text(plot.curves("CPU ns per delivery, by the number of receivers", self.curves))
        facts = machine.describe() + [("rounds", f"{self.options.rounds}, slices of {self.options.seconds} s"),
                                      ("network", "own namespace" if self.options.own_network else "the machine's")]
        path.write_text(f"# Scale of one process on {self.date}, commit {self.commit}\n\n**{self.verdict()}**\n\n"
                        "What one process with one loop takes and costs, on loopback, 100-byte text; `docs/benchmark.md` says how.\n\n"
                        f"{self.goals_table()}\n![CPU per delivery]({svg.name})\n\n" + "\n".join(self.sections) +
                        f"\n## The run\n\n{report.table(['what', ''], facts)}")
        self._say(f"\nWritten: {path.relative_to(ROOT)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.3 s slices, a tenth of the rooms, no report")
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a slice")
    parser.add_argument("--conns", type=lambda s: [int(n) for n in s.split(",")], default=list(CONNS), help="receivers")
    o = parser.parse_args()
    build = ROOT / o.build
    o.load, o.floor = str(build / "bench" / "load"), str(build / "bench" / "floor")
    o.rooms_server, o.broadcast = str(build / "bench" / "rooms"), str(build / "examples" / "broadcast")
    o.rounds = o.rounds or (2 if o.quick else 6)
    o.seconds = o.seconds or (0.3 if o.quick else 0.8)
    o.arrangements = ARRANGEMENTS_QUICK if o.quick else ARRANGEMENTS
    return o


def main():
    options = parse()
    options.own_network = machine.own_network([sys.executable, *sys.argv])
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    scale = Scale(options)
    try:
        for part in (scale.flat, scale.rooms, scale.loops):
            part()
    except programs.Invalid as invalid:
        print(f"\nNot valid: {invalid}", file=sys.stderr)
        return 3
    print("\n" + "\n".join(scale.sections + [scale.goals_table(), scale.verdict()]).replace("**", ""))
    if not options.quick:
        scale.write()
    return 1 if scale.missed() else 0


sys.exit(main())
