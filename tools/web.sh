#!/bin/sh
# Makes sure that the web application is built: web/dist from web/, with its npm packages. Used by the Makefile.
#
#	tools/web.sh              packages and web/dist, up to date; fails where they cannot be had
#	tools/web.sh --optional   where the packages cannot be had, says so and goes on: the server then has a plain page
#	tools/web.sh --test       as the first, then its unit tests, types, contrasts and style
#	tools/web.sh --browser    as the first, then its checks in a Chromium (CHROMIUM=/usr/bin/chromium), which print TAP
#
# Vite wants Node 20.19 or newer. Where the system's is older, the packages of web/node/ (a pinned Node and npm) are used
# for everything here; PALAVER_NODE=own uses them in any case. Costs some 20 ms when nothing has changed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
web=$root/web
mode=${1:-}
case $mode in
"" | --optional | --test | --browser) ;;
*)
	echo "usage: tools/web.sh [--optional | --test | --browser]" >&2
	exit 2
	;;
esac

cannot() {
	echo "palaver: $1" >&2
	if [ "$mode" = --optional ]; then
		echo "palaver: going on without the web application; the server will have a plain page." >&2
		exit 0
	fi
	exit 1
}

# As Vite has it: 20.19 and later ones of 20, 22.12, and everything after.
new_enough() {
	[ "${PALAVER_NODE:-}" != own ] && command -v node >/dev/null && node -e '
		const [major, minor] = process.versions.node.split(".").map(Number);
		process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1)'
}

# Everything that the built files are made of.
sources() {
	cd "$web"
	find src index.html vite.config.mjs svelte.config.js tsconfig.json package-lock.json -type f |
		LC_ALL=C sort | xargs cksum | cksum
}

stamp=$web/node_modules/.dist-built-from

current() { [ -f "$web/dist/index.html" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(sources)" ]; }

# What a build needs has npm.sh's own stamp: written by it after the last npm ci.
packages_current() {
	case $(cat "$web/node_modules/.installed-from" 2>/dev/null) in
	"$(cksum <"$web/package-lock.json")"*) true ;;
	*) false ;;
	esac
}

ensure_node() {
	if new_enough; then return; fi
	command -v npm >/dev/null || cannot "there is no npm (Debian's package npm, or Node 20.19 or newer)."
	if [ ! -x "$web/node/node_modules/.bin/node" ]; then
		echo "palaver: Node 20.19 or newer is wanted; getting one for web/ alone"
	fi
	# Debian's npm reports deprecations of its own parts; only errors are of interest.
	"$root/tools/npm.sh" "$web/node" || cannot "no newer Node can be had."
	PATH=$web/node/node_modules/.bin:$PATH
	export PATH
	node -e 0 2>/dev/null || cannot "the Node of web/node/ does not run on this machine ($(uname -m))."
}

# What tests and checks need besides is two thirds of all: it is left out where only a build is wanted.
ensure_packages() {
	omit=dev
	case $mode in --test | --browser) omit= ;; esac
	npm_config_omit=$omit "$root/tools/npm.sh" "$web" || cannot "the npm packages of web/ cannot be had."
}

# In a shell of its own, which lets go of the lock: what is run afterwards may take long, and others do it too.
build() (
	exec 8<"$web/index.html"
	flock 8 # two makes at once
	if current; then exit 0; fi
	built_from=$(sources)
	rm -f "$stamp"
	# Meson looks for it when it configures a build folder: have it look again.
	if [ ! -f "$web/dist/index.html" ]; then touch "$root/src/app/meson.build"; fi
	echo "palaver: building web/dist"
	(cd "$web" && npm run --silent build -- --logLevel warn)
	echo "$built_from" >"$stamp"
)

if packages_current && current && [ "$mode" != --test ] && [ "$mode" != --browser ]; then exit 0; fi
ensure_node
ensure_packages
build
cd "$web"
case $mode in
--test)
	npm run --silent test
	npm run --silent check
	npm run --silent lint
	;;
--browser) npm run --silent browser ;;
esac
