#!/bin/sh
# SPDX-License-Identifier: MIT
# Promise 10: overflow, sizes above PTRDIFF_MAX, bad alignments, size 0: as the C library's own malloc, errno included.

: "${srcdir:=$(dirname "$0")/../..}" "${builddir:=$PWD}" "${CC:=cc}"
# shellcheck source=../tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
[ -f "$library" ] || skip_all 'no shared library was built'
[ -z "$RUNNER" ] || skip_all 'not under an emulator'
# shellcheck disable=SC2086 # flags are words
$CC -w -O0 -fno-builtin "$srcdir/tests/promises/edges.c" -o "$work/edges" 2> "$work/errors" || skip_all 'edges.c does not build'
"$work/edges" > "$work/libc" || skip_all 'the C library does not survive it'
grep -q 'memalign(3,10): a block' "$work/libc" || skip_all 'not the C library that we follow'

point 'it runs' env LD_PRELOAD="$library" sh -c '"$1/edges" > "$1/ours"' sh "$work"
point 'every call as the C library answers it' diff "$work/libc" "$work/ours"
point 'that is more than a hundred' [ "$(wc -l < "$work/ours")" -gt 100 ]
finish
