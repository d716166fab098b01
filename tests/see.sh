#!/bin/sh
# SPDX-License-Identifier: MIT
# The subcommands that look into running processes: what they say is true, the process notices nothing, and whatever
# garbage they find they end in order.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

# ---- stat ----

if compiles holder -pthread -ldl > "$work/said" 2>&1; then
	begin holder "$work/holder"
	holder=$child
	point 'stat: text' says 0 'Memory of HAKMEM' "$hakmem" stat "$holder"
	point 'stat: what the library itself counts' agrees "$holder"
	point 'stat: VmRSS is explained' explains "$holder"
	kill -STOP "$holder"
	point 'stat: of a stopped process' agrees "$holder"
	point 'stat all finds it' says 0 'holder' "$hakmem" stat all
	point 'stat: several' says 0 '},' sh -c "'$hakmem' stat --json $holder $holder | grep -A1 '^.*]}' | tr -d '\n'"
	point 'stat --openmetrics ends in order' sh -c "'$hakmem' stat --openmetrics $holder | tail -n 1 | grep -x '# EOF'"
	point 'stat --openmetrics has labels' says 0 'hakmem_live_bytes{pid="' "$hakmem" stat --openmetrics "$holder"
	kill -CONT "$holder"
	end "$holder"
	point 'stat: it has ended' says 1 'there is no such process' "$hakmem" stat "$holder"
	point 'stat --watch ends with the process' sh -c "LD_PRELOAD='$library' sleep 3 & sleep 1; '$hakmem' stat --watch=0.2 \$! | grep -c '^Process' > '$work/count'
		wait; [ \$(cat '$work/count') -ge 2 ]"
	begin worker "$work/holder" work
	point 'stat: of one that works' says 0 'Memory of HAKMEM' "$hakmem" stat "$child"
	end "$child"
	if cp "$work/holder" "$work/dynamic" && compiles holder -DIS_STATIC -pthread -ldl -static "$builddir/.libs/libhakmem.a" > "$work/said" 2>&1; then
		cp "$work/holder" "$work/static" && strip "$work/static" 2> /dev/null
		launch static "$work/static"
		point 'stat: a static program without symbols' says 0 'Memory of HAKMEM' "$hakmem" stat "$child"
		end "$child"
	fi
else
	skip 'stat' 'no program can be compiled'
fi
# It executes a program again and again: what was read of the last one's mappings does not fit the next one's memory.
cat > "$work/execs.c" << 'END'
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	free(malloc(9));
	usleep(300);
	if (argc > 0)
		execv("/proc/self/exe", argv);
	return 1;
}
END
# looks_often PID TIMES: how often it changed under the eyes.
looks_often() {
	torn=0 looks=0
	while [ $((looks += 1)) -le "$2" ]; do
		"$hakmem" stat "$1" > "$work/looked" 2>&1
		! grep -q 'changed while it was looked at\|not what its tables say' "$work/looked" || torn=$((torn + 1))
	done
	echo "$torn of $2"
	[ $((torn * 8)) -le "$2" ] && kill -0 "$1"
}
if compiles execs > "$work/said" 2>&1; then
	LD_PRELOAD=$library "$work/execs" &
	execs=$!
	children="$children $execs"
	point 'stat: who executes programs is looked at again' looks_often $execs 80
	end $execs
else
	skip 'stat: who executes programs is looked at again' 'no program can be compiled'
fi
sleep 100 &
plain=$!
children="$children $plain"
eventually has_become $plain sleep
point 'stat: not on HAKMEM' says 1 'it is not on HAKMEM' "$hakmem" stat $plain
point 'stat: no such process' says 1 'there is no such process' "$hakmem" stat 999999999
point 'stat: no process id' says 2 "'x' is no process id" "$hakmem" stat x
point 'stat: nothing' says 2 'a process id is missing' "$hakmem" stat
point 'stat: no interval' says 2 "'x' is no number of seconds" "$hakmem" stat --watch=x all
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null && cp "$hakmem" "$work/hakmem" && chmod -R a+rX "$work"; then
	point 'stat: no permission' says 1 'it may not be looked at' setpriv --reuid=65534 --clear-groups "$work/hakmem" stat $$
