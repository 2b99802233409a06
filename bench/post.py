#!/usr/bin/python3
"""Measures durable posts through the program itself: from `message.send` on `/chat` to the answer after the commit.

    bench/post.py --build build                        writes bench/results/<date>-<commit>-post.md
    bench/post.py --build build --quick                2 rounds, no report
    bench/post.py --build build --folder /dev/shm      a disk that costs nothing; no report

Exit: 0 all targets reached, 1 one was missed, 2 too noisy to judge, 3 a slice was not valid.
"""

import argparse
import contextlib
import dataclasses
import datetime
import os
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from measure import disk, machine, programs, report  # noqa: E402
from measure.verdict import ROUNDS_MIN  # noqa: E402

ROOT = programs.BENCH.parent
IN_FLIGHT = (1, 16, 64, 256)
CONNS_MAX = 64  # more in flight are several on each
PROBE_SECONDS = 0.25
WARM_SECONDS = 0.5

# What is to be reached.
DECIDING = 64  # in flight
SYNCS_PER_POST_MAX = 1 / 16
WRITER_US_MAX = 40
OVER_SYNC_MS_MAX = 2  # send to answer with one in flight, less one sync
FOREIGN_MAX = 0.1  # of the machine, taken by others: more is too noisy to judge

WRITER = "store writer"
THREADS = {WRITER: "writer", "sequencer": "sequencer", "palaver": "loop"}  # all others: of the store


@dataclasses.dataclass
class Slice:
    posts: int
    seconds: float
    server_ns: int
    threads_ns: dict
    p50_ms: float
    p99_ms: float
    probe_ns: list  # right before and right after
    foreign: float

    @property
    def over_sync_ms(self):
        return self.p50_ms - statistics.median(self.probe_ns) / 1e6


def threads_ns(pid):
    """By what they are, in nanoseconds."""
    sums = dict.fromkeys((*THREADS.values(), "others"), 0)
    for _, name, ns in machine.threads(pid):
        sums[THREADS.get(name, "others")] += ns
    return sums


class Setting:
    """A server on a database of its own, and its connections, for one number of posts in flight."""

    def __init__(self, options, in_flight, folder, probe):
        self.in_flight, self.conns, self.probe = in_flight, min(in_flight, CONNS_MAX), probe
        self.folder = pathlib.Path(folder) / str(in_flight)
        command = (options.palaver, "serve", "--listen", "127.0.0.1:{port}", "--data", str(self.folder), "--threads",
                   "1", "--rate-limits", "off", "--log-level", "warn", "--drain-ms", "0")
        self.server = programs.Server(programs.Spec("palaver", "palaver", "chat", command, ours=True))
        self.pid, self.slices, self.syncs_per_post, self.generator = self.server.process.pid, [], None, None
        try:
            self.generator = programs.Generator(options.load, self.server, self.conns)
            self.generator.run(f"post w={in_flight} seconds={WARM_SECONDS}")
        except BaseException:
            self.stop()
            raise

    def take(self, seconds):
        probe_ns = self.probe.take(PROBE_SECONDS)
        generator = self.generator.process.pid
        busy, threads, load = machine.busy_ns(), threads_ns(self.pid), machine.cpu_ns(generator)
        answer = self.generator.run(f"post w={self.in_flight} seconds={seconds}")
        load, busy = machine.cpu_ns(generator) - load, machine.busy_ns() - busy
        threads = {name: ns - threads[name] for name, ns in threads_ns(self.pid).items()}
        probe_ns += self.probe.take(PROBE_SECONDS)
        foreign = (busy - load - sum(threads.values())) / (answer["seconds"] * 1e9 * os.cpu_count())
        self.slices.append(Slice(answer["deliveries"], answer["seconds"], answer["cpu_ns"], threads,
                                 answer["p50_us"] / 1e3, answer["p99_us"] / 1e3, probe_ns, max(0.0, foreign)))
        return self.slices[-1]

    def count_syncs(self, seconds):
        """In a slice apart: the store's threads alone are held up, and only they sync."""
        store = [thread for thread, name, _ in machine.threads(self.pid) if name.startswith("store")]
        counter = disk.SyncCounter(store, self.folder.parent)
        try:
            answer = self.generator.run(f"post w={self.in_flight} seconds={seconds}")
        finally:
            syncs = counter.stop()
        self.syncs_per_post = syncs / answer["deliveries"]

    def median(self, value):
        return statistics.median(value(s) for s in self.slices)

    def per_post_us(self, thread=None):
        return self.median(lambda s: (s.threads_ns[thread] if thread else s.server_ns) / s.posts / 1e3)

    def probe_ms(self, fraction):
        taken = sorted(ns for s in self.slices for ns in s.probe_ns)
        return taken[int((len(taken) - 1) * fraction)] / 1e6

    def stop(self):
        if self.generator:
            self.generator.stop()
        self.server.stop()


