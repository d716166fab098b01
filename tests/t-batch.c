/* SPDX-License-Identifier: MIT */
/* The room batch: purges by volume, by age and on demand, and what happens when the kernel refuses.  Links: rooms. */
#include "batch.h"

#include <unistd.h>

#include "fails.h"
#include "os.h"
#include "superslab.h"
#include "tap.h"
#include "tunables.h"
#include "window.h"

#define MIB ((size_t)1 << 20)

enum { superslabs = 8 };

static void set(unsigned id, size_t value)
{
	need(hak_tunables_set_value(id, value) == 0);
}

static size_t dirty(void)
{
	return hak_pool_counts().dirty * HAK_SLAB_SIZE;
}

static void take_all(void)
{
	struct hak_run run;

	while (hak_pool_take(0, 1, 1, &run))
		hak_registry_address(run.number)[100] = 1;
	is(hak_pool_counts().used, superslabs * 32);
}

static void check_volume(void)
{
	size_t least = SIZE_MAX; /* since the budget was used up: an eighth of it goes, and the rest of a SuperSlab */

	take_all();
	set(HAK_TUNABLE_ID_dirty_min, 8 * MIB);
	set(HAK_TUNABLE_ID_dirty_percent, 0);
	is(hak_batch_budget(), 8 * MIB);
	for (size_t i = 0; i < superslabs * 32; i++) {
		hak_batch_give(i / 32, 1u << i % 32, true);
		hold(dirty() <= 8 * MIB);
		if ((i + 1) * HAK_SLAB_SIZE >= 8 * MIB && dirty() < least)
			least = dirty();
	}
	ok(failures() == 0, "never more dirty than the budget");
	ok(least >= 6 * MIB, "but three quarters of it at least: %zu KiB", least >> 10);
	is(hak_pool_counts().used, 0);
	ok(hak_registry_address(5)[100] == 1, "the lowest addresses are kept longest");
}

/* However often, it looks at no slot above those that there are: the tables end behind slot 1023. */
static void check_top(void)
{
	struct hak_run run;

	set(HAK_TUNABLE_ID_dirty_min, 0);
	set(HAK_TUNABLE_ID_dirty_percent, 0);
	for (int i = 0; i < 40000; i++) {
		need(hak_pool_take(0, 1, 1, &run));
		hak_batch_give(run.number / 32, 1u << run.number % 32, true);
		hold(dirty() == 0);
	}
	set(HAK_TUNABLE_ID_decay_ms, 1);
	usleep(120000);
	hak_batch_tick();
	set(HAK_TUNABLE_ID_decay_ms, 1000);
	ok(failures() == 0, "many purges by volume, then one by age");
}

/* ---- SuperSlabs with huge pages ---- */

static void set_huge(size_t slot)
{
	hak_store(&hak_registry_slot(slot)->huge, 1, relaxed);
}

static bool is_huge(size_t slot)
{
	return hak_load(&hak_registry_slot(slot)->huge, relaxed);
}

/* Purges by volume go elsewhere first; without need they break nothing up. */
static void check_huge_volume(void)
{
	take_all();
	set(HAK_TUNABLE_ID_dirty_percent, 0);
	set(HAK_TUNABLE_ID_dirty_min, 1000 * MIB);
	set_huge(superslabs - 1);
	set_huge(superslabs - 2);
	hak_batch_give(superslabs - 2, 0xff, false); /* nothing dirty */
	hak_batch_give(superslabs - 1, 0xff, true);
	hak_batch_give(0, UINT32_MAX, true);
	set(HAK_TUNABLE_ID_dirty_min, MIB);
	hak_batch_give(1, 0xff, true);
	ok(dirty() == 8 * HAK_SLAB_SIZE && is_huge(superslabs - 1), "what has no huge page is purged first");
	set(HAK_TUNABLE_ID_dirty_min, 0);
	hak_batch_give(1, 0xff00, true);
	ok(dirty() == 0 && !is_huge(superslabs - 1), "then what has");
	ok(is_huge(superslabs - 2), "but not where nothing is dirty");
}

/* A huge page that was broken up is not purged again; one that is whole and clean neither. */
static void check_huge_trim(void)
{
	size_t bytes;

	bytes = hak_batch_purge_all();
	ok(bytes == 8 * HAK_SLAB_SIZE && !is_huge(superslabs - 2), "trim gives back what a huge page made present");
	is(hak_batch_purge_all(), 0);
	hak_batch_give(superslabs - 2, 0xffffff00, true);
	set_huge(superslabs - 2);
	set(HAK_TUNABLE_ID_dirty_min, 1000 * MIB);
	hak_batch_give(superslabs - 1, 0xffffff00, true);
	set_huge(superslabs - 1);
	is(hak_batch_purge_all(), 2 * MIB);
	ok(is_huge(superslabs - 1), "a SuperSlab that is purged as a whole keeps its huge page");
	is(hak_batch_purge_all(), 0);
	hak_store(&hak_registry_slot(superslabs - 1)->huge, 0, relaxed);
	hak_store(&hak_registry_slot(superslabs - 2)->huge, 0, relaxed);
}

/* Of a huge page in use a few free slabs are not worth breaking it up: by age more than BATCH_HUGE_SPARE are. */
static void check_huge_age(void)
{
	set(HAK_TUNABLE_ID_decay_ms, 1);
	set_huge(3);
	set_huge(4);
	hak_batch_give(3, 0x3, true);
	hak_batch_give(4, 0x7, true);
	usleep(150000);
	hak_batch_tick();
	ok(is_huge(3) && !is_huge(4), "a huge page outlives a few free slabs");
	is(dirty(), 2 * HAK_SLAB_SIZE);
	set(HAK_TUNABLE_ID_decay_ms, 1000);
	hak_store(&hak_registry_slot(3)->huge, 0, relaxed);
	hak_batch_purge_all();
	for (size_t s = 1; s < superslabs - 2; s++)
		hak_batch_give(s, s == 1 ? 0xffff0000 : s == 3 ? 0xfffffffc : s == 4 ? 0xfffffff8 : UINT32_MAX, true);
	hak_batch_purge_all();
	is(hak_pool_counts().used, 0);
}

