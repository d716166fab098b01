#include "registry.h"

#include "lock.h"
#include "os.h"

#define REGISTRY_FIRST_SLOTS ((size_t)1024) /* 2 GiB: 128 KiB of tags, 64 KiB of entries, touched as used */
#define REGISTRY_TRIES 16
#define REGISTRY_HELD 8u /* places that are asked for where the kernel chooses */
#define REGISTRY_ASK ((size_t)512) /* so many slots are not claimed before the kernel has shown that it would give them */

HAK_DEF struct hak_registry hak_registry = { .page = 4096 };
static struct hak_lock registry_lock = HAK_LOCK_INIT(HAK_RANK_MAP);
static size_t registry_tags_slots; /* under the lock: what is mapped of the tags, in slots */
static _Atomic uint32_t registry_returning, registry_returned, registry_given_up;

static size_t registry_tags_size(size_t slots) { return slots * HAK_SS_SLABS * sizeof(uint32_t); }
static size_t registry_slots_size(size_t slots)
{
	return hak_align_up(slots * sizeof(struct hak_slot), hak_registry.page);
}

/* The tables begin in the middle of a page, which is all that a small process touches of them.  Whole pages below it and
 * above it: */
static uintptr_t registry_middle(uintptr_t page) { return page + hak_registry.page / 2; }
static uintptr_t registry_page(uintptr_t middle) { return middle - hak_registry.page / 2; }
static char *registry_lower_end(uintptr_t middle, size_t slots)
{
	return (char *)(registry_page(middle) - registry_slots_size(slots));
}
static char *registry_upper_end(uintptr_t middle, size_t slots)
{
	return (char *)(registry_page(middle) + hak_registry.page + hak_align_up(registry_tags_size(slots), hak_registry.page));
}

/* Lays the tables with `slots` entries around `middle`, which is mapped already. */
static void registry_lay(uintptr_t middle, uintptr_t base, size_t slots, size_t max_slots)
{
	hak_registry.tags = (_Atomic uint32_t *)middle;
	hak_registry.slots = (struct hak_slot *)middle;
	hak_registry.base = base;
	hak_registry.max_slots = max_slots;
	registry_tags_slots = slots;
	hak_store(&hak_registry.slabs, slots * HAK_SS_SLABS, release);
}

#if UINTPTR_MAX > UINT32_MAX && !HAK_TSAN
/* One try at a window of `max_slots` whose tables begin in [from, from + range). */
static bool registry_try(uint64_t from, uint64_t range, size_t max_slots)
{
	uintptr_t origin = hak_align_down(from + hak_os_random() % range, HAK_SS_SIZE);
	uintptr_t middle = registry_middle(origin + registry_slots_size(max_slots));
	char *first = registry_lower_end(middle, REGISTRY_FIRST_SLOTS), *last = registry_upper_end(middle, REGISTRY_FIRST_SLOTS);

	if (hak_os_map_at(first, (size_t)(last - first)) != HAK_OS_OK)
		return false;
	registry_lay(middle, hak_align_up((uintptr_t)registry_upper_end(middle, max_slots), HAK_SS_SIZE), REGISTRY_FIRST_SLOTS, max_slots);
	return true;
}

/* Each 512 GiB of which a process uses something cost it a page of page tables: the window begins in those where the program
 * lies, 64 GiB away, as the program's break grows.  Not if the program lies where others should (the loader was called by name). */
static bool registry_try_near(void)
{
	const uint64_t gib = UINT64_C(1) << 30, program = hak_os_program();
	const uint64_t region = hak_align_down(program, 512 * gib), below = program - region;

	if (program >= 90 * 1024 * gib)
		return false;
	if (below < 256 * gib)
		return registry_try(program + 64 * gib, 512 * gib - below - 66 * gib, HAK_SS_MAX);
	return registry_try(region, below - 66 * gib, HAK_SS_MAX);
}

