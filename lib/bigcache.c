#include "bigcache.h"

#include "atomic.h"
#include "bits.h"
#include "lock.h"

static struct hak_lock bigcache_lock = HAK_LOCK_INIT(HAK_RANK_LARGE);
HAK_DEF struct hak_bigcache hak_bigcache HAK_SPARSE;
static _Atomic size_t bigcache_slots; /* written under the lock */

HAK_FN void hak_bigcache_lock(void) { hak_lock_take(&bigcache_lock); }
HAK_FN void hak_bigcache_unlock(void) { hak_lock_release(&bigcache_lock); }
HAK_FN size_t hak_bigcache_slots(void) { return hak_load(&bigcache_slots, relaxed); }

/* Takes the first `slots` of entry i, or all if it has less; what is left keeps the place. */
static struct hak_extent bigcache_cut_locked(size_t i, size_t slots)
{
	struct hak_extent found = hak_bigcache.extents[i];

	if (found.slots > slots) {
		hak_bigcache.extents[i].slot += slots;
		hak_bigcache.extents[i].slots -= slots;
		found.slots = slots;
	} else {
		hak_bigcache.extents[i] = hak_bigcache.extents[--hak_bigcache.count];
	}
	hak_fetch_sub(&bigcache_slots, found.slots, relaxed);
	return found;
}

/* Is a block of that many slots better made of a than of b?  Of what it fits in, the smallest; else the largest. */
static bool bigcache_is_better(size_t slots, size_t a, size_t b)
{
	if (a >= slots)
		return b < slots || a < b;
	return b < slots && a > b;
}

HAK_FN struct hak_extent hak_bigcache_take(uint32_t node, size_t slots)
{
	struct hak_extent found = { 0 };
	size_t best = HAK_BIGCACHE_PLACES;

	if (hak_bigcache_slots() == 0)
		return found;
	if (!hak_lock_take(&bigcache_lock))
		return found;
	for (size_t i = 0; i < hak_bigcache.count; i++)
		if (hak_bigcache.extents[i].node == node &&
		    (best == HAK_BIGCACHE_PLACES ||
		     bigcache_is_better(slots, hak_bigcache.extents[i].slots, hak_bigcache.extents[best].slots)))
			best = i;
	if (best < HAK_BIGCACHE_PLACES)
		found = bigcache_cut_locked(best, slots);
	hak_lock_release(&bigcache_lock);
	return found;
}

HAK_FN bool hak_bigcache_take_at(uint32_t node, size_t slot, size_t slots)
{
	bool ok = false;

	if (hak_bigcache_slots() < slots)
		return false;
	if (!hak_lock_take(&bigcache_lock))
		return false;
	for (size_t i = 0; i < hak_bigcache.count && !ok; i++) {
		const struct hak_extent *e = &hak_bigcache.extents[i];

		ok = e->slot == slot && e->slots >= slots && e->node == node;
		if (ok)
			bigcache_cut_locked(i, slots);
	}
	hak_lock_release(&bigcache_lock);
	return ok;
}

HAK_FN struct hak_extent hak_bigcache_take_oldest(uint32_t now, uint32_t age)
{
	struct hak_extent found = { 0 };
	size_t oldest = 0;

	if (!hak_lock_take(&bigcache_lock))
		return found;
	for (size_t i = 1; i < hak_bigcache.count; i++)
		if (hak_elapsed(now, hak_bigcache.extents[i].stamp) > hak_elapsed(now, hak_bigcache.extents[oldest].stamp))
			oldest = i;
	if (hak_bigcache.count > 0 && hak_elapsed(now, hak_bigcache.extents[oldest].stamp) >= age)
		found = bigcache_cut_locked(oldest, hak_bigcache.extents[oldest].slots);
	hak_lock_release(&bigcache_lock);
	return found;
}

/* Takes the neighbours of the extent, of its node, out, so that it can go in with them. */
static void bigcache_join_locked(struct hak_extent *extent)
{
	for (size_t i = hak_bigcache.count; i-- > 0;) {
		struct hak_extent near = hak_bigcache.extents[i];

		if (near.node != extent->node ||
		    (near.slot + near.slots != extent->slot && extent->slot + extent->slots != near.slot))
			continue;
		if (near.slot < extent->slot)
			extent->slot = near.slot;
		extent->slots += near.slots;
		hak_bigcache.extents[i] = hak_bigcache.extents[--hak_bigcache.count];
	}
}

HAK_FN bool hak_bigcache_put(struct hak_extent extent)
{
	size_t slots = extent.slots;
	bool ok;

	if (!hak_lock_take(&bigcache_lock))
		return false;
	bigcache_join_locked(&extent);
	ok = hak_bigcache.count < HAK_BIGCACHE_PLACES;
	if (ok) {
		hak_bigcache.extents[hak_bigcache.count++] = extent;
		hak_fetch_add(&bigcache_slots, slots, relaxed);
	}
	hak_lock_release(&bigcache_lock);
	return ok;
}
