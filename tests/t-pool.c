/* SPDX-License-Identifier: MIT */
/* The room pool: runs, batches, dirt and hints, against a plain array.  With several threads: t-model-pool.  Links: rooms. */
#include "pool.h"

#include "random.h"
#include "tap.h"

enum { slot_count = 5, slab_count = slot_count * 32 };

static bool is_free[slab_count], is_dirty[slab_count];

/* ---- the array ---- */

static bool run_is_free(size_t number, unsigned k)
{
	for (unsigned i = 0; i < k; i++)
		if (number / 32 != (number + i) / 32 || !is_free[number + i])
			return false;
	return true;
}

static void took(size_t number, unsigned k)
{
	hold(run_is_free(number, k));
	for (unsigned i = 0; i < k; i++)
		is_free[number + i] = is_dirty[number + i] = false;
}

static void gave(size_t number, unsigned k, bool dirty)
{
	for (unsigned i = 0; i < k; i++) {
		hold(!is_free[number + i]);
		is_free[number + i] = true;
		is_dirty[number + i] = dirty;
	}
}

static bool has_run(unsigned k, unsigned align)
{
	for (size_t i = 0; i < slab_count; i += align)
		if (run_is_free(i, k))
			return true;
	return false;
}

static void check_words(void)
{
	unsigned free = 0, dirty = 0;

	for (size_t i = 0; i < slab_count; i++) {
		uint64_t word = hak_registry_slot(i / 32)->word;

		hold((word >> i % 32 & 1) == is_free[i]);
		hold((word >> (32 + i % 32) & 1) == (is_free[i] && is_dirty[i]));
		free += is_free[i];
		dirty += is_free[i] && is_dirty[i];
	}
	hold(hak_pool_counts().used == slab_count - free);
	hold(hak_pool_counts().dirty == dirty);
}

/* ---- steps ---- */

static bool give_run(size_t number, unsigned k, bool dirty)
{
	gave(number, k, dirty);
	return hak_pool_give(number / 32, hak_low_mask(k) << number % 32, dirty);
}

static void step_take(void)
{
	unsigned k = 1 + random_below(random_below(4) ? 8 : 32), align = 1u << random_below(6);
	struct hak_run run;

	if (random_below(2))
		align = 1;
	if (!hak_pool_take(0, k, align, &run)) {
		hold(!has_run(k, align));
		return;
	}
	hold(run.slabs == k && run.number % align == 0);
	if (run.dirty) {
		bool any = false;
		for (unsigned i = 0; i < k; i++)
			any |= is_dirty[run.number + i];
		hold(any);
	}
	took(run.number, k);
}

static void step_take_many(void)
{
	unsigned n = 1 + random_below(8);
	uint32_t dirty = 0, mask;
	size_t slot = 0;

	mask = hak_pool_take_many(0, n, &slot, &dirty);
	hold(mask != 0 || !has_run(1, 1));
	hold(hak_count_bits(mask) <= n);
	for (unsigned i = 0; i < 32; i++)
		if (mask >> i & 1) {
			hold((dirty >> i & 1) == is_dirty[slot * 32 + i]);
			took(slot * 32 + i, 1);
		}
	if (hak_count_bits(mask) < n) /* then there were no more of this slot */
		hold(mask == 0 || (uint32_t)hak_registry_slot(slot)->word == 0);
}

static void step_take_at(void)
{
	size_t number = random_below(slab_count);
	unsigned k = 1 + random_below(6);
	bool dirty, can = run_is_free(number, k);

	hold(hak_pool_take_at(number, k, &dirty) == can);
	if (can)
		took(number, k);
}

static void step_give(void)
{
	size_t number = random_below(slab_count);
	unsigned k = 1;

	if (is_free[number])
		return;
	while ((number + k) / 32 == number / 32 && !is_free[number + k] && random_below(4))
		k++;
	hold(give_run(number, k, random_below(2)) == run_is_free(number / 32 * 32, 32));
}

static void step_purge(void)
{
	size_t slot = random_below(slot_count);
	uint32_t mask = hak_pool_take_free(slot, false);

	for (unsigned i = 0; i < 32; i++) {
		size_t number = slot * 32 + i;

		hold((mask >> i & 1) == (is_free[number] && is_dirty[number]));
		if (mask >> i & 1) {
			took(number, 1);
			give_run(number, 1, false);
		}
	}
}

static void check_many_steps(void)
{
	for (int i = 0; i < 60000; i++) {
		switch (random_below(8)) {
		case 0:
			step_take();
			break;
		case 1:
			step_take_many();
			break;
		case 2:
			step_take_at();
			break;
		case 3:
			step_purge();
			break;
		default:
			step_give();
			break;
		}
		if (i % 16 == 0)
			check_words();
	}
	ok(failures() == 0, "60000 steps against an array");
}

/* ---- by hand ---- */

static void give_all(void)
{
	for (size_t i = 0; i < slab_count; i++)
		if (!is_free[i])
			give_run(i, 1, false);
}

