#!/bin/sh
# Runs each fuzz target of a build folder for FUZZ_SECONDS (30), two at once: `make fuzz`.
#
#	tools/fuzz.sh BUILD
#
# A target is fuzz/fuzz_NAME.c; its seeds, where there are some, are the files of fuzz/corpus/NAME/. What it finds on the
# way is kept in BUILD/corpus/NAME/, and an input that breaks it in BUILD/crashes/. The last line counts the targets.
set -eu
cd "$(dirname "$0")/.."
build=$1
seconds=${FUZZ_SECONDS:-30}
mkdir -p "$build/crashes"

one() {
	name=$(basename "$1")
	name=${name#fuzz_}
	mkdir -p "$build/corpus/$name"
	seeds=fuzz/corpus/$name
	[ -d "$seeds" ] || seeds=
	# shellcheck disable=SC2086 # no folder is no argument
	if "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/crashes/$name-" "$build/corpus/$name" $seeds >"$build/$name.log" 2>&1; then
		echo "ok   $name: $(sed -n 's/.*number_of_executed_units: *//p' "$build/$name.log") inputs"
	else
		tail -n 60 "$build/$name.log"
		echo "FAIL $name"
	fi
}

if [ "${2:-}" = --one ]; then
	one "$3"
	exit
fi
results=$build/results.log
find fuzz -maxdepth 1 -name 'fuzz_*.c' | sort | sed "s|\(.*\)\.c|$build/\1|" |
	xargs -r -n 1 -P 2 tools/fuzz.sh "$build" --one | tee "$results"
passed=$(grep -c '^ok ' "$results" || true)
failed=$(grep -c '^FAIL ' "$results" || true)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