else
	skip 'stat: no permission' 'not root'
fi
end $plain

# Real programs, with nothing but LD_PRELOAD.
if command -v python3 > /dev/null; then
	begin python3 python3 -c 'import json, time; kept = [json.dumps({str(i): [i] * 10}) for i in range(50000)]; print("ready", flush=True); time.sleep(100)'
	point 'python3: VmRSS is explained' explains "$child"
	# Whoever waits in exec may be another program for a moment.
	point 'python3: by its name' says 0 '(python3' "$hakmem" stat "$child"
	point 'python3: JSON parses' sh -c "'$hakmem' stat --json $child | python3 -c 'import json, sys; d = json.load(sys.stdin); assert d[\"live_bytes\"] > 0 and d[\"classes\"]'"
	end "$child"
	begin python3 python3 -c 'import mmap, time; m = mmap.mmap(-1, 8 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000); m[0] = 1; print("ready", flush=True); time.sleep(100)'
	point 'python3: terabytes that it reserves are not counted by pages' says 0 'Memory of HAKMEM' timeout 30 "$hakmem" stat "$child"
	end "$child"
else
	skip 'python3' 'it is not here'
fi
if command -v redis-server > /dev/null && command -v redis-cli > /dev/null; then
	begin redis redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work"
	eventually test -S "$work/redis.sock"
	point 'redis: it works' says 0 100000 redis-cli -s "$work/redis.sock" eval \
		'for i = 1, 100000 do redis.call("set", "key" .. i, string.rep("x", 100)) end return redis.call("dbsize")' 0
	point 'redis: VmRSS is explained' explains "$child"
	end "$child"
else
	skip 'redis' 'it is not here'
fi

# Its processes share memory, and it does not run as root.
postgres_is_explained() {
	"$work/as" pg_ctl -D "$work/postgres/data" -w -o "-k $work/postgres -c listen_addresses=" -l "$work/postgres/log" start || return
	"$work/as" pgbench -q -i -h "$work/postgres" postgres && "$work/as" pgbench -S -t 2000 -h "$work/postgres" postgres
	IFS= read -r postgres < "$work/postgres/data/postmaster.pid"
	for process in "$postgres" $(ps -o pid= --ppid "$postgres"); do
		explains "$process" || not grep -q . "/proc/$process/maps" || return # a backend may end meanwhile
	done
	"$hakmem" stat "$postgres"
}

