#include "large.h"

#include "bigcache.h"
#include "numa.h"
#include "os.h"
#include "pages.h"
#include "policy.h"
#include "registry.h"
#include "stats.h"
#include "superslab.h"
#include "tunables.h"

#define LARGE_PIECES HAK_HARD_OR(4u, 2u) /* extents that one block is made of at a time */

HAK_DEF struct hak_large_use hak_large_use;

HAK_FN size_t hak_large_used(void) { return hak_load(&hak_large_use.bytes, relaxed); }
HAK_FN size_t hak_large_blocks(void) { return hak_load(&hak_large_use.blocks, relaxed); }
HAK_FN size_t hak_large_cached(void) { return hak_bigcache_slots() << HAK_SS_SHIFT; }

static size_t large_slots(size_t bytes) { return (bytes + HAK_SS_SIZE - 1) >> HAK_SS_SHIFT; }
static char *large_address(size_t slot) { return hak_registry_address(slot * HAK_SS_SLABS); }
static size_t large_slot(const void *p) { return hak_registry_number(p) / HAK_SS_SLABS; }

static void large_count(size_t blocks, size_t bytes) /* differences, modulo */
{
	hak_fetch_add(&hak_large_use.blocks, blocks, relaxed);
	hak_fetch_add(&hak_large_use.bytes, bytes, relaxed);
}

/* What a block is made of is of its node. */
static uint32_t large_node(size_t slot) { return hak_load(&hak_registry_slot(slot)->node, relaxed); }
static void large_set_node(size_t slot, uint32_t node) { hak_store(&hak_registry_slot(slot)->node, node, relaxed); }

static void large_set_inner(size_t slot, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hak_store(&hak_registry_slot(slot + i)->state, HAK_SLOT_LARGE_INNER, relaxed);
}

/* Slots [slot, slot + large_slots(bytes)) are ours and mapped that far: a block from here on. */
static void *large_open(size_t slot, size_t bytes, size_t mapped)
{
	hak_store(&hak_registry_slot(slot)->bytes, bytes, relaxed);
	hak_store(&hak_registry_slot(slot)->mapped, mapped, relaxed);
	hak_store(&hak_registry_slot(slot)->state, HAK_SLOT_LARGE, relaxed);
	large_set_inner(slot + 1, large_slots(bytes) - 1);
	hak_registry_set_tags(slot * HAK_SS_SLABS, 1, HAK_TAG_LARGE);
	return large_address(slot);
}

static size_t large_mapped(size_t slot) { return hak_load(&hak_registry_slot(slot)->mapped, relaxed); }

static bool large_try_unmap(size_t slot, size_t bytes)
{
	bool ok = hak_os_unmap(large_address(slot), bytes);

	if (ok)
		hak_registry_unclaim(slot, large_slots(bytes));
	return ok;
}

/* Whole slots that the kernel did not take back wait for another large block, or serve smaller ones. */
static void large_strand(size_t slot, size_t bytes)
{
	size_t slots = bytes >> HAK_SS_SHIFT, rest = (large_slots(bytes) << HAK_SS_SHIFT) - bytes;

	if (rest > 0 && hak_os_map_at(large_address(slot) + bytes, rest) == HAK_OS_OK)
		slots++;
	large_set_inner(slot, slots);
	if (slots > 0 && !hak_bigcache_put((struct hak_extent){ slot, slots, hak_os_now(), large_node(slot) }))
		hak_superslab_adopt(large_node(slot), slot, slots);
}

/* The kernel may refuse (too many mappings): then the pages go back at least.  If it refuses that too, perhaps not all of it is
 * mapped, and the slots are lost. */
static void large_unmap(size_t slot, size_t bytes)
{
	if (!large_try_unmap(slot, bytes) && hak_os_purge(large_address(slot), bytes))
		large_strand(slot, bytes);
}

static void large_advise(size_t slot, size_t mapped)
{
	hak_pages_large(large_address(slot), hak_align_up(mapped, hak_registry.page));
}

/* ---- what is kept ---- */

/* As much as is in use, and the most that was wanted again at once: so a program that frees all and then sleeps is small,
 * but for one block that it kept asking for. */
static size_t large_cache_limit(void)
{
	size_t proven = large_slots(hak_policy_proven()) << HAK_SS_SHIFT, most = (size_t)hak_setting(big_cache);
	size_t limit = hak_large_used() + (proven < most / 4 ? proven : most / 4);

	return limit < most && !hak_policy_is_tended() ? limit : most;
}

