/* SPDX-License-Identifier: MIT */
/* The room bigcache: best fit, cutting and joining, its places; random operations against a map of all slots, alone and
 * from two threads.  Links: rooms. */
#include "bigcache.h"

#include <pthread.h>

#include "tap.h"

static bool put(size_t slot, size_t slots, uint32_t stamp)
{
	return hak_bigcache_put((struct hak_extent){slot, slots, stamp, 0});
}

static bool is_extent(struct hak_extent e, size_t slot, size_t slots)
{
	if (e.slot != slot || e.slots != slots)
		note("got %zu + %zu, expected %zu + %zu", e.slot, e.slots, slot, slots);
	return e.slot == slot && e.slots == slots;
}

static void empty(void)
{
	while (hak_bigcache_take_oldest(1000, 0).slots > 0)
		;
	is(hak_bigcache_slots(), 0);
}

static void check_fit(void)
{
	ok(hak_bigcache_take(0, 1).slots == 0, "nothing in it");
	put(100, 9, 1);
	put(200, 5, 2);
	put(300, 7, 3);
	is(hak_bigcache_slots(), 21);
	ok(is_extent(hak_bigcache_take(0, 5), 200, 5), "just that size");
	ok(is_extent(hak_bigcache_take(0, 6), 300, 6), "the smallest that is large enough, cut");
	is(hak_bigcache_slots(), 10);
	ok(is_extent(hak_bigcache_take(0, 20), 100, 9), "the largest, if none is large enough");
	ok(is_extent(hak_bigcache_take(0, 2), 306, 1), "then what was left over");
	is(hak_bigcache_slots(), 0);
}

static void check_join(void)
{
	put(10, 5, 1);
	put(20, 5, 2);
	ok(is_extent(hak_bigcache_take(0, 6), 10, 5) || is_extent(hak_bigcache_take(0, 6), 20, 5), "apart");
	empty();
	put(10, 5, 1);
	put(20, 5, 2);
	put(15, 5, 3);
	is(hak_bigcache_slots(), 15);
	ok(hak_bigcache_take_oldest(4, 2).slots == 0, "as young as its youngest part");
	ok(is_extent(hak_bigcache_take_oldest(4, 1), 10, 15), "joined with both neighbours");
	put(10, 5, 1);
	put(5, 5, 1);
	ok(is_extent(hak_bigcache_take(0, 10), 5, 10), "with the one behind");
	put(5, 5, 1);
	put(10, 5, 1);
	ok(is_extent(hak_bigcache_take(0, 10), 5, 10), "with the one before");
	is(hak_bigcache_slots(), 0);
}

static void check_at(void)
{
	put(50, 10, 1);
	ok(!hak_bigcache_take_at(0, 51, 2), "not from within");
	ok(!hak_bigcache_take_at(0, 50, 11), "not more than there is");
	ok(!hak_bigcache_take_at(0, 49, 2), "not before it");
	ok(hak_bigcache_take_at(0, 50, 4), "its start");
	ok(is_extent(hak_bigcache_take(0, 6), 54, 6), "the rest stays");
	put(50, 10, 1);
	ok(hak_bigcache_take_at(0, 50, 10) && hak_bigcache_slots() == 0, "all of it");
}

static void check_nodes(void)
{
	struct hak_extent near = {10, 5, 1, 1}, far = {15, 5, 1, 2};

	hold(hak_bigcache_put(near) && hak_bigcache_put(far));
	ok(hak_bigcache_take(0, 5).slots == 0, "nothing of that node");
	ok(is_extent(hak_bigcache_take(2, 20), 15, 5), "of the node only, and not joined with a neighbour of another");
	hold(hak_bigcache_put(far));
	ok(!hak_bigcache_take_at(1, 15, 5) && hak_bigcache_take_at(2, 15, 5), "also where it is wanted");
	ok(is_extent(hak_bigcache_take_oldest(20, 0), 10, 5), "the oldest of any node");
}

static void check_oldest(void)
{
	put(10, 1, UINT32_MAX - 5);
	put(20, 1, 10);
	put(30, 1, UINT32_MAX - 50);
	put(40, 1, 25); /* by a thread that looked at the clock after us */
	ok(hak_bigcache_take_oldest(20, 72).slots == 0, "none as old");
	ok(is_extent(hak_bigcache_take_oldest(20, 71), 30, 1), "the oldest, also where the clock wraps");
	ok(is_extent(hak_bigcache_take_oldest(20, 0), 10, 1), "then the next");
	ok(is_extent(hak_bigcache_take_oldest(20, 1), 20, 1), "then the next");
	ok(hak_bigcache_take_oldest(20, 1).slots == 0, "what has a later stamp is new");
	ok(is_extent(hak_bigcache_take_oldest(20, 0), 40, 1), "but goes if age does not matter");
}