static void check_order(void)
{
	struct hak_run run;
	uint32_t dirty;
	size_t slot;

	give_all();
	step_purge();
	for (size_t s = 0; s < slot_count; s++)
		for (uint32_t mask = hak_pool_take_free(s, false); mask; mask &= mask - 1) {
			took(s * 32 + hak_lowest_bit(mask), 1);
			give_run(s * 32 + hak_lowest_bit(mask), 1, false);
		}
	need(hak_pool_take(0, 1, 1, &run));
	is(run.number, 0);
	took(0, 1);
	need(hak_pool_take(0, 3, 1, &run));
	is(run.number, 1);
	took(1, 3);
	need(hak_pool_take(0, 4, 4, &run));
	is(run.number, 4);
	took(4, 4);
	give_run(1, 1, false);
	give_run(2, 1, true);
	need(hak_pool_take(0, 1, 1, &run));
	ok(run.number == 2 && run.dirty, "dirty memory first, as it costs no fault");
	took(2, 1);
	need(hak_pool_take(0, 32, 1, &run));
	is(run.number, 32);
	took(32, 32);
	is(hak_pool_take_many(0, 2, &slot, &dirty), 0x102);
	took(1, 1);
	took(8, 1);
	ok(!hak_pool_take(0, 4, 1, &run) || run.number == 9, "the lowest run");
	took(9, 4);
	give_run(32, 4, true);
	need(hak_pool_take(0, 4, 1, &run));
	ok(run.number == 32 && run.dirty, "or one that is dirty as a whole, wherever");
	took(32, 4);
}

static uint32_t dirty_mask;

static void check_whole(void)
{
	struct hak_run run;

	give_all();
	ok(hak_pool_take_whole(2, &dirty_mask), "a whole SuperSlab");
	took(64, 32);
	ok(!hak_pool_take_whole(2, &dirty_mask), "only once");
	for (int i = 0; i < 4; i++) {
		need(hak_pool_take(0, 32, 1, &run));
		hold(run.number != 64);
		took(run.number, 32);
	}
	ok(!hak_pool_take(0, 1, 1, &run), "nothing is left");
	ok(!give_run(64, 31, false), "31 given back are not all");
	ok(!hak_pool_take_whole(2, &dirty_mask), "and cannot be taken as a whole");
	ok(give_run(95, 1, false), "32 are");
	hold(hak_pool_take_whole(2, &dirty_mask));
	took(64, 32);
	hak_pool_remove(2);
	is(hak_pool_counts().used, 4 * 32);
	hak_pool_add(2, UINT32_MAX);
	gave(64, 32, false);
	give_all();
	check_words();
}

static bool takes(uint32_t node, unsigned k, size_t number)
{
	struct hak_run run;

	if (!hak_pool_take(node, k, 1, &run) || run.number != number)
		return false;
	took(number, k);
	return true;
}

/* Each node has its own SuperSlabs, and its own place where searches begin. */
static void check_nodes(void)
{
	struct hak_run run;
	uint32_t dirty;
	size_t slot;

	give_all();
	hak_registry_slot(1)->node = hak_registry_slot(3)->node = 7;
	ok(takes(7, 32, 32) && takes(7, 2, 96), "a node's own SuperSlabs, the lowest first");
	ok(hak_pool_take_many(7, 32, &slot, &dirty) == 0xfffffffc && slot == 3, "many of one");
	took(98, 30);
	ok(!hak_pool_take(7, 1, 1, &run) && hak_pool_take_many(7, 1, &slot, &dirty) == 0, "and no others");
	ok(takes(0, 1, 0), "another node begins at its own lowest");
	give_run(40, 3, false);
	ok(takes(0, 3, 1) && takes(7, 1, 40), "what is given back is the node's");
	ok(takes(HAK_NODE_ANY, 1, 4) && takes(HAK_NODE_ANY, 32, 64), "any node: the lowest of all");
	give_all();
	hak_registry_slot(1)->node = hak_registry_slot(3)->node = 0;
	check_words();
}

/* A process that forked while a thread was between word and bit: the bit is there again. */
static void check_fork(void)
{
	struct hak_run run;

	give_all();
	for (int i = 0; i < slot_count; i++) {
		need(hak_pool_take(0, 32, 1, &run));
		took(run.number, 32);
	}
	hold(!hak_pool_take(0, 1, 1, &run));
	hak_registry_slot(3)->word = 1u << 7; /* as a giver that got no further */
	hold(!hak_pool_take(0, 1, 1, &run));
	hak_pool_after_fork();
	ok(hak_pool_take(0, 1, 1, &run) && run.number == 3 * 32 + 7, "after a fork every free slab is found");
}

int main(void)
{
	need(hak_registry_start());
	need(hak_registry_claim_at(0, slot_count));
	for (size_t s = 0; s < slot_count; s++) {
		hak_pool_add(s, UINT32_MAX);
		gave(s * 32, 32, false);
	}
	is(hak_pool_counts().used, 0);
	check_words();
	check_order();
	check_whole();
	check_nodes();
	check_many_steps();
	check_fork();
	return done();
}