/* Of the cache, what the kernel does not take back: if nothing may stay, smaller blocks can have it. */
static bool large_shrink_refused(struct hak_extent old, size_t limit)
{
	if (limit == 0 && hak_os_purge(large_address(old.slot), old.slots << HAK_SS_SHIFT)) {
		hak_superslab_adopt(old.node, old.slot, old.slots);
		return true;
	}
	hak_bigcache_put(old);
	return false;
}

/* Until the cache holds no more than that. */
static size_t large_cache_shrink(size_t limit, uint32_t now, uint32_t age)
{
	size_t bytes = 0;

	while (hak_large_cached() > limit) {
		struct hak_extent old = hak_bigcache_take_oldest(now, age);
		if (old.slots == 0)
			break;
		if (!large_try_unmap(old.slot, old.slots << HAK_SS_SHIFT) && !large_shrink_refused(old, limit))
			break;
		bytes += old.slots << HAK_SS_SHIFT;
	}
	return bytes;
}

static void large_keep_again(struct hak_extent e)
{
	if (e.slots > 0 && !hak_bigcache_put(e))
		large_unmap(e.slot, e.slots << HAK_SS_SHIFT);
}

/* Keeps whole slots: maps what is missing of the last one. */
static bool large_keep(size_t slot, size_t mapped, uint32_t now)
{
	size_t slots = large_slots(mapped), rest = (slots << HAK_SS_SHIFT) - mapped;

	if (rest > 0 && hak_os_map_at(large_address(slot) + mapped, rest) != HAK_OS_OK)
		return false;
	large_set_inner(slot, 1);
	large_keep_again((struct hak_extent){ slot, slots, now, large_node(slot) });
	return true;
}

/* Alignment above a slot's: claims more and cuts both ends off.  *mapped: all of the last slot, if the kernel does not take
 * its rest back. */
static size_t large_map_aligned(size_t bytes, size_t align, size_t *mapped)
{
	size_t extra = align >> HAK_SS_SHIFT, n = large_slots(bytes) + extra, need = large_slots(bytes);
	size_t slot, at, lead;

	if (n << HAK_SS_SHIFT < bytes)
		return HAK_NO_SLOT;
	slot = hak_registry_map(n, n << HAK_SS_SHIFT);
	if (slot == HAK_NO_SLOT)
		return slot;
	at = large_slot((void *)hak_align_up((uintptr_t)large_address(slot), align));
	lead = at - slot;
	if (lead > 0)
		large_unmap(slot, lead << HAK_SS_SHIFT);
	if (need + lead < n)
		large_unmap(at + need, (n - lead - need) << HAK_SS_SHIFT);
	if (need << HAK_SS_SHIFT > bytes && !hak_os_unmap(large_address(at) + bytes, (need << HAK_SS_SHIFT) - bytes))
		*mapped = need << HAK_SS_SHIFT;
	return at;
}

enum large_brought { LARGE_NONE, LARGE_SOME, LARGE_HOLE };

/* A failed mremap may have unmapped the place, or not: then it is mapped again, or there is a hole for good.  Emulators take
 * for mapped what is not, and cannot be read. */
static enum hak_os_result large_map_again(size_t to, size_t bytes)
{
	char *at = large_address(to);
	enum hak_os_result result = hak_os_map_at(at, bytes);

	if (result != HAK_OS_TAKEN || hak_os_look(at) != HAK_OS_REFUSED)
		return result;
	return hak_os_unmap(at, bytes) ? hak_os_map_at(at, bytes) : HAK_OS_REFUSED;
}

static enum large_brought large_move_extent(struct hak_extent e, size_t to)
{
	size_t bytes = e.slots << HAK_SS_SHIFT;

	if (hak_os_move(large_address(e.slot), bytes, large_address(to), bytes))
		return LARGE_SOME;
	return large_map_again(to, bytes) == HAK_OS_REFUSED ? LARGE_HOLE : LARGE_NONE;
}

/* Whole slots that were just mapped get memory that is kept elsewhere, `e` first: its pages move here, which costs less than
 * faults and clearing.  Few pieces, as each becomes a mapping of its own.  Not where the kernel chooses addresses: it might
 * give the place to another thread when a move fails. */
