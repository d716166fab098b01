#include "large.h"

#include "batch.h"
#include "lock.h"
#include "os.h"
#include "registry.h"
#include "tunables.h"

#define LARGE_CACHED 16u
#define LARGE_LOOSE 4u /* a cached block may be a quarter too large */

struct large_cached {
	size_t slot; /* entries in use have bytes != 0 */
	size_t bytes;
	uint32_t stamp;
};

static struct hak_lock large_lock = HAK_LOCK_INIT(HAK_RANK_LARGE);
static struct large_cached large_cache[LARGE_CACHED];
static _Atomic size_t large_cached_bytes; /* written under the lock */
static _Atomic size_t large_used_bytes, large_used_blocks;

HAK_FN void hak_large_lock(void) { hak_lock_take(&large_lock); }
HAK_FN void hak_large_unlock(void) { hak_lock_release(&large_lock); }
HAK_FN size_t hak_large_used(void) { return hak_load(&large_used_bytes, relaxed); }
HAK_FN size_t hak_large_blocks(void) { return hak_load(&large_used_blocks, relaxed); }
HAK_FN size_t hak_large_cached(void) { return hak_load(&large_cached_bytes, relaxed); }

static size_t large_slots(size_t bytes) { return (bytes + HAK_SS_SIZE - 1) >> HAK_SS_SHIFT; }
static char *large_address(size_t slot) { return hak_registry_address(slot * HAK_SS_SLABS); }
static size_t large_slot(const void *p) { return hak_registry_number(p) / HAK_SS_SLABS; }

static void large_count(size_t blocks, size_t bytes) /* differences, modulo */
{
	hak_fetch_add(&large_used_blocks, blocks, relaxed);
	hak_fetch_add(&large_used_bytes, bytes, relaxed);
}

/* Slots [slot, slot + large_slots(bytes)) are ours and mapped: a block from here on. */
static void *large_open(size_t slot, size_t bytes)
{
	hak_store(&hak_registry_slot(slot)->bytes, bytes, relaxed);
	hak_store(&hak_registry_slot(slot)->state, HAK_SLOT_LARGE, relaxed);
	for (size_t i = 1; i < large_slots(bytes); i++)
		hak_store(&hak_registry_slot(slot + i)->state, HAK_SLOT_LARGE_INNER, relaxed);
	hak_registry_set_tags(slot * HAK_SS_SLABS, 1, HAK_TAG_LARGE);
	return large_address(slot);
}

/* The kernel may refuse (too many mappings): then the pages go back at least, and the slots stay ours for ever. */
static void large_unmap(size_t slot, size_t bytes)
{
	if (hak_os_unmap(large_address(slot), bytes))
		hak_registry_unclaim(slot, large_slots(bytes));
	else
		hak_os_purge(large_address(slot), bytes);
}

static struct large_cached large_take_locked(size_t i)
{
	struct large_cached c = large_cache[i];

	large_cache[i].bytes = 0;
	hak_fetch_sub(&large_cached_bytes, c.bytes, relaxed);
	return c;
}

/* Best fit. */
static struct large_cached large_find(size_t bytes)
{
	struct large_cached found = { 0, 0, 0 };
	size_t best = LARGE_CACHED;

	if (hak_large_cached() < bytes)
		return found;
	hak_lock_take(&large_lock);
	for (size_t i = 0; i < LARGE_CACHED; i++) {
		size_t have = large_cache[i].bytes;
		if (have >= bytes && have - bytes <= bytes / LARGE_LOOSE &&
		    (best == LARGE_CACHED || have < large_cache[best].bytes))
			best = i;
	}
	if (best < LARGE_CACHED)
		found = large_take_locked(best);
	hak_lock_release(&large_lock);
	return found;
}

/* The oldest cached block; nothing (bytes 0) if it is younger than `age`. */
static struct large_cached large_take_oldest(uint32_t now, uint32_t age)
{
	struct large_cached found = { 0, 0, 0 };
	size_t oldest = LARGE_CACHED;

	hak_lock_take(&large_lock);
	for (size_t i = 0; i < LARGE_CACHED; i++)
		if (large_cache[i].bytes && (oldest == LARGE_CACHED ||
		                             now - large_cache[i].stamp > now - large_cache[oldest].stamp))
			oldest = i;
	if (oldest < LARGE_CACHED && now - large_cache[oldest].stamp >= age)
		found = large_take_locked(oldest);
	hak_lock_release(&large_lock);
	return found;
}

