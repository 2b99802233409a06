#!/bin/sh
# Configures a build folder where that is needed, and builds it. Used by the Makefile and .ci/run.
#
#	tools/build.sh FOLDER [MESON OPTION...]
#
# The options are remembered in the folder: other ones than last time configure it anew.
set -eu

folder=$1
shift
cd "$(dirname "$0")/.."
asked="$* ${CC:-}"
stamp=$folder/.configured-with

if [ ! -f "$folder/build.ninja" ]; then
	meson setup "$folder" "$@" >/dev/null || { cat "$folder/meson-logs/meson-log.txt" >&2; exit 1; }
	echo "$asked" >"$stamp"
elif [ $# -gt 0 ] && [ "$(cat "$stamp" 2>/dev/null)" != "$asked" ]; then
	meson setup --reconfigure "$folder" "$@" >/dev/null
	echo "$asked" >"$stamp"
fi
ninja -C "$folder"