postgres_bin=$(find /usr/lib/postgresql/*/bin /usr/bin -name initdb 2> /dev/null | head -n 1)
if [ -n "$postgres_bin" ] && [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
	user=$(id -u nobody)
	mkdir "$work/postgres" && chown "$user" "$work/postgres" && chmod a+rx "$work"
	cp "$library" "$work/libhakmem.so.1" # nobody may not look into the build directory
	printf '#!/bin/sh\nexec env HOME=%s PATH=%s:%s LD_PRELOAD=%s setpriv --reuid %s --clear-groups "$@"\n' "$work/postgres" \
		"${postgres_bin%/*}" "$PATH" "$work/libhakmem.so.1" "$user" > "$work/as" && chmod +x "$work/as"
	if "$work/as" initdb -U nobody -D "$work/postgres/data" > "$work/said" 2>&1; then
		point 'postgres: VmRSS of all its processes is explained' postgres_is_explained
		"$work/as" pg_ctl -D "$work/postgres/data" -m immediate stop > "$work/said" 2>&1
	else
		skip 'postgres' 'no database can be made'
	fi
else
	skip 'postgres' 'it is not here, or this is not root'
fi
if [ -x "$builddir/bench/larson" ]; then
	LD_PRELOAD=$library "$builddir/bench/larson" 10 8 1000 5000 100 4141 2 > "$work/larson.out" 2>&1 &
	child=$!
	children="$children $child"
	sleep 2
	point 'two threads at work: VmRSS is explained' explains "$child"
	end "$child"
else
	skip 'two threads at work' 'the benchmark was not built'
fi

# ---- top ----

# sorted COLUMN FIELD: the largest first.
sorted() {
	"$hakmem" top --batch --sort "$1" > "$work/top" || return
	cat "$work/top"
	sed 1,2d "$work/top" | awk -v field="$2" '
		function bytes(word) { return word * (word ~ /K/ ? 1024 : word ~ /M/ ? 1048576 : word ~ /G/ ? 1073741824 : 1) }
		NR > 1 && bytes($field) > last { bad = 1 }
		{ last = bytes($field) }
		END { exit bad || NR < 2 }'
}

if [ -x "$work/dynamic" ]; then
	begin first "$work/dynamic"
	first=$child
	begin second sh -c 'echo ready; sleep 100; :'
	second=$child
	point 'top --batch' says 0 'dynamic' "$hakmem" top --batch
	point 'top --batch: by what is present' sorted rss 3
	point 'top --batch: by what is live' sorted live 5
	point 'top --count' sh -c "[ \$('$hakmem' top --batch --count 3 --interval 0.05 | grep -c '^Processes on HAKMEM: ') = 3 ]"
	if command -v script > /dev/null && "$hakmem" top --count 1 < /dev/null 2>&1 | not grep -q 'without ncurses'; then
		# The keys come when it is there; the last one ends it.
		(sleep 1 && printf l && sleep 1 && printf q && sleep 1) |
			timeout 60 script -qec "TERM=xterm LINES=24 COLUMNS=100 '$hakmem' top --interval 5" "$work/typescript" > "$work/screen" 2>&1
		point 'top: on a terminal' test $? -eq 0
		point 'top: it shows processes' grep -q dynamic "$work/screen"
		point 'top: a key sorts' grep -q 'live' "$work/screen"
	else
		skip 'top: on a terminal' 'there is no script, or no ncurses'
	fi
	point 'top: no terminal' says 1 'no terminal that can be drawn on' "$hakmem" top
	end "$first"
	for child in $(ps -o pid= --ppid "$second" 2> /dev/null); do kill "$child"; done
	end "$second"
fi
point 'top: no such column' says 2 "there is no column 'x'" "$hakmem" top --sort x
point 'top: no interval' says 2 "'0' is no number of seconds" "$hakmem" top --interval 0
point 'top: no count' says 2 "'-1' is no number of times" "$hakmem" top --count -1

# ---- explain, set, trim ----

# Frees and wants again all of a few MiB until a line comes in, then does one slow call every tenth of a second.
cat > "$work/churn.c" << 'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	static char *kept[4000];
	for (int round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 4000; i++)
			kept[i] = memset(malloc(8192), 1, 8192);
		for (unsigned i = 0; i < 4000; i++)
			free(kept[i]);
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		usleep(20000);
		if (argc == 1)
			free(memset(malloc(90000), 1, 90000));
		(void)argv;
	}
}
END

dirty() {
	"$hakmem" stat --json "$1" > "$work/stat.json"
	number dirty "$work/stat.json"
}

if compiles churn > "$work/said" 2>&1; then
	HAKMEM_DIRTY_MIN=1G HAKMEM_DECAY_MS=0 begin churn "$work/churn"
	before=$(dirty "$child")
	point 'explain: the decisions' says 0 'ACE cache_grow of 8192-byte blocks: ' "$hakmem" explain "$child"
	point 'explain --json' says 0 '"what":"cache_grow","size":8192' "$hakmem" explain --json "$child"
	point 'trim: it is done' says 0 'done, VmRSS' "$hakmem" trim "$child"
	after=$(dirty "$child")
	point "trim: dirty memory $before -> $after" test "${after:-$before}" -lt $((${before:-0} / 8))
	end "$child"
	HAKMEM_DIRTY_MIN=1G HAKMEM_DECAY_MS=0 begin churn "$work/churn"
	point 'set: values that free memory obeys' "$hakmem" set "$child" dirty_min=0 dirty_percent=0 HAKMEM_DECAY_MS=1
	is_less_dirty() { test "$(dirty "$child")" -lt $((${before:-0} / 8)); }
	point "set: less is dirty than $before" eventually is_less_dirty
	end "$child"
	begin churn "$work/churn" idle
	point 'trim: it is asked' says 0 'asked; it will' "$hakmem" trim "$child"
	# Where no other process is: tests that run meanwhile must not be disturbed.
	if unshare -m -p -f --mount-proc true > "$work/said" 2>&1; then
		export hakmem library work
		# shellcheck disable=SC2016 # for the inner shell
		point 'trim all' says 0 '(churn): asked; it will' unshare -m -p -f --mount-proc sh -c \
			'LD_PRELOAD=$library "$work/churn" idle > "$work/there" & while ! [ -s "$work/there" ]; do sleep 0.1; done
			"$hakmem" trim all; status=$?; kill $!; exit $status'
	else
		skip 'trim all' 'no namespace of processes can be made here'
	fi
	point 'set: a START setting' says 2 'HAKMEM_FC_CAP is fixed once a process has started' "$hakmem" set "$child" fc_cap=5
	point 'set: no such setting' says 2 "there is no setting 'x'" "$hakmem" set "$child" x=5
	point 'set: out of bounds' says 2 'HAKMEM_DECAY_MS=99999999999: it must be a number from 0 to' "$hakmem" set "$child" decay_ms=99999999999
	point 'set: no value' says 2 'is no SETTING=VALUE' "$hakmem" set "$child" decay_ms
	end "$child"
fi
# What another process has set, the program itself sees, and whence it came.
cat > "$work/asks.c" << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
	int (*list)(unsigned, struct hakmem_option *, size_t) = (int (*)(unsigned, struct hakmem_option *, size_t))dlsym(RTLD_DEFAULT, "hakmem_option_list");
	struct hakmem_option option;
	free(malloc(5));
	puts("ready");
	fflush(stdout);
	for (int i = 0; list && i < 500; i++, usleep(10000))
		for (unsigned n = 0; list(n, &option, sizeof option) == 0; n++)
			if (option.source == HAKMEM_SOURCE_OUTSIDE) {
				printf("%s %zu\n", option.name, option.value);
				return 0;
			}
	return 1;
}
END
sees() {
	"$hakmem" set "$1" "$2" && wait "$1"
	cat "$work/asks.out"
	grep -x "$3" "$work/asks.out"
}
if compiles asks -ldl > "$work/said" 2>&1; then
	begin asks "$work/asks"
	point 'set: a size' sees "$child" big_cache=5M 'HAKMEM_BIG_CACHE 5242880'
	begin asks "$work/asks"
	point 'set: a word' sees "$child" thp=never 'HAKMEM_THP 0'
	begin asks "$work/asks"
	point 'set: yes or no' sees "$child" ace_enabled=off 'HAKMEM_ACE_ENABLED 0'
fi
for command in explain trim set stat; do
	argument=
	[ $command != set ] || argument=decay_ms=5
	point "$command: no such process" says 1 'there is no such process' "$hakmem" $command 999999999 $argument
done

# ---- map ----

# As many blocks of each kind as stat counts, and XML.
draws() {
	"$hakmem" map "$1" -o "$work/heap.svg" && "$hakmem" stat --json "$1" > "$work/stat.json" || return
	mid=$(grep -c ': a block above 64 KiB, ' "$work/heap.svg") large=$(grep -c ': a large block of ' "$work/heap.svg")
	echo "mid $mid, large $large"
	[ "$mid" = "$(number mid_blocks "$work/stat.json")" ] && [ "$large" = "$(number large_blocks "$work/stat.json")" ] &&
		[ "$large" -gt 0 ] && grep -q 'blocks of 1024 bytes, heap 3, ' "$work/heap.svg" || return
	command -v python3 > /dev/null || return 0
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$work/heap.svg"
}

if [ -x "$work/dynamic" ]; then
	begin holder "$work/dynamic"
	kill -STOP "$child"
	point 'map: what stat counts' draws "$child"
	point 'map: to standard output' says 0 '</svg>' "$hakmem" map "$child"
	point 'map: a file that cannot be made' says 1 'No such file or directory' "$hakmem" map "$child" -o "$work/none/heap.svg"
	end "$child"
	point 'map: no such process' says 1 'there is no such process' "$hakmem" map "$child" -o "$work/none.svg"
	point 'map: no file is made then' not test -e "$work/none.svg"
fi

# ---- gdb ----

# debugs PID COMMAND...: what hakmem-gdb.py says.
debugs() {
	debugs_pid=$1
	shift
	for command; do
		set -- "$@" -ex "$command"
		shift
	done
	gdb -nx -batch -p "$debugs_pid" -ex 'set confirm off' -ex "source $srcdir/tools/gdb/hakmem-gdb.py" "$@" > "$work/debugged" 2>&1
	cat "$work/debugged"
}

# All sizes that stat counts, live and cached.
walks() {
	"$hakmem" stat --json "$1" | sed -n 's/.*"size":\([0-9]*\),"live_blocks":\([0-9]*\),"cached_blocks":\([0-9]*\),.*/\1 \2 \3/p' |
		awk '$2 + $3 > 0' > "$work/counted"
	debugs "$1" 'hakmem walk'
	sed -n 's/^ *\([0-9]*\) bytes: \([0-9]*\) live, \([0-9]*\) cached$/\1 \2 \3/p' "$work/debugged" > "$work/walked"
	[ -s "$work/walked" ] && diff "$work/counted" "$work/walked"
}

