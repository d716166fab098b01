#!/bin/sh
# SPDX-License-Identifier: MIT
# hakmem-preload and hakmem-rescue on a small system of their own: a directory with a shell, some tools and the C library.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}"
if [ "$(id -u)" -ne 0 ] && unshare -rm true 2> /dev/null; then
	exec unshare -rm "${SHELL:-sh}" "$0"
fi
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

tool=$builddir/tools/hakmem-preload
rescue=$builddir/tools/hakmem-rescue
library=$builddir/.libs/libhakmem.so.1
if ! [ -x "$tool" ] || ! [ -f "$library" ]; then skip_all 'they were not built'; fi
chroot / true 2> /dev/null || skip_all 'they need root, or user namespaces'
if [ -n "${RUNNER:-}" ] || ! is_native "$library"; then skip_all 'they run programs of the machine'; fi

# ---- the small system ----

root=$work/root
file=$root/etc/ld.so.preload

# What ldd names, at the same place.
copy_program() {
	mkdir -p "$root$(dirname "$1")" && cp "$1" "$root$1"
	for needed in $(ldd "$1" | grep -o '/[^ ]*'); do
		[ -e "$root$needed" ] || { mkdir -p "$root$(dirname "$needed")" && cp -L "$needed" "$root$needed"; }
	done
}

