#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of tests/misuse: with each value of HAKMEM_SECURE, and with HAKMEM_GUARD_SAMPLE=1, each says just what the head of
# its source tells, and is ended; or says nothing, and lives.
#
# In a head, "1 2: TEXT" is a line of what is said with these settings, with * for an address.  Of a section of calls the
# functions of the program stay, up to main: "guard: it was freed: drop main".  "0: by chance" is tried by nobody.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${RUNNER:=}" "${ADDR2LINE:=addr2line}" "${READELF:=readelf}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
[ -f "$library" ] || skip_all 'no shared library was built'
[ -z "$RUNNER" ] || skip_all 'not under an emulator'
# What is known of a fault, and sizes of blocks, are those of x86; of what was unmapped more is known with 64 bits.
case $("$READELF" -h "$library" | sed -n 's/.*Machine: *//p') in
*X86-64) ;;
*80386) unlike=double-free-large ;;
*) skip_all 'the texts are those of x86' ;;
esac
command -v "$ADDR2LINE" > "$work/which" || skip_all 'addr2line is not there'
HAKMEM_CONF=
export HAKMEM_CONF

# names PROGRAM: what a report says, on standard input, in the words of the heads.
names() {
	calls=
	while read -r prefix words; do
		[ "$prefix" = hakmem: ] || words=$prefix${words:+ $words}
		case $words in
		'it was '*) end_calls && calls="${words% by thread *}:" ;;
		'#'*"/$1+0x"*) add_call "$("$ADDR2LINE" -f -e "$builddir/tests/misuse/$1" "${words##*+}" | head -n 1)" ;;
		'#'*) ;;
		*) end_calls && printf '%s\n' "$words" | sed 's/0x[0-9a-f]*/*/g' ;;
		esac
	done
	end_calls
}

# Once, though with 32 bits the call by which a function learns where it is stands on the stack too.
add_call() {
	case $calls in
	*' main' | *" $1") ;;
	*) calls="$calls $1" ;;
	esac
}

end_calls() {
	[ -z "$calls" ] || printf '%s\n' "$calls"
	calls=
}

# expected SETTING SOURCE
expected() {
	sed -n '2,/\*\/$/s/^ \* \([0-9guard ]*\): \(.*\)/ \1 : \2/p' "$2" | sed 's| \*/$||' | grep "^[^:]* $1 " | sed 's/^[^:]* : //'
}

# commits SETTING PROGRAM
commits() {
	setting=HAKMEM_SECURE=$1 status=0
	[ "$1" != guard ] || setting=HAKMEM_GUARD_SAMPLE=1
	(exec env "$setting" "LD_PRELOAD=$library" "$builddir/tests/misuse/$2" 2> "$work/words") || status=$?
	names "$2" < "$work/words" > "$work/says"
	expected "$1" "$srcdir/tests/misuse/$2.c" > "$work/expected"
	diff "$work/expected" "$work/says" || return
	if [ -s "$work/expected" ]; then
		[ $status -ne 0 ]
	else
		[ $status -eq 0 ]
	fi
}

# shellcheck disable=SC3045 # dash and bash have it
ulimit -c 0
for source in "$srcdir"/tests/misuse/*.c; do
	program=$(basename "$source" .c)
	for setting in 0 1 2 3 guard; do
		if [ "$(expected $setting "$source")" = 'by chance' ]; then
			skip "$program, $setting" 'what lies there is chance'
		elif [ "$program" = "${unlike:-}" ]; then
			skip "$program, $setting" 'with 32 bits any address may be of another allocator'
		else
			point "$program, $setting" commits $setting "$program"
		fi
	done
done
finish
