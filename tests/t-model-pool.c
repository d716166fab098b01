/* SPDX-License-Identifier: MIT */
/* The shared pool in all schedules of short scripts: no slab is handed out twice, none is lost, L1 to L3 of pool.h hold.
 * Links: model (nothing; its room is included). */
#include "explore.h"

#include "../lib/pool.c"

enum { slot_count = 3 };

HAK_DEF struct hak_registry hak_registry;

static struct hak_slot slots[slot_count];
static unsigned owner[slot_count][HAK_SS_SLABS]; /* thread + 1; 0: the pool's or nobody's */
static uint32_t expected_free[slot_count];       /* when all have ended */
static uint32_t start_dirty;

/* ---- the world ---- */

static void start_with(uint32_t first, uint32_t second, uint32_t dirty_first)
{
	const uint32_t masks[slot_count] = {first, second, 0};

	memset(slots, 0, sizeof(slots));
	memset(owner, 0, sizeof(owner));
	pool_first = 0;
	hak_pool_counters = 0;
	for (unsigned h = 0; h < POOL_HINTS; h++)
		pool_hints[0][h] = 0;
	hak_registry.slots = slots + slot_count;
	hak_registry.slabs = slot_count * HAK_SS_SLABS;
	hak_registry.high = slot_count;
	for (size_t s = 0; s < slot_count; s++) {
		expected_free[s] = masks[s];
		if (masks[s])
			hak_pool_add(s, masks[s]);
	}
	start_dirty = dirty_first;
	if (dirty_first) {
		hak_registry_slot(0)->word |= (uint64_t)dirty_first << 32;
		pool_count(0, (int)hak_count_bits(dirty_first));
	}
	/* what is not free is in nobody's hands and not counted */
}

static void own(size_t slot, uint32_t mask)
{
	for (; mask; mask &= mask - 1) {
		unsigned *who = &owner[slot][hak_lowest_bit(mask)];

		model_require(*who == 0);
		*who = model_self() + 1;
	}
}

static void disown(size_t slot, uint32_t mask)
{
	for (; mask; mask &= mask - 1) {
		unsigned *who = &owner[slot][hak_lowest_bit(mask)];

		model_require(*who == model_self() + 1);
		*who = 0;
	}
}

static void give(size_t slot, uint32_t mask, bool dirty)
{
	disown(slot, mask);
	hak_pool_give(slot, mask, dirty);
}

static uint32_t run_mask(const struct hak_run *run)
{
	return hak_low_mask(run->slabs) << run->number % HAK_SS_SLABS;
}

static bool take(unsigned k, unsigned align, struct hak_run *run)
{
	if (!hak_pool_take(0, k, align, run))
		return false;
	model_require(run->slabs == k && run->number % align == 0);
	own(run->number / HAK_SS_SLABS, run_mask(run));
	return true;
}

static uint32_t take_many(unsigned n, size_t *slot)
{
	uint32_t dirty = 0, mask = hak_pool_take_many(0, n, slot, &dirty);

	model_require(hak_count_bits(mask) <= n && (dirty & ~mask) == 0);
	if (mask)
		own(*slot, mask);
	return mask;
}

/* ---- at the end ---- */

static void check_words(void)
{
	unsigned dirty = 0;

	for (size_t s = 0; s < slot_count; s++) {
		uint64_t word = hak_registry_slot(s)->word;

		model_require((uint32_t)word == expected_free[s]);
		model_require((word >> 32 & ~word) == 0);                 /* L1 */
		model_require(word == 0 || (pool_first >> s & 1) != 0); /* L3 */
		dirty += hak_count_bits(word >> 32);
		for (unsigned i = 0; i < HAK_SS_SLABS; i++)
			model_require(owner[s][i] == 0);
	}
	model_require(hak_pool_counts().used == 0);
	model_require(hak_pool_counts().dirty == dirty);
}