static bool registry_choose(void)
{
	const uint64_t tib = UINT64_C(1) << 40, gib = UINT64_C(1) << 30;

	if (registry_try_near())
		return true;
	/* Between what the kernel gives to programs (85 TiB and up) and their low ends. */
	for (int i = 0; i < REGISTRY_TRIES; i++)
		if (registry_try(tib, 60 * tib, HAK_SS_MAX))
			return true;
	/* 39 bits of address (some arm64 and riscv64 kernels): 64 GiB. */
	return registry_try(64 * gib, 64 * gib, (size_t)(64 * gib >> HAK_SS_SHIFT));
}
#else
static bool registry_choose(void) { return false; }
#endif

/* Around an address that the kernel chose: the kernel goes downward from there. */
static bool registry_follow(void)
{
	size_t slots = HAK_ADDRESS_BITS == 32 ? HAK_SS_MAX : (size_t)1 << 16; /* 64 bits: 128 GiB */
	size_t below = registry_slots_size(slots);
	char *table = hak_os_map(below + hak_registry.page + registry_tags_size(slots));
	uintptr_t top = hak_align_up((uintptr_t)table, HAK_SS_SIZE), length = (uintptr_t)slots / 4 * 3 * HAK_SS_SIZE;

	if (!table)
		return false;
	hak_registry.follow = true;
	registry_lay(registry_middle((uintptr_t)table + below), HAK_ADDRESS_BITS == 32 || top < length ? 0 : top - length, slots, slots);
	return true;
}

HAK_FN bool hak_registry_start(void)
{
	hak_registry.page = hak_os_page_size();
	return registry_choose() || registry_follow();
}

static bool registry_grow_tags_locked(size_t want)
{
	char *end = registry_upper_end((uintptr_t)hak_registry.tags, registry_tags_slots);

	if (want <= registry_tags_slots)
		return true;
	if (hak_os_map_at(end, (size_t)(registry_upper_end((uintptr_t)hak_registry.tags, want) - end)) != HAK_OS_OK)
		return false;
	registry_tags_slots = want;
	return true;
}

static bool registry_grow_entries_locked(size_t have, size_t want)
{
	char *end = registry_lower_end((uintptr_t)hak_registry.slots, have);
	char *new_end = registry_lower_end((uintptr_t)hak_registry.slots, want);

	return hak_os_map_at(new_end, (size_t)(end - new_end)) == HAK_OS_OK;
}

/* Both tables twice as long, or more: the window is so too.  The two new ends are mapped apart: if the second fails, the first
 * stays for the next try. */
static bool registry_grow_locked(size_t need)
{
	size_t have = hak_load(&hak_registry.slabs, relaxed) / HAK_SS_SLABS, want = have;

	while (want < need)
		want *= 2;
	hak_assert(want <= hak_registry.max_slots);
	if (want == have)
		return true;
	if (!registry_grow_tags_locked(want) || !registry_grow_entries_locked(have, want))
		return false;
	/* release: who is handed a slot sees its entry; partner: acquire in registry_cover */
	hak_store(&hak_registry.slabs, want * HAK_SS_SLABS, release);
	return true;
}

static bool registry_cover(size_t need)
{
	bool ok;

	if (hak_load(&hak_registry.slabs, acquire) >= need * HAK_SS_SLABS) /* partner: registry_grow_locked */
		return true;
	if (!hak_lock_take(&registry_lock))
		return false;
	ok = registry_grow_locked(need);
	hak_lock_release(&registry_lock);
	return ok;
}

HAK_FN void hak_registry_lock(void) { hak_lock_take(&registry_lock); }
HAK_FN void hak_registry_unlock(void) { hak_lock_release(&registry_lock); }

static bool registry_claim_one(size_t slot)
{
	uint32_t free_state = HAK_SLOT_FREE;

	/* acquire: partner is the release in hak_registry_unclaim */
	return hak_cas(&hak_registry_slot(slot)->state, &free_state, HAK_SLOT_CLAIMED, acquire);
}

static void registry_lower_hint(size_t slot)
{
	size_t hint = hak_load(&hak_registry.hint, seq_cst);

	while (slot < hint && !hak_cas(&hak_registry.hint, &hint, slot, seq_cst))
		;
}

