#!/bin/sh
# SPDX-License-Identifier: MIT
# Promises 6, 13, 14, 30: beside others.  Blocks of the C library's own malloc; modules bound to it by RTLD_DEEPBIND, both ways;
# loaded late by dlopen; audited; hundreds of modules; other preloaded libraries; sanitizers; a program's own malloc; static
# and set-user-id programs.

: "${srcdir:=$(dirname "$0")/../..}" "${builddir:=$PWD}" "${CC:=cc}"
# shellcheck source=../tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
archive=$builddir/.libs/libhakmem.a
[ -f "$library" ] || skip_all 'no shared library was built'
[ -z "$RUNNER" ] || skip_all 'not under an emulator'

# build NAME FLAG...: the C program on standard input
build() {
	name=$1
	shift
	cat > "$work/$name.c"
	# shellcheck disable=SC2086 # flags are words
	$CC -w -O1 -fno-builtin "$work/$name.c" -o "$work/$name" "$@" > "$work/errors" 2>&1 || { cat "$work/errors"; return 1; }
}

on_library() {
	LD_PRELOAD=$library timeout 60 "$@"
}

# ---- blocks of others ----

build libc_blocks << 'END' || skip_all 'no C compiler, or not glibc'
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_memalign(size_t, size_t), *__libc_valloc(size_t);
int main(void)
{
	for (size_t size = 1; size < 100 << 20; size = size * 3 + 1)
		for (int how = 0; how < 4; how++) {
			char *p = how == 0 ? __libc_malloc(size) : how == 1 ? __libc_calloc(1, size) :
			          how == 2 ? __libc_memalign(256, size) : __libc_valloc(size);
			memset(p, 5, size);
			if (malloc_usable_size(p) < size)
				return 1;
			p = realloc(p, size * 2);
			if (!p || p[0] != 5 || p[size - 1] != 5)
				return 2;
			free(how % 2 ? realloc(p, size / 2 + 1) : p);
		}
	return 0;
}
END
point "blocks of the C library's own malloc" on_library "$work/libc_blocks"

build module.so -shared -fPIC << 'END'
#include <stdlib.h>
#include <string.h>
char *make(size_t size) { return memset(malloc(size), 7, size); }
char *copy(const char *text) { return strdup(text); }
char *grow(char *p, size_t size) { return realloc(p, size); }
void drop(void *p) { free(p); }
END
build binder -ldl << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **arguments)
{
	void *module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!module)
		return 1;
	char *(*make)(size_t) = dlsym(module, "make"), *(*copy)(const char *) = dlsym(module, "copy");
	char *(*grow)(char *, size_t) = dlsym(module, "grow");
	void (*drop)(void *) = dlsym(module, "drop");
	for (size_t size = 1; size < 10 << 20; size = size * 2 + 3) {
		drop(malloc(size));
		free(make(size));
		free(copy("text"));
		drop(strdup("text"));
		free(grow(malloc(size), size * 2));
		drop(realloc(make(size), size * 2));
	}
	return 0;
}
END
point 'a module with RTLD_DEEPBIND, both ways' on_library "$work/binder" "$work/module.so"

# ---- loaded late, often, and audited ----

build late -ldl -pthread << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *use(void *with) { for (int i = 1; i < 1000; i++) free(malloc(i * 7)); return with; }
int main(int count, char **arguments)
{
	pthread_t thread[4];
	void *before[100];
	for (int i = 0; i < 100; i++)
		before[i] = malloc(i * 1000 + 1);
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, use, NULL);
	void *library = dlopen(arguments[1], RTLD_NOW | (count > 2 ? RTLD_GLOBAL : RTLD_LOCAL));
	if (!library)
		return 1;
	void *(*theirs)(size_t) = (void *(*)(size_t))dlsym(library, "malloc");
	void (*drop)(void *) = (void (*)(void *))dlsym(library, "free");
	const char *(*version)(void) = (const char *(*)(void))dlsym(library, "hakmem_version");
	if (!theirs || !drop || !version || theirs == malloc)
		return 2;
	for (size_t size = 1; size < 10 << 20; size *= 3)
		drop(theirs(size));
	for (int i = 0; i < 100; i++)
		i % 2 ? drop(before[i]) : free(before[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	pid_t child = fork();
	int status;
	if (child == 0) {
		drop(theirs(1000));
		free(malloc(1000));
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		return 3;
	dlclose(library);
	use(NULL);
	return 0;
}
END
point 'dlopen into a running process' "$work/late" "$library"
point 'the same, for everybody' "$work/late" "$library" global

build many -ldl << 'END'
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **arguments)
{
	void *module[200];
	char name[4096];
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "%s.%d", arguments[1], i);
			if (!(module[i] = dlopen(name, i % 2 ? RTLD_NOW | RTLD_GLOBAL : RTLD_LAZY)))
				return puts(dlerror()), 1;
			free(((char *(*)(size_t))dlsym(module[i], "make"))(i * 100 + 1));
		}
		for (int i = 0; i < 200; i++)
			dlclose(module[i * 7 % 200]);
	}
	return 0;
}
END
for i in $(seq 0 199); do cp "$work/module.so" "$work/module.so.$i"; done
point '200 modules come and go' on_library "$work/many" "$work/module.so"