/* Every slab can still be found. */
static void check_found(void)
{
	struct hak_run run;

	for (size_t s = 0; s < slot_count; s++)
		for (uint32_t mask = expected_free[s]; mask; mask &= mask - 1)
			model_require(hak_pool_take(0, 1, 1, &run));
	model_require(!hak_pool_take(0, 1, 1, &run));
}

static void check(void)
{
	check_words();
	check_found();
}

/* ---- scripts ---- */

static void take_one_give(void)
{
	size_t slot;
	uint32_t mask = take_many(1, &slot);

	if (mask)
		give(slot, mask, true);
}

static void take_one_give_twice(void)
{
	take_one_give();
	take_one_give();
}

static void take_two_give_apart(void)
{
	size_t slot;
	uint32_t mask = take_many(2, &slot), low = mask & -mask;

	if (low)
		give(slot, low, false);
	if (mask & ~low)
		give(slot, mask & ~low, true);
}

static void take_pair_give(void)
{
	struct hak_run run;

	if (take(2, 1, &run))
		give(run.number / HAK_SS_SLABS, run_mask(&run), true);
}

static void take_aligned_give(void)
{
	struct hak_run run;

	if (take(2, 2, &run))
		give(run.number / HAK_SS_SLABS, run_mask(&run), false);
}

static void purge(void)
{
	uint32_t mask = hak_pool_take_free(0, false);

	if (!mask)
		return;
	own(0, mask);
	give(0, mask, false);
}

static void take_next_give(void)
{
	struct hak_run run;
	bool dirty;

	if (!take(1, 1, &run))
		return;
	if (hak_pool_take_at(run.number + 1, 1, &dirty)) {
		own(run.number / HAK_SS_SLABS, run_mask(&run) << 1);
		give(run.number / HAK_SS_SLABS, run_mask(&run) << 1, true);
	}
	give(run.number / HAK_SS_SLABS, run_mask(&run), true);
}

static uint32_t dirty_mask;

/* As superslab does: takes a whole one, unmaps it, maps it again. */
static void unmap_and_map(void)
{
	if (!hak_pool_take_whole(0, &dirty_mask))
		return;
	own(0, UINT32_MAX);
	hak_pool_remove(0);
	disown(0, UINT32_MAX);
	hak_pool_add(0, UINT32_MAX);
}

/* A new SuperSlab comes while others look for slabs. */
static void map_third(void)
{
	expected_free[2] = 3;
	hak_pool_add(2, 3);
}

/* ---- tags: who is given a block finds its heap, though the slab has had others ---- */

static _Atomic uint32_t tags[slot_count * HAK_SS_SLABS];
static _Atomic size_t handed; /* a block that is between two threads: number of its slab * 4 + its heap; 0: none */
static bool is_home[3];
static bool is_careless; /* the tag goes after the slab */

static void make_tags(void)
{
	start_with(1u << 5, 0, 0);
	hak_registry.tags = tags;
	memset(tags, 0, sizeof(tags));
	memset(is_home, 0, sizeof(is_home));
	handed = 0;
	is_careless = false;
}

static void make_tags_carelessly(void)
{
	make_tags();
	is_careless = true;
}

/* A heap takes a slab and hands a block out; when it is home again the slab goes back. */
static void hand_out(uint32_t heap)
{
	size_t slot, number;
	uint32_t mask = take_many(1, &slot);

	if (!mask)
		return;
	number = slot * HAK_SS_SLABS + hak_lowest_bit(mask);
	model_require(hak_registry_tag(number) == 0); /* L2 */
	hak_registry_set_tags(number, 1, heap);
	hak_store(&handed, number * 4 + heap, release);
	if (hak_swap(&handed, 0, acq_rel) == 0)
		while (!is_home[heap])
			model_sleep(&is_home[heap]);
	if (is_careless) {
		give(slot, mask, true);
		hak_registry_set_tags(number, 1, 0);
	} else {
		hak_registry_set_tags(number, 1, 0);
		give(slot, mask, true);
	}
}

