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
asked="$*"
stamp=$folder/.configured-with

setup() {
	echo "palaver: configuring $folder/ $asked"
	said=$(meson setup "$folder" "$@" 2>&1) || {
		printf '%s\n' "$said" | tail -n 12 >&2
		exit 1
	}
	echo "$asked" >"$stamp"
}

if [ ! -f "$folder/build.ninja" ]; then
	setup "$@"
elif [ -n "$asked" ] && [ "$(cat "$stamp" 2>/dev/null)" != "$asked" ]; then
	setup --reconfigure "$@"
fi
ninja -C "$folder"
