# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# tap: what a test script says, in the Test Anything Protocol; to be sourced.
#
#	point NAME COMMAND [ARG...]    a point: does the command succeed?  Its output is shown if not.
#	not COMMAND [ARG...]           for use with point
#	says STATUS WORDS COMMAND...   for use with point: its exit status, and WORDS in what it prints
#	is_native FILE               is it for the machine and the word size of the shell?  Else its programs cannot load it
#	skip NAME REASON               a point that cannot be tried here
#	skip_all REASON                nothing can be tried here; ends the script
#	finish                         the plan; last
#
# $work is a directory that vanishes at the end.  $passed, $failed and $skipped count the points.

LC_ALL=C
export LC_ALL

passed=0 failed=0 skipped=0
work=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-test.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

point() {
	tap_name=$1
	shift
	if "$@" > "$work/said" 2>&1; then
		passed=$((passed + 1))
		echo "ok - $tap_name"
	else
		failed=$((failed + 1))
		echo "not ok - $tap_name"
		sed 's/^/# /' "$work/said"
	fi
}

not() {
	! "$@"
}

says() {
	says_status=$1 says_words=$2
	shift 2
	"$@" > "$work/printed" 2>&1
	status=$?
	cat "$work/printed"
	echo "exit status $status"
	[ "$status" -eq "$says_status" ] && grep -qF -e "$says_words" "$work/printed"
}

elf_kind() {
	od -An -tx1 -v -N20 "$1" | tr -d ' \n' | cut -c 9-12,37-40
}

is_native() {
	[ "$(elf_kind "$1")" = "$(elf_kind "$(command -v sh)")" ]
}

skip() {
	skipped=$((skipped + 1))
	echo "ok - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

finish() {
	echo "1..$((passed + failed + skipped))"
	[ "$failed" -eq 0 ]
}
