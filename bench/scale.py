#!/usr/bin/python3
"""How far one process goes: connections, rooms, memberships, loops. docs/benchmark.md says what and how.

    bench/scale.py           about 5 minutes, writes bench/results/<date>-<commit>-scale.md
    bench/scale.py --quick   shorter slices, no report

Exit: 0 all targets reached, 1 one was missed, 2 something could not be judged, 3 a slice was not valid; the
whole parts before it are in the report.
"""

import argparse
import contextlib
import dataclasses
import datetime
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import machine, plot, programs, report, rounds  # noqa: E402
from measure.verdict import ROUNDS_MIN, said, status  # noqa: E402

ROOT = programs.BENCH.parent
CONNS = (10, 100, 1000, 5000, 15000)  # receivers of a broadcast
FLAT_MAX = 1.3  # the dearest delivery over the cheapest
SETTLE_SECONDS = 1
CONNECTION_BYTES_MAX = 1000
MEMBERSHIP_BYTES_MAX = 32
PLACES_BYTES = 24  # of a membership, without what its tables have to spare
PACKED_MIN = 1.5  # frames per receive: from here on a send is not one message
STARTS = 15
START_MS_MAX = 100
IDLE_MB_MAX = 15
CHAT_CONNS = 5000

# Connections, rooms, rooms of each connection. A million memberships or more in most. Where 1,238 are in 1,281 rooms each, the tables of
# the rooms and of the sockets have just grown, all of them.
ARRANGEMENTS = ((10_000, 0, 0), (10_000, 1, 1), (1_000, 1_000, 1_000), (1_238, 1_281, 1_281), (10_000, 100_000, 100))
ARRANGEMENTS_QUICK = ((1_000, 0, 0), (1_000, 1, 1), (100, 1_000, 1_000), (154, 161, 161), (1_000, 10_000, 100))
SPOKEN_IN = ((1_000, 1_000), (100, 1_000), (10_000, 100_000), (1_000, 10_000))  # connections and rooms of those in which there is talk


def ours(options):
    return programs.Spec("ours", "palaver", "rooms", (options.rooms_server,), {"SIO_SENDER": "uring", "SIO_THREADS": "1"}, ours=True)


def floor(options, protocol):
    return dataclasses.replace(next(f for f in programs.floors(options.floor) if f.name == "floor_uring"), protocol=protocol)


def mean_ns(answers):
    return sum(a["cpu_ns"] for a in answers) / sum(a["deliveries"] for a in answers)