static void check_percent(void)
{
	struct hak_run run;

	while (hak_pool_take(0, 1, 1, &run))
		;
	set(HAK_TUNABLE_ID_dirty_min, 0);
	set(HAK_TUNABLE_ID_dirty_percent, 50);
	hak_batch_give(superslabs - 1, UINT32_MAX, true);
	ok(dirty() == 2 * MIB, "a part of what is used may be dirty");
	for (size_t s = 0; s + 1 < superslabs; s++)
		hak_batch_give(s, UINT32_MAX, true);
	is(dirty(), 0);
}

static void check_all(void)
{
	set(HAK_TUNABLE_ID_dirty_min, 1000 * MIB);
	take_all();
	for (size_t s = 0; s < superslabs; s++)
		hak_batch_give(s, 0x0ff0f00f, true);
	is(dirty(), superslabs * 16 * HAK_SLAB_SIZE);
	is(hak_batch_purge_all(), superslabs * 16 * HAK_SLAB_SIZE);
	is(dirty(), 0);
	is(hak_registry_address(0)[100], 0);
	is(hak_registry_address(4)[100], 1);
	is(hak_batch_purge_all(), 0);
	for (size_t s = 0; s < superslabs; s++)
		hak_batch_give(s, ~(uint32_t)0x0ff0f00f, false);
	is(hak_pool_counts().used, 0);
	is(dirty(), 0);
}

static void check_age(void)
{
	set(HAK_TUNABLE_ID_decay_ms, 200);
	set(HAK_TUNABLE_ID_dirty_min, 1000 * MIB);
	take_all();
	usleep(120000);
	hak_batch_give(1, 0xff, true);
	hak_batch_tick();
	is(dirty(), 8 * HAK_SLAB_SIZE);
	for (int i = 0; i < 40 && dirty() > 0; i++) {
		usleep(50000);
		hak_batch_tick();
	}
	is(dirty(), 0);
	is(hak_registry_address(33)[100], 0);
	set(HAK_TUNABLE_ID_decay_ms, 0);
	hak_batch_give(1, 0xff00, true);
	usleep(320000);
	hak_batch_tick();
	is(dirty(), 8 * HAK_SLAB_SIZE);
	set(HAK_TUNABLE_ID_decay_ms, 1000);
	hak_batch_purge_all();
	for (size_t s = 0; s < superslabs; s++)
		hak_batch_give(s, s == 1 ? 0xffff0000 : UINT32_MAX, true);
	hak_batch_purge_all();
}

/* Memory that is wanted again soon after it was purged raises the budget; so far, and not for ever. */
static void check_regret(void)
{
	size_t before, budget;
	struct hak_run used[4], run;

	for (int i = 0; i < 4; i++) /* regret counts up to an eighth of what is used */
		need(hak_pool_take(0, 32, 1, &used[i]));
	before = hak_batch_regret();
	budget = hak_batch_budget();
	need(hak_pool_take(0, 16, 1, &run));
	hak_batch_taken(run.number / 32, 0xffff);
	ok(hak_batch_regret() >= before + 16 * HAK_SLAB_SIZE, "a purge is regretted");
	ok(hak_batch_budget() > budget, "and the budget is raised");
	before = hak_batch_regret();
	hak_batch_taken(run.number / 32, 0xffff);
	is(hak_batch_regret(), before);
	hak_batch_give(run.number / 32, 0xffff, true);
	for (int i = 0; i < 4; i++)
		hak_batch_give(used[i].number / 32, UINT32_MAX, true);
	ok(hak_batch_regret() == 0, "regret is nothing to who has freed all");
	hak_batch_purge_all();
}

/* Locked memory cannot be purged: it stays dirty, and for a while nobody tries. */
static void check_refusal(void)
{
	struct hak_run run;

	set(HAK_TUNABLE_ID_dirty_min, 0);
	set(HAK_TUNABLE_ID_dirty_percent, 0);
	need(hak_pool_take(0, 32, 1, &run));
	hak_registry_address(run.number)[100] = 9;
	fail_mappings(1, 1000);
	set(HAK_TUNABLE_ID_dirty_min, 0);
	hak_batch_give(run.number / 32, UINT32_MAX, true);
	if (dirty() == 0) /* regret's budget held it off */
		hak_batch_purge_all();
	else
		is(hak_batch_purge_all(), 0);
	is(dirty(), 2 * MIB);
	is(hak_registry_address(run.number)[100], 9);
	fail_none();
	need(hak_pool_take(0, 1, 1, &run));
	hak_batch_give(run.number / 32, 1u << run.number % 32, true);
	is(dirty(), 2 * MIB);
	is(hak_batch_purge_all(), 2 * MIB);
}

int main(void)
{
	start_window();
	hak_superslab_prewarm(superslabs);
	while (hak_pool_counts().used == 0 && (uint32_t)hak_registry_slot(0)->word != UINT32_MAX)
		need(hak_superslab_grow(0, true));
	set(HAK_TUNABLE_ID_ss_lru_size, 1000);
	check_volume();
	check_top();
	check_huge_volume();
	check_huge_trim();
	check_huge_age();
	check_percent();
	check_all();
	check_age();
	check_regret();
	check_refusal();
	return done();
}
