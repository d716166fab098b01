#!/bin/sh
# SPDX-License-Identifier: MIT
# hakmem profile and leaks: totals against exact counts, a format that others read, a leak that is named, and a process that
# is as it was afterwards.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

case $("$hakmem" profile 1 2>&1) in
*'built without libdw'*) skip_all 'the command was built without libdw' ;;
esac

# ---- a program that counts itself ----

cat > "$work/worker.c" << 'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static unsigned long count, bytes, held;
static char *kept[20000];
static void *get(size_t size)
{
	count++;
	bytes += size;
	return memset(malloc(size), 1, size);
}
__attribute__((always_inline)) static inline void leak_some(unsigned i)
{
	kept[i] = get(1200);
	held += 1200;
}
__attribute__((noinline)) static void churn(unsigned i)
{
	free(get(16 + i * 37 % 3000));
}
static int is_leaking = 1;
static void work(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		churn(i);
		if (is_leaking && i % 20 == 0 && i / 20 < sizeof(kept) / sizeof(kept[0]))
			leak_some(i / 20);
		if (i % 500 == 0)
			usleep(5000);
	}
}
int main(int argc, char **argv)
{
	char line[10];
	free(get(10));
	puts("ready");
	fflush(stdout);
	is_leaking = argc < 3;
	if (argc > 1)
		for (;;)
			work(400000);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	count = bytes = 0;
	work(200000);
	printf("counted %lu %lu %lu\n", count, bytes, held);
	fflush(stdout);
	sleep(1000);
	return argv == NULL;
}
END

# Counts what a program asks for, in a file that others can read while it runs.
cat > "$work/counter.c" << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static struct { _Atomic unsigned long count, bytes; } *counts;
static void note(size_t size)
{
	if (!counts) {
		int file = open(getenv("COUNTS"), O_RDWR | O_CREAT, 0600);
		if (file < 0 || ftruncate(file, 4096) != 0)
			_exit(99);
		counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		close(file);
	}
	counts->count++;
	counts->bytes += size;
}
#define NEXT(name) \
	static __typeof__(name) *next; \
	if (!next) \
		next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
void *malloc(size_t size) { NEXT(malloc); note(size); return next(size); }
void *calloc(size_t n, size_t size) { NEXT(calloc); note(n * size); return next(n, size); }
void *realloc(void *p, size_t size) { NEXT(realloc); if (size) note(size); return next(p, size); }
void *memalign(size_t a, size_t size);
void *memalign(size_t a, size_t size) { NEXT(memalign); note(size); return next(a, size); }
void *aligned_alloc(size_t a, size_t size) { NEXT(aligned_alloc); note(size); return next(a, size); }
int posix_memalign(void **p, size_t a, size_t size) { NEXT(posix_memalign); note(size); return next(p, a, size); }
END

# What pprof's own description says, as far as it is used.
cat > "$work/profile.proto" << 'END'
syntax = "proto3";
package perftools.profiles;
message Profile {
  repeated ValueType sample_type = 1;
  repeated Sample sample = 2;
  repeated Mapping mapping = 3;
  repeated Location location = 4;
  repeated Function function = 5;
  repeated string string_table = 6;
  int64 time_nanos = 9;
  int64 duration_nanos = 10;
  ValueType period_type = 11;
  int64 period = 12;
  int64 default_sample_type = 14;
}
message ValueType { int64 type = 1; int64 unit = 2; }
message Sample { repeated uint64 location_id = 1; repeated int64 value = 2; }
message Mapping {
  uint64 id = 1; uint64 memory_start = 2; uint64 memory_limit = 3; uint64 file_offset = 4;
  int64 filename = 5; int64 build_id = 6; bool has_functions = 7; bool has_filenames = 8; bool has_line_numbers = 9; bool has_inline_frames = 10;
}
message Location { uint64 id = 1; uint64 mapping_id = 2; uint64 address = 3; repeated Line line = 4; }
message Line { uint64 function_id = 1; int64 line = 2; }
message Function { uint64 id = 1; int64 name = 2; int64 system_name = 3; int64 filename = 4; int64 start_line = 5; }
END