static bool registry_claim(size_t slot, size_t n)
{
	size_t high;

	if (slot + n > hak_registry.max_slots || !registry_cover(slot + n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!registry_claim_one(slot + i)) {
			hak_registry_unclaim(slot, i);
			return false;
		}
	high = hak_load(&hak_registry.high, relaxed);
	while (high < slot + n && !hak_cas(&hak_registry.high, &high, slot + n, relaxed))
		;
	return true;
}

HAK_FN void hak_registry_unclaim(size_t slot, size_t n)
{
	/* release: what was done to the slot; partner: registry_claim_one.  seq_cst: see registry_raise_hint */
	for (size_t i = 0; i < n; i++)
		hak_store(&hak_registry_slot(slot + i)->state, HAK_SLOT_FREE, seq_cst);
	if (n > 0)
		registry_lower_hint(slot);
}

/* The lowest run of n slots at or above `from` that look free: all above what the tables cover are. */
static size_t registry_find_run(size_t from, size_t n)
{
	size_t run = 0, covered = hak_registry_slabs() / HAK_SS_SLABS, i;

	for (i = from; i < covered && run < n; i++)
		run = hak_load(&hak_registry_slot(i)->state, seq_cst) == HAK_SLOT_FREE ? run + 1 : 0;
	return n <= hak_registry.max_slots && i - run <= hak_registry.max_slots - n ? i - run : HAK_NO_SLOT;
}

/* Everything between was seen not free.  Who frees a slot looks at the hint after that, who raises the hint looks at the
 * slots after that (both sequentially consistent): one of them sees the other. */
static void registry_raise_hint(size_t from, size_t slot)
{
	size_t found = from;

	if (!hak_cas(&hak_registry.hint, &found, slot, seq_cst))
		return;
	found = registry_find_run(from, 1);
	if (found < slot)
		registry_lower_hint(found);
}

/* Programs ask for absurd sizes to see what happens: their slots' entries would be memory touched for nothing. */
static bool registry_is_absurd(size_t n, size_t bytes)
{
	void *p;

	if (n < REGISTRY_ASK)
		return false;
	p = n <= hak_registry.max_slots ? hak_os_map(hak_align_up(bytes, hak_registry.page)) : NULL;
	return !p || !hak_os_unmap(p, hak_align_up(bytes, hak_registry.page));
}

HAK_FN bool hak_registry_claim_at(size_t slot, size_t n)
{
	return !registry_is_absurd(n, n << HAK_SS_SHIFT) && registry_claim(slot, n);
}

/* is_mapped: a place where the kernel has no room for `bytes` will do too; it is said which. */
static size_t registry_map_window(size_t n, size_t bytes, bool *is_mapped)
{
	size_t from = hak_load(&hak_registry.hint, relaxed), first = from;

	for (;;) {
		size_t slot = registry_find_run(from, n);
		enum hak_os_result result;

		if (slot == HAK_NO_SLOT)
			return HAK_NO_SLOT;
		if (!registry_claim(slot, n)) {
			if (!registry_cover(slot + n))
				return HAK_NO_SLOT;
			from = slot + 1;
			continue;
		}
		result = hak_os_map_at(hak_registry_address(slot * HAK_SS_SLABS), bytes);
		if (result == HAK_OS_OK || (is_mapped && result == HAK_OS_REFUSED)) {
			if (is_mapped)
				*is_mapped = result == HAK_OS_OK;
			if (n == 1)
				registry_raise_hint(first, slot + 1);
			return slot;
		}
		if (result == HAK_OS_REFUSED) {
			hak_registry_unclaim(slot, n);
			return HAK_NO_SLOT;
		}
		from = slot + n;
		if (n > 1) { /* somewhere in it */
			hak_registry_unclaim(slot, n);
			continue;
		}
		hak_store(&hak_registry_slot(slot)->state, HAK_SLOT_TAKEN, relaxed);
	}
}

/* Maps too much and cuts it to a slot's bounds. */
static char *registry_map_and_cut(size_t size)
{
	char *raw = hak_os_map(size + HAK_SS_SIZE), *start = (char *)hak_align_up((uintptr_t)raw, HAK_SS_SIZE);
	char *end = start + size, *raw_end = raw + size + HAK_SS_SIZE;

	if (!raw)
		return NULL;
	if (start > raw)
		hak_os_unmap(raw, (size_t)(start - raw));
	if (raw_end > end)
		hak_os_unmap(end, (size_t)(raw_end - end));
	return start;
}

/* Where the kernel chooses.  Its next choice is beside its last one, so after the first it is most often good as it is;
 * the last of little memory can be had in this way only. */
static char *registry_map_somewhere(size_t size)
{
	char *at;

	if (hak_load(&hak_registry.high, relaxed) == 0)
		return registry_map_and_cut(size);
	at = hak_os_map(size);
	if (!at || (uintptr_t)at % HAK_SS_SIZE == 0)
		return at;
	hak_os_unmap(at, size);
	return registry_map_and_cut(size);
}

/* Another thread may be between unmapping a slot and its unclaim, or trying whether it can grow into it, or in a forked child
 * be gone: then another place is asked for, and this one held until it is found, or the kernel would give it again. */
static size_t registry_map_follow(size_t n, size_t bytes)
{
	size_t size = hak_align_up(bytes, hak_registry.page), slot = HAK_NO_SLOT;
	char *held[REGISTRY_HELD], *at;
	unsigned count = 0;

	while (slot == HAK_NO_SLOT && count < REGISTRY_HELD && (at = registry_map_somewhere(size)) != NULL) {
		slot = hak_registry_number(at) / HAK_SS_SLABS;
		if ((uintptr_t)at >= hak_registry.base && registry_claim(slot, n))
			break;
		slot = HAK_NO_SLOT;
		held[count++] = at;
	}
	while (count > 0)
		hak_os_unmap(held[--count], size);
	return slot;
}

HAK_FN size_t hak_registry_map(size_t n, size_t bytes)
{
	if (hak_registry.follow)
		return registry_map_follow(n, bytes);
	return registry_is_absurd(n, bytes) ? HAK_NO_SLOT : registry_map_window(n, bytes, NULL);
}

/* The kernel looks first whether the place is taken, then at its limits; but at that of mappings first, as mremap does too. */
HAK_FN size_t hak_registry_map_to_move(size_t n, size_t bytes, size_t have, bool *is_mapped)
{
	*is_mapped = true;
	if (hak_registry.follow)
		return registry_map_follow(n, bytes);
	return registry_is_absurd(n, bytes - have) ? HAK_NO_SLOT : registry_map_window(n, bytes, is_mapped);
}

/* All sequentially consistent: who sees that memory was taken away sees that somebody is at it, or that it is back. */
HAK_FN void hak_registry_return_begin(void) { hak_fetch_add(&registry_returning, 1, seq_cst); }
HAK_FN void hak_registry_return_end(void)
{
	uint32_t at_it = hak_load(&registry_returning, relaxed);

	hak_fetch_add(&registry_returned, 1, seq_cst);
	while (at_it > 0 && !hak_cas(&registry_returning, &at_it, at_it - 1, seq_cst)) /* 0: forked in a handler since */
		;
	if (at_it > 0 && hak_load(&registry_given_up, relaxed) >= at_it)
		hak_store(&registry_given_up, at_it - 1, relaxed);
}
HAK_FN uint32_t hak_registry_returned(void) { return hak_load(&registry_returned, seq_cst); }
HAK_FN bool hak_registry_is_settled(uint32_t returned)
{
	return hak_load(&registry_returning, seq_cst) <= hak_load(&registry_given_up, relaxed) &&
	       hak_load(&registry_returned, seq_cst) == returned;
}
HAK_FN void hak_registry_give_up(void) { hak_store(&registry_given_up, hak_load(&registry_returning, relaxed), relaxed); }
/* The other threads are gone. */
HAK_FN void hak_registry_after_fork(void)
{
	hak_store(&registry_returning, 0, relaxed);
	hak_store(&registry_given_up, 0, relaxed);
}
