#!/bin/sh
# clang-tidy over src/, two files at once, with the compile commands of a clang build folder. What it checks: .clang-tidy.
#
#	tools/clang-tidy.sh BUILD
set -eu
cd "$(dirname "$0")/.."
find src examples -name '*.c' -print0 | xargs -0 -r -n 4 -P 2 clang-tidy-14 -p "$1" --quiet --warnings-as-errors='*'
