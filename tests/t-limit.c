/* SPDX-License-Identifier: MIT */
/* HAKMEM_LIMIT_HARD: malloc ends with ENOMEM at the limit, and what is freed serves any other size and any other thread.
 * HAKMEM_LIMIT: nothing is refused, but what is free goes back.  Of both hakmem_limit_callback's function is told.
 *
 * The program starts itself with the variables set. */
#include <errno.h>
#include <hakmem.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hard.h"
#include "tap.h"

#define MIB ((size_t)1 << 20)

/* A point of a child, of which the parent makes one: hold(), and a remark. */
#define see(expression, ...) (note(__VA_ARGS__), (void)hold(expression))

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

		see(bytes >= limit_mib * MIB / 2 && bytes <= limit_mib * MIB, "%s: %zu MiB in blocks of %zu bytes",
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
	see(realloc(p, 65 * MIB) == NULL && errno == ENOMEM, "growth above the limit");
	free(p);
	p = malloc(50 * MIB);
	see(p != NULL, "nothing was lost");
	free(p);
}

static int run_hard(void)
{
	pthread_t thread;

	test_sizes((void *)(uintptr_t)"this thread");
	test_resize();
	need(pthread_create(&thread, NULL, test_sizes, (void *)(uintptr_t)"another thread") == 0);
	need(pthread_join(thread, NULL) == 0);
	return failures();
}

/* ---- the program's function ---- */

static struct {
	unsigned calls;
	bool inside;
	size_t least_held, limit;
	void *cache[20]; /* the program's own, emptied when it is told */
} told;

static bool is_soft;

/* Allocates, too. */
static void on_limit(void *argument, size_t held_now, size_t limit)
{
	void *more;

	hold(argument == &told && !told.inside);
	told.inside = true;
	told.calls++;
	told.limit = limit;
	told.least_held = held_now < told.least_held ? held_now : told.least_held;
	more = malloc(3 * MIB);
	free(more);
	hold(is_soft || malloc(100 * MIB) == NULL); /* its own requests count, and do not call it again */
	for (size_t i = 0; i < sizeof(told.cache) / sizeof(told.cache[0]); i++) {
		free(told.cache[i]);
		told.cache[i] = NULL;
	}
	told.inside = false;
}

static void begin_telling(void)
{
	memset(&told, 0, sizeof(told));
	told.least_held = SIZE_MAX;
	hakmem_limit_callback(on_limit, &told);
}

static void fill_cache(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		told.cache[i] = malloc(3 * MIB - 4096);
		need(told.cache[i] != NULL);
	}
}

static size_t milliseconds(void)
{
	struct timespec t;

	need(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (size_t)t.tv_sec * 1000 + (size_t)t.tv_nsec / 1000000;
}

static void rest(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/* Requests beyond the limit, from two threads, for a while; more held each time: `grow` bytes. */
static void *press(void *grow)
{
	size_t end = milliseconds() + 350;

	for (size_t i = 0; milliseconds() < end; i++) {
		void *p = malloc(70 * MIB);

		free(p);
		if (i % 16 == 0 && i / 16 < 40)
			blocks[i / 16] = malloc((size_t)(uintptr_t)grow);
	}
	for (size_t i = 0; i < 40; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	return NULL;
}

/* The kernel's coarse clock, by which the library goes, may be 10 ms behind. */
static void test_telling(size_t grow)
{
	size_t begin = milliseconds(), most_calls;

	begin_telling();
	press((void *)(uintptr_t)grow);
	most_calls = (milliseconds() - begin + 10) / 90 + 1;
	see(told.calls > 0 && told.calls <= most_calls, "told %u times in %zu ms", told.calls, milliseconds() - begin);
	hakmem_limit_callback(NULL, NULL);
}

/* Free slabs that are kept, as they were just used. */
static void leave_dirty(size_t bytes)
{
	for (size_t i = 0; i < bytes / 1024; i++)
		blocks[i] = malloc(1024);
	give_all(bytes / 1024);
}

static int run_soft(void)
{
	void *p, *q;

	is_soft = true;
	begin_telling();
	p = malloc(50 * MIB);
	leave_dirty(6 * MIB);
	see(p != NULL && held() > 51 * MIB && told.calls == 0, "below the limit free memory stays and nobody is told: %zu held", held());
	q = malloc(12 * MIB);
	see(q != NULL, "a request that goes beyond is served");
	see(told.calls == 1 && told.limit == limit_mib * MIB, "the program is told the limit");
	see(told.least_held < 51 * MIB, "after free memory was given back: %zu held", told.least_held);
	free(p);
	free(q);
	test_telling(5 * MIB);
	rest(120);
	hakmem_trim(); /* of the blocks above one may be kept */
	begin_telling();
	fill_cache(20);
	p = malloc(8 * MIB);
	see(p != NULL && told.calls == 1 && held() <= limit_mib * MIB, "what the program frees when told counts: %zu held", held());
	free(p);
	return failures();
}

static int run_hard_told(void)
{
	void *p = malloc(34 * MIB), *q;

	need(hakmem_option_set("HAKMEM_ELO_THRESHOLD", "64M") == 0); /* what is freed is kept, as much as is in use */
	begin_telling();
	fill_cache(6);
	see(p != NULL && told.calls == 0, "below the limit nobody is told");
	q = malloc(20 * MIB);
	see(q != NULL && told.calls == 1 && told.limit == limit_mib * MIB, "what the program frees when told is had");
	free(p);
	free(q);
	test_telling(64);
	return failures();
}

static jmp_buf away;

static void leave(void *argument, size_t held_now, size_t limit)
{
	(void)held_now, (void)limit;
	++*(int *)argument;
	longjmp(away, 1);
}

static int run_left(void)
{
	static int calls;
	void *p = malloc(50 * MIB);

	hakmem_limit_callback(leave, &calls);
	for (volatile int round = 0; round < 3; round++)
		if (setjmp(away) == 0)
			hold(malloc(40 * MIB) == NULL);
	see(calls > 0, "the program's function is left by longjmp: %d times", calls);
	hakmem_limit_callback(NULL, NULL);
	see(p != NULL && malloc(40 * MIB) == NULL, "the limit holds all the same");
	see(malloc(MIB) != NULL, "what is below it is had");
	return failures();
}

static int run_by_name(const char *name)
{
	if (strcmp(name, "left") == 0)
		return run_left();
	return strcmp(name, "soft") == 0 ? run_soft() : strcmp(name, "told") == 0 ? run_hard_told() : run_hard();
}

/* False: it cannot be started. */
static bool start(const char *self, const char *setting, const char *name)
{
	int status = 0;
	pid_t child = fork();

	need(child >= 0);
	if (child == 0) {
		need(setenv(setting, "64M", 1) == 0);
		execl(self, self, name, (char *)NULL);
		_exit(errno == ENOEXEC ? 100 : 101);
	}
	need(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 100)
		return false;
	ok(status == 0, "%s: %s", setting, name);
	return true;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_by_name(argv[1]);
	if (!start(argv[0], "HAKMEM_LIMIT_HARD", "hard"))
		skip_all("the emulator does not start programs of its kind");
	start(argv[0], "HAKMEM_LIMIT_HARD", "told");
	start(argv[0], "HAKMEM_LIMIT_HARD", "left");
	if (!is_hard_skipped("free memory stays below the limit"))
		start(argv[0], "HAKMEM_LIMIT", "soft");
	return done();
}
