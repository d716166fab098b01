#!/bin/sh
# SPDX-License-Identifier: MIT
# Traces: all calls are in them, in order, whatever the program does, and what replays them does the same.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"
# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

cp "$srcdir/tests/recorded.c" "$work/"
compiles recorded -O1 -fno-builtin -pthread > "$work/said" 2>&1 || skip_all 'no program can be compiled'
trace=$work/t.trace

# records MODE [N]: $trace, and what the program says of itself in $work/told
records() {
	rm -f "$trace"*
	"$hakmem" record -o "$trace" --library "$library" -- "$work/recorded" "$@" 5> "$work/told"
}

prints() {
	"$hakmem" replay --print "${1:-$trace}" > "$work/printed.trace"
}

# Calls of each kind, but those that the same program makes with nothing to do.
count_kinds() {
	for kind in malloc calloc aligned realloc free; do
		echo "$kind $(grep -c " $kind .*block" "$work/printed.trace")"
	done
}

nothing_is_lost() {
	records threads 0 && prints || return
	count_kinds > "$work/idle"
	records threads 20000 && prints || return
	count_kinds | paste -d' ' - "$work/idle" | awk '{ print $1, $2 - $4 }' | diff "$work/told" - || return
	not grep ' unknown' "$work/printed.trace"
}

# Every block is freed after it was allocated, once, and with the size that it had; what is left is what is said.
is_consistent() {
	awk '
	/^#/ { if (/live at the end/) said = $6; next }
	$4 == "exit" { next }
	$4 == "free" { if (!($6 in size) || size[$6] != $8) { print "bad: " $0; bad = 1 } delete size[$6]; next }
	{ block = $4 == "aligned" ? $9 : $7 }
	$4 == "realloc" && $8 == "from" && size[block] != $9 { print "bad: " $0; bad = 1 }
	$4 != "realloc" && block in size { print "bad: " $0; bad = 1 }
	{ size[block] = $5 }
	END { for (block in size) n++; if (n + 0 != said) { print n " left, said " said; bad = 1 }; exit bad }' "$work/printed.trace"
}

# Numbers of blocks, sizes and kinds; not times and addresses.
known_lines() {
	cat << 'END'
malloc 100 block 0
calloc 150 block 1
aligned 77 align 4096 block 2
realloc 3000 block 0 from 100
realloc 2900 block 0 from 3000
free block 1 of 150
malloc 5000000 block 3
realloc 6000000 block 3 from 5000000
free block 0 of 2900
malloc 0 block 4
free block 2 of 77
free block 3 of 6000000
END
}

is_known() {
	prints "$1" && known_lines > "$work/known" &&
		sed '/^#/d; s/^[0-9.]* thread 1 //; s/ lived .*//; s/ at 0x.*//' "$work/printed.trace" | diff "$work/known" -
}

# has SIZE FILE: a block of that size was allocated and freed there, and nothing else.
has_only() {
	prints "$2" && cat "$work/printed.trace" && [ "$(sed -n '/^[^#]/p' "$work/printed.trace" | wc -l)" -eq 2 ] &&
		grep -q " malloc $1 block 0" "$work/printed.trace" && grep -q " free block 0 of $1 " "$work/printed.trace"
}

in_files() {
	for file in "$trace".[0-9]*; do
		has_only "$1" "$file" && return
	done
}

point 'nothing is lost: four threads and signals' nothing_is_lost
point 'blocks come and go in order' is_consistent
point 'threads are told apart' sh -c "[ \$(grep -o ' thread [0-9]*' '$work/printed.trace' | sort -u | wc -l) -eq 5 ]"
point 'their ends are there' sh -c "[ \$(grep -c ' exit\$' '$work/printed.trace') -eq 4 ]"
point 'times of a thread do not go back' awk '/^#/ { next } $1 < last[$3] - 0.000003 { exit 1 } { last[$3] = $1 }' "$work/printed.trace"
records known > "$work/summary" 2>&1
point 'known calls' is_known "$trace"
point 'a summary is printed' grep -q 'events 12, threads 1, .*, live at the end 1 blocks, 0; at most 5.7M' "$work/summary"
records fork > "$work/said" 2>&1
point 'fork: the parent' sh -c "'$hakmem' replay --print '$trace' | grep -c '^[0-9]' | grep -x 4"
point 'fork: the child has a file of its own' in_files 2222
point 'fork: so has one without handlers' in_files 3333
point 'exec' records exec
point 'exec: the other program' is_known "$(find "$work" -name 't.trace*' | tail -n 1)"
point 'descriptors are closed and used' records closed
prints
point 'descriptors: nothing is lost' is_consistent
point 'descriptors: the last call is there' grep -q ' free block [0-9]* of 54321 ' "$work/printed.trace"
point 'killed: the status' says 137 'Killed' records killed
prints
point 'killed: the trace is whole' is_consistent
point 'killed: there is much' sh -c "[ \$(wc -l < '$work/printed.trace') -gt 1000 ]"
point 'the status of the program' says 3 'events' "$hakmem" record -o "$trace" --library "$library" sh -c 'exit 3'
point 'run --trace' "$hakmem" run --trace "$trace" --library "$library" "$work/recorded" known
point 'run --trace: the trace' is_known "$trace"
# shellcheck disable=SC3045 # where there is no such limit the point fails
point 'no room: it is said, and the program goes on' says 0 'the trace ends here' sh -c "ulimit -f 300; '$hakmem' record -o '$trace' --library '$library' '$work/recorded' threads 20000"
prints
point 'no room: what was written is whole' is_consistent
HAKMEM_TRACE=$work/none/t LD_PRELOAD=$library "$work/recorded" known > "$work/errors" 2>&1
point 'a place that is not there' grep -q "HAKMEM_TRACE=.*the trace ends here" "$work/errors"
rm -f "$trace"*
HAKMEM_DISABLE=1 HAKMEM_TRACE=$trace LD_PRELOAD=$library "$work/recorded" known
point 'a program that is left to the C library has none' not test -e "$trace"