build audit.so -shared -fPIC << 'END'
#include <stdlib.h>
unsigned la_version(unsigned version) { free(malloc(100)); return version; }
END
point 'beside an audit library' env LD_AUDIT="$work/audit.so" LD_PRELOAD="$library" "$work/libc_blocks"

build namespaces -ldl << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
/* A module with a C library of its own, and then another copy of ours with one of its own. */
int main(int count, char **arguments)
{
	void *module = dlmopen(LM_ID_NEWLM, arguments[1], RTLD_NOW), *copy = dlmopen(LM_ID_NEWLM, arguments[2], RTLD_NOW);
	if (!module || !copy)
		return 1;
	char *(*make)(size_t) = dlsym(module, "make"), *(*grow)(char *, size_t) = dlsym(module, "grow");
	void (*drop)(void *) = dlsym(module, "drop"), *(*theirs)(size_t) = dlsym(copy, "malloc");
	void (*their_free)(void *) = dlsym(copy, "free");
	for (size_t size = 1; size < 10 << 20; size = size * 2 + 3) {
		char *ours = malloc(size), *p = theirs(size), *q = grow(make(size), size * 2);
		if (!ours || !p || !q || q[0] != 7)
			return 2;
		memset(p, 1, size);
		memset(ours, 2, size);
		memset(q, 3, size * 2);
		drop(q);
		their_free(p);
		free(realloc(ours, size / 2 + 1));
	}
	dlclose(module);
	free(malloc(100));
	return 0;
}
END
point 'modules in namespaces of their own, and a copy of the library' on_library "$work/namespaces" "$work/module.so" "$library"

# ---- other preloaded libraries, in front and behind ----