if command -v gdb > /dev/null && gdb -nx -batch -ex 'python print("yes")' 2> "$work/said" | grep -q yes && [ -x "$work/dynamic" ]; then
	compiles holder -g -pthread -ldl > "$work/said" 2>&1
	begin holder "$work/holder"
	point 'gdb: walk finds what stat counts' walks "$child"
	debugs "$child" 'hakmem whatis kept[1] + 5' 'hakmem whatis kept[100] + 70000' 'hakmem whatis kept[508] + 3000000' \
		'hakmem whatis &kept' 'hakmem heaps' 'hakmem whatis' 'hakmem whatis nothing' > "$work/said"
	point 'gdb: a small block' grep ' + 5, 32 bytes, live' "$work/debugged"
	point 'gdb: and its slab' grep 'block [0-9]* of 2048 of slab 0x[0-9a-f]* (64 KiB), .*; class 1, heap [23]' "$work/debugged"
	point 'gdb: a block of slabs' grep ' + 70000, 262144 bytes, live; slabs of SuperSlab' "$work/debugged"
	point 'gdb: a large block' grep ' + 3000000, 5242880 bytes, live; large' "$work/debugged"
	point 'gdb: not ours' grep "not HAKMEM's" "$work/debugged"
	point 'gdb: heaps' grep 'heap 3 at 0x[0-9a-f]*: of a thread, ' "$work/debugged"
	point 'gdb: no such variable' grep '^No symbol "nothing" in current context' "$work/debugged"
	point 'gdb: no address' grep 'an address is wanted' "$work/debugged"
	debugs "$child" "gcore $work/core" > "$work/said"
	if [ -s "$work/core" ]; then
		gdb -nx -batch "$work/holder" "$work/core" -ex "source $srcdir/tools/gdb/hakmem-gdb.py" -ex 'hakmem whatis kept[1]' > "$work/debugged" 2>&1
		point 'gdb: a core file' grep ' + 0, 32 bytes, live' "$work/debugged"
	else
		skip 'gdb: a core file' 'none can be made here'
	fi
	end "$child"