# ---- errors ----

echo text > "$work/text"
point 'record: nothing' says 2 'a program is missing' "$hakmem" record
point 'record: no such program' says 127 'No such file' "$hakmem" record -o "$trace" --library "$library" "$work/none"
point 'record: a file that is no trace' says 1 'it is no trace, and is not overwritten' "$hakmem" record -o "$work/text" --library "$library" true
point 'record: a place that is not there' says 1 'No such file or directory' "$hakmem" record -o "$work/none/t" --library "$library" true
point 'record: no library' says 1 'none.so' "$hakmem" record -o "$trace" --library "$work/none.so" true
printf 'int main(void) { return 0; }' > "$work/static.c"
if compiles static -static > "$work/said" 2>&1; then
	point 'record: a program that is not on HAKMEM' says 1 'nothing was recorded' "$hakmem" record -o "$trace" --library "$library" "$work/static"
fi
point 'replay: nothing' says 2 'one trace is wanted' "$hakmem" replay
point 'replay: no such file' says 1 'No such file' "$hakmem" replay "$work/none"
point 'replay: no trace' says 1 'it is no trace' "$hakmem" replay "$work/text"
point 'replay: no runs' says 2 "'0' is no number of runs" "$hakmem" replay --runs 0 "$trace"
point 'replay: no such touch' says 2 "'x' is neither" "$hakmem" replay --touch x "$trace"

# ---- replay ----

records threads 5000 > "$work/said" 2>&1
prints
calls=$(grep -c ' block ' "$work/printed.trace")
point 'replay: all calls' says 0 ": $calls calls of 5 threads" "$hakmem" replay --runs 2 --library "$library" "$trace"
point 'replay: a row for each' sh -c "grep -q '^the C library  *[0-9.]* ' '$work/printed' && grep -q '^HAKMEM  *[0-9.]* ' '$work/printed'"
point 'replay: no allocation fails' not grep -q failed "$work/printed"
for touch in none pages all; do
	point "replay: --touch $touch" says 0 'HAKMEM' "$hakmem" replay --runs 1 --touch $touch --library "$library" "$trace"
done
# All that is live and written is present.
point 'replay: the peak is no less than what was live' sh -c "awk '/^(HAKMEM|the C)/ { n = \$(NF - 2); if (n < 1 || n > 20) exit 1; rows++ } END { exit rows != 2 }' '$work/printed'"
point 'replay: another library' says 0 "$(basename "$library")" "$hakmem" replay --runs 1 --library "$library" --lib "$library" "$trace"
point 'replay: no allocator' says 1 'it is no library that defines malloc' "$hakmem" replay --library "$library" --lib "$hakmem" "$trace"
printf '#include <stddef.h>\nvoid *malloc(size_t n) { return __builtin_trap(), (void *)n; }' > "$work/bad.c"
compiles bad -shared -fPIC > "$work/said" 2>&1
point 'replay: one that crashes' says 1 'the replay broke off' "$hakmem" replay --runs 1 --library "$library" --lib "$work/bad" "$trace"
point 'replay: the others go on' grep -q '^HAKMEM  *[0-9.]* ' "$work/printed"
if command -v gnuplot > /dev/null; then
	point 'replay --plot' "$hakmem" replay --runs 1 --plot "$work/plot.svg" --library "$library" "$trace"
	point 'replay --plot: a curve for each' sh -c "grep -q '>live<' '$work/plot.svg' && grep -q '>HAKMEM<' '$work/plot.svg'"
	point 'replay --plot: a place that is not there' says 1 'gnuplot could not draw it' "$hakmem" replay --runs 1 --plot "$work/none/p.svg" --library "$library" "$trace"
else
	point 'replay --plot: without gnuplot' says 1 'gnuplot is needed' "$hakmem" replay --runs 1 --plot "$work/plot.svg" --library "$library" "$trace"
fi

# Garbage: a byte here and there.
survives_garbage() {
	cat > "$work/spoil.c" << 'END'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	int c;
	srand(atoi(argv[argc - 1]));
	for (long i = 0; (c = getchar()) != EOF; i++)
		putchar(i > 20 && rand() % 500 == 0 ? rand() : c);
}
END
	compiles spoil || return
	for seed in 1 2 3 4 5 6 7 8 9 10; do
		"$work/spoil" $seed < "$trace" > "$work/spoilt"
		timeout 60 "$hakmem" replay --print "$work/spoilt" > "$work/out" 2>&1
		status=$?
		[ $status -le 1 ] || { echo "seed $seed: exit status $status" && return 1; }
	done
}
records threads 1000 > "$work/said" 2>&1
point 'a trace that is damaged' survives_garbage
finish
