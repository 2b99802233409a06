#!/bin/sh
# clang-format over the tree's C files: `make fmt`. With --check it changes nothing and names what is not formatted.
set -eu
cd "$(dirname "$0")/.."
mode=-i
if [ "${1:-}" = --check ]; then mode='--dry-run -Werror'; fi
# shellcheck disable=SC2086 # two options
find src include tests bench examples fuzz -name node_modules -prune -o -name '*.[ch]' -print0 |
	xargs -0 -r clang-format-14 $mode