build threads -pthread << 'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static void *use(void *with)
{
	for (int i = 1; i < 3000; i++)
		free(realloc(malloc(i * 7), i * 9));
	return with;
}
int main(void)
{
	pthread_t thread[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, use, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	FILE *file = fopen("/dev/null", "r");
	char *line = NULL;
	size_t size = 0;
	getline(&line, &size, file);
	free(line);
	fsync(fileno(file));
	fclose(file);
	printf("%d %d\n", (int)getuid(), (int)(time(NULL) > 0));
	return 0;
}
END
found_library() {
	for place in /usr/lib/*/"$1" /usr/lib/"$1" /usr/lib64/"$1" /lib64/"$1"; do
		[ -f "$place" ] && echo "$place" && return
	done
	return 1
}
beside() {
	env "$@" timeout 30 "$work/threads" > "$work/out" 2> "$work/err" && [ "$(wc -l < "$work/out")" -eq 1 ] && not grep -i hakmem "$work/err"
}
for other in libeatmydata.so faketime/libfaketime.so.1 torsocks/libtorsocks.so; do
	if ! is_native "$library"; then
		skip "beside ${other##*/}" 'the library was built for another machine'
	elif place=$(found_library $other); then
		point "behind ${other##*/}" beside FAKETIME=+1d LD_PRELOAD="$place:$library"
		point "in front of ${other##*/}" beside FAKETIME=+1d LD_PRELOAD="$library:$place"
	else
		skip "beside ${other##*/}" 'it is not installed'
	fi
done
if is_native "$library" && command -v fakeroot > /dev/null 2>&1; then
	point 'in fakeroot' sh -c 'test "$(LD_PRELOAD=$1 fakeroot sh -c "touch $2/a && chown 0:0 $2/a && stat -c %u $2/a")" = 0' \
		sh "$library" "$work"
else
	skip 'in fakeroot' 'it is not installed, or for another machine'
fi

# ---- the same with a trace: what it asks the C library for must not come back to it ----

build nosy.so -shared -fPIC -ldl << 'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time)
{
	free(malloc(100));
	return time->tv_sec = 1000000, time->tv_nsec = 0;
}
int fstat(int file, struct stat *is)
{
	free(malloc(200));
	return fstatat(file, "", is, AT_EMPTY_PATH);
}
int fcntl(int file, int command, ...)
{
	va_list list;
	va_start(list, command);
	long with = va_arg(list, long);
	va_end(list);
	for (int i = 0; i < 30; i++)
		free(malloc(300));
	return syscall(SYS_fcntl, file, command, with);
}
END
# All 4 x 2,999 calls of realloc are in the trace.
traced() {
	rm -f "$work/trace"*
	timeout 15 env HAKMEM_TRACE="$work/trace" "$@" "$work/threads" > "$work/out" 2> "$work/err" || { cat "$work/err"; return 1; }
	[ ! -x "$builddir/hakmem" ] && return
	for trace in "$work"/trace*; do
		"$builddir/hakmem" replay --print "$trace"
	done | awk '$4 == "realloc" { n++ } END { print n, "calls of realloc"; exit n < 11996 }'
}
if ! is_native "$library"; then
	skip 'a trace beside others' 'the library was built for another machine'
else
	point 'a trace behind a library whose clock, fstat and fcntl allocate' traced LD_PRELOAD="$work/nosy.so:$library"
	point 'in front of it' traced LD_PRELOAD="$library:$work/nosy.so"
	if place=$(found_library faketime/libfaketime.so.1); then
		point 'behind libfaketime.so.1, its clock stopped' traced FAKETIME='2020-01-01 00:00:00' LD_PRELOAD="$place:$library"
		point 'in front of libfaketime.so.1' traced FAKETIME='2020-01-01 00:00:00' LD_PRELOAD="$library:$place"
	else
		skip 'a trace beside libfaketime.so.1' 'it is not installed'
	fi
	if command -v fakeroot > /dev/null 2>&1; then
		point 'a trace in fakeroot' traced LD_PRELOAD="$library" fakeroot
	else
		skip 'a trace in fakeroot' 'it is not installed'
	fi
fi

# ---- who has an allocator of his own ----

build own -Wl,--export-dynamic << 'END'
#include <stdlib.h>
#include <string.h>
static char memory[1 << 20] __attribute__((aligned(16)));
static size_t used;
static int calls;
void *malloc(size_t size) { calls++; used += (size + 31) & ~(size_t)15; return used < sizeof(memory) ? memory + used - ((size + 31) & ~(size_t)15) : 0; }
void free(void *p) { if (p && ((char *)p < memory || (char *)p >= memory + sizeof(memory))) abort(); }
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *p, size_t size) { void *q = malloc(size); return p ? memcpy(q, p, size) : q; }
int main(void) { char *p = strdup("text"); free(p); return !(p >= memory && p < memory + sizeof(memory) && calls > 0); }
END
point 'a program with a malloc of its own' on_library "$work/own"
for compiler in 'clang' 'gcc -static-libasan'; do
	if command -v "${compiler%% *}" > /dev/null 2>&1 && $compiler -w -fsanitize=address "$work/threads.c" -o "$work/asan" -pthread > /dev/null 2>&1 && "$work/asan" > /dev/null 2>&1; then
		point "a program with AddressSanitizer, $compiler" on_library "$work/asan"
	else
		skip "a program with AddressSanitizer, $compiler" 'it cannot be built'
	fi
done

# ---- static and set-user-id ----

if [ -f "$archive" ] && build static -static "$archive" -pthread < "$work/threads.c"; then
	point 'a static program with the archive' "$work/static"
	point 'a static program, preloaded in vain' env LD_PRELOAD="$library" "$work/static"
else
	skip 'a static program' 'it cannot be built'
fi
is_quiet() {
	"$@" > "$work/out" 2> "$work/err" && not grep -q . "$work/err" && [ "$(wc -l < "$work/out")" -eq 1 ]
}
build setuid "$library" -Wl,-rpath,"$builddir/.libs" -pthread < "$work/threads.c"
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null 2>&1 && chmod 755 "$work" && chmod u+s "$work/setuid" &&
	setpriv --reuid 65534 --clear-groups "$work/setuid" > "$work/who" 2>&1; then
	point 'a set-user-id program ignores every variable' is_quiet env HAKMEM_STATS=1 HAKMEM_VERBOSE=1 HAKMEM_FRONT_STATS=1 \
		HAKMEM_WARM_POOL_STATS=1 HAKMEM_SS_PREWARM=8 HAKMEM_SS_PREWARM_DEBUG=1 HAKMEM_NONSENSE=1 \
		setpriv --reuid 65534 --clear-groups "$work/setuid"
	point 'which others do not' not is_quiet env HAKMEM_STATS=1 "$work/setuid"
else
	skip 'a set-user-id program' 'only root can try'
fi
finish
