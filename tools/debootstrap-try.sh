#!/bin/bash
# Tries the two commands in a fresh Debian 12: a clone of HEAD in a debootstrap folder of its own. Root only.
#
#	tools/debootstrap-try.sh [--keep FOLDER] [COMMAND]
#
# Without COMMAND: `make run` until it accepts connections (a second time too: how quick it is then), `make test` twice, and a
# look whether the installation has started a service. Each step is timed. Mounts and processes live in namespaces that
# end with it; the folder is removed, unless --keep names one, which is used again when it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=
if [ "${1:-}" = --keep ]; then
	folder=$2
	shift 2
else
	temporary=$(mktemp -d /var/tmp/palaver-debian-XXXXXX)
	trap 'rm -rf --one-file-system "$temporary"' EXIT
	folder=$temporary/root
fi
port=${PORT:-3917}

timed() {
	local from=$SECONDS status=0
	"$@" || status=$?
	printf '== %d s, status %d: %s\n' $((SECONDS - from)) $status "${step:-$*}"
	return $status
}

# A command inside, with what a login would have and this machine's way to the package servers.
inside() {
	unshare --mount --pid --fork --kill-child bash -c '
		mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/tmp" || exit 1
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb PORT="$2" NODE_EXTRA_CA_CERTS=/etc/ssl/outer.crt \
			${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
			chroot "$1" bash -c "cd /palaver && $3"' - "$folder" "$port" "$1" </dev/null
}

if [ ! -e "$folder/etc/debian_version" ]; then
	step=debootstrap timed debootstrap --variant=minbase bookworm "$folder" >"$folder.log" 2>&1 || { tail "$folder.log"; exit 1; }
	# The one thing that a person has done before the two commands: apt install make.
	grep -l Acquire /etc/apt/apt.conf.d/* | xargs -r cp -t "$folder/etc/apt/apt.conf.d/" # a proxy, if there is one
	mkdir -p "$folder/palaver"
	inside 'apt-get -q update && apt-get -q -y install --no-install-recommends make' >>"$folder.log" 2>&1
	rm -rf "$folder"/var/lib/apt/lists/*
fi
mkdir -p "$folder/etc/ssl"
cp /etc/resolv.conf /etc/hosts "$folder/etc/"
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/outer.crt"; fi
rm -rf "$folder/palaver"
git clone -q . "$folder/palaver"

if [ $# -gt 0 ]; then
	timed inside "$*"
	exit
fi

until_it_listens="make run & until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do kill -0 \$! || exit 1; sleep 0.1; done"
step='make run, until it accepts connections' timed inside "$until_it_listens"
step='make run once more' timed inside "$until_it_listens"
timed inside 'make test'
step='make test once more' timed inside 'make test'
timed inside 'test ! -e /usr/sbin/policy-rc.d'
