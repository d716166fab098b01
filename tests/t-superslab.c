/* SPDX-License-Identifier: MIT */
/* The room superslab: the first one grows in parts, surplus ones go back, and a kernel that refuses changes nothing.
 * Links: rooms. */
#include "superslab.h"

#include "capture.h"
#include "fails.h"
#include "os.h"
#include "slab.h"
#include "tap.h"
#include "tunables.h"
#include "window.h"

#define KIB ((size_t)1 << 10)

static unsigned free_slabs(size_t slot)
{
	return hak_count_bits((uint32_t)hak_registry_slot(slot)->word);
}

/* 512 KiB, 1 MiB, 2 MiB; then whole ones. */
static void check_parts(void)
{
	for (unsigned slabs = 8; slabs <= 32; slabs *= 2) {
		ok(hak_superslab_grow(0, true), "part of the first");
		is(free_slabs(0), slabs);
		is(hak_registry_slot(0)->bytes, slabs * HAK_SLAB_SIZE);
		is(hak_superslab_count(), 1);
	}
	ok(hak_superslab_grow(0, true), "the second");
	is(free_slabs(1), 32);
	is(hak_superslab_count(), 2);
	for (size_t i = 0; i < 64; i++)
		*(char *)hak_registry_address(i) = 1;
	is(hak_registry_slot(1)->state, HAK_SLOT_SLABS);
}

static void check_shrink(void)
{
	struct hak_slab *heads;
	struct hak_run run;

	need(hak_pool_take(0, 1, 1, &run)); /* of the first */
	for (int i = 0; i < 4; i++)
		need(hak_superslab_grow(0, true));
	is(hak_superslab_count(), 6);
	ok(!hak_superslab_is_surplus(), "no surplus as long as there are few");
	need(hak_tunables_set_value(HAK_TUNABLE_ID_ss_lru_size, 4) == 0);
	ok(hak_superslab_is_surplus(), "then there is");
	heads = hak_load(&hak_registry_slot(5)->slabs, relaxed);
	heads[0].number = heads[HAK_SS_SLABS - 1].number = 1;
	hak_superslab_shrink(3);
	is(hak_superslab_count(), 4);
	if (hak_registry.page == 4096)
		ok(heads[0].number == 0 && heads[HAK_SS_SLABS - 1].number == 0, "its heads' pages went back, all of them");
	else
		skip("heads are no longer than a page");
	is(hak_registry_slot(5)->state, HAK_SLOT_FREE);
	is(hak_registry_slot(3)->state, HAK_SLOT_SLABS);
	hak_superslab_shrink(0);
	is(hak_superslab_count(), 1);
	is(free_slabs(0), 31);
	is(hak_pool_counts().used, 1);
	ok(hak_superslab_grow(0, true) && free_slabs(1) == 32, "a slot is used again");
	is(*(char *)hak_registry_address(40), 0);
	is(hak_pool_counts().dirty, 0);
	hak_pool_give(0, 1, true);
}

static void check_refusals(void)
{
	size_t before = hak_superslab_count();

	fail_mappings(1, 10);
	ok(!hak_superslab_grow(0, true), "no memory");
	fail_mappings(1, 1);
	hak_superslab_shrink(0); /* the highest cannot be unmapped, the other can */
	fail_none();
	is(hak_superslab_count(), before - 1);
	is(free_slabs(1), 32);
	hak_superslab_shrink(0);
	is(hak_superslab_count(), 0);
	is(hak_pool_counts().used, 0);
	is(hak_pool_counts().dirty, 0);
	ok(hak_superslab_grow(0, true), "and again from the start");
	is(free_slabs(0), 32); /* whole: only the first ever is mapped in part */
}

static void prewarm(const void *with)
{
	unsigned n = *(const unsigned *)with, free = 0;
	struct hak_run run;

	hak_superslab_prewarm(n);
	hold(hak_superslab_count() == n);
	while (hak_pool_take(0, 1, 1, &run))
		free++;
	hold(free >= (n - 1) * 32 + 8);
}

/* A part of the first one that somebody else has mapped meanwhile is left alone. */
static void wall(const void *with)
{
	struct hak_run run;

	(void)with;
	need(hak_superslab_grow(0, true));
	need(hak_os_map_at(hak_registry_address(12), HAK_SLAB_SIZE) == HAK_OS_OK);
	hold(hak_superslab_grow(0, true));
	hold(free_slabs(0) == 8 && free_slabs(1) == 32);
	hold(hak_superslab_grow(0, true) && free_slabs(2) == 32);
	hold(hak_pool_take(0, 32, 1, &run) && run.number == 32);
}

/* The first one is its node's; what another node needs is another's from the start. */
static void nodes(const void *with)
{
	(void)with;
	need(hak_superslab_grow(3, true));
	hold(hak_superslab_grow(4, true) && free_slabs(0) == 8 && free_slabs(1) == 32);
	hold(hak_registry_slot(0)->node == 3 && hak_registry_slot(1)->node == 4);
	hold(hak_superslab_grow(3, true) && free_slabs(0) == 16);
}

/* Ahead of need is for one node only: whose need it will be is not known. */
static void ahead(const void *with)
{
	(void)with;
	hak_os_fake_node = 1;
	hak_superslab_ahead();
	hold(hak_superslab_count() == 1 && hak_registry_slot(0)->node == 0);
	hold(hak_pool_take_free(0, true) == UINT32_MAX);
	hak_os_fake_node = 2;
	hak_superslab_ahead();
	hold(hak_superslab_count() == 1);
}

/* HAKMEM_SS_PREWARM_DEBUG and HAKMEM_SS_LRU_DEBUG. */
static void tell(const void *with)
{
	need(hak_tunables_set_value(HAK_TUNABLE_ID_ss_prewarm_debug, 1) == 0);
	need(hak_tunables_set_value(HAK_TUNABLE_ID_ss_lru_debug, 1) == 0);
	hak_superslab_prewarm(*(const unsigned *)with);
	hak_superslab_shrink(2);
	hold(hak_superslab_count() == 2);
}

static void check_told(unsigned n)
{
	struct capture child;

	capture(&child, tell, &n);
	is(child.status, 0);
	is_text(child.words, "hakmem: prewarm: 3 SuperSlabs mapped\nhakmem: SuperSlab cache: slot 2 unmapped\n");
}

int main(void)
{
	unsigned three = 3;

	start_window();
	capture_silent("prewarm", prewarm, &three);
	check_told(three);
	capture_silent("a wall", wall, NULL);
	capture_silent("a first one each", nodes, NULL);
	capture_silent("ahead of need", ahead, NULL);
	check_parts();
	check_shrink();
	check_refusals();
	return done();
}
