#!/usr/bin/python3
"""The web application's own checks, by tools/web.sh: unit tests of its models, types, style and contrasts."""
import pathlib
import subprocess
import sys

import tap

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_the_checks_of_the_web_application():
    done = subprocess.run([ROOT / "tools/web.sh", "--test"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False)
    assert done.returncode == 0, done.stdout[-8000:]


tap.run(tap.of(sys.modules[__name__]))