decode() {
	gzip -dc "$1" | protoc --decode=perftools.profiles.Profile -I"$work" "$work/profile.proto" > "$work/decoded"
}

# sum N: of the Nth value of all samples.
sum() {
	awk -v n="$1" '/^sample \{/ { i = 0 } $1 == "value:" && ++i == n { sum += $2 } END { printf "%.0f\n", sum }' "$work/decoded"
}

# is_near WHAT GOT EXACT PERCENT
is_near() {
	awk -v what="$1" -v got="$2" -v exact="$3" -v percent="$4" 'BEGIN {
		printf "%s: %.0f, exactly %.0f: off by %.1f %%\n", what, got, exact, exact ? (got - exact) / exact * 100 : 0
		exit !(exact > 0 && got >= exact * (1 - percent / 100) && got <= exact * (1 + percent / 100))
	}'
}

# start_profile FILE ARGUMENTS...: of $child, in the background as $profiler; until it samples.
start_profile() {
	start_output=$1
	shift
	: > "$work/printed"
	"$hakmem" profile "$child" --seconds 600 -o "$start_output" "$@" > "$work/printed" 2>&1 &
	profiler=$!
	children="$children $profiler"
	eventually test -s "$work/printed"
}

# profiles NAME ARGUMENTS...: the process $child, which is told to go when sampling is on, until it has said that it is done.
profiles() {
	profiled=$1
	shift
	start_profile "$work/$profiled.pb.gz" "$@"
	feed >&9
	eventually grep -q '^done\|^counted' "$work/$profiled.out"
	kill -INT "$profiler"
	wait "$profiler"
	status=$?
	cat "$work/printed"
	[ "$status" -eq 0 ] && [ -s "$work/$profiled.pb.gz" ]
}

# begin_waiting NAME COMMAND...: what is written to descriptor 9 comes in by its standard input.
begin_waiting() {
	rm -f "$work/go"
	mkfifo "$work/go"
	begin_name=$1
	shift
	: > "$work/$begin_name.out"
	LD_PRELOAD=${preload:-$library} "$@" < "$work/go" > "$work/$begin_name.out" 2>&1 &
	child=$!
	children="$children $child"
	exec 9> "$work/go"
	eventually test -s "$work/$begin_name.out"
}

has_protoc() { command -v protoc; }
read_counts() { od -A n -t u8 -N 16 "$work/counts" | tr -s ' ' ' '; }

if ! compiles worker -fno-builtin-malloc -fno-builtin-free -g -O1 > "$work/said" 2>&1; then
	skip_all 'the compiler cannot make a program here'
fi