static void check_places(void)
{
	for (size_t i = 0; i < HAK_BIGCACHE_PLACES; i++)
		hold(put(i * 10, 3, (uint32_t)i));
	is(hak_bigcache_slots(), 3 * HAK_BIGCACHE_PLACES);
	ok(!put(5, 1, 0), "no place left");
	is(hak_bigcache_slots(), 3 * HAK_BIGCACHE_PLACES);
	ok(put(3, 1, 0), "but for a neighbour");
	ok(hak_bigcache_take_at(0, 0, 4) && put(5, 1, 0), "and where one was taken");
	empty();
}

/* ---- random operations ---- */

enum { map_slots = 400, rounds = 200000 };

static uint8_t map[map_slots]; /* 1: in the cache, or on its way there */

static uint32_t next_random(uint32_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 17;
	return *random ^= *random << 5;
}

/* They leave the cache: each was in it once. */
static void took(size_t slot, size_t slots)
{
	hold(slot + slots <= map_slots);
	for (size_t i = slot; i < slot + slots && i < map_slots; i++)
		hold(__atomic_exchange_n(&map[i], 0, __ATOMIC_ACQ_REL) == 1);
}

/* A run from `slot` on that is in nobody's hands; claimed by whoever sets all of the map. */
static size_t claim(size_t slot, size_t most)
{
	size_t n = 0;

	while (n < most && slot + n < map_slots) {
		uint8_t none = 0;
		if (!__atomic_compare_exchange_n(&map[slot + n], &none, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			break;
		n++;
	}
	return n;
}

static void random_put(uint32_t *random)
{
	size_t slot = next_random(random) % map_slots, n = claim(slot, 1 + next_random(random) % 12);

	if (n > 0 && !put(slot, n, next_random(random) % 100))
		took(slot, n);
}

static void random_step(uint32_t *random)
{
	size_t slot = next_random(random) % map_slots, slots = 1 + next_random(random) % 10;
	struct hak_extent e = {0};

	switch (next_random(random) % 5) {
	case 0:
		e = hak_bigcache_take(0, slots);
		hold(e.slots <= slots);
		break;
	case 1:
		if (hak_bigcache_take_at(0, slot, slots))
			e = (struct hak_extent){slot, slots, 0, 0};
		break;
	case 2:
		e = hak_bigcache_take_oldest(100, 20);
		break;
	default:
		random_put(random);
	}
	took(e.slot, e.slots);
}

/* B1: no more extents than runs of the map, by emptying it: each run comes out as one. */
static void check_whole(void)
{
	size_t runs = 0, extents = 0, n;

	for (size_t i = 0; i < map_slots; i++)
		runs += map[i] && (i == 0 || !map[i - 1]);
	for (;;) {
		struct hak_extent e = hak_bigcache_take(0, map_slots);
		if (e.slots == 0)
			break;
		n = e.slot;
		hold((n == 0 || !map[n - 1]) && (n + e.slots == map_slots || !map[n + e.slots]));
		extents++;
		took(e.slot, e.slots);
	}
	hold(extents == runs);
	hold(hak_bigcache_slots() == 0);
}

static void check_random(void)
{
	uint32_t random = 1;

	for (int i = 0; i < rounds; i++) {
		random_step(&random);
		if (i % 16 == 0) {
			size_t cached = 0;
			for (size_t s = 0; s < map_slots; s++)
				cached += map[s];
			hold(hak_bigcache_slots() == cached);
		}
		if (i % 1000 == 999)
			check_whole();
	}
	ok(failures() == 0, "%d random operations", rounds);
}

static void *random_thread(void *with)
{
	uint32_t random = *(uint32_t *)with;

	for (int i = 0; i < rounds; i++)
		random_step(&random);
	return NULL;
}

static void check_threads(void)
{
	static uint32_t seed[2] = {5, 6};
	pthread_t thread[2];

	for (int i = 0; i < 2; i++)
		need(pthread_create(&thread[i], NULL, random_thread, &seed[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	check_whole();
	ok(failures() == 0, "the same from two threads");
}

/* A signal handler that interrupts who is inside gets nothing, and what is there stays. */
static void check_locked(void)
{
	put(50, 10, 1);
	hak_bigcache_lock();
	ok(!put(70, 3, 1), "inside: nothing is put");
	ok(hak_bigcache_take(0, 10).slots == 0, "nothing is taken");
	ok(!hak_bigcache_take_at(0, 50, 10), "nor just that");
	ok(hak_bigcache_take_oldest(1000, 0).slots == 0, "nor the oldest");
	hak_bigcache_unlock();
	ok(is_extent(hak_bigcache_take(0, 10), 50, 10), "after it, all is there");
	is(hak_bigcache_slots(), 0);
}

int main(void)
{
	check_fit();
	check_locked();
	check_join();
	check_at();
	check_nodes();
	check_oldest();
	check_places();
	check_random();
	check_threads();
	return done();
}
