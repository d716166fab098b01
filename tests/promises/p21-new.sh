#!/bin/sh
# SPDX-License-Identifier: MIT
# Promise 21: operator new throws std::bad_alloc and honours the new_handler, in a C++ program, in a static one, and in a C++
# plug-in of a C program, where no C++ library can be seen from ours.

: "${srcdir:=$(dirname "$0")/../..}" "${builddir:=$PWD}" "${CC:=cc}" "${CXX:=c++}"
# shellcheck source=../tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
[ -f "$library" ] || skip_all 'no shared library was built'
[ -z "$RUNNER" ] || skip_all 'not under an emulator'
echo 'int main() { return 0; }' > "$work/any.cc"
$CXX "$work/any.cc" -o "$work/any" 2> /dev/null || skip_all 'there is no C++ compiler'

cat > "$work/program.cc" << 'END'
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/resource.h>
#include <vector>

struct alignas(64) wide { char bytes[3000000]; };

static const size_t mib = 1 << 20;
static char *volatile kept;
static void *reserve;
static int calls, bad;

#define HOLD(x) do { if (!(x)) { std::printf("line %d: %s\n", __LINE__, #x); bad++; } } while (0)
#define THROWS(x) do { bool threw = false; try { kept = (char *)(x); } catch (const std::bad_alloc &) { threw = true; } \
	HOLD(threw); } while (0)

static void make_room() { calls++; std::free(reserve); reserve = nullptr; }
static void give_up() { calls++; throw std::bad_alloc(); }
static void leave() { calls++; std::set_new_handler(nullptr); }

template <typename F> static size_t until_full(F make)
{
	std::vector<void *> all;
	size_t n = 0;
	all.reserve(1000000);
	try {
		for (; n < 1000000; n++)
			all.push_back(make());
	} catch (const std::bad_alloc &) { }
	for (void *p : all)
		operator delete(p);
	return n;
}

int main()
{
	rlimit limit;
	volatile size_t too_much = 400 * mib, all = (size_t)-1;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = 200 * mib;
	setrlimit(RLIMIT_AS, &limit);
	THROWS(operator new(too_much));
	THROWS(operator new(all));
	THROWS(operator new(all / 2 + 1));
	THROWS(operator new[](all));
	THROWS(operator new(too_much, std::align_val_t(4096)));
	THROWS(operator new[](all / 2, std::align_val_t(4096)));
	HOLD(!operator new(too_much, std::nothrow));
	HOLD(!operator new[](too_much, std::align_val_t(64), std::nothrow));

	reserve = std::malloc(120 * mib);
	HOLD(reserve);
	std::set_new_handler(make_room); /* frees, and the next try succeeds */
	kept = (char *)operator new(100 * mib);
	HOLD(kept && calls == 1);
	operator delete(kept);
	reserve = std::malloc(120 * mib);
	kept = (char *)operator new(100 * mib, std::align_val_t(128));
	HOLD(kept && calls == 2);
	operator delete(kept, std::align_val_t(128));

	calls = 0;
	std::set_new_handler(leave);
	THROWS(operator new(too_much));
	HOLD(calls == 1);
	std::set_new_handler(give_up);
	THROWS(operator new(too_much));
	HOLD(!operator new(too_much, std::nothrow));
	HOLD(!operator new(too_much, std::align_val_t(64), std::nothrow));
	HOLD(calls == 4 || WITHOUT_NEXT); /* the nothrow forms need the library's own behind ours */
	std::set_new_handler(nullptr);

	HOLD(until_full([] { return operator new(3000000); }) > 40);
	HOLD(until_full([] { return operator new(500); }) > 200000); /* what one size had serves another */
	HOLD(until_full([] { return operator new(100000); }) > 1000);
	return bad;
}
END
cat > "$work/plugin.cc" << 'END'
#include <new>
static int calls;
static void handler() { if (++calls == 3) throw std::bad_alloc(); }
extern "C" int try_new(unsigned long size)
{
	try { *(volatile char *)operator new(size) = 1; } catch (const std::bad_alloc &) { return 1; }
	return 0;
}
extern "C" int try_handler(unsigned long size)
{
	calls = 0;
	std::set_new_handler(handler);
	try { *(volatile char *)operator new(size) = 1; } catch (const std::bad_alloc &) { return calls == 3; }
	return 0;
}
extern "C" int try_nothrow(unsigned long size) { calls = 0; return !operator new(size, std::nothrow) && calls == 3; }
END
cat > "$work/host.c" << 'END'
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **arguments)
{
	static const char *const names[] = { "try_new", "try_handler", "try_nothrow" };
	void *plugin = count > 1 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	for (int i = 0; plugin && i < 3; i++) {
		int (*try)(unsigned long) = (int (*)(unsigned long))dlsym(plugin, names[i]);
		if (!try || !try(~0ul / 2 + 1))
			return printf("%s\n", names[i]), 1;
	}
	return !plugin;
}
END

builds() {
	"$@" 2> "$work/errors" || { cat "$work/errors"; return 1; }
}

on_library() {
	LD_PRELOAD=$library "$@"
}

# shellcheck disable=SC2086 # flags are words
{
	point 'a program builds' builds $CXX -std=c++17 -w -DWITHOUT_NEXT=false "$work/program.cc" -o "$work/program"
	point 'std::bad_alloc and new_handler in a C++ program' on_library "$work/program"
	if [ -f "$builddir/.libs/libhakmem.a" ] &&
		builds $CXX -std=c++17 -w -DWITHOUT_NEXT=true -static "$work/program.cc" "$builddir/.libs/libhakmem.a" -pthread -o "$work/static" > /dev/null; then
		point 'the same in a static one' "$work/static"
	else
		skip 'a static program' 'no static library'
	fi
	point 'a plug-in builds' builds $CXX -std=c++17 -w -shared -fPIC "$work/plugin.cc" -o "$work/plugin.so"
	point 'a C program builds' builds $CC -w "$work/host.c" -o "$work/host" -ldl
	point 'a C++ plug-in of a C program' on_library "$work/host" "$work/plugin.so"
}
finish