class Scale:
    def __init__(self, options):
        self.options = options
        self.date, self.commit = datetime.date.today().isoformat(), machine.commit()
        self.goals = []  # what, figure, at most
        self.unjudged = []  # what could not be judged, and why
        self.invalid = ""  # what ended the run early
        self.curves = {}
        self.sections = []  # Markdown

    def judge(self, what, figure, most):
        self.goals.append((what, figure, most))

    # The cost of a delivery, by the number of receivers

    def flat(self):
        """The same broadcast to 10 and to 15,000, beside the kernel's part of it, in turns."""
        o, figures = self.options, {}
        ours_twice = [s for s in programs.ours([o.broadcast]) if s.name in ("uring", "again")]
        with contextlib.ExitStack() as stack:
            generators = {}
            for spec in [*ours_twice, floor(o, "raw")]:
                for n in o.conns:
                    server = programs.Server(spec)
                    stack.callback(server.stop)
                    generators[spec.name, n] = programs.Generator(o.load, server, n)
                    stack.callback(generators[spec.name, n].stop)
                    generators[spec.name, n].run(f"broadcast w=1 count={max(3, 20_000 // n)}")
            for number in range(o.rounds):
                for key in rounds.in_turn(generators, number):
                    figure = figures.setdefault(key, [])
                    if len(figure) <= number:
                        figure.append(rounds.Figure())
                    figure[number].add(rounds.slice_of(generators[key], "broadcast w=1 seconds={seconds}", o.seconds))
                self._say(f"round {number + 1}/{o.rounds}: " + "  ".join(
                    f"{name} {n}: {f[number].cpu_per_delivery_ns:,.0f}" for (name, n), f in figures.items()))
        self._flat_judge({key: [f.cpu_per_delivery_ns for f in fs] for key, fs in figures.items()})

    def _flat_judge(self, taken):
        o, median = self.options, {key: statistics.median(values) for key, values in taken.items()}

        def over(name, n):
            """The median of the rounds' ratios to ours."""
            return statistics.median(a / b for a, b in zip(taken["uring", n], taken[name, n], strict=True))

        itself = {n: over("again", n) for n in o.conns}
        noisy = [n for n, ratio in itself.items() if not rounds.AA_MIN <= ratio <= rounds.AA_MAX]
        beside = [over("floor_uring", n) for n in o.conns]
        span = f"{o.conns[0]} to {o.conns[-1]:,} receivers, dearest over cheapest"
        if noisy:
            self.unjudged.append(f"{span} (too noisy at {', '.join(f'{n:,}' for n in noisy)})")
        elif o.rounds < ROUNDS_MIN:
            self.unjudged.append(f"{span} ({o.rounds} rounds of {ROUNDS_MIN})")
        else:
            dear, cheap = (taken["uring", end(o.conns, key=lambda n: median["uring", n])] for end in (max, min))
            spans = statistics.quantiles((d / c for d, c in zip(dear, cheap, strict=True)), n=4, method="inclusive")
            self.judge(f"a delivery's CPU with {span}; 75th percentile of the rounds", spans[2], FLAT_MAX)
            self.judge(f"a delivery's CPU over the kernel's part, with {span}; of medians", max(beside) / min(beside), FLAT_MAX)
        self.curves = {title: [(n, median[name, n]) for n in o.conns]
                       for name, title in (("uring", "palaver"), ("floor_uring", "the kernel's part"))}
        self.section("Receivers", "One broadcast in flight (W=1), io_uring. The kernel's part is `bench/prototypes/floor.c`, which "
                     "sends as many bytes and does nothing else: what the machine itself asks for more where there are more sockets. "
                     "Ratios are medians over the rounds.",
                     ["receivers", "CPU ns per delivery", "of the kernel's part", "ours over it", "palaver itself (A/A)"],
                     [[f"{n:,}", f"{median['uring', n]:,.0f}", f"{median['floor_uring', n]:,.0f}",
                       f"{over('floor_uring', n):.2f}", f"{itself[n]:.3f}"] for n in o.conns])

    # Rooms

    def rooms(self):
        """What rooms and memberships take, on a fresh server for each arrangement, and what is said in them costs."""
        memory = [self._arrange(*arrangement) for arrangement in self.options.arrangements]
        talk = [self._talk(*arrangement) for arrangement in self.options.arrangements if arrangement[:2] in SPOKEN_IN]
        rows, worst = [], 0
        for conns, count, each, connection, joining, total, join_us in memory:
            memberships = conns * each
            members = memberships // count if count else 0
            if members >= 100 and each >= 100:  # where it is all tables
                worst = max(worst, joining / memberships)
            rows.append([f"{conns:,}", f"{count:,}", f"{members:,}", f"{each:,}", f"{connection:,.0f}",
                         f"{joining / memberships:.1f}" if count else "–", f"{total / 2**20:,.0f}", f"{join_us:.2f}" if count else "–"])
        if self.options.quick:
            self.unjudged.append("memory (so few take less than what comes and goes)")
        else:
            self._judge_memory(memory, worst)
        conns, count, each, _, joining, *_ = memory[-1]
        room = (joining - PLACES_BYTES * conns * each) / count
        self.section("Rooms and memberships", "Memory is resident: what connections add, then what joining adds, rooms included. A "
                     "membership takes two places of 12 bytes, one of its room's and one of its socket's; a table grows by at most "
                     f"3/10 (the smallest by one or two), so that is 24 to 31.2 bytes, and what `malloc` adds; where there is one room, some of "
                     f"it is what connecting has left free. A small room takes {room:.0f} bytes besides, its name, its place in the map and "
                     "what its table has to spare included.",
                     ["connections", "rooms", "members of each", "rooms of each connection", "bytes per connection",
                      "bytes per membership, room included", "MiB in all", "CPU µs per join"], rows)
        self.section("Many rooms at once", "A message goes to one room, its sender included. W is how many rooms are spoken in at once, each "
                     "by another sender. Where rooms have ten members of 10,000 connections, a message goes to ten whose sockets have "
                     "last been used thousands of deliveries ago; the kernel's part shows what that costs. It packs nothing: where W=64 "
                     "makes the same people hear 64 messages, we send them together, and a send of ours is not to be compared with one of its. "
                     "Sums over all slices, taken in turns; no A/A.",
                     ["connections", "rooms", "members of each", "W", "CPU ns per delivery", "of the kernel's part",
                      "our frames per receive", "its", "ours over it, per receive"], [row for rows in talk for row in rows])

    def _judge_memory(self, memory, worst):
        self.judge("bytes of a connection with a room", memory[1][3] + memory[1][4] / memory[1][0], CONNECTION_BYTES_MAX)
        self.judge("bytes of a membership, the worst of the sizes from a hundred on", worst, MEMBERSHIP_BYTES_MAX)

    def _arrange(self, conns, count, each):
        """What it takes: bytes per connection, bytes that joining adds, bytes in all, µs per join."""
        o = self.options
        server = programs.Server(ours(o))
        try:
            idle = self._settled_rss(server)
            generator = programs.Generator(o.load, server, conns, "--at-once", "64")
            joined = connected = self._settled_rss(server)
            join_us = 0.0
            if count:
                join_us = generator.run(f"join rooms={count} each={each}")["cpu_ns"] / conns / each / 1e3
                joined = self._settled_rss(server)
            generator.stop()
        finally:
            server.stop()
        self._say(f"{conns:,} connections, {count:,} rooms, each in {each:,}: {(connected - idle) / conns:,.0f} bytes a connection, "
                  f"{(joined - connected) / max(1, conns * each):.1f} a membership")
        return conns, count, each, (connected - idle) / conns, joined - connected, joined, join_us

    def _talk(self, conns, count, each):
        """Ours and the kernel's part in turns; a row for each W."""
        o, taken = self.options, {}
        with contextlib.ExitStack() as stack:
            generators = {}
            for spec in (ours(o), floor(o, "raw-rooms")):
                server = programs.Server(spec)
                stack.callback(server.stop)
                generators[spec.name] = programs.Generator(o.load, server, conns, "--at-once", "64")
                stack.callback(generators[spec.name].stop)
                generators[spec.name].run(f"join rooms={count} each={each}")
                generators[spec.name].run("rooms w=64 count=500")
            for number in range(o.rounds):
                for w in (1, 64):
                    for name in rounds.in_turn(generators, number):
                        taken.setdefault((name, w), []).append(
                            rounds.slice_of(generators[name], f"rooms w={w} seconds={{seconds}}", o.seconds))
        rows = []
        for w in (1, 64):
            mine, least = taken["ours", w], taken["floor_uring", w]
            each_ns = [sum(a["cpu_ns"] for a in answers) / sum(a["receives"] for a in answers) for answers in (mine, least)]
            packed = [sum(a["deliveries"] for a in answers) / sum(a["receives"] for a in answers) for answers in (mine, least)]
            rows.append([f"{conns:,}", f"{count:,}", f"{conns * each // count:,}", w, f"{mean_ns(mine):,.0f}",
                         f"{mean_ns(least):,.0f}", *(f"{frames:.1f}" for frames in packed),
                         f"{each_ns[0] / each_ns[1]:.2f}" if packed[0] < PACKED_MIN else "–"])
            self._say("  ".join(str(cell) for cell in rows[-1]))
        return rows

    def _settled_rss(self, server):
        time.sleep(SETTLE_SECONDS)
        return machine.rss_bytes(server.process.pid)

    # The program

    def program(self):
        """`palaver serve`: how soon it accepts, what it takes while nobody is there, and for each who has said hello."""
        o, starts = self.options, []
        with tempfile.TemporaryDirectory(dir=ROOT / o.build, prefix="scale-") as folder:
            for number in range(STARTS):
                starts.append(self._start_ms(f"{folder}/{number}"))
            server = programs.Server(self._palaver(f"{folder}/chat"))
            try:
                idle = self._settled_rss(server)
                generator = programs.Generator(o.load, server, o.chat_conns)
                each = (self._settled_rss(server) - idle) / o.chat_conns
                generator.stop()
            finally:
                server.stop()
        self.judge("ms until the program accepts, with a new database", statistics.median(starts), START_MS_MAX)
        self.judge("MB of the program while nobody is there", idle / 1e6, IDLE_MB_MAX)
        self.section("The program", f"`palaver serve` with a new database, one loop. Starting: the median of {STARTS}, from the call to "
                     f"the first connection taken ({min(starts):.1f} to {max(starts):.1f} ms). A guest is a connection that has joined "
                     "`/chat` and said hello, and what the program keeps of a new one: its name, its session, its place in the lobby.",
                     ["ms until it accepts", "MB resident, idle", f"bytes per guest, of {o.chat_conns:,}"],
                     [[f"{statistics.median(starts):.1f}", f"{idle / 1e6:.1f}", f"{each:,.0f}"]])
        self._say(self.sections[-1])

    def _palaver(self, folder):
        return programs.Spec("palaver", "palaver", "chat", (
            self.options.palaver, "serve", "--listen", "127.0.0.1:{port}", "--data", folder, "--threads", "1", "--rate-limits", "off",
            "--log-level", "warn", "--drain-ms", "0"), ours=True)

    def _start_ms(self, folder):
        port = machine.free_port()
        command = ["taskset", "-c", str(machine.SERVER_CORE),
                   *(word.replace("{port}", str(port)) for word in self._palaver(folder).command)]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not self._accepts(port):
                if time.monotonic() > began + programs.START_SECONDS_MAX or process.poll() is not None:
                    raise programs.Invalid("palaver does not start")
            return (time.monotonic() - began) * 1e3
        finally:
            process.terminate()
            process.wait()

    @staticmethod
    def _accepts(port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

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
            for number in range(o.rounds):
                for w in (1, 8):
                    for loops in rounds.in_turn(generators, number):
                        generators[loops].run(f"broadcast w={w} seconds={rounds.LEAD_IN_SECONDS}")
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
                     "whenever it can: a second loop has only what is left of it. Sums over all slices; no A/A. On a machine with cores to spare for both, the "
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
        return said(self.invalid, self.missed(), self.unjudged, len(self.goals))

    def status(self):
        return status(self.invalid, self.missed(), self.unjudged)

    def goals_table(self):
        return report.table(["target", "figure", "at most", ""], [
            [what, f"{figure:.2f}", f"{most:g}", "**missed**" if figure > most else "reached"] for what, figure, most in self.goals])

    def write(self):
        path = programs.BENCH / "results" / f"{self.date}-{self.commit}-scale.md"
        svg = path.with_suffix(".svg")
        if self.curves:
            svg.write_text(plot.curves("CPU ns per delivery, by the number of receivers", self.curves))
        facts = machine.describe() + [("rounds", f"{self.options.rounds} of A B … B A, slices of {self.options.seconds} s behind "
                                                 f"{rounds.LEAD_IN_SECONDS} s that do not count"),
                                      ("network", "own namespace" if self.options.own_network else "the machine's")]
        path.write_text(f"# Scale of one process on {self.date}, commit {self.commit}\n\n**{self.verdict()}**\n\n"
                        "What one process with one loop takes and costs, on loopback, 100-byte text; `docs/benchmark.md` says how.\n\n"
                        f"{self.goals_table()}\n" + (f"![CPU per delivery]({svg.name})\n\n" if self.curves else "") + "\n".join(self.sections) +
                        f"\n## The run\n\n{report.table(['what', ''], facts)}")
        self._say(f"\nWritten: {path.relative_to(ROOT)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.2 s slices, a tenth of the rooms, no report")
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a slice")
    parser.add_argument("--conns", type=lambda s: [int(n) for n in s.split(",")], default=list(CONNS), help="receivers")
    o = parser.parse_args()
    build = ROOT / o.build
    o.load, o.floor = str(build / "bench" / "load"), str(build / "bench" / "floor")
    o.rooms_server, o.broadcast = str(build / "bench" / "rooms"), str(build / "examples" / "broadcast")
    o.rounds = o.rounds or (2 if o.quick else ROUNDS_MIN)
    o.seconds = o.seconds or (0.2 if o.quick else 0.4)
    o.palaver, o.chat_conns = str(build / "src" / "app" / "palaver"), CHAT_CONNS // 10 if o.quick else CHAT_CONNS
    o.arrangements = ARRANGEMENTS_QUICK if o.quick else ARRANGEMENTS
    return o


def main():
    options = parse()
    options.own_network = machine.own_network([sys.executable, *sys.argv])
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    scale = Scale(options)
    try:
        for part in (scale.flat, scale.rooms, scale.program, scale.loops):
            part()
    except (programs.Invalid, OSError, RuntimeError) as wrong:  # a server that ended has no memory to be read
        scale.invalid = str(wrong)
    print("\n" + "\n".join(scale.sections + [scale.goals_table(), scale.verdict()]).replace("**", ""))
    if not options.quick:
        scale.write()
    return scale.status()


sys.exit(main())
