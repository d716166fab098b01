#!/bin/sh
# SPDX-License-Identifier: MIT
# What the built library shows to the linker: names, versions, needs.  A preloaded library with a need that is missing
# stops every program of a machine, and a malloc with a version takes the place of nothing.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${READELF:=readelf}" "${NM:=nm}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
archive=$builddir/.libs/libhakmem.a
[ -f "$library" ] || skip_all 'no shared library was built'

$READELF -dW "$library" > "$work/dynamic"
$READELF -lW "$library" > "$work/segments"
$READELF -hW "$library" > "$work/head"
# Some linkers export the start and the end of the code too, and some list what is hidden, as local.
$NM -D --defined-only --with-symbol-versions "$library" |
	awk '$2 !~ /^[Atdbr]$/ && $3 !~ /^_(init|fini)$/ { print $3 }' | sort > "$work/exports"

# In the list a size_t is an unsigned long; where it is an unsigned int, the names of C++ say so.
if grep -q 'Class:.*ELF32' "$work/head"; then
	sed 's/^\(_Zn[wa]\)m/\1j/; s/^\(_Zd[la]Pv\)m/\1j/' "$srcdir/tests/golden/exports" | sort > "$work/expected"
else
	cat "$srcdir/tests/golden/exports" > "$work/expected"
fi

# It is left alone where the C library has no RTLD_DEEPBIND.
grep -q '(NEEDED).*\[libc\.so\.6\]' "$work/dynamic" || sed -i '/^dlopen$/d' "$work/expected"

needs_only_libc() {
	sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic" > "$work/needs"
	cat "$work/needs"
	! grep -vxE 'libc\.so(\.6)?|libc\.musl-.*' "$work/needs"
}

own_names_have_a_version() {
	! grep '^hakmem_' "$work/exports" | grep -vxE 'hakmem_[a-z_]+@@HAKMEM_1\.[0-9]+'
}

static_tls_is_small() {
	bytes=$(awk '$1 == "TLS" { print $6 }' "$work/segments")
	echo "${bytes:=0}"
	[ $((bytes)) -le 64 ]
}

has_flag() {
	grep -E "\((FLAGS|FLAGS_1)\).*\b$1\b" "$work/dynamic" || { cat "$work/dynamic" && false; }
}

# A static program has no malloc of a C library to fall back to, and must find the whole family in the archive; it loads
# no modules, so dlopen is left alone there.
archive_is_whole() {
	awk '$2 ~ /^[TWDR]$/ { print $3 }' "$work/archive" | sort -u > "$work/defined"
	sed '/^dlopen$/d; s/@@.*//' "$work/expected" | sort > "$work/family"
	comm -23 "$work/family" "$work/defined" > "$work/lost"
	not grep . "$work/lost"
}

# Each page that the loader relocates is memory of its own in every process: those of .init_array, of what is read-only
# afterwards, and of .data, which crosses a page.
relocates_few_pages() {
	$READELF -rW "$library" | awk '$1 ~ /^[0-9a-f]+$/ && $2 ~ /^[0-9a-f]+$/ { print substr($1, 1, length($1) - 3) }' | sort -u > "$work/pages"
	cat "$work/pages"
	[ -s "$work/pages" ] && [ "$(wc -l < "$work/pages")" -le 4 ]
}

point 'the soname is libhakmem.so.1' grep '(SONAME).*\[libhakmem\.so\.1\]' "$work/dynamic"
point 'nothing is needed but the C library' needs_only_libc
point 'the exported names are those of tests/golden/exports' diff "$work/expected" "$work/exports"
point 'malloc has no version' grep -x malloc "$work/exports"
point 'names of our own have one' own_names_have_a_version
point 'nothing that glibc forbids to replace is exported' not grep -xE 'reallocarray|strn?dup|realpath' "$work/exports"
point 'no text relocations' not grep TEXTREL "$work/dynamic"
point 'at most 64 bytes of static TLS' static_tls_is_small
point 'symbols are bound at load' has_flag NOW
point 'the library is never unloaded' has_flag NODELETE
point 'relocated data is read-only' grep GNU_RELRO "$work/segments"
if grep -q X86-64 "$work/head"; then
	point 'few pages are relocated' relocates_few_pages
else
	skip 'few pages are relocated' 'pages are counted on x86-64'
fi
point 'the stack is not executable' not grep 'GNU_STACK.*RWE' "$work/segments"
if [ -f "$archive" ]; then
	$NM -g "$archive" > "$work/archive"
	point 'the archive needs no __libc_malloc' not grep 'U __libc_' "$work/archive"
	point 'the archive defines what the shared library does' archive_is_whole
else
	skip 'the archive' 'none was built'
fi
finish
