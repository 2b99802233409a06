#!/usr/bin/python3
"""Checks what the documents show and name: code compiles, paths and links exist. Prints TAP; run by tests/run.py.

    tools/check_docs.py [--build BUILD] [ROOT]

A block of C that includes something is compiled as a file; other blocks at file scope get the includes below, and statements
a function as well, with the names of STATEMENTS. With --build, programs are linked with BUILD's library too. A block of
JavaScript is parsed. A path in `backticks` that begins with a folder of the tree names something that is there, and so
does a relative link.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-parameter"]
INCLUDES = "".join(f"#include <{name}.h>\n" for name in ("pthread", "sio/http", "sio/json", "sio/sio", "sio/stats", "stdio", "stdlib", "string"))
STATEMENTS = "void statements(struct sio_server *io, struct sio_space *all, const struct sio_event *e)\n{\n"
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "docs/adr/*.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
TREE_PATH = re.compile(r"`((?:src|include|examples|tests|bench|fuzz|docs|tools|packaging|web)/[\w./*-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
MADE_LATER = {"bench/results/", "bench/budgets.json"}  # by bench/run.py and bench/budgets.py
LIBRARIES = ["-luring", "-lssl", "-lcrypto", "-lz", "-pthread"]


def c_source(block):
    if "#include" in block:
        return block
    if re.match(r"(static|int|struct|enum|/\*)", block) and re.search(r"^\w.*\n?\{|^(static|int) ", block, re.M):
        return INCLUDES + block
    return INCLUDES + STATEMENTS + block + "}\n"


class Checks:
    def __init__(self, root, build, folder):
        self.root, self.build, self.folder = root, build, pathlib.Path(folder)
        self.points = []

    def run(self, what, *command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.points.append((what, done.stdout + done.stderr if done.returncode else ""))

    def block(self, page, number, language, text):
        what = f"{page}: block {number} ({language})"
        if language == "c":
            source = self.folder / "block.c"
            source.write_text(c_source(text))
            command = [os.environ.get("CC", "cc"), *FLAGS, f"-I{self.root}/include", str(source)]
            if self.build and "int main" in text:
                libraries = [flag for flag in LIBRARIES if flag == "-pthread" or self.has(flag)]
                command += [str(self.build / "src/libsio.a"), *libraries, "-o", str(self.folder / "block")]
            else:
                command += ["-fsyntax-only"]
            self.run(what, *command)
        elif language == "js" and shutil.which("node"):
            source = self.folder / "block.mjs"
            source.write_text(text)
            self.run(what, "node", "--check", str(source))

    def has(self, library):
        """Whether the linker finds it: the build has found it, or goes without it."""
        done = subprocess.run([os.environ.get("CC", "cc"), "-shared", "-o", str(self.folder / "probe.so"), library],
            capture_output=True, check=False)
        return done.returncode == 0

    def paths(self, page, text):
        text = FENCE.sub("", text)
        named = set(TREE_PATH.findall(text))
        missing = [name for name in sorted(named - MADE_LATER) if not any(self.root.glob(name.rstrip("/")))]
        links = [name for name in LINK.findall(text) if not (self.root / page).parent.joinpath(name).exists()]
        self.points.append((f"{page}: its paths and links exist", "\n".join(missing + links)))

    def page(self, page):
        text = (self.root / page).read_text()
        for number, (language, block) in enumerate(FENCE.findall(text), 1):
            self.block(page, number, language, block)
        self.paths(page, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(o.root, o.build, folder)
        for pattern in PAGES:
            for path in sorted(o.root.glob(pattern)):
                checks.page(path.relative_to(o.root))
    print(f"1..{len(checks.points)}")
    for number, (what, wrong) in enumerate(checks.points, 1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {what}")
        for line in wrong.splitlines():
            print(f"# {line}")
    return any(wrong for _, wrong in checks.points)


if __name__ == "__main__":
    sys.exit(main())
