/* SPDX-License-Identifier: MIT */
/* Promises 8, 9: every system call of lib/os.c made to fail in turn: the first, the Nth, N of them in a row, all.  NULL and ENOMEM,
 * everything else intact, no spin, and it recovers.  Links: rooms. */
#include "names.h"

#include "check.h"
#include "fails.h"
#include "os.h"
#include "pool.h"

enum { places = 64 };

#include "places.h"

static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state);

	return 2 + (r % 8 == 0 ? r % (9 * MIB) : r % 3 == 0 ? r % (900 * KIB) : r % 20000);
}

static bool is_zero(const unsigned char *p, size_t size)
{
	for (size_t at = 0; p && at < size; at++)
		if (p[at] != 0)
			return false;
	return true;
}

static void take(size_t i, size_t how, size_t size)
{
	unsigned char *p;

	free(blocks[i]);
	if (how == 0) {
		p = malloc(size);
	} else if (how == 1) {
		p = calloc(1, size);
		hold(is_zero(p, size));
	} else {
		p = memalign((size_t)4096 << size % 12, size);
	}
	put(i, p, size);
	hold(p != NULL || errno == ENOMEM);
}

static void resize(size_t i, size_t size)
{
	unsigned char *p = realloc(blocks[i], size);

	if (p != NULL) {
		hold(blocks[i] == NULL || p[0] == mark_of(i));
		put(i, p, size);
		return;
	}
	hold(errno == ENOMEM);
	look(i);
}

static void churn(size_t rounds, uint64_t seed)
{
	for (size_t round = 0; round < rounds; round++) {
		size_t i = next_random(&seed) % places, size = some_size(&seed), how = next_random(&seed) % 5;

		look(i);
		errno = 0;
		if (how == 4)
			resize(i, size);
		else if (how == 3)
			resize(i, sizes[i] ? sizes[i] * 5 / 4 : size);
		else
			take(i, how, size);
		if (round % 50 == 49)
			malloc_trim(0);
	}
}

/* The first call of the process is among those that fail. */
static void from_the_start(size_t after)
{
	void *p;

	fail_mappings((unsigned)after, 1);
	p = malloc(100);
	hold(p != NULL || errno == ENOMEM);
	free(p);
	churn(200, after);
	fail_none();
	take(0, 0, 100);
	hold(blocks[0] != NULL);
}

static void nothing_works(size_t with)
{
	(void)with;
	fail_mappings(1, 1u << 30);
	for (size_t i = 0; i < 200; i++)
		hold(malloc(i * 5000) == NULL && errno == ENOMEM);
	fail_none();
	hold(malloc(100) != NULL);
}

/* ---- what is free is another thread's for a while, who gives its pages back ---- */

static void *return_slowly(void *is_out_of_sight)
{
	struct hak_run run;

	hak_registry_return_begin();
	need(hak_pool_take(HAK_NODE_ANY, MIB / HAK_SLAB_SIZE, 1, &run));
	hak_store((_Atomic bool *)is_out_of_sight, true, release);
	rest(400);
	hak_pool_give(run.number / HAK_SS_SLABS, hak_low_mask(run.slabs) << run.number % HAK_SS_SLABS, run.dirty);
	hak_registry_return_end();
	return NULL;
}

/* All is taken, but one block of a MiB. */
static void leave_one(void)
{
	void *p = malloc(MIB);

	fail_mappings(1, 1u << 30);
	while (malloc(MIB))
		continue;
	free(p);
}

/* On a busy machine it takes a while until a thread that lost its processor has it again. */
static void wait_for_another(size_t with)
{
	_Atomic bool is_out_of_sight = false;
	pthread_t thread;

	(void)with;
	leave_one();
	need(pthread_create(&thread, NULL, return_slowly, &is_out_of_sight) == 0);
	while (!hak_load(&is_out_of_sight, acquire)) /* partner: return_slowly */
		rest(1);
	hold(malloc(MIB) != NULL);
	pthread_join(thread, NULL);
}

static double seconds_to_fail(void)
{
	double before = seconds();

	hold(malloc(MIB) == NULL && errno == ENOMEM);
	return seconds() - before;
}

/* It was a thread of the parent, and fork's handlers did not run: waited for once, not at each call. */
static void wait_for_nobody(size_t with)
{
	double first;

	(void)with;
	leave_one();
	hold(malloc(MIB) != NULL);
	hak_registry_return_begin();
	first = seconds_to_fail();
	hold(seconds_to_fail() < first / 4);
}

int main(void)
{
	size_t most = short_or_long(60, 600);
	unsigned in_a_row[] = { 1, 2, 5, 100, 1u << 30 };

	ok(in_child(nothing_works, 0) == 0, "all calls fail, from the start");
	for (size_t after = 1; after <= 12; after++)
		ok(in_child(from_the_start, after) == 0, "call %zu fails, from the start", after);
	ok(in_child(wait_for_another, 0) == 0, "malloc waits for what another thread has taken out of sight");
	ok(in_child(wait_for_nobody, 0) == 0, "but not twice for who does not come back");
	churn(500, 1);
	for (size_t c = 0; c < sizeof(in_a_row) / sizeof(*in_a_row); c++) {
		for (size_t after = 1; after <= most; after++) {
			fail_mappings((unsigned)after, in_a_row[c]);
			churn(60, after * 31 + c);
			fail_none();
			take(0, 0, 3 * MIB);
			hold(blocks[0] != NULL);
		}
		ok(failures() == 0 && hak_check_pool() == 0, "the Nth call fails and those behind it, %u in all, N to %zu", in_a_row[c], most);
	}
	free_all();
	malloc_trim(0);
	churn(500, 2);
	free_all();
	ok(failures() == 0 && hak_check_pool() == 0, "all is well after that");
	return done();
}
