"""TAP for the tests of our own tools: each function is a point; an exception is a failure, shown behind '#'."""
import sys
import traceback


def run(points):
    print(f"1..{len(points)}")
    failed = 0
    for number, point in enumerate(points, 1):
        name = point.__name__.removeprefix("test_").replace("_", " ")
        try:
            point()
            print(f"ok {number} - {name}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}")
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    sys.exit(bool(failed))


def of(module):
    return [value for name, value in vars(module).items() if name.startswith("test_")]
