/* SPDX-License-Identifier: MIT */
/* Promises 6, 20: malloc and free at any moment of a thread's end: in destructors of keys made before and after ours, in all
 * four rounds and in all orders, in threads that call it there first; what a dead thread leaves is less than 1 KiB.  And at the
 * end of the process, after every other destructor. */
#include "promise.h"

enum { keys = 6, rounds = 4 };

static pthread_key_t key[keys];
static __thread unsigned char *kept[keys];
static __thread unsigned called;

/* Its own block goes, another comes, and it asks to be called again, in every round that there is. */
static void destroy(void *with)
{
	uintptr_t me = (uintptr_t)with - 1;
	size_t size = me * me * me * 40 + 24;

	if (kept[me] != NULL)
		hold(kept[me][0] == me && kept[me][size - 1] == (unsigned char)~me);
	free(kept[me]);
	free(calloc(3, size));
	kept[me] = malloc(size);
	need(kept[me] != NULL);
	kept[me][0] = (unsigned char)me;
	kept[me][size - 1] = (unsigned char)~me;
	if (++called < rounds * keys)
		pthread_setspecific(key[me], with);
	else
		for (int i = 0; i < keys; i++) {
			free(kept[i]);
			kept[i] = NULL;
		}
}

/* Sets the keys in the order that the number says; the first call of malloc in the thread is here, or in a destructor. */
static void *end_by(void *with)
{
	uint64_t order = (uintptr_t)with;
	void *p = order % 2 ? malloc(100) : NULL;

	called = 0;
	for (unsigned i = 0; i < keys; i++)
		pthread_setspecific(key[(i + order / 2) % keys], (void *)(uintptr_t)((i + order / 2) % keys + 1));
	free(p);
	return NULL;
}

static void run_threads(size_t n, void *(*run)(void *))
{
	for (size_t i = 0; i < n; i++) {
		pthread_t thread;

		need(pthread_create(&thread, NULL, run, (void *)i) == 0);
		need(pthread_join(thread, NULL) == 0);
	}
}

static void check_ends(const char *name, size_t n)
{
	size_t before, grown;

	run_threads(64, end_by);
	before = resident();
	run_threads(n, end_by);
	grown = resident() > before && !is_emulated() ? resident() - before : 0; /* qemu-user keeps 290 KB of each */
	ok(failures() == 0 && grown < n * KIB / 2 + 256 * KIB, "%s: %zu threads, %zu bytes more", name, n, grown);
}

/* Many that live at once, and end at once. */
static pthread_barrier_t barrier;

static void *wait_for_all(void *with)
{
	void *p = make(100);

	pthread_barrier_wait(&barrier);
	end_by(with);
	free(p);
	return NULL;
}

static void check_crowd(size_t n)
{
	pthread_t *thread = map_table(n * sizeof(*thread));
	pthread_attr_t attr;
	size_t before = resident(), made = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * KIB);
	pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
	while (made < n && pthread_create(&thread[made], &attr, wait_for_all, (void *)made) == 0)
		made++;
	if (made < n) {
		skip("%zu threads at once: only %zu are allowed", n, made);
		_exit(done());
	}
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	rest(50);
	resident_within(before, 16 + n * 14 / 1024); /* the heaps, for other threads; and stacks that the C library keeps */
}

/* ---- the end of the process ---- */

static void *global;

static void at_exit(void)
{
	free(global);
	global = calloc(1, 100000);
	need(global != NULL);
	global = realloc(global, 3 * MIB);
	need(global != NULL);
}

static __attribute__((destructor(101))) void very_late(void)
{
	free(global);
	global = malloc(77);
	if (global == NULL)
		_exit(98);
	free(global);
}

static void exit_now(size_t with)
{
	(void)with;
	global = malloc(10);
	atexit(at_exit);
	exit(failures());
}

static void *exit_in_thread(void *with)
{
	exit_now(0);
	return with;
}

static void exit_elsewhere(size_t with)
{
	pthread_t thread;

	(void)with;
	need(pthread_create(&thread, NULL, exit_in_thread, NULL) == 0);
	pthread_exit(NULL); /* the main thread ends first */
}

int main(void)
{
	for (int i = 0; i < keys / 2; i++)
		need(pthread_key_create(&key[i], destroy) == 0);
	free(malloc(1)); /* the library has its key now, if it had none */
	for (int i = keys / 2; i < keys; i++)
		need(pthread_key_create(&key[i], destroy) == 0);
	check_ends("in every order", short_or_long(3000, 100000));
	check_crowd(short_or_long(500, 10000));
	ok(in_child(exit_now, 0) == 0, "the process ends");
	ok(in_child(exit_elsewhere, 0) == 0, "the process ends in a thread");
	return done();
}