feed() { echo go; }
begin_waiting worker "$work/worker"
point 'a program that counts itself is profiled' profiles worker --distance 16384 --flame "$work/flame.svg"
counted=$(grep counted "$work/worker.out") counted=${counted#counted }
count=${counted%% *} bytes=${counted#* } held=${bytes#* } bytes=${bytes% *}
if has_protoc > "$work/which"; then
	point 'protoc reads the profile' decode "$work/worker.pb.gz"
	point 'blocks within 5 %' is_near blocks "$(sum 1)" "$count" 5
	point 'bytes within 5 %' is_near bytes "$(sum 2)" "$bytes" 5
	point 'held bytes within 15 %' is_near held "$(sum 4)" "$held" 15
	point 'names, files and lines' sh -c "grep -q '\"leak_some\"' '$work/decoded' && grep -q 'worker.c\"' '$work/decoded' &&
		grep -q 'filename' '$work/decoded' && grep -q ' line: [1-9]' '$work/decoded'"
else
	skip 'protoc reads the profile' 'there is no protoc'
fi
point 'the flame graph names functions' sh -c "grep -q '<title>churn: ' '$work/flame.svg' && grep -q '<title>leak_some: ' '$work/flame.svg'"
if command -v xmllint > "$work/which"; then
	point 'and is XML' xmllint --noout "$work/flame.svg"
else
	skip 'the flame graph is XML' 'there is no xmllint'
fi
end "$child"
exec 9>&-

# ---- programs that others count ----

if ! compiles counter -shared -fPIC -O1 -o "$work/counter.so" -ldl > "$work/said" 2>&1; then
	skip 'programs that are counted' 'no shared library can be made here'
fi
preload="$work/counter.so $library"
COUNTS=$work/counts
export COUNTS

# counted NAME: the totals of the profile beside the growth of the exact counts since $before.
counted() {
	decode "$work/$1.pb.gz" || return
	# shellcheck disable=SC2046,SC2086
	set -- $before $(read_counts)
	is_near blocks "$(sum 1)" $(($3 - $1)) 5
	blocks_ok=$?
	is_near bytes "$(sum 2)" $(($4 - $2)) 5 && [ "$blocks_ok" -eq 0 ]
}

# exactly NAME COMMAND...: a run of it is profiled, and counted is true.
exactly() {
	exactly_name=$1
	begin_waiting "$@"
	before=$(read_counts)
	profiles "$exactly_name" --distance 8192 && counted "$exactly_name"
	exactly_status=$?
	end "$child"
	exec 9>&-
	return "$exactly_status"
}

# Samples are drawn: of some thousand, one run in twenty may be off by more.
thrice() {
	"$@" || "$@" || "$@"
}

cat > "$work/work.py" << 'END'
import sys, time
print('ready', flush=True)
sys.stdin.readline()
kept = []
for i in range(300):
    words = [str(n) * 8 for n in range(i, i + 1500)]
    table = {word: len(word) for word in words}
    kept.append(' '.join(sorted(table))[:2000])
    time.sleep(0.005)
print('done', flush=True)
sys.stdin.readline()
END

if [ -s "$work/counter.so" ] && command -v python3 > "$work/which" && has_protoc > "$work/which"; then
	point 'python3: within 5 %' thrice exactly python env PYTHONMALLOC=malloc python3 "$work/work.py"
	point 'python3: its functions' grep -q '"_PyEval_EvalFrameDefault"\|"PyUnicode_New"\|"\[python' "$work/decoded"
else
	skip 'python3: within 5 %' 'no python3 or no protoc'
fi

if [ -s "$work/counter.so" ] && command -v sqlite3 > "$work/which" && has_protoc > "$work/which"; then
	# In small steps: what comes faster than it can be read is lost, and is estimated.
	feed() {
		echo 'CREATE TABLE t(a, b);'
		for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
			echo 'INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
				SELECT i, hex(randomblob(60)) FROM n;'
			sleep 0.1
		done
		echo "SELECT 'done';"
	}
	point 'sqlite3: within 5 %' thrice exactly sqlite sqlite3 -cmd 'SELECT 1;' :memory:
else
	skip 'sqlite3: within 5 %' 'no sqlite3 or no protoc'
fi
preload=

# ---- a leak ----

begin leaker "$work/worker" for_ever
point 'a leak is named by function' says 0 'leak_some at' "$hakmem" leaks "$child" --seconds 5
point 'it comes first, with its line' sh -c "sed -n '/leak_some at/{s/.*worker.c:\([0-9]*\).*/\1/p;q}' '$work/printed' > '$work/line' &&
	sed -n \"\$(cat '$work/line')p\" '$work/worker.c' | grep -q get.1200 && ! sed '/leak_some/q' '$work/printed' | grep -q churn"

# ---- under a filter of system calls ----

# It ends who makes any call but those of malloc and of the program itself: for all threads, or for one that is not the first.
cat > "$work/filtered.c" << 'END'
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static void confine(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_mremap), ALLOW(SYS_madvise), ALLOW(SYS_brk), ALLOW(SYS_futex),
		ALLOW(SYS_clock_nanosleep), ALLOW(SYS_nanosleep), ALLOW(SYS_write), ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS) };
	struct sock_fprog filter = { sizeof(program) / sizeof(*program), program };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		exit(1);
}
__attribute__((noinline)) static void keep_some(void **where)
{
	free(*where);
	*where = malloc(3000);
}
static void *work(void *argument)
{
	static void *kept[64];
	free(malloc(10));
	confine();
	(void)!write(1, "ready\n", 6);
	for (unsigned i = 0;; i++) {
		keep_some(&kept[i % 64]);
		if (i % 50 == 0)
			usleep(1000);
	}
	return argument;
}
int main(int argc, char **argv)
{
	pthread_t thread;
	if (argc > 1)
		work(argv);
	pthread_create(&thread, NULL, work, NULL);
	pause();
}
END

