#!/usr/bin/python3
"""tools/tidy.py notices what it promises to: each point plants one breach in a clean little tree."""
import pathlib
import subprocess
import sys
import tempfile

import tap

TIDY = pathlib.Path(__file__).resolve().parents[3] / "tools/tidy.py"

CLEAN = {
    "src/base/a.h": "/* base/a.h -- a. */\n#ifndef BASE_A_H\n#define BASE_A_H\nint a(void);\n#endif\n",
    "src/base/a.c": '/* base/a.c -- see base/a.h. */\n#include "base/a.h"\n\nint a(void)\n{\n\treturn 1;\n}\n',
    "src/net/n.h": '/* net/n.h -- n. */\n#ifndef NET_N_H\n#define NET_N_H\n#include "base/a.h"\n#endif\n',
    "src/socketio/s.c": '/* socketio/s.c -- s. */\n#include "sio/sio.h"\n#include "net/n.h"\n',
    "include/sio/sio.h":
        "/* sio/sio.h -- the library. */\n#ifndef SIO_SIO_H\n#define SIO_SIO_H\nstruct sio;\n\n"
        "/* Ends it. */\nvoid sio_stop(\n\tstruct sio *sio);\n/* Now. */\n__attribute__((warn_unused_result)) int sio_now(void);\n"
        "#endif\n",
    "examples/e.c": '/* e -- an example. */\n#include "sio/sio.h"\n',
    "tests/t.py": '#!/usr/bin/python3\n"""A test."""\n',
    "tools/x.sh": "#!/bin/sh\n# A tool.\n",
    "web/package-lock.json": '{ "name": "w" }\n',
}