static void hand_out_first(void)
{
	hand_out(1);
}

static void hand_out_second(void)
{
	hand_out(2);
}

/* Frees what it is given: whose is it? */
static void free_handed(void)
{
	size_t block = hak_swap(&handed, 0, acq_rel);

	if (!block)
		return;
	model_require(hak_registry_tag(block / 4) == block % 4);
	is_home[block % 4] = true;
	model_wake_all(&is_home[block % 4]);
}

static void free_handed_twice(void)
{
	free_handed();
	free_handed();
}

static void check_tags(void)
{
	for (size_t i = 0; i < slot_count * HAK_SS_SLABS; i++)
		model_require(tags[i] == 0);
	check();
}

/* What hak_pool_take must not do: clears the bit of an empty word without a second look at the word. */
static void take_carelessly(void)
{
	struct hak_slot *slot = hak_registry_slot(0);
	uint64_t old = hak_load(&slot->word, relaxed);
	uint32_t mask = (uint32_t)old & -(uint32_t)old;

	if (!mask || !pool_try_take(slot, &old, mask))
		return;
	own(0, mask);
	if ((uint32_t)old == mask)
		hak_fetch_and(&pool_first, ~UINT64_C(1), acq_rel);
	give(0, mask, true);
}

/* ---- worlds ---- */

static void one_slab(void)
{
	start_with(0, 1u << 5, 0);
}
static void two_slabs_apart(void)
{
	start_with(1u << 31, 1, 1u << 31);
}
static void a_few(void)
{
	start_with(0x36, 3, 0x12);
}
static void whole_and_one(void)
{
	start_with(UINT32_MAX, 1, 0xff);
}
static void a_pair(void)
{
	start_with(3, 0, 0);
}
static void nothing(void)
{
	start_with(0, 0, 0);
}

int main(void)
{
	static const struct {
		const char *name;
		struct model model;
	} models[] = {
		{"two for one slab", {one_slab, {take_one_give_twice, take_one_give_twice}, check, 3}},
		{"three for one slab", {one_slab, {take_one_give, take_one_give, take_one_give}, check, 2}},
		{"three for two slabs",
		 {two_slabs_apart, {take_one_give, take_two_give_apart, take_one_give}, check, 2}},
		{"runs and singles", {a_few, {take_pair_give, take_two_give_apart}, check, 4}},
		{"aligned and unaligned", {a_few, {take_pair_give, take_aligned_give, take_one_give}, check, 2}},
		{"a purger among takers", {a_few, {take_pair_give, purge, take_two_give_apart}, check, 2}},
		{"two purgers", {a_few, {purge, take_one_give, purge}, check, 3}},
		{"growth in place", {a_few, {take_next_give, take_two_give_apart}, check, 3}},
		{"growth in place, three", {a_few, {take_next_give, take_next_give, purge}, check, 2}},
		{"a whole SuperSlab", {whole_and_one, {unmap_and_map, take_two_give_apart}, check, 4}},
		{"two for a whole SuperSlab", {whole_and_one, {unmap_and_map, unmap_and_map, take_one_give}, check, 2}},
		{"a new SuperSlab", {nothing, {map_third, take_one_give_twice, take_pair_give}, check, 2}},
		{"tags, when a slab changes hands",
		 {make_tags, {hand_out_first, hand_out_second, free_handed_twice}, check_tags, 3}},
	};
	static const struct model careless_tags = {
		make_tags_carelessly, {hand_out_first, hand_out_second, free_handed_twice}, check_tags, 3};
	static const struct model careless = {a_pair, {take_carelessly, take_carelessly}, check, 3};

	explore_or_skip_all();
	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
		explore_good(models[i].name, &models[i].model);
	explore_bad("a bit cleared without a second look", &careless);
	explore_bad("a tag that goes after its slab", &careless_tags);
	return done();
}