is_filtered_still() {
	kill -0 "$child" && grep -q '^State:.[^ZX]' "/proc/$child/status"
}

if compiles filtered -fno-builtin-malloc -pthread -g -O1 > "$work/said" 2>&1; then
	for whom in all one; do
		# shellcheck disable=SC2046
		begin filtered "$work/filtered" $([ $whom = one ] || echo all)
		point "filter for $whom: a profile" says 0 'samples of' "$hakmem" profile "$child" --seconds 2 \
			-o "$work/filtered.pb.gz" --flame "$work/filtered.svg"
		point "filter for $whom: with stacks" sh -c "grep '<title>keep_some: ' '$work/filtered.svg' && grep '<title>work: ' '$work/filtered.svg'"
		point "filter for $whom: stat" says 0 'VmRSS: ' "$hakmem" stat "$child"
		point "filter for $whom: map" says 0 '<svg' "$hakmem" map "$child"
		point "filter for $whom: explain" says 0 'Decisions' "$hakmem" explain "$child"
		point "filter for $whom: it goes on" is_filtered_still
		end "$child"
	done
	point 'filter: what a trace needs ends it' says 159 'run it without its sandbox' \
		"$hakmem" record -o "$work/filtered.trace" --library "$library" "$work/filtered" all
else
	skip 'under a filter of system calls' 'no such program can be made here'
fi

# ---- what is left of it, and what goes wrong ----

resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$child/status"; }
end "$child"
begin churner "$work/worker" for_ever without_leaks
before=$(resident)
has_grown() {
	during=$(resident)
	[ "$during" -gt $((before + 600)) ]
}
has_shrunk() {
	after=$(resident)
	[ "$after" -lt $((before + 600)) ]
}
stopped() {
	start_profile "$work/again.pb.gz" --distance 1024
	eventually has_grown
	kill -TERM "$profiler"
	wait "$profiler"
}
point 'stopped by SIGTERM, it writes what it has' stopped
point "samples take memory: $before, $during KiB" test "$during" -gt $((before + 600))
point 'but for that no memory is left behind' eventually has_shrunk
# However long the command takes from one of its last writes to the next.
if command -v strace > "$work/which" && strace -o /dev/null true 2> "$work/said"; then
	point 'a slow one' strace -o /dev/null -e trace=process_vm_writev -e inject=process_vm_writev:delay_exit=30000 \
		"$hakmem" profile "$child" --seconds 1 --distance 1024 -o "$work/slow.pb.gz"
	point 'leaves none behind either' eventually has_shrunk
else
	skip 'a slow one' 'strace cannot be used here'
fi
start_profile "$work/first.pb.gz"
first=$profiler
point 'one at a time' says 1 'somebody else is sampling it' "$hakmem" profile "$child" --seconds 1 -o "$work/second.pb.gz"
kill -KILL "$first"
wait "$first" 2> "$work/said"
point 'after one that was killed' says 0 'samples of' "$hakmem" profile "$child" --seconds 2 -o "$work/second.pb.gz"
point 'where nothing can be written' says 1 'No such file' "$hakmem" profile "$child" --seconds 0.2 -o "$work/no/where.pb.gz"
end "$child"
point 'no such process' says 1 'process 2147483646' "$hakmem" leaks 2147483646
point 'no seconds' says 2 "not 'soon'" "$hakmem" profile 1 --seconds soon
point 'no distance' says 2 "not '-5'" "$hakmem" profile 1 --distance=-5
point 'no number of stacks' says 2 "not 'x'" "$hakmem" leaks 1 --top x
finish
