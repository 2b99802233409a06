#!/usr/bin/python3
"""Plants the bugs of tests/mutants.toml one by one, and shows that a test notices each.

    tools/mutants.py [--only GLOB] [--deviations] [--jobs N] [--list]

All of it happens in a temporary copy of the tracked files, built once. First every test that is to notice something must
pass there. Then a mutant is planted, what its tests need is built, and they run until one fails: the mutant is killed. Prints
TAP: `not ok` for one that survived or does not build. The exit status is 0 only when all were killed. A mutant that hangs is
ended by its test's time limit. --only takes a part of `file: why (tests)`, or a pattern for all of it; --jobs works in as many copies.
"""
import argparse
import concurrent.futures
import contextlib
import dataclasses
import fnmatch
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = "tests/mutants.toml"
TESTS = "tests/tests.toml"
JOBS_MAX = 16
BUILD_LINES_SHOWN = 8
WAIT_MS = "3000"  # of one wait in a system test: most that a mutant makes are in vain
PATIENT = {"system/lagging"}  # tests that wait for longer even where all is well


class Wrong(Exception):
    """The list or the tree is not as it must be; the message says what."""


@dataclasses.dataclass
class Mutant:
    """One [[mutant]] of tests/mutants.toml; its head describes the fields."""
    file: str
    was: str
    becomes: str
    why: str
    tests: list
    deviation: bool = False

    def __str__(self):
        return f"{self.file}: {self.why}"

    def line(self):
        """As --list has it."""
        return f"{self} ({', '.join(self.tests)})"


@dataclasses.dataclass
class Outcome:
    killed: bool
    told: str  # by which test, or what else became of it
    details: list = dataclasses.field(default_factory=list)


def load_tests(root):
    """{name: its entry}. A unit test has no entry, only its name in `units`: see tests/run.py."""
    content = tomllib.loads((root / TESTS).read_text())
    tests = {test["name"]: test for test in content.get("test", [])}
    for name in content.get("units", []):
        tests["unit/" + name] = {"tiers": ["test"], "command": ["{build}/tests/unit/test_" + name.replace("/", "_")]}
    return tests


def load_mutants(root, tests):
    """All mutants, with the patterns among their tests resolved. Wrong where one cannot be planted."""
    mutants, seen = [], set()
    for entry in tomllib.loads((root / LIST).read_text()).get("mutant", []):
        mutant = Mutant(**entry)
        resolved = [name for pattern in mutant.tests for name in fnmatch.filter(tests, pattern)]
        if not resolved or any(not fnmatch.filter(tests, pattern) for pattern in mutant.tests):
            raise Wrong(f"{mutant}: {TESTS} has not all of {', '.join(mutant.tests) or 'no tests'}")
        mutant.tests = list(dict.fromkeys(resolved))
        if not (root / mutant.file).is_file() or not mutant.file.startswith("src/"):
            raise Wrong(f"{mutant}: no file of src/")
        if (times := (root / mutant.file).read_text().count(mutant.was)) != 1:
            raise Wrong(f"{mutant}: `was` occurs {times} times, not once")
        if mutant.was == mutant.becomes or str(mutant) in seen:
            raise Wrong(f"{mutant}: changes nothing, or is there twice")
        seen.add(str(mutant))
        mutants.append(mutant)
    return mutants


def selected(mutants, only, deviations):
    return [m for m in mutants if (only in m.line() or fnmatch.fnmatch(m.line(), only)) and (m.deviation or not deviations)]


