#!/bin/sh
# Makes sure that a folder's npm packages are those of its package-lock.json. Used by the Makefile and tests/run.py.
#
#	tools/npm.sh FOLDER              fails where they cannot be had
#	tools/npm.sh --optional FOLDER   says so, and goes on
#	npm_config_omit=dev tools/...    without what only tests need
#
# Costs a checksum when they are there already.
set -eu

optional=
if [ "$1" = --optional ]; then
	optional=1
	shift
fi
cd "$1"
folder=$(basename "$1")
stamp=node_modules/.installed-from
lock=$(cksum <package-lock.json)
all="$lock, all"
wanted=$all
if [ -n "${npm_config_omit:-}" ]; then wanted="$lock, without $npm_config_omit"; fi

# Where some are wanted, all will do.
current() {
	there=$(cat "$stamp" 2>/dev/null) || return 1
	[ "$there" = "$wanted" ] || [ "$there" = "$all" ]
}

if current; then exit 0; fi
exec 9<package-lock.json
flock 9 # two makes at once
if current; then exit 0; fi
echo "palaver: npm ci in $folder/"
# Behind a proxy with its own certificates, Node wants to be told of them.
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f /etc/ssl/certs/ca-certificates.crt ]; then
	export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
fi
if command -v npm >/dev/null && npm ci --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=30000; then
	echo "$wanted" >"$stamp"
	# Meson looks for the packages when it configures a build folder: have it look again.
	if [ "$folder" = web ]; then touch ../src/socketio/client/meson.build; fi
elif [ -n "$optional" ]; then
	echo "palaver: the npm packages of $folder/ cannot be had; going on without what is made of them." >&2
	echo "palaver: without those of web/ the server does not offer /socket.io/socket.io.js" >&2
else
	echo "palaver: npm ci failed in $folder/" >&2
	exit 1
fi