def breach(changes, expected):
    """The clean tree with these files changed; `expected` (a place and words of the message) is the one thing said."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, text in {**CLEAN, **changes}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        done = subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True)
    said = [line for line in done.stdout.splitlines() if line]
    if expected is None:
        assert done.returncode == 0 and "ok" in done.stdout, done.stdout + done.stderr
        return
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(said) == 1 and all(words in said[0] for words in expected), f"expected {expected}, got {done.stdout}{done.stderr}"


def add(path, text):
    return {path: CLEAN[path] + text}


def put(path, before, after):
    assert before in CLEAN[path]
    return {path: CLEAN[path].replace(before, after)}


def test_a_clean_tree_passes():
    breach({}, None)


def test_a_layer_includes_only_what_its_row_names():
    breach(add("src/base/a.c", '#include "net/n.h"\n'), ["src/base/a.c:8", "base/ may not include net/"])


def test_each_layer_refuses_the_layers_below_it():
    order = ["base", "net", "http", "store", "bus", "ws", "engineio", "socketio", "chat", "app"]
    for number, layer in enumerate(order):
        for below in order[number + 1:]:
            breach({f"src/{layer}/z.c": f'/* {layer}/z.c -- z. */\n#include "{below}/y.h"\n'},
                [f"src/{layer}/z.c:2", f"may not include {below}/"])


def test_the_application_uses_libsio_by_its_public_headers():
    breach({"src/app/m.c": '/* app/m.c -- m. */\n#include "sio/sio.h"\n'}, None)
    for inner in ("ws", "engineio", "socketio"):
        breach({"src/app/m.c": f'/* app/m.c -- m. */\n#include "{inner}/x.h"\n'}, [f"may not include {inner}/"])


def test_chat_rules_see_no_socket():
    breach({"src/chat/c.c": '/* chat/c.c -- c. */\n#include "net/n.h"\n'}, ["chat/ may not include net/"])


def test_public_headers_are_for_their_users():
    breach(add("src/net/n.h", ""), None)
    breach(put("src/net/n.h", "base/a.h", "sio/sio.h"), ["net/ may not include sio/"])


def test_a_folder_that_is_no_layer():
    breach({"src/misc/m.c": '/* misc/m.c -- m. */\n'}, ["src/misc/m.c:1", "no layer"])


def test_private_headers_stay_in_their_folder():
    breach(put("src/net/n.h", "base/a.h", "base/a_int.h"), ["base/a_int.h is private to base/"])


def test_an_include_names_its_folder():
    breach(add("src/net/n.h", "")
        | put("src/socketio/s.c", '#include "net/n.h"', '#include "n.h"'), ["includes name their folder"])


def test_examples_include_the_public_headers_alone():
    breach(add("examples/e.c", '#include "base/a.h"\n'), ["examples/e.c:3", "sio/ alone"])


def test_public_headers_include_public_headers_alone():
    breach(put("include/sio/sio.h", "struct sio;", '#include "base/a.h"'), ["sio.h:4", "sio/ alone"])


def test_headers_in_a_circle():
    breach(put("src/base/a.h", "int a(void);", '#include "base/b.h"') | {
        "src/base/b.h": '/* base/b.h -- b. */\n#ifndef BASE_B_H\n#define BASE_B_H\n#include "base/a.h"\n#endif\n'},
        ["included in a circle", "base/a.h", "base/b.h"])


def test_own_header_first():
    breach(put("src/base/a.c", '#include "base/a.h"', '#include <stdio.h>\n#include "base/a.h"'),
        ["src/base/a.c:2", "includes base/a.h first"])


def test_header_guards():
    breach(put("src/base/a.h", "#ifndef BASE_A_H", "#ifndef A_H"), ["src/base/a.h:2", "BASE_A_H"])
    breach({"src/base/c.h": "/* base/c.h -- c. */\nint c(void);\n"}, ["src/base/c.h:1", "BASE_C_H"])


def test_a_long_function():
    at_limit = "void f(void)\n{\n" + "\tg();\n" * 70 + "}\n"
    over = "void f(void)\n{\n" + "\tg();\n" * 71 + "}\n"
    for path in ("src/base/a.c", "examples/e.c"):
        breach(add(path, at_limit), None)
        breach(add(path, over), [path, "f() has 71 lines"])
    breach(add("tests/t.py", "def f():\n" + "    g()\n" * 70), ["tests/t.py:3", "f() has 71 lines"])


def test_a_long_file():
    for path in ("src/base/a.c", "tests/t.py"):
        breach(add(path, "\n" * (600 - CLEAN[path].count("\n"))), None)
        breach(add(path, "\n" * (601 - CLEAN[path].count("\n"))), [f"{path}:601", "601 lines"])


def test_banned_calls_but_not_their_names_in_comments_and_strings():
    for call in ("strcpy", "strcat", "sprintf", "strtok", "gets", "atoi", "alloca", "sleep", "usleep"):
        breach(put("src/base/a.c", "return 1", f"return {call}(x)"), ["src/base/a.c:6", f"{call}() is banned"])
    breach(put("src/base/a.c", "return 1", 'return f("strcpy(x)") /* gets() */'), None)
    breach(put("src/base/a.c", "return 1", "return my_sprintf(x)"), None)


def test_no_typedef_of_structs():
    for kind in ("struct", "union", "enum"):
        breach(put("src/base/a.h", "int a(void);", f"typedef {kind} x x_t;"), ["src/base/a.h:4", "no typedef"])


def test_function_types_end_in_fn():
    breach(put("src/base/a.h", "int a(void);", "typedef void (*x_fn)(int);"), None)
    breach(put("src/base/a.h", "int a(void);", "typedef void (*x_cb)(int);"), ["src/base/a.h:4", "x_cb"])


def test_goto_goes_forward():
    breach(put("src/base/a.c", "\treturn 1;", "\tgoto out;\nout:\n\treturn 1;"), None)
    breach(put("src/base/a.c", "\treturn 1;", "again:\n\tgoto again;"), ["src/base/a.c:7", "goto again"])


def test_files_open_with_their_role():
    breach(put("src/base/a.c", "/* base/a.c -- see base/a.h. */\n", ""), ["src/base/a.c:1", "opens with"])
    breach(put("src/base/a.c", "base/a.c --", "base/b.c --"), ["src/base/a.c:1", "opens with"])
    breach(put("examples/e.c", "/* e -- an example. */", ""), ["examples/e.c:1", "opens with"])
    breach(put("tests/t.py", '"""A test."""\n', ""), ["tests/t.py:1", "opens with"])
    breach(put("tools/x.sh", "# A tool.\n", "set -e\n"), ["tools/x.sh:1", "opens with"])


def test_nothing_unfinished():
    for word in ("TO" + "DO", "FIX" + "ME"):
        breach(add("tools/x.sh", f"# {word}: later\n"), ["tools/x.sh:3", "finish it"])


def test_no_path_of_one_machine():
    breach(add("tools/x.sh", "cd /ho" + "me/me/palaver\n"), ["tools/x.sh:3", "a path of one machine"])


def test_a_lock_file_names_no_host():
    breach(add("web/package-lock.json", '"resolved": "https://host/x.tgz"\n'), ["web/package-lock.json:2", "names no host"])


def test_public_functions_have_a_contract_directly_above():
    breach(put("include/sio/sio.h", "/* Ends it. */\n", ""), ["include/sio/sio.h:6", "contract"])
    breach(put("include/sio/sio.h", "/* Now. */\n", "\n"), ["include/sio/sio.h:10", "contract"])
    breach(put("include/sio/sio.h", "/* Now. */\n", "/* Now. */\n\n"), ["include/sio/sio.h:11", "contract"])


tap.run(tap.of(sys.modules["__main__"]))
