#!/usr/bin/python3
"""Tests of tools/check_limits.py and tools/check_docs.py: each kind of fault, planted in a copy of the tree, is noticed."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
COPIED = ("src", "include", "docs", "README.md")  # what is changed here; the rest is the tree's own


def said(tool, path, old, new):
    """What the tool says of the tree with one text replaced, without the points that are good."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for item in ROOT.iterdir():
            if item.name not in COPIED:
                os.symlink(item, copy / item.name)
            elif item.is_dir():
                shutil.copytree(item, copy / item.name)
            else:
                shutil.copy(item, copy / item.name)
        if path:
            text = (copy / path).read_text()
            assert old in text, f"{path} has no {old}"
            (copy / path).write_text(text.replace(old, new, 1))
        done = subprocess.run([sys.executable, str(ROOT / "tools" / tool), str(copy)], capture_output=True, text=True,
            check=False)
    wrong = "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("ok ", "1..")))
    assert bool(wrong) == (done.returncode != 0), done.stdout + done.stderr
    return wrong


def notices(tool, path, old, new, what):
    wrong = said(tool, path, old, new)
    assert what in wrong, f"{tool} said of it: {wrong or 'nothing'}"


def test_the_tree_is_right():
    for tool in ("check_limits.py", "check_docs.py"):
        assert said(tool, None, "", "") == ""


def test_a_limit_that_changed():
    notices("check_limits.py", "src/net/conn.h", "NET_LINGER_MS = 5000", "NET_LINGER_MS = 6000", "NET_LINGER_MS is 6000")


def test_a_page_that_changed():
    notices("check_limits.py", "docs/limits.md", "`HTTP_ROUTES_MAX` | 128", "`HTTP_ROUTES_MAX` | 129", "says 129")


def test_a_default_that_changed():
    for path, old, new in [("src/socketio/server.c", "o->connect_timeout_ms, 45000", "o->connect_timeout_ms, 4500"),
                           ("src/socketio/recovery.c", "WINDOW_MS = 120000", "WINDOW_MS = 12000"),
                           ("include/sio/options.h", "upgrade_timeout_ms; /* 10000", "upgrade_timeout_ms; /* 1000"),
                           ("docs/limits.md", "`drain_ms` | 1 s", "`drain_ms` | 2 s")]:
        notices("check_limits.py", path, old, new, f"in {path}")


def test_a_new_limit():
    notices("check_limits.py", "src/base/slots.h", "enum {", "enum { NEW_THING_MAX = 3, ", "NEW_THING_MAX of src/base/slots.h has no row")


def test_a_limit_that_has_gone():
    notices("check_limits.py", "docs/limits.md", "`WS_PINGS_PER_S_MAX`", "`WS_PONGS_MAX`", "WS_PONGS_MAX is nowhere defined")


def test_a_limit_that_has_moved():
    notices("check_limits.py", "docs/limits.md", "`src/ws/conn.h`", "`src/ws/frame.h`", "is in src/ws/conn.h, not in")


def test_a_counter_that_is_none():
    notices("check_limits.py", "docs/limits.md", "(`packets_bad`)", "(`packets_odd`)", "no counter packets_odd")
    notices("check_limits.py", "src/store/store.h", "reads_interrupted;", "reads_ended;", "no counter reads_interrupted")


def test_a_new_option():
    notices("check_limits.py", "include/sio/options.h", "uint32_t threads;", "uint32_t burst; uint32_t threads;", "burst is missing")


def test_c_that_does_not_compile():
    notices("check_docs.py", "README.md", '"message", e->args)', '"message", e->arg)', "README.md: block")


def test_javascript_that_does_not_parse():
    notices("check_docs.py", "README.md", "import { io }", "import { io ", "README.md: block")


def test_a_path_that_is_not_there():
    notices("check_docs.py", "docs/net.md", "`src/net/sender.h`", "`src/net/sander.h`", "src/net/sander.h")


def test_a_link_that_leads_nowhere():
    notices("check_docs.py", "README.md", "(docs/libsio.md)", "(docs/libsoi.md)", "docs/libsoi.md")


if __name__ == "__main__":
    tap.run(tap.of(sys.modules[__name__]))
