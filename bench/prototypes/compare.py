#!/usr/bin/python3
"""Measures examples/broadcast beside other programs that speak as it does: its twin on libuv, or itself as it was.

    bench/prototypes/build.sh build/prototypes
    bench/prototypes/compare.py --other 'on libuv=build/prototypes/libuv_broadcast' --other 'as it was=/elsewhere/broadcast'

As bench/run.py does (docs/benchmark.md), with shorter slices and more rounds. Others are told PORT, and SIO_SENDER=uring. Prints the
medians of the ratios of CPU per delivery, theirs over ours, with their quartiles, and the same of our program beside itself;
writes them to bench/results/<date>-<commit>-compare.md.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from measure import machine, programs, report, rounds  # noqa: E402

ROOT = programs.BENCH.parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--other", action="append", default=[], metavar="TITLE=PROGRAM", type=lambda s: s.partition("=")[::2])
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.4, help="length of a slice")
    parser.add_argument("--conns", type=int, default=1000)
    o = parser.parse_args()
    build = ROOT / o.build
    o.load, o.ours = str(build / "bench" / "load"), str(build / "examples" / "broadcast")
    return o


def measure(o, specs):
    with contextlib.ExitStack() as stack:
        generators = {}
        for spec in specs:
            server = programs.Server(spec)
            stack.callback(server.stop)
            generators[spec.name] = programs.Generator(o.load, server, o.conns)
            stack.callback(generators[spec.name].stop)
        results = rounds.Results(o.conns)
        rounds.take(results, generators, rounds.DECIDING, o.rounds, o.seconds,
                    lambda number, count, workload, _: print(f"round {number}/{count} {workload.name}", flush=True))
        return results


def main():
    o = parse()
    o.own_network = machine.own_network([sys.executable, *sys.argv])
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    others = [programs.Spec(title, title, "socketio", (program,), {"SIO_SENDER": "uring", "SIO_THREADS": "1"})
              for title, program in o.other]
    try:
        results = measure(o, [*programs.ours([o.ours]), *others])
    except programs.Invalid as invalid:
        print(f"Not valid: {invalid}", file=sys.stderr)
        return 3
    pairs = [(f"{other.title}, over our {sender}", other.name, sender) for other in others for sender in ("uring", "plain")]
    pairs += [("our plain over our uring", "plain", "uring"), ("ours beside itself", "again", "uring")]
    ratios = report.table(["CPU per delivery", *results.workloads()], [
        [title, *(report.between(results.quartiles(w, theirs, ours)) for w in results.workloads())] for title, theirs, ours in pairs])
    figures = report.figures_table(results, [*programs.ours([o.ours]), *others])
    facts = machine.describe() + [("rounds", f"{o.rounds}, slices of {o.seconds} s behind {rounds.LEAD_IN_SECONDS} s"),
                                  ("network", "own namespace" if o.own_network else "the machine's")]
    path = programs.BENCH / "results" / f"{datetime.date.today().isoformat()}-{machine.commit()}-compare.md"
    path.write_text(f"# examples/broadcast beside others, {datetime.date.today().isoformat()}, commit {machine.commit()}\n\n"
                    f"{o.conns:,} connections; medians over the rounds, with quartiles. `docs/benchmark.md` says how.\n\n"
                    f"{ratios}\n{figures}\n## The run\n\n{report.table(['what', ''], facts)}")
    print(f"\n{ratios}\n{figures}\nWritten: {path.relative_to(ROOT)}")
    return 0


sys.exit(main())
