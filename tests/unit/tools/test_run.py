#!/usr/bin/python3
"""tests/run.py counts what it promises to: a copy of it runs little shell programs."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import tap

RUN = pathlib.Path(__file__).resolve().parents[2] / "run.py"


def run(programs, *options, fields="", files=(), head=""):
    """Runs `programs` (name: shell text) as tests; the exit status and what was said."""
    with tempfile.TemporaryDirectory() as name:
        tests = pathlib.Path(name, "tests")
        tests.mkdir()
        shutil.copy(RUN, tests / "run.py")
        for file in files:
            (tests / file).parent.mkdir(exist_ok=True)
            (tests / file).write_text("")
        entries = [f"[[test]]\nname = '{name}'\ntiers = ['test']\ncommand = ['sh', '-c', '''{text}''']\n{fields}\n"
            for name, text in programs.items()]
        (tests / "tests.toml").write_text("\n".join([head, *entries]))
        done = subprocess.run([sys.executable, tests / "run.py", *options], capture_output=True, text=True, timeout=50)
        return done.returncode, done.stdout + done.stderr


def expect(programs, passed, failed, *words, **more):
    status, said = run(programs, **more)
    assert said.splitlines()[-1] == f"{passed} passed, {failed} failed", said
    assert status == (1 if failed else 0), said
    for word in words:
        assert word in said, f"no {word!r} in {said}"


def test_points_are_counted():
    expect({"a": "echo 1..2; echo ok 1; echo ok 2 - x", "b": "echo ok 1; echo 1..1"}, 3, 0)


def test_several_plans_of_one_program_add_up():
    expect({"a": "echo 1..1; echo ok 1; echo 1..1; echo ok 1"}, 2, 0)


def test_a_failed_point_is_a_failure_and_its_output_is_shown():
    expect({"a": "echo 1..2; echo ok 1; echo not ok 2 - y; echo \\# why; echo how >&2"}, 1, 1, "# why", "how", "not ok 2 - y")


def test_the_output_of_a_good_test_is_not_shown():
    assert "chatter" not in run({"a": "echo 1..1; echo ok 1; echo \\# chatter"})[1]


def test_a_crash_is_a_failure():
    expect({"a": "echo 1..1; echo ok 1; kill -SEGV $$"}, 1, 1, "SIGSEGV")


def test_an_exit_status_is_a_failure():
    expect({"a": "echo 1..1; echo ok 1; exit 3"}, 1, 1, "exit status 3")


def test_a_missing_plan_is_a_failure():
    expect({"a": "echo ok 1"}, 1, 1, "no TAP plan")


def test_a_plan_not_kept_is_a_failure():
    expect({"a": "echo 1..3; echo ok 1"}, 1, 1, "3 points were planned, 1 were seen")


def test_no_points_are_a_failure():
    expect({"a": "echo 1..0"}, 0, 1, "no test point")
    expect({"a": "true"}, 0, 1)


def test_a_skipped_point_is_a_failure():
    expect({"a": "echo 1..2; echo ok 1 \\# SKIP no browser; echo ok 2 \\# TO" + "DO"}, 0, 2, "skipped")


def test_giving_up_is_a_failure():
    expect({"a": "echo 1..1; echo ok 1; echo Bail out! no server"}, 1, 1, "no server")


def test_no_test_at_all_is_a_failure():
    expect({}, 0, 1)


def test_a_time_limit_ends_the_whole_group():
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as file:
        expect({"a": f"echo 1..1; echo ok 1; sleep 1000 & echo $! >{file.name}; wait"}, 1, 1, "not finished after 1 s",
            fields="timeout_s = 1")
        child = int(file.read())
    assert time.monotonic() - began < 20
    assert not running(child)


def test_what_a_test_leaves_running_is_ended():
    with tempfile.NamedTemporaryFile("r") as file:
        expect({"a": f"echo 1..1; echo ok 1; sleep 1000 & echo $! >{file.name}"}, 1, 0)
        assert not running(int(file.read()))


def running(pid):
    """Whether that process runs; a moment is given to the kernel, which ends it in its own time."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
        except (FileNotFoundError, ProcessLookupError):
            return False
        os.sched_yield()
    return True


def test_who_waits_takes_nobody_s_place():
    with tempfile.TemporaryDirectory() as name:
        meet = f"echo 1..1; touch {name}/$$; n=0; while [ $n -lt 400 ] && [ $(ls {name} | wc -l) -lt 3 ]; do sleep 0.05; n=$((n+1)); done; "
        meet += f"[ $(ls {name} | wc -l) -ge 3 ] && echo ok 1"
        expect({"a": meet, "b": meet, "c": meet}, 3, 0, head="waiting = ['c']")
    assert "no test is called x" in run({"a": "echo 1..1; echo ok 1"}, head="waiting = ['x']")[1]


def test_exclusive_tests_run_alone_and_the_others_two_at_once():
    with tempfile.TemporaryDirectory() as folder:
        # Each waits until it has seen another one, or for a second.
        meet = (f"echo 1..1; touch {folder}/$$; n=0; while [ $n -lt 100 ]; do [ $(ls {folder} | wc -l) -gt 1 ] && m=met;"
            f" sleep 0.01; n=$((n + 1)); done; rm {folder}/$$; echo ok 1; echo $m >>{folder}.said")
        expect({"a": meet, "b": meet}, 2, 0)
        assert pathlib.Path(folder + ".said").read_text() == "met\nmet\n"
        pathlib.Path(folder + ".said").unlink()
        expect({"a": meet, "b": meet}, 2, 0, fields="exclusive = true")
        assert pathlib.Path(folder + ".said").read_text() == "\n\n"
        pathlib.Path(folder + ".said").unlink()


def test_a_folder_of_its_own():
    expect({"a": "echo 1..1; test -d $TMPDIR && test -z \"$(ls $TMPDIR)\" && echo ok 1"}, 1, 0)


def test_more_environment():
    expect({"a": "echo 1..1; [ $SEEDS = 7 ] && echo ok 1"}, 1, 0, fields="env = { SEEDS = 7 }")


def test_only_what_was_asked_for():
    good = "echo 1..1; echo ok 1"
    programs = {"x/a": good, "y/b": good}
    assert run(programs, "--only", "x/*")[1].endswith("1 passed, 0 failed\n")
    assert run(programs, "--sanitized")[1].endswith("0 passed, 1 failed\n")
    assert run(programs, "--sanitized", fields="sanitize = true")[1].endswith("2 passed, 0 failed\n")
    assert run(programs, "--sanitized", "thread", fields="sanitize = true")[1].endswith("2 passed, 0 failed\n")
    assert run(programs, "--sanitized", fields='sanitize = "address"')[1].endswith("2 passed, 0 failed\n")
    assert run(programs, "--sanitized", "thread", fields='sanitize = "address"')[1].endswith("0 passed, 1 failed\n")
    assert run(programs, "--tier", "check")[0] == 1
    assert re.findall("./.", run(programs, "--list")[1]) == ["x/a", "y/b"]


def test_a_test_that_is_not_registered_is_a_failure():
    for file in ("unit/test_forgotten.c", "system/test_forgotten.sh", "system/forgotten.mjs", "system/forgotten.py"):
        expect({"a": "echo 1..1; echo ok 1"}, 1, 1, f"tests/{file} is not registered", files=[file])
    expect({"a": "echo 1..1; echo ok 1"}, 1, 0, files=["system/package.json"])


tap.run(tap.of(sys.modules["__main__"]))
