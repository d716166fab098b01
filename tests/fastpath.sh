#!/bin/sh
# SPDX-License-Identifier: MIT
# The length of a hit in malloc and in free, compared with tests/golden/fastpath.MACHINE: who makes it longer, or shorter,
# has to say so there.  Counted twice: in the machine code, from the entry straight down to the first return, and by
# running pairs of malloc and free under callgrind.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CFLAGS:=-O2}" "${RUNNER:=}"
: "${READELF:=readelf}" "${OBJDUMP:=objdump}" "${AWK:=awk}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
golden=$srcdir/tests/golden/fastpath.x86_64
[ -f "$library" ] || skip_all 'no shared library was built'
case $($READELF -h "$library" | grep Machine:) in
*X86-64*) ;;
*) skip_all 'counts are kept for x86-64 only' ;;
esac
case " $CFLAGS " in
*' -O2 '* | *' -O3 '*) ;;
*) skip_all "counts are kept for -O2, not for '$CFLAGS'" ;;
esac

# golden SUBJECT WHAT
golden() {
	$AWK -v subject="$1" -v what="$2" '$1 == subject && $2 == what { print $3 }' "$golden"
}

# Exact counts hold for one compiler and its plain -O2; the limit holds for all.
is_reference() {
	for flag in $CFLAGS; do
		case $flag in
		-O2 | -g) ;;
		*) return 1 ;;
		esac
	done
	$READELF -p .comment "$library" > "$work/comment"
	# The C library's own objects name a gcc in any case.
	grep -q "GCC: .* $(golden compiler gcc)\." "$work/comment" && ! grep -q clang "$work/comment"
}

is_golden() {
	echo "$golden says: $1 $2 $(golden "$1" "$2"), and now it is $3"
	[ "$3" = "$(golden "$1" "$2")" ]
}

# expect SUBJECT WHAT NUMBER
expect() {
	if is_reference; then
		point "$1 $2: $3" is_golden "$@"
	else
		skip "$1 $2: $3" "exact for gcc $(golden compiler gcc) -O2 only"
	fi
}

# Counts in the machine code of a function, as "WHAT NUMBER" lines.
count() {
	$OBJDUMP -d --no-show-raw-insn "$library" | $AWK -v name="$1" -f "$srcdir/tools/count-path" > "$work/$1"
}

# execute PAIRS FUNCTION...: instructions executed inside these functions, by a program of so many pairs.
execute() {
	executed_pairs=$1 collected=
	shift
	for function; do collected="$collected --toggle-collect=$function"; done
	# shellcheck disable=SC2086 # it is a list
	LD_PRELOAD=$library valgrind --tool=callgrind --callgrind-out-file="$work/profile" $collected \
		"$builddir/tests/pairs" "$executed_pairs" || return
	executed=$(sed -n 's/^summary: *//p' "$work/profile")
	[ -n "$executed" ]
}

# What happens once, at start and end, is in both and falls out.
execute_pairs() {
	execute 10000 "$@" || return
	once=$executed
	execute 20000 "$@" || return
	each=$(((executed - once + 5000) / 10000))
	[ "$each" -gt 0 ]
}

is_within() {
	echo "$1, at most $2"
	[ "$1" -le "$2" ]
}

for function in malloc free; do
	point "there is a straight way through $function" count "$function"
	while read -r what number; do
		expect "$function" "$what" "$number"
	done < "$work/$function"
done

can_run_valgrind() {
	[ -z "$RUNNER" ] && command -v valgrind && $READELF -d "$library" | grep '(NEEDED).*libc\.so\.6'
}

if ! can_run_valgrind > "$work/which"; then
	skip 'a pair, executed' 'needs valgrind, and a library for this machine and glibc'
else
	point 'pairs run under callgrind' execute_pairs malloc free
	expect pair executed "${each:=999}"
	point "a pair within the limit: $each" is_within "$each" "$(golden pair limit)"
	each=
	point 'so does the question for a size' execute_pairs malloc_usable_size
	point "it is within the limit: ${each:=999}" is_within "$each" "$(golden size limit)"
fi
finish