def copy_tree(target):
    """The tracked files as they are in the checkout; npm packages are linked, not copied."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if not source.is_file():
            continue  # deleted, and not yet committed
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name)
        packages = source.parent / "node_modules"
        if source.name == "package-lock.json" and packages.is_dir():
            (target / name).parent.joinpath("node_modules").symlink_to(packages)


class Programs:
    """What we have started and must not leave running."""

    def __init__(self):
        self.lock, self.running, self.stopped = threading.Lock(), set(), False

    def run(self, command, folder, **more):
        """The exit status and what was said. `more` is added to the environment."""
        with self.lock:
            if self.stopped:
                raise Wrong("interrupted")
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, **more})
            self.running.add(process)
        try:
            said, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            with self.lock:
                self.running.discard(process)
        return process.returncode, said

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.terminate()


class Tree:
    """A copy of the tree with a build folder: one mutant at a time."""

    def __init__(self, folder, tests, programs):
        self.folder, self.tests, self.programs = folder, tests, programs

    def prepare(self):
        copy_tree(self.folder)
        status, said = self.programs.run([self.folder / "tools/build.sh", "build", "-Dtests=enabled"], self.folder)
        if status != 0:
            raise Wrong("does not build without a mutant:\n" + last_lines(said))

    def run_test(self, name):
        """Whether it passed, and what was said."""
        tiers = self.tests[name]["tiers"]
        tier = "test" if "test" in tiers else tiers[0]
        command = [sys.executable, "tests/run.py", "--build", "build", "--tier", tier, "--only", name]
        waits = {} if name in PATIENT else {"WAIT_MS": WAIT_MS}
        status, said = self.programs.run(command, self.folder, **waits)
        return status == 0, said

    def build_for(self, names):
        """What these tests run: a program they name, else everything."""
        targets = set()
        for name in names:
            built = [w.removeprefix("{build}/") for w in self.tests[name]["command"] if w.startswith("{build}/")]
            if not built:
                return self.programs.run(["ninja", "-C", "build"], self.folder)
            targets.update(built)
        return self.programs.run(["ninja", "-C", "build", *sorted(targets)], self.folder)

    @contextlib.contextmanager
    def planted(self, mutant):
        path = self.folder / mutant.file
        sound = path.read_text()
        if sound.count(mutant.was) != 1:
            raise Wrong(f"{mutant}: `was` does not occur once in the copy")
        path.write_text(sound.replace(mutant.was, mutant.becomes))
        try:
            yield
        finally:
            path.write_text(sound)

    def judge(self, mutant):
        with self.planted(mutant):
            status, said = self.build_for(mutant.tests)
            if status != 0:
                return Outcome(False, "does not build", last_lines(said).splitlines())
            for name in mutant.tests:
                if not self.run_test(name)[0]:
                    return Outcome(True, f"killed by {name}")
        return Outcome(False, "survived", ["passed: " + ", ".join(mutant.tests)])


def last_lines(text):
    return "\n".join(text.splitlines()[-BUILD_LINES_SHOWN:])


def prove_sound(tree, mutants):
    """A test that fails without a mutant shows nothing."""
    for name in dict.fromkeys(name for mutant in mutants for name in mutant.tests):
        passed, said = tree.run_test(name)
        if not passed:
            raise Wrong(f"{name} fails without a mutant:\n{last_lines(said)}")


def show(number, mutant, outcome):
    print(f"{'ok' if outcome.killed else 'not ok'} {number} - {mutant} ({outcome.told})", flush=True)
    for line in outcome.details:
        print("# " + line, flush=True)


def judge_all(trees, mutants):
    """Each free tree takes the next mutant. The number of those that were not killed."""
    free = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def judge(mutant):
        tree = free.get()
        try:
            return tree.judge(mutant)
        finally:
            free.put(tree)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(trees)) as pool:
        try:
            for number, (mutant, outcome) in enumerate(zip(mutants, pool.map(judge, mutants)), 1):
                show(number, mutant, outcome)
                failed += not outcome.killed
        finally:
            trees[0].programs.stop()  # when interrupted: else the pool would do all that is left
    return failed


def run(mutants, tests, jobs):
    programs = Programs()
    with tempfile.TemporaryDirectory(prefix="palaver-mutants-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)  # servers under test run as nobody
        trees = [Tree(pathlib.Path(name, str(n)), tests, programs) for n in range(jobs)]
        for tree in trees:
            tree.prepare()
        prove_sound(trees[0], mutants)
        print(f"1..{len(mutants)}", flush=True)
        return judge_all(trees, mutants)


def parse_arguments():
    parser = argparse.ArgumentParser(description=f"Plant the bugs of {LIST}; tests must notice each.")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only mutants whose line in --list has it or matches it")
    parser.add_argument("--deviations", action="store_true", help="only those from which a client sees that this is not npm's server")
    parser.add_argument("--jobs", default=1, type=int, metavar="N", help="so many at once, each in a copy of its own (default: 1)")
    parser.add_argument("--list", action="store_true", help="name the mutants and their tests, and plant none")
    return parser.parse_args()


def main():
    args = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        tests = load_tests(ROOT)
        mutants = selected(load_mutants(ROOT, tests), args.only, args.deviations)
        if not mutants:
            raise Wrong(f"no mutant matches {args.only}")
        if args.list:
            for mutant in mutants:
                print(mutant.line())
            return 0
        failed = run(mutants, tests, max(1, min(args.jobs, JOBS_MAX)))
    except Wrong as wrong:
        print(f"Bail out! {wrong}")
        return 1
    print(f"# {len(mutants) - failed} killed, {failed} not", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
