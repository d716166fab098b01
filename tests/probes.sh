#!/bin/sh
# SPDX-License-Identifier: MIT
# USDT probes: their notes say what the manual says, nobody pays for them, and who attaches to one finds it hit.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}" "${READELF:=readelf}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
[ -f "$library" ] || skip_all 'no shared library was built'
grep -q '^#define HAK_PROBES 1' "$builddir/config.h" || skip_all 'built without probes: there is no <sys/sdt.h>'
HAKMEM_CONF=
export HAKMEM_CONF

$READELF -n "$library" 2> /dev/null > "$work/notes"

# has_note PROVIDER NAME ARGUMENTS: in the library, with a semaphore, and so many arguments.
has_note() {
	awk -v provider="$1" -v name="$2" -v arguments="$3" '
		$1 == "Provider:" { in_provider = $2 == provider }
		$1 == "Name:" { in_name = $2 == name }
		$1 == "Location:" && in_provider && in_name { semaphore = $NF; sub(/^0x0*/, "", semaphore) }
		$1 == "Arguments:" && in_provider && in_name && NF - 1 == arguments && semaphore != "" { found = 1 }
		END { exit !found }' "$work/notes"
}

point 'otel_memory:alloc' has_note otel_memory alloc 3
point 'otel_memory:free' has_note otel_memory free 1
for name in refill flush map unmap purge; do
	point "hakmem:$name" has_note hakmem $name 2
done
$READELF -SW "$library" | grep '\.note\.stapsdt' > "$work/section"
point 'the notes are not loaded' not grep -q ' A ' "$work/section"

# Allocates and frees; on HAKMEM the debugger attaches before it begins.
cat > "$work/probed.c" << 'END'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *kept[4000];
int main(int argc, char **argv)
{
	if (argc > 1)
		sleep(4);
	(void)argv;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4000; i++)
			kept[i] = memset(malloc(3000), 1, 3000);
		for (int i = 0; i < 4000; i++)
			free(kept[i]);
		free(memset(malloc(9 << 20), 1, 9 << 20));
	}
	return 0;
}
END

# hits PROBE [ARGUMENT...]: stops at the probe, for the third time, and prints its arguments.
hits() {
	hits_probe=$1
	shift
	set -- "$@" -ex quit
	gdb -nx -batch -ex 'set breakpoint pending on' -ex 'set startup-with-shell off' -ex "set environment LD_PRELOAD $library" \
		-ex 'break main' -ex run -ex "break -probe-stap $hits_probe" -ex 'ignore 2 2' -ex continue \
		-ex 'printf "stopped at %d arguments\n", $_probe_argc' "$@" "$work/probed" > "$work/debugged" 2>&1
	grep -v '^warning' "$work/debugged" | tail -n 12
	grep -q '^stopped at' "$work/debugged"
}

# A sample stands for size / (1 - exp(-size / distance)) bytes.
weighs() {
	sed -n 's/^\(.*\) weighs \(.*\)$/\1 \2/p' "$work/debugged" | awk '{ w = $1 / (1 - exp(-$1 / 524288)); print $1, $2, w
		found = 1; exit $2 < w - 1 || $2 > w + 1 } END { if (!found) exit 1 }'
}

if command -v gdb > /dev/null && $CC -g -O1 -fno-builtin -o "$work/probed" "$work/probed.c" && hits hakmem:map > "$work/said" 2>&1; then
	point 'hakmem:map is hit' hits hakmem:map -ex 'printf "%lx %lu\n", $_probe_arg0, $_probe_arg1'
	point 'hakmem:refill is hit' hits hakmem:refill -ex 'printf "size %u\n", $_probe_arg0'
	point 'hakmem:refill: the size' grep -qx 'size 3072' "$work/debugged"
	point 'hakmem:flush is hit' hits hakmem:flush -ex 'printf "size %u\n", $_probe_arg0'
	point 'hakmem:flush: the size' grep -qx 'size 3072' "$work/debugged"
	point 'hakmem:purge is hit' hits hakmem:purge
	point 'otel_memory:alloc is hit' hits otel_memory:alloc -ex 'printf "%lu weighs %lu\n", $_probe_arg1, $_probe_arg2'
	point 'otel_memory:alloc: the weight' weighs
	point 'otel_memory:free is hit' hits otel_memory:free -ex 'printf "%lu\n", $_probe_arg0 % 16'
else
	skip 'probes are hit' 'there is no gdb, or none that knows probes, or it may not'
fi

# The kernel's own way: it attaches while the program sleeps.
bpf() {
	LD_PRELOAD=$library "$work/probed" wait &
	timeout 60 bpftrace -p $! -e "usdt:$library:$1 { @hits = count(); }" > "$work/traced" 2>&1
	cat "$work/traced"
	grep -q '^@hits: [1-9]' "$work/traced"
}

if command -v bpftrace > /dev/null && [ "$(id -u)" -eq 0 ] && [ -x "$work/probed" ] && timeout 30 bpftrace -e 'BEGIN { exit(); }' > "$work/said" 2>&1; then
	point 'bpftrace: hakmem:refill' bpf hakmem:refill
	point 'bpftrace: otel_memory:alloc' bpf otel_memory:alloc
else
	skip 'bpftrace' 'it is not here, or the kernel does not let it'
fi
finish
