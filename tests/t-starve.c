/* SPDX-License-Identifier: MIT */
/* Starving a process that runs: from one moment every call is a cold one and counted, from another none is; cached blocks
 * are served; threads that do nothing but hits come by too; a forked child goes its own way.
 * Links: library, rooms. */
#include <hakmem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hard.h"
#include "look.h"
#include "names.h"
#include "random.h"
#include "tap.h"

enum { calls = 3000, kept_count = 8, pairs_each = 64, pairers = 2, patience_ms = 20000 };

static _Atomic bool is_over;
static _Atomic unsigned long rounds[pairers + 2];
static _Atomic(void *) passed;

static struct hakmem_stats stats_now(void)
{
	struct hakmem_stats stats;

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	return stats;
}

static size_t direct_now(void)
{
	struct hakmem_stats stats = stats_now();

	return (size_t)(stats.direct_malloc + stats.direct_free);
}

static void pair(size_t size)
{
	unsigned char *p = malloc(size);

	need(p != NULL);
	p[0] = p[size - 1] = 1;
	free(p);
}

/* Cold calls of the thread come and go with the flag at its next call: these are them. */
static void come_by(void)
{
	pair(100);
	pair(100);
}

/* ---- one thread: exact ---- */

static void run_pairs(size_t *mallocs, size_t *frees)
{
	struct hakmem_stats before = stats_now(), after;

	for (unsigned i = 0; i < calls; i++)
		pair(1 + random_below(i % 8 == 0 ? 65536 : 1024));
	after = stats_now();
	*mallocs = (size_t)(after.direct_malloc - before.direct_malloc);
	*frees = (size_t)(after.direct_free - before.direct_free);
}

static void test_exact(void)
{
	size_t mallocs, frees;

	come_by();
	run_pairs(&mallocs, &frees);
	is(mallocs + frees, 0);
	for (unsigned i = 0; i < 3; i++) {
		look_starve("starve_test", true);
		come_by();
		run_pairs(&mallocs, &frees);
		is(mallocs, calls);
		is(frees, calls);
		look_starve("starve_test", false);
		come_by();
		run_pairs(&mallocs, &frees);
		is(mallocs + frees, 0);
	}
}

static void test_two_reasons(void)
{
	size_t mallocs, frees;

	look_starve("starve_profile", true);
	look_starve("starve_record", true);
	look_starve("starve_profile", false);
	come_by();
	run_pairs(&mallocs, &frees);
	is(mallocs + frees, 2 * calls);
	look_starve("starve_record", false);
	come_by();
	run_pairs(&mallocs, &frees);
	is(mallocs + frees, 0);
}

/* What lies in a cache is handed out, newest first, and goes back there. */
static void test_cached(void)
{
	void *blocks[kept_count], *again[kept_count];
	struct hakmem_stats before, after;
	bool is_same = true;

	if (is_hard_skipped("the same blocks in the same order"))
		return;
	for (unsigned i = 0; i < kept_count; i++)
		need((blocks[i] = malloc(48)) != NULL);
	for (unsigned i = 0; i < kept_count; i++)
		free(blocks[i]);
	before = stats_now();
	look_starve("starve_test", true);
	for (unsigned i = 0; i < kept_count; i++)
		is_same &= (again[i] = malloc(48)) == blocks[kept_count - 1 - i];
	for (unsigned i = 0; i < kept_count; i++)
		free(again[kept_count - 1 - i]);
	look_starve("starve_test", false);
	for (unsigned i = 0; i < kept_count; i++)
		is_same &= (again[i] = malloc(48)) == blocks[kept_count - 1 - i];
	after = stats_now();
	for (unsigned i = 0; i < kept_count; i++)
		free(again[i]);
	ok(is_same, "the same blocks in the same order, starved and not");
	is(after.carved, before.carved);
	is(after.put, before.put);
}

static void *keep_one(void *unused)
{
	void *p = malloc(64);

	(void)unused;
	*(char *)p = 1;
	return p;
}

/* Remote frees, zeroed and aligned memory, growth. */
static void test_family(void)
{
	unsigned char *zeroed;
	pthread_t thread;
	void *remote, *p;
	bool is_zero = true;

	look_starve("starve_test", true);
	need(pthread_create(&thread, NULL, keep_one, NULL) == 0 && pthread_join(thread, &remote) == 0);
	free(remote);
	for (size_t size = 1; size < 600000; size = size * 3 + 1) {
		need((zeroed = calloc(1, size)) != NULL);
		for (size_t i = 0; i < size; i++)
			is_zero &= zeroed[i] == 0;
		memset(zeroed, 1, size);
		need((p = realloc(zeroed, size * 2)) != NULL);
		is_zero &= memcmp(p, (char *)p + size - 1, 1) == 0;
		free(p);
		need((p = memalign(4096, size)) != NULL);
		is((uintptr_t)p % 4096, 0);
		free(p);
	}
	ok(is_zero, "calloc and realloc");
	look_starve("starve_test", false);
	come_by();
}

