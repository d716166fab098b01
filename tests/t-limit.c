/* SPDX-License-Identifier: MIT */
/* HAKMEM_LIMIT_HARD: malloc ends with ENOMEM at the limit, and what is freed serves any other size and any other thread.
 *
 * The program starts itself with the variable set. */
#include <errno.h>
#include <hakmem.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#define MIB ((size_t)1 << 20)
#define LIMIT "64M"

enum { limit_mib = 64, most = (1 << 20) + 1 };

static void *blocks[most];

static size_t held(void)
{
	struct hakmem_stats stats;

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	return (size_t)((stats.slabs_used + stats.slabs_dirty) << 16) + (size_t)(stats.large_bytes + stats.large_cached_bytes);
}

/* Until there is no more; bytes. */
static size_t take_all(size_t size, size_t *count)
{
	errno = 0;
	for (*count = 0; *count < most && (blocks[*count] = malloc(size)) != NULL; ++*count)
		memset(blocks[*count], 1, size < 64 ? size : 64);
	hold(*count < most && errno == ENOMEM);
	hold(held() <= (limit_mib + 1) * MIB); /* a refill takes up to four slabs at once */
	return *count * size;
}

static void give_all(size_t count)
{
	while (count > 0)
		free(blocks[--count]);
}

/* Of the limit all but what blocks are rounded up by (200000 bytes: to 256 KiB) is had, and what the caches of
 * another thread hold, again and again, whatever had it before. */
static void *test_sizes(void *from)
{
	static const size_t sizes[] = { 256, 5000, 200000, 3 * MIB, 64, 50000, 10 * MIB, 1024 };
	size_t count;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i], bytes = take_all(size, &count);

		ok(bytes >= limit_mib * MIB / 2 && bytes <= limit_mib * MIB, "%s: %zu MiB in blocks of %zu bytes",
		   (const char *)from, bytes / MIB, size);
		give_all(count);
	}
	return NULL;
}

/* Growth in place and by moving is counted, and so is what realloc gives back. */
static void test_resize(void)
{
	char *p = malloc(3 * MIB), *more;

	for (int round = 0; round < 50; round++) {
		more = realloc(p, (size_t)(round % 10 + 3) * 3 * MIB);
		hold(more != NULL);
		p = more ? more : p;
	}
	errno = 0;
	ok(realloc(p, 65 * MIB) == NULL && errno == ENOMEM, "growth above the limit");
	free(p);
	p = malloc(50 * MIB);
	ok(p != NULL, "nothing was lost");
	free(p);
}

static int run_limited(void)
{
	pthread_t thread;

	test_sizes((void *)(uintptr_t)"this thread");
	test_resize();
	need(pthread_create(&thread, NULL, test_sizes, (void *)(uintptr_t)"another thread") == 0);
	need(pthread_join(thread, NULL) == 0);
	return done();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_limited();
	need(setenv("HAKMEM_LIMIT_HARD", LIMIT, 1) == 0);
	execl(argv[0], argv[0], "limited", (char *)NULL);
	need(errno == ENOEXEC);
	skip_all("the emulator does not start programs of its kind");
}