static bool large_keep(size_t slot, size_t bytes, uint32_t now)
{
	bool kept = false;

	hak_lock_take(&large_lock);
	for (size_t i = 0; i < LARGE_CACHED && !kept; i++)
		if (large_cache[i].bytes == 0) {
			large_cache[i] = (struct large_cached){ slot, bytes, now };
			hak_fetch_add(&large_cached_bytes, bytes, relaxed);
			kept = true;
		}
	hak_lock_release(&large_lock);
	return kept;
}

/* What may be cached: the setting, and not more than free memory may be dirty. */
static size_t large_cache_limit(void)
{
	size_t limit = hak_batch_budget(), most = (size_t)hak_setting(big_cache);

	if (hak_add_overflow(limit, hak_large_used() / 100 * (size_t)hak_setting(dirty_percent), &limit))
		limit = SIZE_MAX;
	return limit < most ? limit : most;
}

/* Alignment above a slot's: claims more and cuts both ends off. */
static size_t large_map_aligned(size_t bytes, size_t align)
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
	if (need << HAK_SS_SHIFT > bytes)
		hak_os_unmap(large_address(at) + bytes, (need << HAK_SS_SHIFT) - bytes);
	return at;
}

HAK_FN void *hak_large_alloc(size_t size, size_t align, bool *zero)
{
	size_t bytes = hak_align_up(size, hak_registry.page), slot;
	struct large_cached c = { 0, 0, 0 };

	if (bytes < size)
		return NULL;
	if (align <= HAK_SS_SIZE)
		c = large_find(bytes);
	*zero = c.bytes == 0;
	if (c.bytes) {
		slot = c.slot;
		bytes = c.bytes;
	} else if (align <= HAK_SS_SIZE) {
		slot = hak_registry_map(large_slots(bytes), bytes);
	} else {
		slot = large_map_aligned(bytes, align);
	}
	if (slot == HAK_NO_SLOT)
		return NULL;
	large_count(1, bytes);
	return large_open(slot, bytes);
}

HAK_FN void hak_large_free(void *p)
{
	size_t slot = large_slot(p), bytes = hak_load(&hak_registry_slot(slot)->bytes, relaxed), limit;
	uint32_t now = hak_os_now();

	hak_registry_set_tags(slot * HAK_SS_SLABS, 1, 0);
	large_count((size_t)-1, (size_t)0 - bytes);
	limit = large_cache_limit();
	while (hak_large_cached() > 0 && hak_large_cached() + (bytes <= limit ? bytes : 0) > limit) {
		struct large_cached old = large_take_oldest(now, 0);
		if (old.bytes)
			large_unmap(old.slot, old.bytes);
	}
	if (bytes > limit || !large_keep(slot, bytes, now))
		large_unmap(slot, bytes);
}

HAK_FN size_t hak_large_size(const void *p)
{
	return hak_load(&hak_registry_slot(large_slot(p))->bytes, relaxed);
}

static bool large_shrink(size_t slot, size_t have, size_t bytes)
{
	if (!hak_os_unmap(large_address(slot) + bytes, have - bytes))
		return false;
	hak_registry_unclaim(slot + large_slots(bytes), large_slots(have) - large_slots(bytes));
	return true;
}

static bool large_grow(size_t slot, size_t have, size_t bytes)
{
	size_t old = large_slots(have), more = large_slots(bytes) - old;

	if (more > 0 && !hak_registry_claim_at(slot + old, more))
		return false;
	if (hak_os_resize(large_address(slot), have, bytes))
		return true;
	hak_registry_unclaim(slot + old, more);
	return false;
}

static void *large_move(size_t slot, size_t have, size_t bytes)
{
	size_t to = hak_registry_map(large_slots(bytes), bytes);

	if (to == HAK_NO_SLOT)
		return NULL;
	if (!hak_os_move(large_address(slot), have, large_address(to), bytes)) {
		large_unmap(to, bytes);
		return NULL;
	}
	hak_registry_set_tags(slot * HAK_SS_SLABS, 1, 0);
	hak_registry_unclaim(slot, large_slots(have));
	return large_open(to, bytes);
}

HAK_FN void *hak_large_resize(void *p, size_t size)
{
	size_t slot = large_slot(p), have = hak_large_size(p), bytes = hak_align_up(size, hak_registry.page);

	if (bytes == have)
		return p;
	if (bytes < have ? large_shrink(slot, have, bytes) : large_grow(slot, have, bytes))
		large_open(slot, bytes);
	else
		p = bytes < have ? NULL : large_move(slot, have, bytes);
	if (p)
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
	size_t bytes = 0;

	while (hak_large_cached() > 0) {
		struct large_cached old = large_take_oldest(now, age);
		if (!old.bytes)
			break;
		large_unmap(old.slot, old.bytes);
		bytes += old.bytes;
	}
	return bytes;
}
