#!/usr/bin/python3
"""Measures examples/broadcast beside its twin on libuv: the figures of docs/adr/0001.

    bench/prototypes/build.sh build/prototypes
    bench/prototypes/compare.py [--build build] [--rounds 40] [--seconds 0.4] [--conns 1000]

As bench/run.py does (docs/benchmark.md), but with many short slices, which suits a machine that others use too: servers on
core 0, generators on core 1, every round takes all servers forwards and backwards. Prints the medians of the ratios of CPU
per delivery, libuv's over ours, with their quartiles, and the same of our program beside itself.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from measure import machine, programs, rounds  # noqa: E402

ROOT = programs.BENCH.parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--libuv", help="the prototype (BUILD/prototypes/libuv_broadcast)")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.4, help="length of a slice")
    parser.add_argument("--conns", type=int, default=1000)
    o = parser.parse_args()
    build = ROOT / o.build
    o.load, o.ours = str(build / "bench" / "load"), str(build / "examples" / "broadcast")
    o.libuv = o.libuv or str(build / "prototypes" / "libuv_broadcast")
    return o


def quartiles(results, workload, theirs, ours):
    pairs = zip(results.figures[workload][theirs], results.figures[workload][ours], strict=True)
    ratios = [t.cpu_per_delivery_ns / m.cpu_per_delivery_ns for t, m in pairs]
    return statistics.quantiles(ratios, n=4, method="inclusive")


def measure(o):
    specs = [*programs.ours([o.ours]), programs.Spec("libuv", "the prototype on libuv", "socketio", (o.libuv,))]
    with contextlib.ExitStack() as stack:
        generators = {}
        for spec in specs:
            server = programs.Server(spec)
            stack.callback(server.stop)
            generators[spec.name] = programs.Generator(o.load, server, o.conns)
            stack.callback(generators[spec.name].stop)
        for generator in generators.values():
            generator.run("broadcast w=8 seconds=0.2")
        return rounds.take(generators, rounds.DECIDING, o.rounds, o.seconds, o.conns, lambda *_: None)


def main():
    o = parse()
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    try:
        results = measure(o)
    except programs.Invalid as invalid:
        print(f"Not valid: {invalid}", file=sys.stderr)
        return 3
    print(f"{o.conns} connections, {o.rounds} rounds of slices of {o.seconds} s; CPU per delivery, median (quartiles)\n")
    print("| | " + " | ".join(results.workloads()) + " |\n|---|" + "---|" * len(results.workloads()))
    for title, theirs, ours in (("libuv over io_uring sender", "libuv", "uring"), ("libuv over plain sender", "libuv", "plain"),
                                ("plain over io_uring sender", "plain", "uring"), ("ours beside itself", "again", "uring")):
        cells = ["{1:.2f} ({0:.2f} to {2:.2f})".format(*quartiles(results, w, theirs, ours)) for w in results.workloads()]
        print(f"| {title} | " + " | ".join(cells) + " |")
    print()
    for name in ("uring", "plain", "libuv"):
        cells = [f"{w} {results.median(w, name, 'cpu_per_delivery_ns'):,.0f} ns, {results.median(w, name, 'frames_per_receive'):.2f}"
                 " frames per receive" for w in results.workloads()]
        print(f"{name:6} " + "; ".join(cells))
    return 0


sys.exit(main())