else
	skip 'gdb' 'there is none that knows Python'
fi

# ---- garbage, and libraries of other versions ----

# A view with good names, but for the first WORD of its arguments each; numbers and places are as a seed has it.
cat > "$work/garbage.c" << 'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define HAK_ROOMS
#include "view.h"
static const char names[] = "self\0names\0"
#define HAK_VIEW_PLACE(name, address) #name "\0"
#include "view.def"
#define HAK_VIEW_NUMBER(name, number) #name "\0"
#include "view.def"
	;
struct whole {
	struct hak_view head;
	const volatile void *places[HAK_VIEW_PLACES];
	uint32_t numbers[HAK_VIEW_NUMBERS];
};
static struct whole whole __attribute__((aligned(64)));
static struct whole whole = {
	{ HAK_VIEW_MAGIC, HAK_VIEW_LAYOUT, sizeof(void *), HAK_VIEW_PLACES, HAK_VIEW_NUMBERS, "9.9.9" }, { &whole, names }, { 0 }
};
static char memory[1 << 20];
int main(int argc, char **argv)
{
	srand(atoi(argv[1]));
	for (size_t i = 0; i < sizeof memory; i++)
		memory[i] = (char)(rand() % 8 ? 0 : rand());
	for (unsigned i = 2; i < HAK_VIEW_PLACES; i++)
		whole.places[i] = rand() % 16 ? memory + rand() % sizeof memory / 2 : (void *)(size_t)rand();
	for (unsigned i = 0; i < HAK_VIEW_NUMBERS; i++)
		whole.numbers[i] = rand() % 4 ? (unsigned)rand() % 64 : rand() % 2 ? (unsigned)rand() % 4096 : (unsigned)rand();
	if (argc > 2)
		memset(memory, 1, sizeof memory), whole.head.numbers = 5; /* an older library: it does not tell the rest */
	puts("ready");
	fflush(stdout);
	sleep(100);
}
END