class Run:
    def __init__(self, options):
        self.options, self.settings, self.date = options, [], datetime.date.today().isoformat()
        self.goals = []  # (what, reached?, figure, most)

    def measure(self):
        """Raises programs.Invalid."""
        o = self.options
        with tempfile.TemporaryDirectory(dir=o.folder, prefix="post-") as folder, contextlib.ExitStack() as stack:
            probe = disk.Probe(folder)
            stack.callback(probe.close)
            self.disk = disk.describe(folder)
            for in_flight in IN_FLIGHT:
                self.settings.append(Setting(o, in_flight, folder, probe))
                stack.callback(self.settings[-1].stop)
            for number in range(1, o.rounds + 1):
                for setting in self.settings if number % 2 else reversed(self.settings):
                    self._progress(number, setting, setting.take(o.seconds))
            for setting in self.settings:
                setting.count_syncs(o.seconds)
        self._judge()

    def _progress(self, number, setting, s):
        print(f"round {number}/{self.options.rounds}  {setting.in_flight:4} in flight {s.posts / s.seconds:8,.0f} posts/s"
              f"  CPU µs per post {s.server_ns / s.posts / 1e3:6.1f}, writer {s.threads_ns['writer'] / s.posts / 1e3:6.1f}"
              f"  p50 {s.p50_ms:6.2f} ms  sync {statistics.median(s.probe_ns) / 1e6:5.2f} ms"
              f"  others took {s.foreign:4.0%}", flush=True)

    def foreign(self):
        return statistics.median(s.foreign for setting in self.settings for s in setting.slices)

    def noisy(self):
        """Nothing is judged where others took too much, or after too few rounds."""
        return self.foreign() > FOREIGN_MAX or self.options.rounds < ROUNDS_MIN

    def _judge(self):
        many, one = (next(s for s in self.settings if s.in_flight == n) for n in (DECIDING, 1))
        self._goal(f"syncs per post, {DECIDING} in flight", many.syncs_per_post, SYNCS_PER_POST_MAX)
        self._goal(f"writer's CPU µs per post, {DECIDING} in flight", many.per_post_us("writer"), WRITER_US_MAX)
        self._goal("ms from send to answer, 1 in flight, less one sync", one.median(lambda s: s.over_sync_ms),
                   OVER_SYNC_MS_MAX)

    def _goal(self, what, figure, most):
        self.goals.append((what, figure <= most, figure, most))

    def verdict(self):
        if self.options.rounds < ROUNDS_MIN:
            return f"Not judged: {self.options.rounds} rounds of {ROUNDS_MIN}."
        if self.noisy():
            return f"Too noisy: other programs took {self.foreign():.0%} of the machine. Nothing is judged."
        missed = [f"{what}: {figure:.3f} of {most:g}" for what, reached, figure, most in self.goals if not reached]
        return f"Missed: {'; '.join(missed)}." if missed else "All targets reached."

    def table(self):
        head = ["in flight", "connections", "posts/s", "syncs per post", "server's CPU µs per post", "writer", "sequencer",
                "loop", "p50 ms", "p99 ms", "one sync: p50 ms", "p99 ms"]
        rows = []
        for s in self.settings:
            rows.append([
                s.in_flight, s.conns, f"{s.median(lambda t: t.posts / t.seconds):,.0f}",
                f"{s.syncs_per_post:.4f}", f"{s.per_post_us():.1f}",
                *(f"{s.per_post_us(t):.1f}" for t in ("writer", "sequencer", "loop")),
                f"{s.median(lambda t: t.p50_ms):.2f}", f"{s.median(lambda t: t.p99_ms):.2f}",
                f"{s.probe_ms(0.5):.2f}", f"{s.probe_ms(0.99):.2f}"])
        return report.table(head, rows)

    def goals_table(self):
        return report.table(["target", "figure", "at most", ""], [
            [what, f"{figure:.3f}", f"{most:.4g}", "not judged" if self.noisy() else "reached" if reached else "**missed**"]
            for what, reached, figure, most in self.goals])

    def write(self):
        path = programs.BENCH / "results" / f"{self.date}-{machine.commit()}-post.md"
        facts = machine.describe() + [
            ("SQLite's library", machine.shared_object(self.options.palaver, "sqlite3")), ("disk", self.disk),
            ("rounds", f"{self.options.rounds}, slices of {self.options.seconds} s"),
            ("taken by other programs", f"{self.foreign():.1%} of the machine, median of the slices"),
            ("network", "own namespace" if self.options.own_network else "the machine's")]
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"# Durable posts on {self.date}, commit {machine.commit()}\n\n**{self.verdict()}**\n\n"
            "`message.send` on `/chat`, 100-byte text, answered after the commit has been synced; every entry is pushed to "
            "all connections, and that is in the server's CPU. Server on one core, medians over the slices; "
            "`docs/benchmark.md` says how.\n\n"
            f"{self.goals_table()}\n{self.table()}\n## The run\n\n{report.table(['what', ''], facts)}")
        print(f"\nWritten: {path.relative_to(ROOT)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s slices, no report")
    parser.add_argument("--report", action="store_true", help="write a report all the same")
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--folder", type=pathlib.Path, help="where the databases are, for the while (the build folder)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a slice")
    o = parser.parse_args()
    if not disk.SyncCounter.there():
        parser.error("strace is needed: it counts the syncs")
    build = ROOT / o.build
    o.load, o.palaver = str(build / "bench" / "load"), str(build / "src" / "app" / "palaver")
    o.report = o.report or not (o.quick or o.folder)
    o.folder = o.folder or build
    o.rounds = o.rounds or (2 if o.quick else 8)
    o.seconds = o.seconds or (1.0 if o.quick else 3.0)
    return o


def main():
    options = parse()
    options.own_network = machine.own_network([sys.executable, *sys.argv])
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    run = Run(options)
    try:
        run.measure()
    except programs.Invalid as invalid:
        print(f"\nNot valid: {invalid}", file=sys.stderr)
        return 3
    print(f"\n{run.table()}\n{run.goals_table()}\n{run.verdict()}".replace("**", ""))
    if options.report:
        run.write()
    return 2 if run.noisy() else 1 if not all(reached for _, reached, _, _ in run.goals) else 0


sys.exit(main())
