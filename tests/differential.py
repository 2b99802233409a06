#!/usr/bin/python3
"""Runs the system tests against npm's socket.io, engine.io and ws, and compares what it does otherwise with the list of known differences. Prints TAP.

    tests/differential.py [--only SCRIPT]

The tests are the same that libsio has to pass, on servers with the same events (tests/system/peers/). Where Node may do otherwise a
test says so by name; here each such name must be on the list (tests/system/deviations.toml) and in docs/differences.md, all that is on
the list must have been seen, and everything else must hold for Node as it does for libsio.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "system"
# Scripts whose servers have a twin on Node. Scale is what shows each deviation, no more.
SCRIPTS = {"ack": {}, "clients": {}, "close_wait": {}, "cross_origin": {}, "door": {}, "eio_plain": {}, "engineio_raw": {}, "engineio_ws": {}, "joining": {},
           "mutate": {}, "order": {}, "poll_cut": {"RESPONSES": "1"}, "recovery": {}, "rooms": {}, "seed": {}, "socketio_bad": {}, "socketio_raw": {}, "volatile": {}, "ws_plain": {}}
TIMEOUT_SECONDS = 240
THREATS = 64  # numbers of the list of bad input that are tested
SAID = re.compile(r"# npm (deviates|agrees) \[([^\]]*)\](?:: (.*))?")


@dataclasses.dataclass
class Outcome:
    status: int
    lines: list
    deviates: dict  # by name, what was seen each time
    agrees: set


def run(script):
    environment = os.environ | {"SERVER": "node"} | SCRIPTS[script]
    try:
        ended = subprocess.run(["node", FOLDER / f"{script}.mjs", "--server", "node"], env=environment, capture_output=True, text=True,
                               timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return Outcome(124, [f"no end after {TIMEOUT_SECONDS} s"], {}, set())
    lines = ended.stdout.splitlines() + ended.stderr.splitlines()
    outcome = Outcome(ended.returncode, lines, {}, set())
    for found in filter(None, map(SAID.match, lines)):
        if found[1] == "agrees":
            outcome.agrees.add(found[2])
        else:
            outcome.deviates.setdefault(found[2], []).append(found[3] or "")
    return outcome


def wrong(outcome, known):
    """What is to be said of a script, if anything. `known`: its rows of the list, by name."""
    if outcome.status != 0:
        yield f"it failed on Node, with status {outcome.status}"
        failed = [i for i, line in enumerate(outcome.lines) if line.startswith("not ok")]
        for i in failed or [max(len(outcome.lines) - 6, 0)]:
            yield from outcome.lines[i:i + 6]
    for what in sorted(set(outcome.deviates) - set(known)):
        yield f"a difference that is not on the list: {what}"
    for what in sorted(set(known) - set(outcome.deviates)):
        if not known[what].get("sometimes") or what not in outcome.agrees:
            yield f"on the list, but not seen: {what}"
    for what, row in known.items():
        for seen in outcome.deviates.get(what, []) if "seen" in row else []:
            if not re.search(row["seen"], seen):
                yield f"on the list, but for another reason: {what}: {seen}"
    for what in sorted(outcome.agrees & set(known)):
        if not known[what].get("sometimes"):
            yield f"on the list, but Node agrees at times: {what}"


def has_title(source, title):
    """It stands in a text of a script, from a word's end on, and not in a comment."""
    wanted = re.compile(r"[`'\"][^\n]*" + re.escape(title.replace("'", "\\'")) + r"(?!\w)")
    return any(wanted.search(line) for line in source.splitlines() if not line.lstrip().startswith(("//", "*")))


def not_there(page):
    """What docs/protocol-tests.md says and is not so: scripts, tests of them, brackets, a number of bad input without a test."""
    tested = {name for name in re.findall(r"(?<!\[)`(\w+)`", page) if (FOLDER / f"{name}.mjs").exists()}
    yield from (f"not there: {name}" for name in sorted(set(SCRIPTS) - tested))
    yield from (f"does not run against Node, and is not in brackets: {name}" for name in sorted(tested - set(SCRIPTS)))
    for name, titles in re.findall(r'`(\w+)`\]?((?:,? "[^"]+")+)', page):
        source = (FOLDER / f"{name}.mjs").read_text()
        yield from (f"{name} has no such test: {title}" for title in re.findall(r'"([^"]+)"', titles) if not has_title(source, title))
    numbers = [int(number) for number, named in re.findall(r'^\| (\d+) \| .*"threat (\d+)', page, re.MULTILINE) if number == named]
    yield from (f"bad input without a test: {number}" for number in range(1, THREATS + 1) if number not in numbers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(SCRIPTS))
    only = parser.parse_args().only
    with open(FOLDER / "deviations.toml", "rb") as file:
        listed = tomllib.load(file)["deviation"]
    page = (ROOT / "docs" / "differences.md").read_text()
    points = []
    for row in listed:
        name = f"docs/differences.md has: {row['what']}"
        points.append((name, [] if row["row"] in page else [f"not there: {row['row']}"]))
        if row["script"] not in SCRIPTS:
            points.append((f"{row['script']} is run", ["no such script"]))
    page = (ROOT / "docs" / "protocol-tests.md").read_text()
    points.append(("docs/protocol-tests.md names each script, and tests that are there", list(not_there(page))))
    for script in [only] if only else sorted(SCRIPTS):
        known = {row["what"]: row for row in listed if row["script"] == script}
        points.append((f"{script} on Node differs as listed, and in nothing else", list(wrong(run(script), known))))
    print("TAP version 13")
    for number, (name, comments) in enumerate(points, 1):
        print(f"{'not ok' if comments else 'ok'} {number} - {name}")
        for comment in comments:
            print(f"# {comment[:300]}")
    print(f"1..{len(points)}")
    return 1 if any(comments for _, comments in points) else 0


if __name__ == "__main__":
    sys.exit(main())