# survives PID: no subcommand dies of what it finds.
survives() {
	for command in $1; do
		# shellcheck disable=SC2046 # words
		timeout 60 "$hakmem" $(echo "$command" | tr '_' ' ' | sed "s/PID/$2/; t; s/\$/ $2/") > "$work/survived" 2>&1
		status=$?
		[ $status -le 2 ] || { echo "$command: exit status $status" && cat "$work/survived" && return 1; }
	done
}

looks='stat stat_--json stat_--openmetrics explain explain_--json map'
if compiles garbage > "$work/said" 2>&1; then
	survived=0
	for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		launch garbage "$work/garbage" $seed
		survives "$looks" $child > "$work/said.$seed" 2>&1 || cat "$work/said.$seed"
		[ -s "$work/said.$seed" ] || survived=$((survived + 1))
		end $child
	done
	launch garbage "$work/garbage" 3
	point 'trim and set survive garbage' survives 'trim set_PID_thp=1' $child
	end $child
	point 'garbage is survived' test $survived -eq 20
	survived=0
	for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		begin spoilt "$work/dynamic" scribble $seed
		sleep 0.02
		survives "$looks" "$child" > "$work/said.$seed" 2>&1 || cat "$work/said.$seed"
		[ -s "$work/said.$seed" ] || survived=$((survived + 1))
		end "$child"
	done
	point 'spoilt tables are survived' test $survived -eq 20
	launch garbage "$work/garbage" 1 old
	point 'another version says so' says 1 'of another version' "$hakmem" stat $child
	end $child
fi
finish
