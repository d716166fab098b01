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
trap 'for child in $children; do end $child; done; rm -rf "$work"' EXIT

# is_ours PID: the number of a process that has ended is given again, to anybody.
is_ours() {
	grep -qx "PPid:[^0-9]*$$" "/proc/$1/status" 2> /dev/null
}

end() {
	is_ours "$1" && kill -KILL "$1" 2> /dev/null
	wait "$1" 2> /dev/null
}

# eventually COMMAND...: within a minute; a busy machine needs a while.
eventually() {
	tries=0
	until "$@"; do
		[ $((tries += 1)) -lt 600 ] || return
		sleep 0.1
	done
}

# has_become PID NAME: who was just forked is still the shell for a moment.
has_become() {
	grep -qx "$2" "/proc/$1/comm" 2> /dev/null
}

# launch NAME COMMAND...: in the background, until it has written a line to $work/NAME.out; its id is in $child.
launch() {
	launched=$1
	shift
	: > "$work/$launched.out"
	"$@" > "$work/$launched.out" 2>&1 &
	child=$!
	children="$children $child"
	eventually test -s "$work/$launched.out"
}

# begin NAME COMMAND...: the same on HAKMEM.
begin() {
	begin_name=$1
	shift
	launch "$begin_name" env LD_PRELOAD="$library" "$@"
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
is_explained() {
	"$hakmem" stat "$1" --json > "$work/stat.json" || return
	resident=$(number resident_bytes "$work/stat.json") rss=$(number vmrss_bytes "$work/stat.json")
	parts=$(sed -n 's/^"present":{\(.*\)}.*/\1/p' "$work/stat.json" | tr ',' '\n' | sed 's/.*://' | paste -sd+ -)
	echo "VmRSS $rss, mappings $resident, parts $parts = $((${parts:-0}))"
	[ "$((${parts:-0}))" -eq "$resident" ] && [ $((${resident:-0} * 100)) -ge $((${rss:-1} * 99)) ] &&
		[ $((resident * 100)) -le $((rss * 101)) ]
}

has_stopped() {
	grep -q '^State:[^A-Z]*[TZ]' "/proc/$1/status" || ! kill -0 "$1" 2> /dev/null
}

# explains PID: it stands still meanwhile, so that both sums are of one moment.
explains() {
	kill -STOP "$1" && eventually has_stopped "$1"
	is_explained "$1"
	explained=$?
	kill -CONT "$1"
	return $explained
}
