#!/usr/bin/python3
"""Checks docs/limits.md against the code, and docs/libsio.md against the options. Prints TAP; run by tests/run.py.

    tools/check_limits.py [ROOT]

Every constant of src/**.h and include/ whose name ends in _MAX, _MIN, _MS or _NS has a row of the form
`| NAME | value | file | what happens |` with its value and the header that defines it, and every row has its constant.
Values are written as people read them: 1,024, 64 KiB, 10 s, 250 ms. Names in brackets are counters of what is named there. A default of
an option is one number: in the code, in the comments of include/, and in the option's row.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
PAGE = "docs/limits.md"
GUIDE = "docs/libsio.md"
IS_LIMIT = re.compile(r"_(MAX|MIN|MS|NS)$")
NOT_LIMITS = {"CLOCK_NS_PER_MS"}  # a conversion
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "ms": 1, "s": 1000}
COUNTERS = (("include/sio/stats.h", "sio_stats"), ("src/store/store.h", "store_stats"))
NOT_COUNTERS = {"more", "not_logged"}  # of an answer; a line of the log
BRACKETED = re.compile(r"\((`[a-z_]+`(?:, `[a-z_]+`)*)\)")
ROW = re.compile(r"\|\s*`([A-Z0-9_]+)`\s*\|\s*([\d,]+) ?(\w*)\s*\|\s*`([\w/.]+)`\s*\|\s*(.+?)\s*\|$")


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def definitions(text):
    """Names and expressions of enum members with a value, and of macros without arguments."""
    for body in re.findall(r"\benum\b[^{;]*\{(.*?)\}", text, flags=re.S):
        for entry in body.split(","):
            name, equals, expression = entry.partition("=")
            if equals:
                yield name.strip(), expression.strip()
    yield from re.findall(r"^\s*#define +(\w+) +(.+?)\s*$", text, flags=re.M)


def constants():
    """name: (header, value); the value is None where it is no number."""
    found = {"INT64_MAX": ("", 2**63 - 1)}
    for path in sorted([*ROOT.glob("src/**/*.h"), *ROOT.glob("include/**/*.h")]):
        for name, expression in definitions(without_comments(path.read_text())):
            found[name] = (str(path.relative_to(ROOT)), evaluate(expression, found))
    del found["INT64_MAX"]
    return found


def evaluate(expression, known):
    text = re.sub(r"\(uint\d+_t\)|\bUINT\d+_C\b", "", expression)
    text = re.sub(r"\b[A-Z]\w+\b", lambda name: str(known.get(name[0], (None, None))[1]), text)
    if not re.fullmatch(r"[\d\s()+*<-]+|[\d\s()<]+", text):
        return None
    return eval(text)  # digits, brackets and operators alone


def rows():
    """name: (header, value, what happens)."""
    found, bad = {}, []
    for number, line in enumerate((ROOT / PAGE).read_text().splitlines(), 1):
        if not re.match(r"\|\s*`[A-Z]", line):
            continue
        row = ROW.match(line)
        if not row or row[3] not in UNITS:
            bad.append(f"{PAGE}:{number}: is no row of a limit: {line}")
        elif row[1] in found:
            bad.append(f"{PAGE}:{number}: {row[1]} has two rows")
        else:
            milliseconds = 1_000_000 if row[1].endswith("_NS") else 1
            found[row[1]] = (row[4], int(row[2].replace(",", "")) * UNITS[row[3]] * milliseconds, row[5])
    return found, bad


def judge(name, header, value, row):
    if row is None:
        return f"{name} of {header} has no row in {PAGE}"
    if row[0] != header:
        return f"{name} is in {header}, not in {row[0]}"
    if row[1] != value:
        return f"{name} is {value}, {PAGE} says {row[1]}"
    return None


def body_of(header, struct):
    text = without_comments((ROOT / header).read_text())
    return re.search(rf"struct {struct} \{{(.*?)\n\}};", text, flags=re.S)[1]


def unknown_counters():
    known = NOT_COUNTERS.union(*(re.findall(r"(\w+)\s*[,;]", body_of(*where)) for where in COUNTERS))
    for number, line in enumerate((ROOT / PAGE).read_text().splitlines(), 1):
        for names in BRACKETED.findall(line):
            yield from (f"{PAGE}:{number}: there is no counter {n}" for n in re.findall(r"\w+", names) if n not in known)


def options():
    """The fields of struct sio_options."""
    body = body_of("include/sio/options.h", "sio_options")
    return [found[1] or found[2] for found in re.finditer(r"\(\*(\w+)\)\(|(\w+);", body)]


def evaluated(text, source):
    """A number, or a constant of that source."""
    return int(text) if text.isdigit() else evaluate(dict(definitions(source)).get(text, text), {})


def defaults():
    """name: [(where, value)] of the options for which the code names a default, as `sio_otherwise(o->NAME, VALUE)`."""
    found = {}
    for path in sorted(ROOT.glob("src/socketio/*.c")):
        source = without_comments(path.read_text())
        for name, value in re.findall(r"\bsio_otherwise\(o->(\w+), (\w+)\)", source):
            found.setdefault(name, []).append((str(path.relative_to(ROOT)), evaluated(value, source)))
    for path in sorted(ROOT.glob("include/sio/*.h")):
        # At the beginning of a comment before the field, or behind it.
        of_fields = r"(?:/\*[\s*]*(\d+):(?:(?!\*/).)*\*/\s*)?uint32_t\s+(\w+);(?: /\* (\d+)\b)?"
        for before, name, behind in re.findall(of_fields, path.read_text(), flags=re.S):
            if name in found and (behind or before):
                found[name].append((str(path.relative_to(ROOT)), int(behind or before)))
    for name, number, unit in re.findall(r"^\| `([a-z_]+)` \| ([\d,]+) ?(\w*)", (ROOT / PAGE).read_text(), flags=re.M):
        if name in found:
            found[name].append((PAGE, int(number.replace(",", "")) * UNITS.get(unit, 1)))
    return found


def main():
    known, (documented, bad) = constants(), rows()
    points = []
    for header in sorted({header for header, _ in known.values()}):
        names = [n for n, (where, _) in known.items() if where == header and IS_LIMIT.search(n) and n not in NOT_LIMITS]
        wrong = [judge(n, header, known[n][1], documented.get(n)) for n in names]
        if names:
            points.append((f"{header}: its limits are on the page", list(filter(None, wrong))))
    points.append((f"{PAGE}: every row has its constant",
                   bad + [f"{name} is nowhere defined" for name in documented if name not in known] +
                   [f"{name} is in {known[name][0]}, not in {row[0]}" for name, row in documented.items()
                    if name in known and known[name][0] != row[0]]))
    points.append((f"{PAGE}: every counter is there", list(unknown_counters())))
    guide = (ROOT / GUIDE).read_text()
    points.append((f"{GUIDE}: names every option",
                   [f"{name} is missing" for name in options() if f"`{name}`" not in guide]))
    points.append(("every default of an option is one number, wherever it is said",
                   [f"{name}: " + ", ".join(f"{value} in {where}" for where, value in said) for name, said in defaults().items()
                    if len(said) < 2 or len({value for _, value in said}) != 1]))
    print(f"1..{len(points)}")
    for number, (what, wrong) in enumerate(points, 1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {what}")
        for line in wrong:
            print(f"# {line}")
    return any(wrong for _, wrong in points)


sys.exit(main())
