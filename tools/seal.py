#!/usr/bin/env python3
"""Seal a static library: one object in which only the public names are to be seen.

    seal.py INPUT.a OUTPUT.a

All members are linked into one relocatable object, and what has hidden visibility is made local to it.
"""
import pathlib
import subprocess
import sys
import tempfile


def main(source, target):
    with tempfile.TemporaryDirectory() as folder:
        whole = pathlib.Path(folder) / "sio.o"
        subprocess.run(["ld", "-r", "-o", whole, "--whole-archive", source], check=True)
        subprocess.run(["objcopy", "--localize-hidden", whole], check=True)
        pathlib.Path(target).unlink(missing_ok=True)
        subprocess.run(["ar", "rcsD", target, whole], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
