#!/usr/bin/python3
"""Runs the tests that tests/tests.toml registers, two at once, and counts their TAP points.

    tests/run.py --build build --tier test [--only GLOB] [--sanitized [address|thread|valgrind]] [--list]

A test program prints TAP on its standard output. A crash, a time limit reached, a missing or wrong plan, a skipped point
and a program without any point are failures. The last line is `N passed, N failed`, counting points; the exit status is 0
only when nothing failed. A test gets a folder of its own as TMPDIR and a process group of its own, which is killed when
the test ends or its time is up.
"""
import argparse
import concurrent.futures
import dataclasses
import fnmatch
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIERS = ("check", "test", "torture")
JOBS = 2
WAITING_JOBS = 3  # beside them, for tests that hardly work
SHOWN_BYTES_MAX = 200_000  # of a failed test's output, half from its start, half from its end
SLOWER = {None: 1, "address": 5, "thread": 5, "valgrind": 20}  # a sanitized program may take that many times as long
SLOWEST_SHOWN = 5
ONE_THREAD = ("chat/", "http/", "lib/", "ws/")  # unit tests of such layers know of one thread alone
SANITIZERS = {"address": (True, "address"), "thread": (True,), "valgrind": (True, "address")}  # which tests are for which
NOT_BY_VALGRIND = {"unit/net/descriptors"}  # which runs out of descriptors, of which valgrind has some of its own
VALGRIND = "valgrind -q --error-exitcode=99 --fair-sched=yes --leak-check=full --errors-for-leak-kinds=definite,indirect"

POINT = re.compile(r"(not )?ok\b *(\d*)(.*)")
PLAN = re.compile(r"1\.\.(\d+)")
DIRECTIVE = re.compile(r"# *(skip|todo)", re.I)


@dataclasses.dataclass
class Test:
    """One [[test]] of tests.toml; its head describes the fields."""
    name: str
    tiers: list
    command: list
    npm: str = ""
    timeout_s: int = 60
    exclusive: bool = False
    waits: bool = False
    sanitize: bool | str = False
    env: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Result:
    name: str
    passed: int
    failures: list
    seconds: float
    output: str = ""
    figures: list = dataclasses.field(default_factory=list)


def unit(name):
    """layer/name is tests/unit/layer/test_name.c, built by tests/unit/meson.build."""
    return Test(name="unit/" + name, tiers=["check", "test"], sanitize="address" if name.startswith(ONE_THREAD) else True,
        command=["{build}/tests/unit/test_" + name.replace("/", "_")])


def load(path):
    content = tomllib.loads(path.read_text())
    tests = [unit(name) for name in content.get("units", [])] + [Test(**entry) for entry in content.get("test", [])]
    names = [t.name for t in tests]
    waiting = content.get("waiting", [])
    if unknown := set(waiting) - set(names):
        sys.exit(f"{path}: waiting: no test is called {', '.join(sorted(unknown))}")
    tests.sort(key=lambda test: waiting.index(test.name) if test.name in waiting else -1)
    for test in tests:
        test.waits = test.name in waiting
        if names.count(test.name) > 1:
            sys.exit(f"{path}: {test.name} is registered twice")
        if not test.tiers or set(test.tiers) - set(TIERS):
            sys.exit(f"{path}: {test.name}: tiers are among {', '.join(TIERS)}")
    return tests


def unregistered(tests, root):
    """Files tests/**/test_* and programs of tests/system/ that no entry runs."""
    words = {word for test in tests for word in test.command}
    for path in sorted({*root.glob("tests/**/test_*"), *root.glob("tests/system/*.*")}):
        relative = path.relative_to(root)
        if "node_modules" in relative.parts or path.suffix not in (".c", ".py", ".mjs", ".js", ".sh"):
            continue
        run_as = "{root}/" + str(relative)
        if path.suffix == ".c":  # tests/unit/layer/test_name.c: see unit(); others keep their names
            run_as = "{build}/" + str(relative.with_suffix(""))
            if relative.parts[1] == "unit":
                run_as = unit(f"{path.parent.name}/{path.stem.removeprefix('test_')}").command[0]
        if run_as not in words:
            yield str(relative)


