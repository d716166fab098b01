/* SPDX-License-Identifier: MIT */
/* The room large: blocks above 2 MiB, their cache, growth by moving pages, and a kernel that refuses.  Links: rooms. */
#include "large.h"

#include <pthread.h>
#include <unistd.h>

#include "bigcache.h"
#include "fails.h"
#include "mid.h"
#include "os.h"
#include "policy.h"
#include "pool.h"
#include "registry.h"
#include "superslab.h"
#include "tap.h"
#include "tunables.h"
#include "window.h"

#define MIB ((size_t)1 << 20)

static unsigned char *take(size_t size, size_t align, bool *zero)
{
	unsigned char *p = hak_large_alloc(size, align, zero);

	if (hold(p != NULL))
		hold((uintptr_t)p % (align > HAK_SS_SIZE ? align : HAK_SS_SIZE) == 0);
	return p;
}

static struct hak_slot *slot_of(const void *p)
{
	return hak_registry_slot(hak_registry_number(p) / HAK_SS_SLABS);
}

static void fill(unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		p[i] = (unsigned char)(i >> 12);
	p[size - 1] = 99;
}

static bool is_filled(const unsigned char *p, size_t size)
{
	size_t i = 0;

	while (i < size && p[i] == (unsigned char)(i >> 12))
		i += 4096;
	return i >= size;
}

