#!/usr/bin/python3
"""Measures palaver against its peers on this machine; docs/benchmark.md says what and how.

    bench/run.py --quick     socket.io on Node only, under 3 minutes, no report unless --report
    bench/run.py             all peers, about a quarter of an hour, writes bench/results/<date>-<commit>.md

Exit: 0 all targets reached, 1 one was missed, 2 something could not be judged, 3 a slice was not valid; the whole rounds
before it are in the report.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import shlex
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import machine, programs, report, rounds  # noqa: E402
from measure.verdict import CONNS, ROUNDS_MIN, Verdict  # noqa: E402

ROOT = programs.BENCH.parent
MEMORY_CONNS = 5000
MEMORY_IDLE_SECONDS = 2
MEMORY_SAMPLES = 3  # the median counts
WARM_DELIVERIES = 300_000
LATENCY_SECONDS = 2


def left_out(options):
    """What of all that is judged was not asked for."""
    asked = {"memory and connecting": options.memory, "latency": not options.quick,
             **{programs.PEERS[name].title: name in options.peers for name in programs.PEERS}}
    return [f"{what} (left out)" for what, was in asked.items() if not was]


class Run:
    def __init__(self, options):
        self.options = options
        self.date = datetime.date.today().isoformat()
        self.commit = machine.commit()
        self.specs = (programs.ours(options.ours) + (programs.floors(options.floor) if pathlib.Path(options.floor).exists() else []) +
                      [programs.PEERS[name] for name in options.peers])
        self.peers = [programs.PEERS[name] for name in options.peers]
        self.results, self.latency, self.memory = [], {}, {}
        self.latency_rate, self.memory_conns = 0, options.memory_conns
        self.verdict, self.facts = Verdict(self.peers, unjudged=left_out(options)), []
        self.svg_name = None

    def measure(self):
        """Everything, in order. What is not valid ends it; what was measured before stays."""
        self.facts = machine.describe() + programs.versions() + [
            ("rounds", f"{self.options.rounds} of A B … B A, slices of {self.options.seconds} s behind {rounds.LEAD_IN_SECONDS} s "
                       "that do not count"),
            ("network", "own namespace" if self.options.own_network else "the machine's")]
        try:
            self._measure_speed()
            if self.options.memory:
                self._measure_memory()
        except (programs.Invalid, OSError, RuntimeError) as wrong:  # a server that ended has no memory to be read
            self.verdict.invalid = str(wrong)
        self.results = [results for results in self.results if results.rounds() > 0]
        self.verdict.judge(self.results, self.latency, self.memory)

    def _measure_speed(self):
        with contextlib.ExitStack() as stack:
            servers = []
            for spec in self.specs:
                servers.append(programs.Server(spec))
                stack.callback(servers[-1].stop)
            for conns in self.options.conns:
                self._rounds(servers, conns)

    def _measure_memory(self):
        specs = [spec for spec in self.specs if spec.name != "again" and not spec.floor]
        taken = {spec.name: [] for spec in specs}
        for _ in range(MEMORY_SAMPLES):
            for spec in specs:
                taken[spec.name].append(self._memory(spec))
        self.memory = {name: {key: statistics.median(t[key] for t in taken[name]) for key in taken[name][0]} for name in taken}

    def _rounds(self, servers, conns):
        decides = conns == CONNS
        servers = [s for s in servers if decides or not s.spec.floor]
        with contextlib.ExitStack() as stack:
            generators = {}
            for server in servers:
                print(f"{conns:6} connections to {server.spec.title}", flush=True)
                generators[server.spec.name] = programs.Generator(self.options.load, server, conns)
                stack.callback(generators[server.spec.name].stop)
            for generator in generators.values():
                self._warm(generator, conns)
            self._check_senders(servers)
            workloads = rounds.DECIDING if decides else rounds.DECIDING[:2]
            results = rounds.Results(conns)
            self.results.append(results)  # what is whole of it stays, whatever comes
            rounds.take(results, generators, workloads, self.options.rounds, self.options.seconds, self._progress)
            if decides and self.options.latency:
                self.latency = self._latency(generators, results)

    def _warm(self, generator, conns):
        """The second time only the connections are new."""
        spec = generator.server.spec
        deliveries = WARM_DELIVERIES if spec.warm and conns == self.options.conns[0] else WARM_DELIVERIES // 10
        for w in (1, 8):
            generator.run(f"broadcast w={w} count={max(w, deliveries // 2 // conns)}")
        generator.run(f"echo conns={min(conns, 100)} count={deliveries // 10}")

    def _check_senders(self, servers):
        for server in servers:
            sender = server.spec.env.get("SIO_SENDER")
            if sender and not self.options.any_sender:
                if machine.uses_io_uring(server.process.pid) != (sender == "uring"):
                    raise programs.Invalid(f"{server.spec.title} does not use the sender it was asked to")

    def _progress(self, number, count, workload, figures):
        cells = "  ".join(f"{name} {figure.cpu_per_delivery_ns:7,.0f}" for name, figure in figures.items())
        print(f"round {number}/{count}  {workload.name:5}  CPU ns per {workload.unit:10}  {cells}", flush=True)

    def _latency(self, generators, results):
        generators = {name: g for name, g in generators.items() if not g.server.spec.floor}
        capacity = min(max(results.median(w, p.name, "per_second") for w in ("W=1", "W=8")) for p in self.peers)
        self.latency_rate = capacity / 2
        command = f"rate per_second={self.latency_rate / CONNS:.3f} seconds={{seconds}}"
        taken = {name: [] for name in generators}
        for number in range(max(2, self.options.rounds // 2)):
            for name in rounds.in_turn(generators, number):
                taken[name].append(rounds.slice_of(generators[name], command, LATENCY_SECONDS))
        latency = {name: {f"{p}_ms": statistics.median(a[f"{p}_us"] for a in answers) / 1e3 for p in ("p50", "p99")}
                   for name, answers in taken.items()}
        for name, ms in latency.items():
            print(f"latency  {name:13} p50 {ms['p50_ms']:7.1f} ms  p99 {ms['p99_ms']:7.1f} ms", flush=True)
        return latency

    def _memory(self, spec):
        """On a fresh server: what N idle connections add; then, connected anew, what connecting costs."""
        server, n = programs.Server(spec), self.memory_conns
        try:
            time.sleep(0.5)  # what it does after it has begun to listen
            rss, kernel, open_files = (machine.rss_bytes(server.process.pid), machine.kernel_bytes(),
                                       machine.descriptors(server.process.pid))
            generator = programs.Generator(self.options.load, server, n)
            time.sleep(MEMORY_IDLE_SECONDS)
            result = {"idle": rss, "user": (machine.rss_bytes(server.process.pid) - rss) / n,
                      "kernel": (machine.kernel_bytes() - kernel) / n}
            generator.stop()
            server.wait_until_alone(open_files)
            before = server.cpu_ns()
            generator = programs.Generator(self.options.load, server, n)
            result["connect_us"] = (server.cpu_ns() - before) / n / 1e3
            generator.stop()
        finally:
            server.stop()
        print(f"memory  {spec.name:13} {result['user']:8,.0f} bytes per connection"
              f"  {result['connect_us']:6.1f} µs per connect", flush=True)
        return result

    def print_summary(self):
        for results in self.results:
            print(f"\n{results.conns} connections: CPU per delivery, theirs over ours, median (25th percentile)\n")
            print(report.ratios_table(results, self.specs, self.verdict.marks).replace("**", ""), end="")
            if any(name.startswith("floor_") for name in next(iter(results.figures.values()))):
                print("\n" + report.floor_table(results), end="")
        print(f"\n{self.verdict}")

    def write(self):
        folder = programs.BENCH / "results"
        folder.mkdir(exist_ok=True)
        self.svg_name = f"{self.date}-{self.commit}.svg"
        decisive = next((r for r in self.results if r.conns == CONNS), self.results[0])
        (folder / self.svg_name).write_text(report.svg(decisive, self.specs))
        path = folder / f"{self.date}-{self.commit}.md"
        path.write_text(report.markdown(self))
        print(f"\nWritten: {path.relative_to(ROOT)}")


def peers(text):
    names = text.split(",")
    if unknown := [name for name in names if name not in programs.PEERS]:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}")
    return names


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="slices of 0.3 s, socket.io on Node only")
    parser.add_argument("--report", action="store_true", help="write a report even if quick")
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--ours", type=shlex.split, help="command of our server (BUILD/examples/broadcast)")
    parser.add_argument("--any-sender", action="store_true", help="do not check that --ours uses what SENDER says")
    parser.add_argument("--peers", type=peers, help=f"some of {','.join(programs.PEERS)}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a slice")
    parser.add_argument("--conns", type=lambda s: [int(n) for n in s.split(",")],
                        help="connections; 1000 decides (1000,100,5000; quick: 1000)")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--memory-conns", type=int, default=MEMORY_CONNS)
    o = parser.parse_args()
    build = ROOT / o.build
    o.load, o.floor = str(build / "bench" / "load"), str(build / "bench" / "floor")
    o.ours = o.ours or [str(build / "examples" / "broadcast")]
    o.peers = o.peers or (["socketio"] if o.quick else list(programs.PEERS))
    o.rounds = o.rounds or ROUNDS_MIN
    o.seconds = o.seconds or (0.3 if o.quick else 0.7)
    o.conns = o.conns or ([CONNS] if o.quick else [CONNS, 100, 5000])
    o.latency = not o.quick
    return o


def main():
    options = parse()
    try:
        programs.fetch_peers()  # before the network is gone
    except programs.Invalid as invalid:
        print(f"Not valid: {invalid}", file=sys.stderr)
        return 3
    options.own_network = machine.own_network([sys.executable, *sys.argv])
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    run = Run(options)
    run.measure()
    run.print_summary()
    if run.results and (options.report or not options.quick):
        run.write()
    return run.verdict.status()


sys.exit(main())
