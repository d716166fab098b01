/* SPDX-License-Identifier: MIT */
/* The room registry: slots of the window are claimed, mapped, given back and found again, around what others have mapped,
 * and when the kernel refuses.  Links: rooms.
 *
 * The registry starts once in a process, so some cases run in children. */
#include "registry.h"

#include <sys/mman.h>

#include "capture.h"
#include "emulator.h"
#include "fails.h"
#include "os.h"
#include "resident.h"
#include "tap.h"

#define MIB ((size_t)1 << 20)

static char *address(size_t slot)
{
	return hak_registry_address(slot * HAK_SS_SLABS);
}

static uint32_t state(size_t slot)
{
	return hak_registry_slot(slot)->state;
}

static bool is_outside(const void *p)
{
	return hak_registry_number(p) >= hak_registry_slabs();
}

/* With 32 bits nothing lies outside. */
static bool is_foreign(const void *p)
{
	return is_outside(p) || hak_registry_tag(hak_registry_number(p)) == 0;
}

static void unmap(size_t slot, size_t n, size_t bytes)
{
	need(hak_os_unmap(address(slot), bytes));
	hak_registry_unclaim(slot, n);
}

/* ---- in the first process ---- */

static void check_start(void)
{
	ok(hak_registry_start(), "start");
	ok(hak_registry.base % HAK_SS_SIZE == 0, "the window's base is aligned to a SuperSlab");
	ok(hak_registry.max_slots >= 1024 && hak_registry_slabs() >= 1024, "there is room");
	for (size_t i = 0; i < hak_registry_slabs(); i++)
		hold(hak_registry_tag(i) == 0);
	ok(failures() == 0, "all tags are 0");
	is(hak_registry_number(address(5)), 5 * HAK_SS_SLABS);
	ok(is_foreign(NULL), "NULL is not ours");
	ok(is_foreign(&tap_points), "nor is the program");
	ok(is_foreign((void *)(uintptr_t)hak_registry.tags), "nor are the tables");
	ok(hak_registry.follow || is_outside((void *)(hak_registry.base - 1)), "the window begins at its base");
}

/* In the 512 GiB of the program, whose page tables then serve both, and not where the program's break grows. */
static void check_place(void)
{
	uint64_t program = hak_os_program(), base = hak_registry.base;

	if (hak_registry.follow || is_emulated() || program >> 40 >= 90) {
		skip("the window is not near the program here");
		return;
	}
	is(base >> 39, program >> 39);
	ok((base > program ? base - program : program - base) >> 30 >= 64, "the program's break has room to grow");
}

/* The lowest first; a hole is used again. */
static void check_lowest(void)
{
	size_t slot[8];

	for (size_t i = 0; i < 8; i++) {
		slot[i] = hak_registry_map(1, HAK_SS_SIZE);
		hold(slot[i] == i && state(i) == HAK_SLOT_CLAIMED);
		address(i)[0] = address(i)[HAK_SS_SIZE - 1] = 1;
	}
	unmap(2, 1, HAK_SS_SIZE);
	unmap(5, 1, HAK_SS_SIZE);
	hold(state(2) == HAK_SLOT_FREE);
	hold(hak_registry_map(1, HAK_SS_SIZE) == 2);
	hold(hak_registry_map(1, HAK_SS_SIZE) == 5);
	hold(hak_registry_map(1, HAK_SS_SIZE) == 8);
	for (size_t i = 0; i <= 8; i++)
		unmap(i, 1, HAK_SS_SIZE);
	ok(failures() == 0, "single slots, the lowest first");
}

