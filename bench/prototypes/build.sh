#!/bin/sh
# Builds the prototype on libuv, which is no part of the project's build: it needs libuv's development files.
#
#	bench/prototypes/build.sh FOLDER
#
# Then compare.py measures it beside examples/broadcast.
set -eu

folder=${1:?usage: bench/prototypes/build.sh FOLDER}
cd "$(dirname "$0")/../.."
mkdir -p "$folder"
# shellcheck disable=SC2046
${CC:-cc} -std=c17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Isrc $(pkg-config --cflags libuv) \
	bench/prototypes/libuv_broadcast.c src/base/base64.c src/base/json.c src/base/json_text.c src/base/random.c \
	src/base/sha1.c src/base/str.c src/base/utf8.c src/ws/frame.c src/ws/handshake.c \
	$(pkg-config --libs libuv) -o "$folder/libuv_broadcast"
echo "$folder/libuv_broadcast"
