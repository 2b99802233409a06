#!/usr/bin/python3
"""Makes a table of static files that the linker puts into the program. Run by meson.

    embed.py --symbol sio_client --header socketio/client/assets.h --c OUT.c --asm OUT.S --folder BLOBS [--brotli PROGRAM] FILE...
    embed.py --symbol web --header app/pages.h ... --site /chat DIST/index.html

Writes into BLOBS a copy of each file and its gzip and brotli forms, where they are smaller (the brotli one only with
PROGRAM); the assembler file includes their bytes, and the C file defines `SYMBOL_assets` and `SYMBOL_asset_count`, which
the header declares. The same input makes the same output, byte by byte.

Without --site the table is of struct http_asset, and a path is a bare file name. With it the table is of struct sio_asset, and
all files beside that index.html are served below that path, the index itself at it; pages get the headers
`SYMBOL_page_headers`, and files in assets/, whose names change with what they hold, may be kept for ever.
"""
import argparse
import concurrent.futures
import gzip
import hashlib
import json
import pathlib
import subprocess

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "application/javascript; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
# The names carry no version: a client asks each time, and is mostly answered 304.
CACHE_CONTROL = "public, max-age=0"
CACHE_FOR_EVER = "public, max-age=31536000, immutable"


def variants(path, brotli):
    """The bytes of each encoding that is worth having, the identity first."""
    identity = path.read_bytes()
    forms = {"identity": identity, "gzip": gzip.compress(identity, 9, mtime=0)}
    if brotli:
        forms["br"] = subprocess.run([brotli, "-q", "11", "-c", path], check=True, stdout=subprocess.PIPE).stdout
    return {name: data for name, data in forms.items() if name == "identity" or len(data) < len(identity)}


def quote(text):
    return json.dumps(str(text))


def served_at(args, path):
    """Where a file is served: its name alone, or its place in the site."""
    if not args.site:
        return path.name
    place = path.relative_to(args.files[0].parent)
    return args.site if place.name == "index.html" else f"{args.site}/{place.as_posix()}"


def assembler(blobs):
    lines = ["/* Made by tools/embed.py. */", "\t.section .rodata"]
    for symbol, (path, data) in blobs.items():
        lines += [
            f"\t.balign 16 /* {hashlib.sha256(data).hexdigest()} */",
            f"\t.globl {symbol}",
            f"\t.hidden {symbol}",
            f"\t.type {symbol}, %object",
            f"\t.size {symbol}, {len(data)}",
            f"{symbol}:",
            f"\t.incbin {quote(path)}",
        ]
    return "\n".join(lines + ['\t.section .note.GNU-stack, "", %progbits', ""])


def c_source(args, assets):
    lines = ["/* Made by tools/embed.py. */", f'#include "{args.header}"', ""]
    lines += [f"extern const uint8_t {symbol}[];" for _, _, blobs in assets for symbol, _ in blobs.values()]
    kind = "sio_asset" if args.site else "http_asset"
    lines += ["", f"const struct {kind} {args.symbol}_assets[] = {{"]
    for path, etag, blobs in assets:
        lines += [
            "\t{",
            f"\t\t.path = {quote(served_at(args, path))},",
            f"\t\t.content_type = {quote(CONTENT_TYPES[path.suffix])},",
            f"\t\t.etag = {quote(etag)},",
            f"\t\t.cache_control = {quote(CACHE_FOR_EVER if args.site and path.parent.name == 'assets' else CACHE_CONTROL)},",
        ]
        if args.site and path.suffix == ".html":
            lines += [f"\t\t.headers = {args.symbol}_page_headers,", f"\t\t.header_count = {args.symbol.upper()}_PAGE_HEADERS,"]
        lines += [f"\t\t.{name} = {{ {symbol}, {size} }}," for name, (symbol, size) in blobs.items()]
        lines += ["\t},"]
    lines += ["};", f"const size_t {args.symbol}_asset_count = {len(assets)};", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    for option in ("symbol", "header", "c", "asm", "folder"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--brotli")
    parser.add_argument("--site")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    if args.site:  # all that lies beside the index, which comes first
        index = args.files[0]
        args.files = [index] + sorted(p for p in index.parent.rglob("*") if p.is_file() and p != index and p.name[0] != ".")
    folder = pathlib.Path(args.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        forms = list(pool.map(lambda path: variants(path, args.brotli), args.files))
    assets, blobs = [], {}
    for number, (path, encodings) in enumerate(zip(args.files, forms)):
        mine = {}
        for encoding, data in encodings.items():
            symbol = f"{args.symbol}_{number}_{encoding}"
            blob = folder / f"{number}-{path.name}.{encoding}"
            blob.write_bytes(data)
            blobs[symbol] = blob, data
            mine[encoding] = symbol, len(data)
        etag = '"' + hashlib.sha256(encodings["identity"]).hexdigest()[:16] + '"'
        assets.append((path, etag, mine))
    pathlib.Path(args.asm).write_text(assembler(blobs))
    pathlib.Path(args.c).write_text(c_source(args, assets))


if __name__ == "__main__":
    main()
