#!/usr/bin/python3
"""Which lines of src/ the tests have reached, from a build folder made with -Db_coverage=true. Run by `make cover`.

    tools/cover.py BUILD

Prints a line per file, the least covered first, with the first lines that were not reached, and the whole last.
"""
import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
GAPS_SHOWN = 8


def counts(build):
    """{source file: {line: how often}}, over all objects that a test program has run."""
    files = collections.defaultdict(collections.Counter)
    for data in build.rglob("*.gcda"):
        done = subprocess.run(["gcov", "--json-format", "--stdout", data.resolve()], cwd=build, check=True, capture_output=True)
        for text in done.stdout.splitlines():
            for file in json.loads(text)["files"]:
                path = (build / file["file"]).resolve()
                if path.is_relative_to(ROOT / "src"):
                    for line in file["lines"]:
                        files[path.relative_to(ROOT)][line["line_number"]] += line["count"]
    return files


def ranges(numbers):
    """[3, 4, 5, 9] as 3-5 9."""
    spans = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    return " ".join(text[:GAPS_SHOWN]) + (" ..." if len(text) > GAPS_SHOWN else "")


def main():
    files = counts(pathlib.Path(sys.argv[1]).resolve())
    if not files:
        sys.exit("cover: no program of this folder has run")
    reached = total = 0
    for path, lines in sorted(files.items(), key=lambda item: sum(map(bool, item[1].values())) / len(item[1])):
        hit = sum(1 for count in lines.values() if count)
        reached, total = reached + hit, total + len(lines)
        print(f"{100 * hit / len(lines):6.1f} %  {str(path):40} not reached: {ranges(n for n, count in lines.items() if not count)}")
    print(f"{100 * reached / total:6.1f} %  of {total} lines in {len(files)} files")


if __name__ == "__main__":
    main()