static bool is_zero(const unsigned char *p, size_t size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

static void set(unsigned id, size_t value)
{
	need(hak_tunables_set_value(id, value) == 0);
}

static void empty_cache(void)
{
	hak_large_trim(hak_os_now(), 0);
	is(hak_large_cached(), 0);
}

/* G1 */
static void check_block(unsigned char *p, size_t size)
{
	size_t bytes = (size + 4095) / 4096 * 4096, slots = (bytes + HAK_SS_SIZE - 1) / HAK_SS_SIZE;

	hold(hak_large_size(p) >= bytes && slot_of(p)->state == HAK_SLOT_LARGE);
	hold(hak_registry_tag(hak_registry_number(p)) == HAK_TAG_LARGE);
	hold(hak_registry_tag(hak_registry_number(p) + 1) == 0);
	for (size_t i = 1; i < slots; i++)
		hold(slot_of(p + i * HAK_SS_SIZE)->state == HAK_SLOT_LARGE_INNER);
	p[0] = p[hak_large_size(p) - 1] = 1;
}

static void check_sizes(void)
{
	set(HAK_TUNABLE_ID_big_cache, 0);
	for (size_t size = 2 * MIB + 1; size < 200 * MIB; size = size * 3 / 2 + 12345) {
		bool zero = false;
		unsigned char *p = take(size, 1, &zero);

		hold(zero);
		check_block(p, size);
		hold(hak_large_blocks() == 1 && hak_large_used() == hak_large_size(p));
		hak_large_free(p);
		hold(slot_of(p)->state == HAK_SLOT_FREE);
		hold(hak_large_blocks() == 0 && hak_large_used() == 0);
	}
	ok(failures() == 0, "blocks to 200 MiB");
}

static void check_alignments(void)
{
	for (size_t align = 4 * MIB; align <= 256 * MIB; align *= 2)
		for (size_t size = 1; size <= 40 * MIB; size = size * 9 + 5 * MIB) {
			bool zero = false;
			unsigned char *odd = take(3 * MIB, 1, &zero), *p = take(size, align, &zero);

			check_block(p, size);
			fill(p, size);
			hak_large_free(p);
			hak_large_free(odd);
		}
	ok(failures() == 0, "alignments to 256 MiB");
	is(hak_large_blocks(), 0);
}

/* What is kept: as much as is in use, so something large is. */
static unsigned char *hold_mib(size_t mib)
{
	bool zero = true;

	set(HAK_TUNABLE_ID_elo_threshold, PTRDIFF_MAX);
	return take(mib * MIB, 1, &zero);
}

static void check_cache(void)
{
	unsigned char *holder = hold_mib(100), *p, *q, *wall;
	bool zero = true;

	set(HAK_TUNABLE_ID_big_cache, 64 * MIB);
	p = take(8 * MIB, 1, &zero);
	memset(p, 1, 8 * MIB);
	hak_large_free(p);
	is(hak_large_cached(), 8 * MIB);
	is(hak_registry_tag(hak_registry_number(p)), 0);
	q = take(7 * MIB, 1, &zero);
	ok(q == p && !zero, "a freed block is used again, and not known to be zero");
	ok(hak_large_size(q) == 7 * MIB && hak_large_cached() == 0, "its last slot goes with it");
	hak_large_free(q);
	q = take(4 * MIB, 1, &zero);
	ok(q == p && hak_large_cached() == 4 * MIB, "for a smaller one a part of it");
	hak_large_free(q);
	q = take(8 * MIB, 1, &zero);
	ok(q == p && hak_large_cached() == 0, "which is joined again");
	hak_large_free(q);
	q = take(9 * MIB, 1, &zero);
	ok(!zero && q[0] == 1 && hak_large_cached() == 0 && is_zero(q + 8 * MIB, MIB),
	   "for a larger one its pages move");
	check_block(q, 9 * MIB);
	hak_large_free(q);
	is(hak_large_cached(), 10 * MIB);
	q = take(10 * MIB, 1, &zero);
	wall = take(3 * MIB, 1, &zero);
	hak_large_free(q);
	q = take(21 * MIB, 1, &zero);
	ok(!zero && q[0] == 1 && hak_large_cached() == 0 && is_zero(q + 10 * MIB, 11 * MIB),
	   "also if something lies behind it");
	hak_large_free(wall);
	hak_large_free(q);
	hold(hak_large_trim(hak_os_now(), 1000000) == 0);
	is(hak_large_trim(hak_os_now(), 0), 26 * MIB);
	is(slot_of(p)->state, HAK_SLOT_FREE);
	hak_large_free(holder);
	empty_cache();
}

/* It holds no more than it may. */
static void check_limit(void)
{
	unsigned char *holder = hold_mib(600), *many[140];
	bool zero = false;

	set(HAK_TUNABLE_ID_big_cache, 10 * MIB);
	for (int i = 0; i < 30; i++)
		many[i] = take(3 * MIB, 1, &zero);
	for (int i = 0; i < 30; i++) {
		hak_large_free(many[i]);
		hold(hak_large_cached() <= 10 * MIB);
	}
	ok(hak_large_cached() > 0, "some are kept");
	many[0] = take(12 * MIB, 1, &zero);
	hak_large_free(many[0]);
	ok(hak_large_cached() <= 8 * MIB, "a block above the limit is not");
	empty_cache();
	set(HAK_TUNABLE_ID_big_cache, 1000 * MIB);
	for (int i = 0; i < 140; i++)
		many[i] = take(3 * MIB, 1, &zero);
	for (int i = 0; i < 140; i += 2)
		hak_large_free(many[i]);
	is(hak_large_cached(), HAK_BIGCACHE_PLACES * 4 * MIB); /* no two are neighbours */
	hak_large_free(holder);
	for (int i = 1; i < 140; i += 2) {
		hak_large_free(many[i]);
		hold(hak_large_cached() <= hak_large_used() + hak_policy_proven() + 2 * MIB);
	}
	ok(failures() == 0, "no more than is in use, or was wanted again");
	empty_cache();
}

/* The oldest goes first. */
static void check_oldest(void)
{
	unsigned char *holder = hold_mib(100), *p[3], *wall[3];
	bool zero = true;

	set(HAK_TUNABLE_ID_big_cache, 8 * MIB);
	for (int i = 0; i < 3; i++) {
		p[i] = take(4 * MIB, 1, &zero);
		wall[i] = take(4 * MIB, 1, &zero);
	}
	for (int i = 0; i < 3; i++) {
		hak_large_free(p[i]);
		usleep(20000);
	}
	is(hak_large_cached(), 8 * MIB);
	ok(slot_of(p[0])->state == HAK_SLOT_FREE && slot_of(p[2])->state == HAK_SLOT_LARGE_INNER,
	   "the oldest goes first");
	for (int i = 0; i < 3; i++)
		hak_large_free(wall[i]);
	hak_large_free(holder);
	empty_cache();
}

/* HAKMEM_ELO_THRESHOLD: that size and more is not kept. */
static void check_threshold(void)
{
	unsigned char *holder = hold_mib(100), *p;
	bool zero = true;

	set(HAK_TUNABLE_ID_big_cache, 64 * MIB);
	set(HAK_TUNABLE_ID_elo_threshold, 6 * MIB);
	p = take(6 * MIB, 1, &zero);
	hak_large_free(p);
	is(hak_large_cached(), 0);
	is(slot_of(p)->state, HAK_SLOT_FREE);
	p = take(6 * MIB - hak_registry.page, 1, &zero);
	hak_large_free(p);
	is(hak_large_cached(), 6 * MIB);
	hak_large_free(holder);
	empty_cache();
}

static void check_resize(void)
{
	bool zero = true;
	unsigned char *p = take(5 * MIB, 1, &zero), *q, *wall;

	fill(p, 5 * MIB);
	q = hak_large_resize(p, 9 * MIB);
	ok(q == p && hak_large_size(p) == 9 * MIB, "grows in place where there is room");
	ok(is_filled(p, 5 * MIB - 4096) && is_zero(p + 5 * MIB, 4 * MIB), "its bytes, and zeros behind them");
	check_block(p, 9 * MIB);
	fill(p, 9 * MIB);
	wall = take(3 * MIB, 1, &zero);
	q = hak_large_resize(p, 40 * MIB);
	ok(q != NULL && q != p && is_filled(q, 9 * MIB - 4096), "else moves its pages");
	check_block(q, 40 * MIB);
	is(hak_large_used(), 43 * MIB);
	fill(q, 40 * MIB);
	p = hak_large_resize(q, 3 * MIB);
	ok(p == q && hak_large_size(p) == 3 * MIB && is_filled(p, 3 * MIB - 4096), "shrinks in place");
	is(hak_large_used(), 6 * MIB);
	is(slot_of(p + 4 * MIB)->state, HAK_SLOT_FREE);
	ok(hak_large_resize(p, 3 * MIB - 1) == p, "to a size of as many pages nothing changes");
	hak_large_free(p);
	hak_large_free(wall);
	is(hak_large_blocks(), 0);
	is(hak_large_used(), 0);
	empty_cache();
}

/* What lies behind a block in the cache is room to grow. */
static void check_grow_into_cache(void)
{
	unsigned char *holder = hold_mib(100), *p, *next;
	bool zero = true;

	p = take(4 * MIB - 8192, 1, &zero);
	next = take(6 * MIB, 1, &zero);
	hold(next == p + 4 * MIB);
	fill(p, 4 * MIB - 8192);
	hak_large_free(next);
	is(hak_large_cached(), 6 * MIB);
	ok(hak_large_resize(p, 7 * MIB) == p && is_filled(p, 4 * MIB - 16384), "grows into what is cached");
	is(hak_large_cached(), 2 * MIB);
	check_block(p, 7 * MIB);
	fill(p, 7 * MIB);
	hak_large_free(p);
	is(hak_large_cached(), 10 * MIB);
	hak_large_free(holder);
	empty_cache();
}

/* ---- from several threads ---- */

enum { threads = 3, rounds = 4000, held = 6 };

static void *churn(void *with)
{
	uint32_t random = *(uint32_t *)with;
	unsigned char *block[held] = {0};
	size_t size[held] = {0};

	for (int i = 0; i < rounds * held; i++) {
		int at = i % held;
		bool zero = false;

		random = random * 1664525u + 1013904223u;
		if (block[at])
			hold(block[at][0] == at + 1 && block[at][size[at] - 1] == at + 1);
		if (block[at])
			hak_large_free(block[at]);
		size[at] = 2 * MIB + 1 + random % (14 * MIB);
		block[at] = take(size[at], 1, &zero);
		if (!block[at])
			break;
		block[at][0] = (unsigned char)(at + 1);
		block[at][size[at] - 1] = (unsigned char)(at + 1);
	}
	for (int at = 0; at < held; at++)
		if (block[at])
			hak_large_free(block[at]);
	return NULL;
}

static size_t slots_in_use(void)
{
	size_t n = 0;

	for (size_t s = 0; s < hak_registry.high; s++)
		n += hak_registry_slot(s)->state != HAK_SLOT_FREE;
	return n;
}

/* When all is over, no slot is lost. */
static void check_threads(void)
{
	static uint32_t seed[threads] = {1, 2, 3};
	unsigned char *holder = hold_mib(200);
	size_t before = slots_in_use() - 100;
	pthread_t thread[threads];

	set(HAK_TUNABLE_ID_big_cache, 1000 * MIB);
	for (int i = 0; i < threads; i++)
		need(pthread_create(&thread[i], NULL, churn, &seed[i]) == 0);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	hak_large_free(holder);
	empty_cache();
	is(hak_large_blocks(), 0);
	is(slots_in_use(), before);
}

/* ---- a kernel that refuses ---- */

static void check_refusals(void)
{
	bool zero = true;
	unsigned char *p, *q;

	set(HAK_TUNABLE_ID_big_cache, 0);
	empty_cache();
	fail_mappings(1, 100);
	ok(hak_large_alloc(3 * MIB, 1, &zero) == NULL, "no memory");
	ok(hak_large_alloc(3 * MIB, 16 * MIB, &zero) == NULL, "no aligned memory");
	fail_none();
	is(hak_large_blocks(), 0);
	p = take(5 * MIB, 1, &zero);
	fill(p, 5 * MIB);
	q = take(5 * MIB, 1, &zero);
	fail_mappings(1, 100);
	ok(hak_large_resize(p, 30 * MIB) == NULL, "no growth");
	ok(hak_large_size(p) == 5 * MIB && is_filled(p, 5 * MIB - 4096), "the block is as it was");
	ok(hak_large_resize(p, 3 * MIB) == p && hak_large_size(p) == 3 * MIB, "a block shrinks");
	fail_none();
	ok(hak_large_resize(p, 5 * MIB) == p && is_filled(p, 5 * MIB - 4096), "what was not taken back is still there");
	check_block(p, 5 * MIB);
	for (unsigned call = 1; call <= 8; call++) {
		unsigned char *moved;

		fill(p, 5 * MIB);
		fail_mappings(call, 1);
		moved = hak_large_resize(p, 30 * MIB);
		fail_none();
		if (moved)
			p = moved;
		hold(hak_large_size(p) == (moved ? 30 * MIB : 5 * MIB) && is_filled(p, 5 * MIB - 4096));
		hold(!moved || hak_large_resize(p, 5 * MIB) == p);
	}
	ok(failures() == 0, "each call of a move can fail");
	fail_mappings(1, 1); /* the kernel has no room for another hole */
	hak_large_free(p);
	fail_none();
	is(hak_large_blocks(), 1);
	ok(is_zero(p, 5 * MIB), "what cannot be unmapped is purged");
	ok(take(5 * MIB, 1, &zero) == p, "and serves another block");
	hak_large_free(p);
	hak_large_free(q);
	is(hak_large_blocks(), 0);
}

/* The kernel takes nothing back.  What cannot be unmapped waits for another large block, and when memory is short, for smaller
 * ones. */
static void check_stranded(void)
{
	size_t high, before = hak_superslab_count(), all = hak_pool_counts().used;
	bool zero = false;
	unsigned char *p;

	empty_cache();
	refuse(HAK_FAULT_UNMAP, ENOMEM);
	p = take(20 * MIB - 4096, 1, &zero);
	high = hak_load(&hak_registry.high, relaxed);
	for (int i = 0; i < 100; i++) {
		fill(p, 20 * MIB - 4096);
		hak_large_free(p);
		p = take(20 * MIB - 4096, 1, &zero);
	}
	is(hak_load(&hak_registry.high, relaxed), high);
	fill(p, 20 * MIB - 4096);
	hak_large_free(p);
	empty_cache();
	is(hak_superslab_count() - before, 10);
	for (int i = 0; i < 10; i++) {
		p = hak_mid_alloc(0, 2 * MIB, 1, &zero);
		hold(p != NULL && is_zero(p, 2 * MIB));
	}
	is(hak_pool_counts().used - all, 320);
	is(hak_load(&hak_registry.high, relaxed), high);
	fail_none();
}

static void check_absurd(void)
{
	bool zero = false;

	ok(hak_large_alloc(SIZE_MAX, 1, &zero) == NULL, "SIZE_MAX");
	ok(hak_large_alloc(SIZE_MAX - 4096, 1, &zero) == NULL, "SIZE_MAX - 4096");
	ok(hak_large_alloc(PTRDIFF_MAX, 1, &zero) == NULL, "PTRDIFF_MAX");
	ok(hak_large_alloc(1, SIZE_MAX / 4 + 1, &zero) == NULL, "an alignment of a quarter of all addresses");
	is(hak_large_blocks(), 0);
}

/* Nor is anything touched for them: the tables stay as they are, whether something is cached or to be made longer. */
static void check_absurd_growth(void)
{
	unsigned char *holder = hold_mib(100), *p, *absurd;
	size_t covered = hak_registry_slabs(), huge = (size_t)((uint64_t)1 << 43); /* with 32 bits the program ends before */
	bool zero = true;

	set(HAK_TUNABLE_ID_big_cache, 64 * MIB);
	p = take(8 * MIB, 1, &zero);
	hak_large_free(p);
	is(hak_large_cached(), 8 * MIB);
	absurd = hak_large_alloc(huge, 1, &zero);
	if (absurd) {
		hak_large_free(absurd);
		skip("the kernel gives 8 TiB");
	} else {
		p = take(8 * MIB, 1, &zero);
		ok(hak_large_resize(p, huge) == NULL, "8 TiB, by growth");
		is(hak_registry_slabs(), covered);
		hak_large_free(p);
	}
	hak_large_free(holder);
	empty_cache();
}

int main(void)
{
	start_window();
	check_sizes();
	check_alignments();
	check_cache();
	check_limit();
	check_oldest();
	check_threshold();
	check_resize();
	check_grow_into_cache();
	check_refusals();
	check_absurd();
	check_absurd_growth();
	check_threads();
	check_stranded();
	return done();
}