static enum large_brought large_bring(size_t slot, size_t slots, struct hak_extent e)
{
	enum large_brought brought = LARGE_NONE;

	for (unsigned piece = 0; e.slots > 0; piece++) {
		enum large_brought one = hak_registry.follow || e.slots > slots ? LARGE_NONE : large_move_extent(e, slot);

		if (one != LARGE_SOME) {
			large_keep_again(e);
			return one == LARGE_HOLE ? one : brought;
		}
		brought = LARGE_SOME;
		hak_registry_unclaim(e.slot, e.slots);
		slot += e.slots;
		slots -= e.slots;
		e.slots = 0;
		if (piece + 1 < LARGE_PIECES && slots > 0)
			e = hak_bigcache_take(e.node, slots);
	}
	return brought;
}

/* The slots behind a block become part of it: out of the cache, or mapped.  Returns the bytes that are mapped from `slot`
 * on then, at least `bytes`; 0 if it cannot be done. */
static size_t large_extend(size_t slot, size_t mapped, size_t bytes)
{
	size_t have = large_slots(mapped), more = large_slots(bytes) - have, whole = have << HAK_SS_SHIFT;
	bool cached = more > 0 && hak_bigcache_take_at(large_node(slot), slot + have, more);
	size_t end = cached ? whole : bytes;

	if (more > 0 && !cached && !hak_registry_claim_at(slot + have, more))
		return 0;
	if (end > mapped && hak_os_map_at(large_address(slot) + mapped, end - mapped) != HAK_OS_OK) {
		if (cached)
			large_unmap(slot + have, more << HAK_SS_SHIFT);
		else
			hak_registry_unclaim(slot + have, more);
		return 0;
	}
	if (cached)
		return whole + (more << HAK_SS_SHIFT);
	if (bytes >> HAK_SS_SHIFT > have &&
	    large_bring(slot + have, (bytes >> HAK_SS_SHIFT) - have,
	                hak_bigcache_take(large_node(slot), (bytes >> HAK_SS_SHIFT) - have)) == LARGE_HOLE) {
		large_unmap(slot + have, bytes - whole);
		return 0;
	}
	return bytes;
}

/* New slots, with memory that is kept elsewhere if there is some. */
static size_t large_map(size_t bytes, size_t align, struct hak_extent kept, size_t *mapped, bool *zero)
{
	size_t slot;

	*mapped = bytes;
	if (align <= HAK_SS_SIZE)
		slot = hak_registry_map(large_slots(bytes), bytes);
	else
		slot = large_map_aligned(bytes, align, mapped);
	if (slot == HAK_NO_SLOT) {
		large_keep_again(kept);
		return slot;
	}
	switch (large_bring(slot, bytes >> HAK_SS_SHIFT, kept)) {
	case LARGE_NONE:
		*zero = true;
		break;
	case LARGE_SOME:
		*zero = false;
		break;
	case LARGE_HOLE:
		large_unmap(slot, *mapped);
		return HAK_NO_SLOT;
	}
	return slot;
}

HAK_FN void *hak_large_alloc(size_t size, size_t align, bool *zero)
{
	size_t bytes = hak_align_up(size, hak_registry.page), mapped = bytes, slot;
	struct hak_extent kept = { 0 };
	uint32_t node = hak_numa_node();

	if (bytes < size || bytes > PTRDIFF_MAX)
		return NULL;
	if (align <= HAK_SS_SIZE)
		kept = hak_bigcache_take(node, large_slots(bytes));
	slot = kept.slot;
	if (kept.slots == large_slots(bytes)) {
		mapped = kept.slots << HAK_SS_SHIFT;
		*zero = false;
	} else {
		slot = large_map(bytes, align, kept, &mapped, zero);
		if (slot == HAK_NO_SLOT)
			return NULL;
		large_advise(slot, bytes);
	}
	hak_policy_wanted(bytes, hak_os_now());
	hak_count_process(large_reused, !*zero);
	hak_count_process(large_mapped, *zero);
	large_count(1, bytes);
	large_set_node(slot, node);
	return large_open(slot, bytes, mapped);
}

