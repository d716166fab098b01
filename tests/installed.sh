#!/bin/sh
# SPDX-License-Identifier: MIT
# make installcheck: a C and a C++ program find the installed header and library by pkg-config, shared and static, and run.
# Works on a staged installation too (DESTDIR).

: "${srcdir:=$(dirname "$0")/..}" "${PKG_CONFIG:=pkg-config}" "${CC:=cc}" "${CXX:=c++}" "${NM:=nm}" "${READELF:=readelf}"
: "${DESTDIR:=}" "${RUNNER:=}" "${libdir:?}" "${bindir:?}" "${mandir:?}" "${pkgconfigdir:?}" "${VERSION:?}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"
cd "$work" || exit 99

# Nothing but the installation under test is to be found.
PKG_CONFIG_LIBDIR=$DESTDIR$pkgconfigdir
export PKG_CONFIG_LIBDIR
if [ -n "$DESTDIR" ]; then
	PKG_CONFIG_SYSROOT_DIR=$DESTDIR
	export PKG_CONFIG_SYSROOT_DIR
fi
library=$DESTDIR$libdir/libhakmem.so.1

cat > program.c << 'END'
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile char changed[8192] = { 1 };

int main(void)
{
	char *text = (char *)malloc(100);

	for (size_t i = 0; i < sizeof(changed); i++)
		changed[i] = 2;
	if (text == NULL || strcmp(hakmem_version(), HAKMEM_VERSION) != 0)
		return 1;
	snprintf(text, 100, "%s", hakmem_version());
	puts(text);
	free(text);
	return 0;
}
END
cat > program.cc << 'END'
#include <hakmem.h>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

int main()
{
	std::vector<std::unique_ptr<std::string>> texts;

	for (int i = 0; i < 1000; i++)
		texts.push_back(std::make_unique<std::string>(100, 'x'));
	std::cout << hakmem_version() << std::endl;
	return texts.size() == 1000 ? 0 : 1;
}
END

flags() {
	$PKG_CONFIG "$@" hakmem
}

# is TEXT COMMAND...: the command prints TEXT.
is() {
	text=$1
	shift
	"$@" > "$work/printed" || return
	cat "$work/printed"
	[ "$(cat "$work/printed")" = "$text" ]
}

preload_is_named() {
	case $(flags --variable=preload) in
	"$libdir/libhakmem.so.1" | "$library") ;;
	*) flags --variable=preload && false ;;
	esac
}

# build COMPILER SOURCE [-static]: makes ./program.
build() {
	# shellcheck disable=SC2046,SC2086 # flags are words
	$1 ${3:-} -o program $(flags --cflags) "$2" $(flags ${3:+--static} --libs)
}

run() {
	LD_LIBRARY_PATH=$DESTDIR$libdir $RUNNER ./program
}

run_preloaded() {
	LD_PRELOAD=$library $RUNNER ./program
}

links_statically() {
	build "$1" "$2" -static && $NM program | grep ' [TW] malloc$'
}

# check_* COMPILER SOURCE
check_shared() {
	if ! [ -e "$library" ]; then
		skip "$2, shared" 'the shared library is not installed'
		return
	fi
	point "$2 builds, shared" build "$1" "$2"
	point "$2 uses the shared library" sh -c "$READELF -d program | grep 'NEEDED.*libhakmem.so.1'"
	point "$2 runs, shared" is "$VERSION" run
	point "$2 runs, preloaded" is "$VERSION" run_preloaded
}

check_static() {
	if ! [ -e "$DESTDIR$libdir/libhakmem.a" ]; then
		skip "$2, static" 'the archive is not installed'
		return
	fi
	point "$2 builds, static, with our malloc" links_statically "$1" "$2"
	point "$2 runs, static" is "$VERSION" run
}

# Settings are made read-only when they have been read, but not what lies beside them.
runs_without_relro() {
	# shellcheck disable=SC2046 # words
	$CC -o program $(flags --cflags) program.c -Wl,-z,norelro "$DESTDIR$libdir/libhakmem.a" -pthread && HAKMEM_FC_CAP=64 run
}

# Each page of the table, and one of every other section.
has_pages() {
	for page in $(sh "$srcdir/tools/options-man" --names "$srcdir/lib/tunables.def") hakmem.7; do
		ls "$DESTDIR$mandir/man7/$page"* || return
	done
	ls "$DESTDIR$mandir"/man3/hakmem_trim.3* "$DESTDIR$mandir"/man5/hakmem.conf.5*
}

point 'the manual is there' has_pages
if [ -x "$DESTDIR$bindir/hakmem" ] && [ -e "$library" ] && [ -z "$RUNNER" ]; then
	point 'the command is there' is "hakmem $VERSION" "$DESTDIR$bindir/hakmem" --version
	point 'and its pages' sh -c "ls '$DESTDIR$mandir'/man1/hakmem.1* '$DESTDIR$mandir'/man1/hakmem-stat.1*"
	if [ -z "$DESTDIR" ]; then
		point 'the command finds the library' sh -c "'$bindir/hakmem' run -- '$bindir/hakmem' check | grep '^in effect'"
	fi
else
	skip 'the command is there' 'it was not built'
fi
point 'pkg-config knows the version' is "$VERSION" flags --modversion
point 'pkg-config names what to preload' preload_is_named
point 'pkg-config --static adds -pthread' sh -c "$PKG_CONFIG --static --libs hakmem | grep -e -pthread"
check_shared "$CC" program.c
check_static "$CC" program.c
if [ -e "$DESTDIR$libdir/libhakmem.a" ]; then
	point 'settings of a program without RELRO' is "$VERSION" runs_without_relro
fi
if command -v "${CXX%% *}" > /dev/null; then
	check_shared "$CXX" program.cc
	check_static "$CXX" program.cc
else
	skip 'program.cc' 'there is no C++ compiler'
fi
finish || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit "${status:-0}"
