#!/usr/bin/python3
"""Which lines of the code that a fuzz target is there for its committed inputs reach. Run by `make fuzz-cover`.

    tools/fuzz_cover.py BUILD [TARGET...]

BUILD is made by clang with -fprofile-instr-generate -fcoverage-mapping. Each target runs over the files of
fuzz/corpus/TARGET/ alone. Prints a line for each source file with the first lines that were not reached; the exit status
is 1 where a target's files together have less than they must, or a target has no row below. docs/fuzzing.md says more.
"""
import os
import pathlib
import subprocess
import sys

from cover import ROOT, ranges

CODEC = 95
# Target: the files it is there for, or folders, and how many of their lines, in percent, its inputs reach at least.
TARGETS = {
    "app_visitor": (("app/visitor.c",), 90),
    "eio_payload": (("engineio/payload.c", "base/base64.c"), CODEC),
    "http_chunked": (("http/chunked.c",), CODEC),
    "http_head": (("http/head.c",), CODEC),
    "http_url": (("http/url.c",), CODEC),
    "json": (("base/json.c", "base/json_text.c"), CODEC),
    "server": (("engineio/", "http/", "net/", "socketio/", "ws/"), 90),
    "sio_packet": (("socketio/packet.c", "socketio/placeholder.c"), CODEC),
    "ws_message": (("ws/message.c", "ws/frame.c", "base/utf8.c"), CODEC),
}


# In those folders, what no target runs: the simulated kernel has no io_uring, no files, and nobody who speaks TLS.
NOT_SIMULATED = {"net/sender_uring.c", "net/sender_table_uring.c", "net/encrypted.c", "net/tls.c", "socketio/file.c"}


def run(command, **how):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **how)
    if done.returncode != 0:
        sys.exit(f"fuzz-cover: {command[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def expand(names):
    """The files that are named, and those of the folders."""
    for name in names:
        if name.endswith("/"):
            yield from sorted({f"{name}{path.name}" for path in (ROOT / "src" / name).glob("*.c")} - NOT_SIMULATED)
        else:
            yield name


def line_counts(build, name, names):
    """{source: {line: how often}} of a target's run over its corpus."""
    sources = list(expand(names))
    program = build / "fuzz" / f"fuzz_{name}"
    inputs = sorted((ROOT / "fuzz/corpus" / name).iterdir())
    raw, merged = build / f"{name}.profraw", build / f"{name}.profdata"
    run([program, *inputs], env={**os.environ, "LLVM_PROFILE_FILE": str(raw)})
    run(["llvm-profdata-14", "merge", "-sparse", raw, "-o", merged])
    text = run(["llvm-cov-14", "export", "-format=lcov", f"-instr-profile={merged}", program,
        *(ROOT / "src" / source for source in sources)])
    files, now = {}, {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            now = files.setdefault(os.path.relpath(os.path.join(build, value), ROOT / "src"), {})
        elif key == "DA":
            number, count = value.split(",")[:2]
            now[int(number)] = int(count)
    if missing := set(names) - set(files) - {folder for folder in names if folder.endswith("/")}:
        sys.exit(f"fuzz-cover: {name}: no lines of {' '.join(sorted(missing))}")
    return {source: files[source] for source in sources if source in files}, len(inputs)


def main():
    build, only = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    there = {path.stem.removeprefix("fuzz_") for path in (ROOT / "fuzz").glob("fuzz_*.c")}
    if there != set(TARGETS):
        sys.exit(f"fuzz-cover: TARGETS and fuzz/ differ in {' '.join(sorted(there ^ set(TARGETS)))}")
    low = []
    for name in only or TARGETS:
        sources, least = TARGETS[name]
        files, inputs = line_counts(build, name, sources)
        reached = sum(1 for lines in files.values() for count in lines.values() if count)
        percent = 100 * reached / sum(map(len, files.values()))
        print(f"{name}: {percent:.1f} % of {' '.join(sources)} by {inputs} inputs (at least {least} %)")
        for source, lines in files.items():
            gaps = ranges(number for number, count in lines.items() if not count)
            print(f"    {100 * sum(map(bool, lines.values())) / len(lines):6.1f} %  src/{source:24} not reached: {gaps or '-'}")
        if percent < least:
            low.append(name)
    print(f"{len(only or TARGETS) - len(low)} targets reach what they must, {len(low)} do not: {' '.join(low) or '-'}")
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
