#!/bin/sh
# SPDX-License-Identifier: MIT
# HAKMEM_GUARD_SAMPLE from outside: programs of the machine do what they did, who looks into a process sees guarded blocks, and
# addr2line finds the lines of a report.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"
# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

# same N PROGRAM [ARG...]: with one in N guarded it prints the same and ends alike.
same() {
	n=$1 plain=0 guarded=0
	shift
	"$@" > "$work/plain" 2>&1 || plain=$?
	HAKMEM_GUARD_SAMPLE=$n LD_PRELOAD=$library "$@" > "$work/guarded" 2>&1 || guarded=$?
	[ $plain -eq $guarded ] && diff "$work/plain" "$work/guarded"
}

for n in 1 100; do
	if command -v python3 > /dev/null; then
		point "python3, one in $n" same $n python3 -c 'import json, re, ast
print(len(json.dumps([{str(i): [i] * 3} for i in range(20000)])), re.sub("a+", "b", "caaat" * 1000)[:9])
print(len(ast.dump(ast.parse("x = [1, 2]\n" * 2000))))'
	else
		skip "python3, one in $n" 'it is not there'
	fi
	if command -v perl > /dev/null; then
		point "perl, one in $n" same $n perl -e '%h = map { $_ => "x" x ($_ % 70) } 1 .. 30000; $s = join ",", sort keys %h;
$s =~ s/(\d)1/$1-/g; print length $s, "\n"'
	else
		skip "perl, one in $n" 'it is not there'
	fi
	point "sort, one in $n" same $n sort -R --random-source="$srcdir/Makefile.am" "$srcdir/README.md" "$srcdir/docs/design.md"
done

cat > "$work/late.c" << 'EOF'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char *make(void) { return malloc(100); }
int main(int argc, char **argv)
{
	char *volatile p = make();
	if (argc > 1) {
		write(1, "ready\n", 6);
		pause();
	}
	free(p);
	p[1] = argv[0][0]; /* line 13 */
	return 0;
}
EOF
if $CC -g -O0 -o "$work/late" "$work/late.c" > "$work/said" 2>&1; then
	HAKMEM_GUARD_SAMPLE=1 LD_PRELOAD=$library "$work/late" > "$work/report" 2>&1
	point 'a report' says 0 'use after free, 1 byte into a block of 100 bytes' cat "$work/report"
	offset=$(sed -n 's/^hakmem:     #0 .*late+\(0x[0-9a-f]*\)$/\1/p' "$work/report" | head -n 1)
	if command -v addr2line > /dev/null; then
		point 'addr2line finds its line' says 0 'late.c:13' addr2line -e "$work/late" "$offset"
	else
		skip 'addr2line finds its line' 'it is not there'
	fi
	export HAKMEM_GUARD_SAMPLE=1
	begin waits "$work/late" wait
	unset HAKMEM_GUARD_SAMPLE
	point 'hakmem stat counts them' says 0 '"guarded_bytes":100' "$hakmem" stat --json $child
	point 'hakmem map draws them' sh -c "'$hakmem' map $child -o '$work/map.svg' && grep -q 'guarded blocks' '$work/map.svg'"
	end $child
else
	skip 'a report' 'no program can be built to run here'
fi
point 'a bad value guards nothing' sh -c "HAKMEM_GUARD_SAMPLE=often LD_PRELOAD='$library' '$work/late'"
point 'with HAKMEM_SECURE=3' sh -c "HAKMEM_SECURE=3 HAKMEM_GUARD_SAMPLE=2 LD_PRELOAD='$library' sort '$srcdir/README.md' | diff - '$work/sorted'" \
	"$(sort "$srcdir/README.md" > "$work/sorted")"
finish