def read_tap(text, status):
    """The number of good points, and what was wrong."""
    passed, points, planned, failures = 0, 0, None, []
    for line in text.splitlines():
        if plan := PLAN.match(line):
            planned = (planned or 0) + int(plan[1])
        elif point := POINT.match(line):
            points += 1
            if DIRECTIVE.search(point[3]):
                failures.append(f"skipped: {line}")
            elif point[1]:
                failures.append(line)
            else:
                passed += 1
        elif line.startswith("Bail out!"):
            failures.append(line)
    if planned is None:
        failures.append("no TAP plan")
    elif planned != points:
        failures.append(f"{planned} points were planned, {points} were seen")
    elif points == 0:
        failures.append("no test point at all")
    if status < 0:
        failures.append(f"ended by {signal.Signals(-status).name}")
    elif status > 0 and not failures:
        failures.append(f"exit status {status}")
    return passed, failures


def bounded(path):
    data = path.read_bytes()
    half = SHOWN_BYTES_MAX // 2
    if len(data) > 2 * half:
        data = data[:half] + b"\n[... %d bytes left out ...]\n" % (len(data) - 2 * half) + data[-half:]
    return data.decode(errors="replace")


class Runner:
    def __init__(self, build, tier, sanitized):
        self.build, self.tier, self.slower, self.valgrind = build, tier, SLOWER[sanitized], sanitized == "valgrind"
        self.lock, self.groups, self.stopped = threading.Lock(), set(), False

    def environment(self, test, folder):
        env = {
            "CMOCKA_MESSAGE_OUTPUT": "TAP",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
            "BUILD": str(self.build),
            "TEST_TIER": self.tier,
            "TEST_SLOWER": str(self.slower),
            **os.environ,
            **{k: str(v) for k, v in test.env.items()},
        }
        env["TMPDIR"] = str(folder)
        return env

    def wait(self, test, process):
        """Ends the whole group in any case; the exit status, or None where the time was up."""
        try:
            return process.wait(test.timeout_s * self.slower)
        except subprocess.TimeoutExpired:
            # Sanitizers and test programs may say on SIGTERM where they are; they get a second for it.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                pass
            return None
        finally:
            kill(process.pid)
            process.wait()

    def program(self, word):
        """With valgrind, what was built is run by a script in its place."""
        if not self.valgrind or not word.startswith(f"{self.build}/"):
            return word
        script = self.build / "valgrind" / pathlib.Path(word).name
        script.parent.mkdir(exist_ok=True)
        new = script.with_suffix(f".{threading.get_ident()}")
        new.write_text(f'#!/bin/sh\nexec {VALGRIND} {word} "$@"\n')
        new.chmod(0o755)
        new.replace(script)
        return str(script)

    def run(self, test):
        if self.stopped:
            return Result(test.name, 0, ["not run: interrupted"], 0)
        began = time.monotonic()
        command = [self.program(word.format(build=self.build, root=ROOT)) for word in test.command]
        with tempfile.TemporaryDirectory(prefix="palaver-", ignore_cleanup_errors=True) as name:
            folder = pathlib.Path(name)
            os.chmod(folder, 0o755)  # servers under test run as nobody
            (folder / "t").mkdir()
            out, err = folder / "stdout", folder / "stderr"
            with open(out, "wb") as out_file, open(err, "wb") as err_file:
                try:
                    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out_file,
                        stderr=err_file, env=self.environment(test, folder / "t"), start_new_session=True)
                except OSError as error:
                    return Result(test.name, 0, [str(error)], 0)
                with self.lock:
                    self.groups.add(process.pid)
                status = self.wait(test, process)
                with self.lock:
                    self.groups.discard(process.pid)
            text = out.read_text(errors="replace")
            passed, failures = read_tap(text, status or 0)
            if status is None:
                failures.append(f"not finished after {test.timeout_s * self.slower} s")
            output = bounded(out) + bounded(err) if failures else ""
        figures = [line for line in text.splitlines() if line.startswith("# ")]
        return Result(test.name, passed, failures, time.monotonic() - began, output, figures)

    def stop(self):
        with self.lock:
            self.stopped = True
            for group in self.groups:
                kill(group)