/* A run passes over holes that are too short. */
static void check_runs(void)
{
	size_t slot[10];

	for (size_t i = 0; i < 10; i++)
		slot[i] = hak_registry_map(1, 4096);
	unmap(slot[1], 1, 4096);
	unmap(slot[4], 1, 4096);
	unmap(slot[5], 1, 4096);
	hold(hak_registry_map(3, 5 * MIB) == 10);
	hold(hak_registry_map(2, 3 * MIB) == 4);
	hold(hak_registry_map(1, 4096) == 1);
	unmap(4, 2, 3 * MIB);
	hold(!hak_registry_claim_at(4, 3));
	hold(state(4) == HAK_SLOT_FREE && state(5) == HAK_SLOT_FREE);
	hold(hak_registry_claim_at(4, 2));
	hak_registry_unclaim(4, 2);
	unmap(10, 3, 5 * MIB);
	for (size_t i = 0; i < 10; i++)
		if (i != 4 && i != 5)
			unmap(i, 1, 4096);
	ok(failures() == 0, "runs of slots");
}

/* What somebody else has mapped is left alone. */
static void check_taken(void)
{
	char *other = address(3) + MIB;

	need(mmap(other, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == other);
	*other = 77;
	for (size_t i = 0; i < 3; i++)
		hold(hak_registry_map(1, HAK_SS_SIZE) == i);
	hold(hak_registry_map(1, HAK_SS_SIZE) == 4);
	hold(state(3) == HAK_SLOT_TAKEN && *other == 77);
	for (size_t i = 0; i < 5; i++)
		if (i != 3)
			unmap(i, 1, HAK_SS_SIZE);
	hold(hak_registry_map(2, 4 * MIB) == 0);
	hold(hak_registry_map(2, 4 * MIB) == 4);
	unmap(0, 2, 4 * MIB);
	unmap(4, 2, 4 * MIB);
	munmap(other, 4096);
	hak_registry_unclaim(3, 1);
	ok(failures() == 0, "a slot that another mapping lies in is passed over");
}

static void check_refusal(void)
{
	size_t high = hak_registry.high;

	fail_mappings(1, 1);
	is(hak_registry_map(1, HAK_SS_SIZE), HAK_NO_SLOT);
	is(state(0), HAK_SLOT_FREE);
	is(hak_registry_map(1, HAK_SS_SIZE), 0);
	unmap(0, 1, HAK_SS_SIZE);
	is(hak_registry_map(hak_registry.max_slots + 1, 4096), HAK_NO_SLOT);
	is(hak_registry_map(hak_registry.max_slots / 2, hak_registry.max_slots / 2 * HAK_SS_SIZE), HAK_NO_SLOT);
	is(hak_registry.high, high);
	ok(!hak_registry_claim_at(hak_registry.max_slots - 1, 2), "nothing is claimed behind the end of the window");
}

/* More slots than the first tables have. */
static void check_growth(void)
{
	size_t before = hak_registry_slabs(), n = before / HAK_SS_SLABS + 100, slot;

	hak_registry_lock(); /* a handler has interrupted who holds it */
	is(hak_registry_map(n, 4096), HAK_NO_SLOT);
	hak_registry_unlock();
	is(hak_registry_slabs(), before);
	hak_registry_set_tags(7, 1, 4711);
	/* The calls: would the kernel give it, map and unmap; tags; entries; the memory itself.  The tables' are tried twice. */
	for (unsigned call = 1; call <= 3; call++) {
		fail_mappings(call, call == 3 ? 2 : 1);
		is(hak_registry_map(n, 4096), HAK_NO_SLOT);
		is(hak_registry_slabs(), before);
	}
	fail_mappings(4, 1);
	slot = hak_registry_map(n, 4096);
	ok(slot != HAK_NO_SLOT, "entries refused once");
	unmap(slot, n, 4096);
	fail_mappings(3, 1);
	is(hak_registry_map(n, 4096), HAK_NO_SLOT);
	fail_none();
	slot = hak_registry_map(n, 4096);
	is(slot, 0);
	ok(hak_registry_slabs() >= n * HAK_SS_SLABS, "both tables have grown");
	is(hak_registry_tag(7), 4711);
	is(hak_registry_tag(before), 0);
	is(state(n - 1), HAK_SLOT_CLAIMED);
	hak_registry_set_tags(hak_registry_slabs() - 32, 32, 1);
	is(hak_registry_tag(hak_registry_slabs() - 1), 1);
	hak_registry_set_tags(hak_registry_slabs() - 32, 32, 0);
	hak_registry_set_tags(7, 1, 0);
	unmap(0, n, 4096);
}

/* ---- in children ---- */

enum { chooses_addresses = HAK_ADDRESS_BITS > 32 }; /* with 32 bits the window is all there is */

static bool is_next_aligned(size_t bytes)
{
	char *next = hak_os_map(bytes);

	need(next && hak_os_unmap(next, bytes));
	return (uintptr_t)next % HAK_SS_SIZE == 0;
}

/* More than any hole has, and not whole slots: what the kernel gives does not begin at one.  (From 6.7 to 6.12 it does.) */
static void follow_unaligned(void)
{
	const size_t n = 41, bytes = 40 * HAK_SS_SIZE + hak_registry.page;
	bool is_mapped = false;
	size_t slot;

	if (is_next_aligned(bytes))
		return;
	fail(HAK_FAULT_MAP, ENOMEM, 2, 1); /* the place that does, after the one that does not */
	hold(hak_registry_map(n, bytes) == HAK_NO_SLOT);
	fail_none();
	slot = hak_registry_map(n, bytes);
	if (hold(slot != HAK_NO_SLOT))
		memset(address(slot), 1, bytes);
	slot = hak_registry_map_to_move(n, bytes, MIB, &is_mapped);
	if (hold(slot != HAK_NO_SLOT && is_mapped))
		memset(address(slot), 1, bytes);
}

/* No address that is asked for is given: emulators, and kernels before 4.17 with something in the way. */
static void follow(const void *with)
{
	size_t slot[5];

	(void)with;
	fail_mappings(chooses_addresses, 18);
	need(hak_registry_start());
	fail_none();
	hold(hak_registry.follow);
	for (int i = 0; i < 5; i++) {
		slot[i] = hak_registry_map(1 + (size_t)i, HAK_SS_SIZE * (1 + (size_t)i));
		hold(slot[i] != HAK_NO_SLOT);
		memset(address(slot[i]), 1, HAK_SS_SIZE * (1 + (size_t)i));
		hold(i == 0 || slot[i] != slot[i - 1]);
	}
	for (int i = 0; i < 5; i++)
		unmap(slot[i], 1 + (size_t)i, HAK_SS_SIZE * (1 + (size_t)i));
	fail_mappings(1, 1);
	hold(hak_registry_map(1, HAK_SS_SIZE) == HAK_NO_SLOT);
	fail_none();
	slot[0] = hak_registry_map(1, HAK_SS_SIZE);
	hold(slot[0] != HAK_NO_SLOT);
	need(hak_os_unmap(address(slot[0]), HAK_SS_SIZE));
	slot[1] = hak_registry_map(1, HAK_SS_SIZE);
	hold(slot[1] != HAK_NO_SLOT && slot[1] != slot[0]); /* as long as it is not unclaimed */
	follow_unaligned();
}

/* One refusal at the start is not the end. */
static void second_try(const void *with)
{
	(void)with;
	fail_mappings(1, 2);
	hold(hak_registry_start());
	hold(!hak_registry.follow);
	hold(hak_registry_map(1, HAK_SS_SIZE) == 0);
}

static void no_memory_at_all(const void *with)
{
	(void)with;
	fail_mappings(1, 100);
	hold(!hak_registry_start());
	fail_none();
	hold(hak_registry_start());
}

int main(void)
{
	if (IS_UNDER_TSAN)
		skip_all("ThreadSanitizer chooses the addresses");
	capture_silent("where the kernel chooses", follow, NULL);
	if (chooses_addresses)
		capture_silent("a second try", second_try, NULL);
	capture_silent("no memory at the start, then some", no_memory_at_all, NULL);
	check_start();
	check_place();
	if (hak_registry.follow) {
		skip("slots in order: the kernel chooses the addresses here");
		return done();
	}
	check_lowest();
	check_runs();
	check_taken();
	check_refusal();
	check_growth();
	check_lowest();
	return done();
}
