#!/bin/sh
# SPDX-License-Identifier: MIT
# Core files: what the process's own library counted is found in them, and what a core file leaves out is said.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"
# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

# dies PROGRAM: on HAKMEM, by a signal; its core file is $work/core.
dies() {
	rm -f "$work"/core*
	# shellcheck disable=SC3045 # without it there is no core file, and the points are skipped
	ulimit -c unlimited 2> /dev/null
	: > "$work/holder.out"
	(cd "$work" && LD_PRELOAD=$preload exec "$1" > holder.out 2>&1) &
	child=$!
	children="$children $child"
	eventually test -s "$work/holder.out"
	kill -ABRT "$child"
	wait "$child" 2> /dev/null
	mv "$work"/core.* "$work/core" 2> /dev/null
	[ -s "$work/core" ]
}

# The same numbers as of the live process, and the parts are what the sum says.
agrees_with() {
	agrees "$@" && parts=$(sed -n 's/^"present":{\(.*\)}.*/\1/p' "$work/stat.json" | tr ',' '\n' | sed 's/.*://' | paste -sd+ -)
	echo "parts $parts"
	[ $((${parts:-0})) -eq "$(number resident_bytes "$work/stat.json")" ] && [ $((${parts:-0})) -gt 0 ]
}

survives_cuts() {
	size=$(wc -c < "$work/core")
	for part in 1 2 3 5 8 13 21 34 55 89 99; do
		head -c $((size * part / 100)) "$work/core" > "$work/cut"
		for command in 'stat --json' explain map; do
			# shellcheck disable=SC2086 # words
			timeout 60 "$hakmem" $command --core "$work/cut" > "$work/printed" 2>&1
			status=$?
			[ $status -le 1 ] || { echo "$command of $part %: exit status $status" && cat "$work/printed" && return 1; }
		done
	done
}

looks_at_core() {
	point "$1: what the library itself counted" agrees_with --core "$work/core"
	point "$1: what is left out is said" says 0 'By default the kernel leaves out' "$hakmem" stat --core "$work/core"
	point "$1: the program's name" says 0 '(holder), HAKMEM' "$hakmem" stat --core "$work/core"
	point "$1: explain" says 0 'Decisions of ACE and ELO' "$hakmem" explain --core "$work/core"
	point "$1: explain --json" says 0 ']' "$hakmem" explain --json --core "$work/core"
	point "$1: map" says 0 'a large block of ' "$hakmem" map --core "$work/core"
}

compiles holder -pthread -ldl > "$work/said" 2>&1 || skip_all 'no program can be compiled'
cp "$library" "$work/libhakmem.so.1"
preload=$work/libhakmem.so.1
case $(cat /proc/sys/kernel/core_pattern 2> /dev/null) in
*/* | '|'* | '') is_kernel= ;;
*) is_kernel=yes ;;
esac
if [ "$is_kernel" ] && dies "$work/holder"; then
	looks_at_core 'the kernel writes it'
	point 'cut off anywhere, it ends in order' survives_cuts
	mv "$work/libhakmem.so.1" "$work/moved.so"
	point 'the library is gone' says 1 "libhakmem.so.1: No such file or directory (--library and --exe" "$hakmem" stat --core "$work/core"
	point 'it is elsewhere' agrees_with --library "$work/moved.so" --core "$work/core"
	point 'another library' says 1 'is not the file that ran' "$hakmem" stat --library "$hakmem" --core "$work/core"
	if compiles holder -DIS_STATIC -pthread -ldl -static "$builddir/.libs/libhakmem.a" > "$work/said" 2>&1; then
		strip "$work/holder" 2> /dev/null
		preload=
		dies "$work/holder"
		point 'a static program without symbols' agrees_with --core "$work/core"
		mv "$work/holder" "$work/moved"
		point 'the program is gone' says 1 "holder: No such file or directory (--library and --exe" "$hakmem" stat --core "$work/core"
		point 'it is elsewhere too' agrees_with --exe "$work/moved" --core "$work/core"
	else
		skip 'a static program' 'none can be made here'
	fi
else
	skip 'the kernel writes it' 'it gives core files to somebody else, or writes none'
fi

compiles holder -pthread -ldl > "$work/said" 2>&1
if command -v gcore > /dev/null; then
	begin holder "$work/holder"
	gcore -o "$work/gcore" "$child" > "$work/gcored" 2>&1
	mv "$work/gcore.$child" "$work/core" 2> /dev/null
	end "$child"
fi
if command -v gcore > /dev/null && [ -s "$work/core" ]; then
	looks_at_core 'gcore writes it'
else
	skip 'gcore writes it' 'there is none, or it may not'
fi

sleep 100 &
child=$!
children="$children $child"
eventually has_become $child sleep
if command -v gcore > /dev/null && gcore -o "$work/plain" $child > "$work/gcored" 2>&1; then
	point 'not on HAKMEM' says 1 'it is not on HAKMEM' "$hakmem" stat --core "$work/plain.$child"
else
	skip 'not on HAKMEM' 'there is no gcore, or it may not'
fi
end "$child"
for command in stat explain map; do
	point "$command: no core file" says 1 'it is no core file' "$hakmem" $command --core "$hakmem"
	point "$command: no ELF file" says 1 'it is no core file' "$hakmem" $command --core "$work/holder.c"
	point "$command: no such file" says 1 'No such file or directory' "$hakmem" $command --core "$work/none"
	point "$command: both" says 2 'not both' "$hakmem" $command --core "$work/core" 1
	point "$command: --exe alone" says 2 'go with --core' "$hakmem" $command --exe "$work/holder" 1
done
point 'stat: --watch' says 2 'a core file does not change' "$hakmem" stat --watch --core "$work/core"
finish
