#!/usr/bin/python3
"""tools/embed.py: what is linked in is what was read, in each encoding; the same input makes the same output."""
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tap

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = {
    "a.js": b"let a = 1;\n" * 500,
    "a.js.map": bytes(range(256)) * 4,
    "tiny.js": b"x",  # no encoding makes it smaller
    "empty.js": b"",
}
HEADER = '#include "http/asset.h"\nextern const struct http_asset t_assets[];\nextern const size_t t_asset_count;\n'
# Prints a line for each form of each asset and writes its bytes to a file.
PROGRAM = r"""
#include <stdio.h>
#include "table.h"

static void form(const char *path, const char *name, struct http_asset_body body)
{
	char out[64];
	snprintf(out, sizeof(out), "%s.%s", path, name);
	FILE *file = body.data ? fopen(out, "wb") : NULL;
	if (file) {
		fwrite(body.data, 1, body.bytes, file);
		fclose(file);
	}
}

int main(void)
{
	for (size_t i = 0; i < t_asset_count; i++) {
		const struct http_asset *a = &t_assets[i];
		printf("%s|%s|%s|%s\n", a->path, a->content_type, a->etag, a->cache_control);
		form(a->path, "identity", a->identity);
		form(a->path, "gzip", a->gzip);
		form(a->path, "br", a->br);
	}
}
"""


def embed(folder, brotli=True):
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    option = ["--brotli", shutil.which("brotli")] if brotli else []
    subprocess.run([sys.executable, ROOT / "tools/embed.py", "--symbol", "t", "--header", "table.h", "--c", folder / "t.c",
        "--asm", folder / "t.S", "--folder", folder / "blobs", *option, *(folder / name for name in FILES)], check=True)


def dump(folder):
    """Compiles the table and lets the program write out what it holds."""
    (folder / "table.h").write_text(HEADER)
    (folder / "main.c").write_text(PROGRAM)
    out = folder / "out"
    out.mkdir()
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wl,--fatal-warnings",
        "-I", ROOT / "src", "-I", folder, "-o", folder / "main", folder / "main.c", folder / "t.c", folder / "t.S"], check=True)
    lines = subprocess.run([folder / "main"], cwd=out, check=True, capture_output=True, text=True).stdout.splitlines()
    return out, [line.split("|") for line in lines]


def test_what_is_linked_in_is_what_was_read():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        embed(folder)
        out, lines = dump(folder)
        assert [line[0] for line in lines] == list(FILES), lines
        for path, data in FILES.items():
            assert (out / f"{path}.identity").read_bytes() == data
        assert gzip.decompress((out / "a.js.gzip").read_bytes()) == FILES["a.js"]
        packed = (out / "a.js.br").read_bytes()
        assert subprocess.run(["brotli", "-dc"], input=packed, check=True, capture_output=True).stdout == FILES["a.js"]


def test_no_encoding_that_makes_it_longer():
    with tempfile.TemporaryDirectory() as name:
        embed(pathlib.Path(name))
        out, _ = dump(pathlib.Path(name))
        assert sorted(path.name for path in out.glob("tiny.js.*")) == ["tiny.js.identity"]


def test_a_build_without_brotli():
    with tempfile.TemporaryDirectory() as name:
        embed(pathlib.Path(name), brotli=False)
        out, _ = dump(pathlib.Path(name))
        assert not list(out.glob("*.br")) and (out / "a.js.gzip").exists()


def test_types_and_etags():
    with tempfile.TemporaryDirectory() as name:
        embed(pathlib.Path(name))
        _, lines = dump(pathlib.Path(name))
        for path, kind, etag, cache in lines:
            assert kind == ("application/json" if path.endswith(".map") else "application/javascript") + "; charset=utf-8"
            assert etag == '"' + hashlib.sha256(FILES[path]).hexdigest()[:16] + '"'
            assert cache == "public, max-age=0"


def test_the_same_input_makes_the_same_output():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        outputs = []
        for _ in range(2):
            embed(folder)
            outputs.append({path.name: path.read_bytes() for path in [folder / "t.c", folder / "t.S", *(folder / "blobs").iterdir()]})
        assert outputs[0] == outputs[1]


tap.run(tap.of(sys.modules["__main__"]))
