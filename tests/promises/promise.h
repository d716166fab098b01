/* SPDX-License-Identifier: MIT */
/* promise: what the tests of the promises share.  Allocates nothing.
 *
 * Each program of this directory shows one promise of docs/promises.md, and fails when it is broken.  `make check` runs
 * it short; HAK_LONG=1 in the environment (tools/quickstart promises) runs it at full size. */
#ifndef PROMISE_H
#define PROMISE_H

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "random.h"
#include "resident.h"
#include "tap.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* The first in `make check`, the second where there is time. */
static inline size_t short_or_long(size_t brief, size_t full)
{
	const char *is_long = getenv("HAK_LONG");

	return is_long != NULL && *is_long == '1' ? full : brief;
}

static inline void rest(unsigned milliseconds)
{
	struct timespec t = { (time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000 };

	while (nanosleep(&t, &t) != 0)
		continue;
}

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A table of its own: the allocator under test does not see it. */
static inline void *map_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	need(table != MAP_FAILED);
	return table;
}

static inline void *make(size_t size)
{
	unsigned char *p = malloc(size);

	need(p != NULL);
	for (size_t at = 0; at < size; at += 512)
		p[at] = 1;
	return p;
}

static inline unsigned count_mappings(void)
{
	char text[4096];
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	unsigned lines = 0;
	ssize_t got;

	need(file >= 0);
	while ((got = read(file, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	close(file);
	return lines;
}

#ifndef __GLIBC__ /* musl has neither; the library has the functions */
typedef int __rlimit_resource_t;
int malloc_trim(size_t pad);
void *pvalloc(size_t size);
#endif

static inline void limit(__rlimit_resource_t what, size_t bytes)
{
	struct rlimit l;

	need(getrlimit(what, &l) == 0);
	l.rlim_cur = bytes;
	need(setrlimit(what, &l) == 0);
}

/* This many bytes of addresses more than now. */
static inline void limit_addresses(size_t more)
{
	limit(RLIMIT_AS, resident_field(0) + more);
}

/* Runs in a process of its own, whose end is its answer: 0, unless a hold() failed. */
static inline int in_child(void (*run)(size_t), size_t with)
{
	int status = -1;
	pid_t child = fork();

	need(child >= 0);
	if (child == 0) {
		tap_failed = 0; /* the parent's do not count here */
		alarm(100);
		run(with);
		_exit(failures());
	}
	need(waitpid(child, &status, 0) == child);
	return status;
}

/* Each of n works in a process of its own, so many at a time, as they mostly sleep; how each ended is a point. */
static inline void in_children(size_t n, size_t at_once, void (*run)(size_t), const char *(*name)(size_t))
{
	pid_t child[64];

	need(n <= 64);
	for (size_t done = 0; done < n;) {
		size_t end = n - done < at_once ? n : done + at_once;

		for (size_t i = done; i < end; i++) {
			child[i] = fork();
			need(child[i] >= 0);
			if (child[i] == 0) {
				tap_failed = 0; /* the parent's do not count here */
				run(i);
				_exit(failures());
			}
		}
		for (; done < end; done++) {
			int status = -1;

			need(waitpid(child[done], &status, 0) == child[done]);
			ok(status == 0, "%s", name(done));
		}
	}
}

#endif
