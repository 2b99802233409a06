#!/bin/sh
# Runs each fuzz target of a build folder over its committed inputs, then for FUZZ_SECONDS (30), two at once: `make fuzz`.
#
#	tools/fuzz.sh BUILD
#
# A target is fuzz/fuzz_NAME.c; its committed inputs are the files of fuzz/corpus/NAME/, and all of them must pass before it
# looks for others. What it finds on the way is kept in BUILD/corpus/NAME/, and an input that breaks it in BUILD/crashes/.
# FUZZ_SECONDS=0 runs the committed inputs alone. The last line counts the targets.
set -eu
cd "$(dirname "$0")/.."
build=$1
seconds=${FUZZ_SECONDS:-30}
mkdir -p "$build/crashes"

# Which input broke it, and how; then the verdict.
failed() {
	tail -n 60 "$build/$1.log"
	echo "FAIL $1: $2"
}

one() {
	name=$(basename "$1")
	name=${name#fuzz_}
	seeds=fuzz/corpus/$name
	found=$build/corpus/$name
	mkdir -p "$found"
	if [ -z "$(ls "$seeds" 2>/dev/null)" ]; then
		echo "FAIL $name: $seeds/ has no inputs"
		return
	fi
	if ! "$1" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$build/crashes/$name-" "$seeds"/* \
		>"$build/$name.log" 2>&1; then
		failed "$name" "a committed input, the last that the log names"
		return
	fi
	passed="$(ls "$seeds" | wc -l) committed inputs"
	if [ "$seconds" = 0 ]; then
		echo "ok   $name: $passed"
		return
	fi
	if "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/crashes/$name-" "$found" "$seeds" >"$build/$name.log" 2>&1; then
		echo "ok   $name: $passed, $(sed -n 's/.*number_of_executed_units: *//p' "$build/$name.log") others"
	else
		failed "$name" "an input that was found, in $build/crashes/"
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
