#!/bin/sh
# Makes sure that the Debian packages of packaging/debian-*.txt are there. Used by the Makefile and .ci/run.
#
#	tools/install.sh build        what a build needs
#	tools/install.sh build test   what the tests need as well
#
# Installs what is missing, as root or by `sudo -n`; says what to run where neither is allowed. Starts no system service.
# Costs about 20 ms when nothing is missing.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)

# "PACKAGE" or "PACKAGE unless COMMAND", one a line.
wanted() {
	for list in "$@"; do
		sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/packaging/debian-$list.txt"
	done | while read -r package unless command; do
		[ "${unless:-}" = unless ] && command -v "$command" >/dev/null 2>&1 || echo "$package"
	done
}

missing() {
	packages=$(wanted "$@")
	# shellcheck disable=SC2086 # a list of words
	there=$(dpkg-query -W -f='${db:Status-Status}/${Package}\n' $packages 2>/dev/null || true)
	for package in $packages; do
		case "
$there
" in
		*"
installed/$package
"*) ;;
		*) echo "$package" ;;
		esac
	done
}

# As root: forbid the start of services for as long as the installation lasts; a policy that was there comes back.
policy=/usr/sbin/policy-rc.d
saved=$policy.saved-by-palaver

policy_off() {
	rm -f "$policy"
	if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}

policy_on() {
	if [ -e "$saved" ]; then mv -f "$saved" "$policy"; fi # a run that was killed left it
	if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
	trap policy_off EXIT
	trap 'exit 1' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

apt_install() {
	apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
}

install_as_root() {
	export DEBIAN_FRONTEND=noninteractive
	exec 9>/run/palaver-install.lock
	flock 9 # the policy is one for the whole machine
	policy_on
	# Package lists may be absent, or so old that the archive no longer has what they name.
	if ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 && apt_install "$@"; then return; fi
	apt-get -q -o DPkg::Lock::Timeout=300 update
	apt_install "$@"
}

if [ "$1" = --as-root ]; then
	shift
	install_as_root "$@"
	exit
fi

if ! command -v dpkg-query >/dev/null; then
	echo "palaver: this is no Debian system; going on with what is here. Needed, by their Debian names:" $(wanted "$@") >&2
	exit 0
fi
list=$(missing "$@")
[ -n "$list" ] || exit 0
list=$(echo $list)

# shellcheck disable=SC2086 # a list of words
if [ "$(id -u)" = 0 ]; then
	echo "palaver: installing Debian packages: $list"
	sh "$0" --as-root $list
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	echo "palaver: installing Debian packages by sudo: $list"
	sudo -n sh "$0" --as-root $list
else
	echo "palaver: these Debian packages are missing: $list" >&2
	echo "palaver: get them with: sudo apt-get update && sudo apt-get install --no-install-recommends $list" >&2
	exit 1
fi