def kill(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def show(result, figures):
    word = "FAIL" if result.failures else "ok"
    print(f"{word:4} {result.name:48} {result.passed:5} points {result.seconds:7.2f} s", flush=True)
    if result.failures:
        for line in result.output.splitlines():
            print("     | " + line)
        for failure in result.failures:
            print("     " + failure, flush=True)
    elif figures:
        for line in result.figures:
            print("     " + line, flush=True)


def npm_packages(tests):
    for folder in sorted({t.npm for t in tests if t.npm}):
        subprocess.run([ROOT / "tools/npm.sh", ROOT / folder], check=True, stdin=subprocess.DEVNULL)


def run_all(runner, tests, figures):
    """Those that share first, then the exclusive ones, each alone."""
    results = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool, concurrent.futures.ThreadPoolExecutor(WAITING_JOBS) as waiting:
        begun = [(waiting if t.waits else pool).submit(runner.run, t) for t in tests if not t.exclusive]
        for done in concurrent.futures.as_completed(begun):
            results.append(done.result())
            show(results[-1], figures)
    for test in tests:
        if test.exclusive:
            results.append(runner.run(test))
            show(results[-1], figures)
    return results


def selected(args, tests):
    return [t for t in tests if args.tier in t.tiers and fnmatch.fnmatch(t.name, args.only)
            and (not args.sanitized or t.sanitize in SANITIZERS[args.sanitized])
            and (args.sanitized != "valgrind" or (t.name not in NOT_BY_VALGRIND and any("{build}" in word for word in t.command)))]


def parse_arguments():
    parser = argparse.ArgumentParser(description="Run the tests of tests/tests.toml.")
    parser.add_argument("--build", default="build", help="the build folder (default: build)")
    parser.add_argument("--tier", default="test", choices=TIERS)
    parser.add_argument("--only", default="*", metavar="GLOB", help="only tests of such names")
    parser.add_argument("--sanitized", nargs="?", const="address", choices=SANITIZERS,
                        help="only tests for builds with this sanitizer (default: address); time limits are longer")
    parser.add_argument("--figures", action="store_true", help="show the comments of a passed test: what it measured")
    parser.add_argument("--units", metavar="TOML", type=pathlib.Path, help="for meson: the names of the unit tests")
    parser.add_argument("--list", action="store_true", help="name the tests and run none")
    return parser.parse_args()


def main():
    args = parse_arguments()
    if args.units:
        print(*(t.name.removeprefix("unit/") for t in load(args.units) if t.name.startswith("unit/")))
        return 0
    registered = load(ROOT / "tests/tests.toml")
    tests = selected(args, registered)
    if args.list:
        for test in tests:
            print(f"{test.name:48} {' '.join(test.tiers)}{' sanitize' if test.sanitize else ''}")
        return 0
    npm_packages(tests)
    runner = Runner(pathlib.Path(args.build).resolve(), args.tier, args.sanitized)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        results = run_all(runner, tests, args.figures)
    finally:
        runner.stop()
    failed = sum(len(r.failures) for r in results)
    for path in [] if args.sanitized or args.only != "*" else unregistered(registered, ROOT):
        print(f"FAIL {path} is not registered in tests/tests.toml")
        failed += 1
    if not tests:
        print(f"FAIL no test of tier {args.tier} is called {args.only}")
        failed += 1
    slowest = sorted(results, key=lambda r: -r.seconds)[:SLOWEST_SHOWN]
    print("slowest: " + ", ".join(f"{r.name} {r.seconds:.1f} s" for r in slowest))
    print(f"{sum(r.passed for r in results)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