/* ---- threads that do nothing but hits ---- */

static void *run_pairs_only(void *number)
{
	size_t n = (size_t)number;
	void *blocks[pairs_each];

	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		for (unsigned i = 0; i < pairs_each; i++)
			need((blocks[i] = malloc(16 + 16 * n)) != NULL);
		for (unsigned i = 0; i < pairs_each; i++)
			*(size_t *)blocks[i] = n;
		for (unsigned i = 0; i < pairs_each; i++) {
			hold(*(size_t *)blocks[i] == n);
			free(blocks[i]);
		}
		atomic_fetch_add_explicit(&rounds[n], 1, memory_order_relaxed);
	}
	return NULL;
}

/* Only allocates; another only frees. */
static void *run_giver(void *number)
{
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		void *p = malloc(256), *none = NULL;

		need(p != NULL);
		*(size_t *)p = 77;
		while (!atomic_compare_exchange_weak(&passed, &none, p)) {
			none = NULL;
			if (atomic_load_explicit(&is_over, memory_order_relaxed)) {
				free(p);
				return NULL;
			}
		}
		atomic_fetch_add_explicit(&rounds[(size_t)number], 1, memory_order_relaxed);
	}
	return NULL;
}

static void *run_taker(void *number)
{
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		void *p = atomic_exchange(&passed, NULL);

		hold(!p || *(size_t *)p == 77);
		free(p);
		atomic_fetch_add_explicit(&rounds[(size_t)number], 1, memory_order_relaxed);
	}
	return NULL;
}

static void sleep_ms(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/* All threads have gone on for that many rounds. */
static void wait_for_rounds(unsigned long n)
{
	unsigned long from[pairers + 2];

	for (unsigned i = 0; i < pairers + 2; i++)
		from[i] = atomic_load(&rounds[i]);
	for (unsigned i = 0, ms = 0; i < pairers + 2; i++)
		while (atomic_load(&rounds[i]) < from[i] + n && ms++ < patience_ms)
			sleep_ms(1);
}

/* In which state the pairs of each thread are: those of class n count on or do not. */
static bool counts_rise(unsigned n)
{
	struct hakmem_class_stats before, after;
	unsigned class = n; /* 16, 32 .. are classes 0, 1 .. */

	need(hakmem_stats_class(class, &before, sizeof(before)) == 0);
	wait_for_rounds(3);
	need(hakmem_stats_class(class, &after, sizeof(after)) == 0);
	return after.direct_malloc > before.direct_malloc && after.direct_free > before.direct_free;
}

static void test_threads(void)
{
	static void *(*const run[pairers + 2])(void *) = { run_pairs_only, run_pairs_only, run_giver, run_taker };
	pthread_t threads[pairers + 2];
	unsigned seen = 0, unseen = 0;

	for (size_t i = 0; i < pairers + 2; i++)
		need(pthread_create(&threads[i], NULL, run[i], (void *)i) == 0);
	for (unsigned i = 0; i < 20; i++) {
		look_starve("starve_test", true);
		wait_for_rounds(2);
		seen += counts_rise(0) && counts_rise(1);
		look_starve("starve_test", false);
		wait_for_rounds(4);
		unseen += !counts_rise(0) && !counts_rise(1);
	}
	is(seen, 20);
	is(unseen, 20);
	for (unsigned i = 0; i < 3000; i++) /* in the midst of everything */
		look_starve(i % 3 ? "starve_test" : "starve_profile", i % 2);
	look_starve("starve_test", false);
	look_starve("starve_profile", false);
	atomic_store(&is_over, true);
	for (size_t i = 0; i < pairers + 2; i++)
		need(pthread_join(threads[i], NULL) == 0);
	free(atomic_exchange(&passed, NULL));
	come_by();
}

/* Who asked from outside asked the parent. */
static void test_fork(void)
{
	size_t mallocs, frees;
	int status = 1;
	pid_t child;

	look_starve("starve_profile", true);
	come_by();
	child = fork();
	if (child == 0) {
		come_by();
		run_pairs(&mallocs, &frees);
		_exit(mallocs + frees != 0);
	}
	need(child > 0 && waitpid(child, &status, 0) == child);
	is(status, 0);
	run_pairs(&mallocs, &frees);
	is(mallocs + frees, 2 * calls);
	look_starve("starve_profile", false);
	come_by();
}

int main(void)
{
	size_t none = direct_now();

	is(none, 0);
	test_exact();
	test_two_reasons();
	test_cached();
	test_family();
	test_threads();
	test_fork();
	return done();
}
