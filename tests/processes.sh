# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# processes: what the tests of subcommands share that look into processes; to be sourced behind tap.sh.

# shellcheck disable=SC2154 # of who sources this
hakmem=$builddir/hakmem
library=$builddir/.libs/libhakmem.so
[ -x "$hakmem" ] || skip_all 'the command was not built'
[ -f "$library" ] || skip_all 'no shared library was built'
[ -z "$RUNNER" ] || skip_all 'not under an emulator'
HAKMEM_CONF=
export HAKMEM_CONF
children=
# shellcheck disable=SC2154
trap 'for child in $children; do kill -KILL $child; done 2> /dev/null; rm -rf "$work"' EXIT

# wait_for_line FILE: a busy machine needs a while.
wait_for_line() {
	tries=0
	while ! [ -s "$1" ] && [ $((tries += 1)) -lt 600 ]; do
		sleep 0.1
	done
}

# begin NAME COMMAND...: on HAKMEM, in the background, until it has written a line to $work/NAME.out; its id is in $child.
begin() {
	begin_name=$1
	shift
	: > "$work/$begin_name.out"
	LD_PRELOAD=$library "$@" > "$work/$begin_name.out" 2>&1 &
	child=$!
	children="$children $child"
	wait_for_line "$work/$begin_name.out"
}

end() {
	kill -KILL "$1" 2> /dev/null
	wait "$1" 2> /dev/null
}

# compiles NAME FLAGS...: $work/NAME.c
compiles() {
	name=$1
	shift
	# shellcheck disable=SC2086 # the compiler may have options
	$CC -o "$work/$name" "$work/$name.c" -I"$srcdir/include" -I"$srcdir/lib" "$@" 2> "$work/errors" || { cat "$work/errors" && false; }
}

# tests/holder.c
cp "$srcdir/tests/holder.c" "$work/"

# The numbers of JSON: NAME FILE
number() {
	sed -n "s/^.*\"$1\":\([0-9]*\).*/\1/p" "$2" | head -n 1
}

# agrees PID, or --core FILE: every number that the program had from its own library.
agrees() {
	"$hakmem" stat "$@" --json > "$work/stat.json" || return
	tr " " "\n" < "$work/holder.out" | paste -d' ' - - | while read -r name value; do
		[ -n "$name" ] || continue
		echo "$name: the library $value, the command $(number "$name" "$work/stat.json")"
		[ "$(number "$name" "$work/stat.json")" = "$value" ] || exit 1
	done
}

# Of VmRSS all but a hundredth is explained, and the parts are what the sum says.
explains() {
	"$hakmem" stat "$1" --json > "$work/stat.json" || return
	resident=$(number resident_bytes "$work/stat.json") rss=$(number vmrss_bytes "$work/stat.json")
	parts=$(sed -n 's/^"present":{\(.*\)}.*/\1/p' "$work/stat.json" | tr ',' '\n' | sed 's/.*://' | paste -sd+ -)
	echo "VmRSS $rss, mappings $resident, parts $parts = $((${parts:-0}))"
	[ "$((${parts:-0}))" -eq "$resident" ] && [ $((${resident:-0} * 100)) -ge $((${rss:-1} * 99)) ] &&
		[ $((resident * 100)) -le $((rss * 101)) ]
}