HAK_FN void hak_large_free(void *p)
{
	size_t slot = large_slot(p), bytes = hak_large_size(p), mapped = large_mapped(slot);
	size_t whole = large_slots(mapped) << HAK_SS_SHIFT, limit;
	uint32_t now = hak_os_now();
	bool keep;

	hak_registry_return_begin();
	hak_registry_set_tags(slot * HAK_SS_SLABS, 1, 0);
	large_count((size_t)-1, (size_t)0 - bytes);
	hak_policy_freed(bytes, now);
	limit = large_cache_limit();
	keep = hak_policy_keeps(bytes) && whole <= limit;
	large_cache_shrink(limit - (keep ? whole : 0), now, 0);
	if (!keep || !large_keep(slot, mapped, now))
		large_unmap(slot, mapped);
	hak_registry_return_end();
}

HAK_FN size_t hak_large_size(const void *p)
{
	return hak_load(&hak_registry_slot(large_slot(p))->bytes, relaxed);
}

/* What the kernel does not take back stays mapped. */
static void large_shrink(size_t slot, size_t mapped, size_t bytes)
{
	size_t keep = large_slots(bytes);

	if (!hak_os_unmap(large_address(slot) + bytes, mapped - bytes))
		return;
	hak_registry_unclaim(slot + keep, large_slots(mapped) - keep);
	hak_store(&hak_registry_slot(slot)->mapped, bytes, relaxed);
}

/* A block of several mappings can be moved by newer kernels, if its size stays: the rest is mapped at the new place already,
 * or again, if the kernel unmapped it before it failed.  If it was never mapped and is taken, that is somebody else's. */
static bool large_move_pages(size_t slot, size_t mapped, size_t to, size_t bytes, bool *is_mapped)
{
	enum hak_os_result again;

	if (hak_os_move(large_address(slot), mapped, large_address(to), bytes))
		return true;
	if (hak_registry.follow)
		return false;
	again = *is_mapped ? large_map_again(to, bytes) : hak_os_map_at(large_address(to), bytes);
	*is_mapped = *is_mapped || again == HAK_OS_OK;
	return *is_mapped && again != HAK_OS_REFUSED && hak_os_move(large_address(slot), mapped, large_address(to), mapped);
}

/* The new place is mapped first, as the kernel would overwrite what it finds there. */
static void *large_move(size_t slot, size_t mapped, size_t bytes)
{
	bool is_mapped = false;
	size_t to = hak_registry_map_to_move(large_slots(bytes), bytes, mapped, &is_mapped);

	if (to == HAK_NO_SLOT)
		return NULL;
	large_advise(slot, mapped); /* all of it alike */
	if (!large_move_pages(slot, mapped, to, bytes, &is_mapped)) {
		if (!is_mapped)
			hak_registry_unclaim(to, large_slots(bytes));
		else if (!hak_registry.follow) /* else it may be another thread's by now: the slots stay claimed */
			large_unmap(to, bytes);
		return NULL;
	}
	hak_registry_set_tags(slot * HAK_SS_SLABS, 1, 0);
	large_set_node(to, large_node(slot));
	hak_registry_unclaim(slot, large_slots(mapped));
	large_advise(to, bytes);
	hak_count_process(large_moved, 1);
	return large_open(to, bytes, bytes);
}

static void *large_grow(size_t slot, size_t mapped, size_t bytes)
{
	size_t now = mapped >= bytes ? mapped : large_extend(slot, mapped, bytes);

	if (now == 0)
		return large_move(slot, mapped, bytes);
	if (now > mapped)
		large_advise(slot, now);
	return large_open(slot, bytes, now);
}

HAK_FN void *hak_large_resize(void *p, size_t size)
{
	size_t slot = large_slot(p), have = hak_large_size(p), bytes = hak_align_up(size, hak_registry.page);
	size_t mapped = large_mapped(slot);

	if (bytes > have)
		p = large_grow(slot, mapped, bytes);
	else if (bytes < mapped)
		large_shrink(slot, mapped, bytes);
	if (!p)
		return NULL;
	hak_store(&hak_registry_slot(large_slot(p))->bytes, bytes, relaxed);
	large_count(0, bytes - have);
	return p;
}

HAK_FN void hak_large_tick(void)
{
	uint32_t age = (uint32_t)hak_setting(decay_ms);

	if (age > 0 && hak_large_cached() > 0)
		hak_large_trim(hak_os_now(), age);
}

HAK_FN size_t hak_large_trim(uint32_t now, uint32_t age)
{
	size_t bytes;

	hak_registry_return_begin();
	bytes = large_cache_shrink(0, now, age);
	hak_registry_return_end();
	return bytes;
}
