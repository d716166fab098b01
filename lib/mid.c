#include "mid.h"

#include "batch.h"
#include "os.h"
#include "policy.h"
#include "slab.h"

#define MID_TAILS_LEAST ((size_t)1 << 20) /* this much, and a thirty-second of what is in use, lies behind blocks and has memory */

static _Atomic size_t mid_tails; /* bytes */

static unsigned mid_slabs(size_t size) { return (unsigned)((size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT); }

static struct hak_slab *mid_head(size_t number)
{
	return hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->slabs, relaxed) + number % HAK_SS_SLABS;
}

/* Slabs [from, to) of the span become part of it. */
static void mid_join(size_t number, unsigned from, unsigned to)
{
	struct hak_slab *head = mid_head(number);

	for (unsigned i = from; i < to; i++)
		head[i].number = (uint32_t)number;
	for (unsigned i = from > 0 ? from - 1 : 0; i + 1 < to; i++)
		head[i].fresh = 0;
	head->free = (uint16_t)to;
	hak_registry_set_tags(number + from, to - from, HAK_TAG_INNER);
	hak_registry_set_tags(number, 1, HAK_TAG_MID);
}

/* M2.  What the program writes there after all, as malloc_usable_size allows it, is not counted. */
static void mid_lay_tail(size_t number, size_t size, bool dirty)
{
	struct hak_slot *slot = hak_registry_slot(number / HAK_SS_SLABS);
	struct hak_slab *head = mid_head(number), *last = head + head->free - 1;
	size_t page = hak_registry.page, tail = ((size_t)head->free << HAK_SLAB_SHIFT) - hak_align_up(size, page);
	size_t clean = dirty ? last->fresh * page : tail, left = tail > clean ? tail - clean : 0; /* left: has memory */
	size_t used = (size_t)hak_pool_counts().used * HAK_SLAB_SIZE;
	bool huge = hak_load(&slot->huge, relaxed);

	if (left > 0 && !huge && hak_load(&mid_tails, relaxed) > used / 32 + MID_TAILS_LEAST &&
	    hak_batch_purge_part(hak_registry_address(number + head->free) - tail, left))
		left = 0;
	last->fresh = (uint8_t)((tail - left) / page);
	head->class = (uint8_t)(huge ? 0 : left / page);
	hak_fetch_add(&mid_tails, head->class * page, relaxed);
}

static void mid_forget_tail(const struct hak_slab *head)
{
	hak_fetch_sub(&mid_tails, head->class * hak_registry.page, relaxed);
}

static void mid_give(size_t number, unsigned slabs)
{
	uint32_t mask = hak_low_mask(slabs) << number % HAK_SS_SLABS;
	size_t bytes = slabs * HAK_SLAB_SIZE;

	hak_registry_set_tags(number, slabs, 0);
	if (bytes >= HAK_ELO_SMALLEST)
		hak_policy_freed(bytes, hak_os_now());
	if (hak_policy_keeps(bytes))
		hak_batch_give(number / HAK_SS_SLABS, mask, true);
	else
		hak_batch_give_purged(number / HAK_SS_SLABS, mask);
}

HAK_FN void *hak_mid_alloc(uint32_t node, size_t size, size_t align, bool *zero)
{
	struct hak_run run;

	if (!hak_pool_take(node, mid_slabs(size), align > HAK_SLAB_SIZE ? mid_slabs(align) : 1, &run))
		return NULL;
	if (run.slabs * HAK_SLAB_SIZE >= HAK_ELO_SMALLEST) /* once for each block, by the size that it is freed with */
		hak_policy_wanted(run.slabs * HAK_SLAB_SIZE, hak_os_now());
	if (!run.dirty)
		hak_batch_taken(run.number / HAK_SS_SLABS, hak_low_mask(run.slabs) << run.number % HAK_SS_SLABS);
	mid_join(run.number, 0, run.slabs);
	mid_lay_tail(run.number, size, run.dirty);
	*zero = !run.dirty;
	return hak_registry_address(run.number);
}

HAK_FN void hak_mid_free(void *p)
{
	size_t number = hak_registry_number(p);
	struct hak_slab *head = mid_head(number);

	mid_forget_tail(head);
	mid_give(number, head->free);
}

HAK_FN size_t hak_mid_size(const void *p)
{
	return (size_t)mid_head(hak_registry_number(p))->free << HAK_SLAB_SHIFT;
}

HAK_FN bool hak_mid_resize(void *p, size_t size)
{
	size_t number = hak_registry_number(p);
	unsigned have = mid_head(number)->free, want = mid_slabs(size);
	bool dirty = true;

	if (number % HAK_SS_SLABS + want > HAK_SS_SLABS) /* a span never leaves its SuperSlab */
		return false;
	if (want > have && !hak_pool_take_at(number + have, want - have, &dirty))
		return false;
	if (want > have)
		mid_join(number, have, want);
	if (want < have) {
		mid_head(number)->free = (uint16_t)want;
		mid_give(number + want, have - want);
	}
	mid_forget_tail(mid_head(number));
	mid_lay_tail(number, size, dirty);
	return true;
}