make_root() {
	rm -rf "$root" && mkdir -p "$root/etc" "$root/dev" "$root/tmp" "$root/usr/lib" || return
	for program in sh ls grep sed sort; do
		copy_program "$(command -v $program)" || return
	done
	libc=$(ldd "$(command -v ls)" | sed -n 's/.*=> \(.*libc\.so\.6\) .*/\1/p')
	lib=${libc%/*} lib=${lib#/usr} lib=${lib#/}
	place=$root/usr/$lib
	mkdir -p "$place" && cp "$library" "$place/libhakmem.so.1" || return
	# Old systems keep the C library in /lib alone.
	[ -e "$place/libc.so.6" ] || cp "$libc" "$place/" || return
	echo root:x:0:0::/:/bin/sh > "$root/etc/passwd"
}

preload() {
	"$tool" "--root=$root" "$@"
}

# ends STATUS WORDS COMMAND...: with that status, saying that.
ends() {
	expected=$1 words=$2 status=0
	shift 2
	"$@" > "$work/printed" 2>&1 || status=$?
	cat "$work/printed"
	[ $status -eq "$expected" ] && grep -qF -e "$words" "$work/printed"
}

copies() {
	find "$root/usr" -path '*/hakmem/live/*' -name '*.so'
}

# shellcheck disable=SC2016 # the loader puts it in
ours='/usr/$LIB/hakmem/live/'

# A library for the small system, of one C file.
make_library() {
	printf '%s\n' "$2" > "$work/library.c" && $CC -shared -fPIC -o "$1" "$work/library.c"
}

# Another version: what it does when malloc is called for the fourth time.
install_version() {
	make_library "$place/libhakmem.so.1" "
#include <stddef.h>
void *__libc_malloc(size_t size);
void *malloc(size_t size) { static int calls; if (++calls == 4) { $1; } return __libc_malloc(size); }"
}

in_root() {
	chroot "$root" "$@"
}

is_silent() {
	"$@" > /dev/null 2> "$work/stderr"
	cat "$work/stderr"
	[ ! -s "$work/stderr" ]
}

# ---- on and off ----

# shellcheck disable=SC2016 # the loader's $LIB
check_enable() {
	point 'status is off' ends 3 off preload status
	point 'enable tests the copy' ends 0 'programs run with HAKMEM as without' preload enable
	point 'the entry is the copy, by $LIB' grep -qxF -e "$ours$(basename "$(dirname "$(find "$place/hakmem" -name '*.so')")")/libhakmem-preload.so" "$file"
	point 'there is nothing else in it' [ "$(wc -l < "$file")" -eq 1 ]
	point 'everybody can read it' [ "$(stat -c %a "$file")" = 644 ]
	point 'the copy is the library' cmp "$library" "$(find "$place/hakmem" -name '*.so')"
	point 'status is on' ends 0 on: preload status
	point 'programs run, and are silent' is_silent in_root ls /
	point 'nothing of the test is left' [ "$(ls -A "$root/etc")" = "ld.so.preload
passwd" ]
	point 'enable again changes nothing' preload enable
	point 'there is one entry still' [ "$(grep -c hakmem "$file")" -eq 1 ]
}

check_broken() {
	chmod 600 "$file"
	point 'status says when only root can read the file' ends 2 'read by everybody' preload status
	chmod 644 "$file"
	copy=$(find "$place/hakmem" -name '*.so')
	echo >> "$copy"
	point 'status says when the copy was changed' ends 2 'was changed' preload status
	point 'refresh makes it anew' preload refresh
	point 'then it is on' ends 0 on: preload status
	mv "$copy" "$copy.away"
	point 'status says when the copy is missing' ends 2 'missing' preload status
	mv "$copy.away" "$copy"
}

check_disable() {
	umask 077
	make_library "$place/other.so" 'int other(void) { return 1; }'
	mkdir -p "$root/$lib" && cp "$place/other.so" "$root/$lib/" 2> /dev/null
	echo "/$lib/other.so # kept" > "$work/foreign"
	cat "$work/foreign" "$file" > "$work/both" && cat "$work/both" > "$file"
	point 'disable keeps what others wrote' preload disable
	point 'byte by byte' cmp "$work/foreign" "$file"
	point 'the copies are gone' [ -z "$(copies)" ]
	point 'enable beside it' preload enable
	point 'its entry stays' [ "$(head -n 1 "$file")" = "$(cat "$work/foreign")" ]
	point 'whatever the umask, everybody can read the file' [ "$(stat -c %a "$file")" = 644 ]
	point 'and the copy' [ -z "$(find "$place/hakmem" -type d ! -perm 755 -o -type f ! -perm 644)" ]
	umask 022
	sed -i 1d "$file"
	point 'disable' preload disable
	point 'the file goes when nothing is left in it' [ ! -e "$file" ]
	point 'no directory is left' [ -z "$(find "$root/usr" -name hakmem)" ]
	point 'disable when it is off' preload disable
}

check_link() {
	mkdir -p "$root/etc/real" && ln -s real/preload "$file" && : > "$root/etc/real/preload"
	point 'a symbolic link: enable' preload enable
	point 'it stays a link' [ -L "$file" ]
	point 'what it leads to is written' grep -q hakmem "$root/etc/real/preload"
	point 'disable' preload disable
	rm -rf "$file" "$root/etc/real"
}

# ---- others ----

# shellcheck disable=SC2016
check_foreign() {
	make_library "$place/allocator.so" '#include <stddef.h>
	void *__libc_malloc(size_t); void *malloc(size_t size) { return __libc_malloc(size); }'
	for name in "/$lib/allocator.so" '/usr/$LIB/allocator.so' '/usr/${LIB}/allocator.so' allocator.so; do
		echo "/$lib/other.so $name" > "$file"
		mkdir -p "$root/$lib" && cp "$place"/*.so "$root/$lib/" 2> /dev/null
		point "$name is another allocator" ends 1 'another allocator' preload enable
		point 'the file stays' [ "$(cat "$file")" = "/$lib/other.so $name" ]
	done
	echo "/$lib/other.so" > "$file"
	point 'a library that is none may stay' preload enable
	point 'status is on' ends 0 on: preload status
	preload disable
	echo /no/such.so > "$file"
	point 'where every program complains already nothing can be tested' ends 1 'runs silently as it is' preload enable
	point 'the file stays' [ "$(cat "$file")" = /no/such.so ]
	printf 'a\0b' > "$file"
	point 'a file that is no text is refused' ends 1 'is no text' preload enable
	rm -f "$file"
}

# ---- versions ----

check_versions() {
	preload enable > /dev/null
	before=$(cat "$file")
	install_version '__builtin_trap()'
	point 'status says that another version is installed' ends 2 'another version' preload status
	point 'a version that crashes is not taken' ends 1 'not taken into use' preload refresh
	point 'it is said who crashed' grep -q 'is killed with HAKMEM preloaded' "$work/printed"
	point 'the entry stays' [ "$(cat "$file")" = "$before" ]
	point 'programs run' is_silent in_root ls /
	install_version 'extern long write(int, const void *, size_t); write(2, "noise\n", 6)'
	point 'a version that talks is not taken' ends 1 'is not silent' preload refresh
	install_version ''
	point 'a good version is taken' preload refresh
	point 'the entry is another' [ "$(cat "$file")" != "$before" ]
	point 'the copy before it is kept' [ "$(find "$place/hakmem" -name '*.so' | wc -l)" -eq 2 ]
	point 'rollback' preload rollback
	point 'the entry is the one before' [ "$(cat "$file")" = "$before" ]
	install_version '__builtin_trap()'
	preload disable
	point 'a version that crashes is not enabled' ends 1 'nothing was changed' preload enable
	point 'there is no file' [ ! -e "$file" ]
	point 'and no copy' [ -z "$(copies)" ]
	point 'refresh does nothing when it is off' preload refresh
	point 'there is no file still' [ ! -e "$file" ]
	cp "$library" "$place/libhakmem.so.1"
}

# ---- when everything crashes ----

check_rescue() {
	echo "/$lib/crash.so" > "$file"
	make_library "$place/crash.so" '__attribute__((constructor)) static void crash(void) { __builtin_trap(); }'
	mkdir -p "$root/$lib" && cp "$place/crash.so" "$root/$lib/" 2> /dev/null
	point 'no program runs' not in_root ls /
	point 'the rescue takes the file away' "$rescue" "--root=$root"
	point 'programs run' in_root ls /
	point 'the file is kept by another name' grep -q crash "$file.off"
	point 'nothing to take away is no failure' "$rescue" "--root=$root"
	rm -f "$file.off"
	preload enable > /dev/null
	for copy in $(copies); do
		cp "$place/crash.so" "$copy"
	done
	point 'our own crashes: no program runs' not in_root ls /
	point 'disable works all the same' preload disable
	point 'programs run again' in_root ls /
}

# ---- when the power fails ----

# What is renamed has been synced before, and the directory is synced after it; the copy is whole before the entry is.
orders_are_safe() {
	awk '
	/fsync\(/ { synced = 1; directory = 0 }
	/rename\(/ { if (!synced) bad = bad " rename-before-fsync"; synced = 0; directory = 1; renames++ }
	/rename\(.*hakmem\/live/ { copy = 1 }
	/rename\(.*"\/etc\/ld.so.preload"/ { if (!copy) bad = bad " entry-before-copy"; entry = 1 }
	/clone\(|exit_group\(/ { if (directory) bad = bad " directory-not-synced" }
	END { print renames " renames, " bad; exit bad != "" || !entry || !copy }' "$1"
}

check_power() {
	if ! strace -o "$work/trace" true 2> /dev/null; then
		skip 'the order of writing' 'no strace'
		return
	fi
	strace -s 200 -e trace=fsync,rename,clone,exit_group -o "$work/trace" "$tool" "--root=$root" enable > /dev/null
	point 'what is renamed was synced, and the copy before the entry' orders_are_safe "$work/trace"
	sed '/fsync/d' "$work/trace" > "$work/unsafe"
	point 'the check sees what is not' not orders_are_safe "$work/unsafe"
	preload disable
}

check_words() {
	point 'no command' ends 1 usage: "$tool"
	point 'an unknown command' ends 1 usage: "$tool" frobnicate
	point 'two commands' ends 1 usage: "$tool" enable disable
	point 'no such root' ends 1 '/no/such' "$tool" --root=/no/such status
	point 'a program that is not there' ends 127 'no-such-program' env PATH=/usr/bin:/bin "$tool" exec-without no-such-program
	rm "$place/libhakmem.so.1"
	point 'HAKMEM is not installed' ends 1 'not installed' preload enable
	rm "$place/libc.so.6" && rm -f "$root/$lib/libc.so.6"
	point 'no glibc' ends 1 'no C library' preload enable
}

make_root || exit 99
check_enable
check_broken
check_disable
check_link
check_foreign
check_versions
check_rescue
check_power
check_words
finish
