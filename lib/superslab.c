#include "superslab.h"

#include "mark.h"
#include "meta.h"
#include "numa.h"
#include "os.h"
#include "pages.h"
#include "say.h"
#include "slab.h"
#include "stats.h"
#include "tunables.h"

#define SUPERSLAB_FIRST ((size_t)512 << 10) /* of the first one; it doubles from there */

static _Atomic size_t superslab_mapped;
static _Atomic size_t superslab_partial; /* slot + 1 of the one that is mapped in part, if nobody is at it */
static _Atomic uint32_t superslab_begun; /* somebody maps the first, or did */

static bool superslab_make_marks(struct hak_slot *slot)
{
	if (!slot->marks)
		slot->marks = hak_meta_alloc(2 * HAK_MARK_WORDS * sizeof(*slot->marks), HAK_LINE);
	return slot->marks != NULL;
}

#define SUPERSLAB_FEW 4u /* SuperSlabs of a small program */

/* Is much of the last page wasted if the heads have whole pages? */
static bool superslab_has_large_pages(void) { return hak_registry.page > 4096; }

static size_t superslab_heads(void) /* bytes */
{
	size_t bytes = HAK_SS_SLABS * sizeof(struct hak_slab);

	return superslab_has_large_pages() ? bytes : hak_align_up(bytes, hak_registry.page);
}

/* Those of the first SuperSlabs lie close together.  Those of the others begin on a page, so that all of them goes back when they
 * are purged. */
static struct hak_slab *superslab_new_heads(void)
{
	bool is_close = hak_load(&superslab_mapped, relaxed) < SUPERSLAB_FEW || superslab_has_large_pages();

	return hak_meta_alloc(superslab_heads(), is_close ? HAK_LINE : hak_registry.page);
}

static bool superslab_make_heads(struct hak_slot *slot)
{
	struct hak_slab *slabs;

	if (hak_setting(secure) && !superslab_make_marks(slot))
		return false;
	if (hak_load(&slot->slabs, relaxed))
		return true;
	slabs = superslab_new_heads();
	hak_store(&slot->slabs, slabs, relaxed); /* published by the pool's word */
	return slabs != NULL;
}

static uint32_t superslab_mask(size_t from, size_t to) /* bytes */
{
	return hak_low_mask((unsigned)((to - from) >> HAK_SLAB_SHIFT)) << (from >> HAK_SLAB_SHIFT);
}

/* Maps the next part of the first SuperSlab.  Who takes superslab_partial does it alone; meanwhile others find none. */
static bool superslab_extend(uint32_t node, bool dense)
{
	size_t s = hak_swap(&superslab_partial, 0, acquire), have; /* partner: the release stores */
	struct hak_slot *slot;
	char *end;

	if (s == 0)
		return false;
	slot = hak_registry_slot(s - 1);
	have = hak_load(&slot->bytes, relaxed);
	end = hak_registry_address((s - 1) * HAK_SS_SLABS) + have;
	if (!hak_registry_is_near(slot, node) || hak_os_map_at(end, have) != HAK_OS_OK) {
		hak_store(&superslab_partial, s, release);
		return false;
	}
	hak_store(&slot->bytes, have * 2, relaxed);
	if (have * 2 == HAK_SS_SIZE)
		hak_pages_superslab(s - 1, 1, dense);
	hak_pages_present(end, have);
	hak_pool_add(s - 1, superslab_mask(have, have * 2));
	if (have * 2 < HAK_SS_SIZE)
		hak_store(&superslab_partial, s, release); /* partner: the swap above */
	return true;
}

static void superslab_open(size_t s, uint32_t node, size_t bytes, bool dense, bool ready)
{
	struct hak_slot *slot = hak_registry_slot(s);

	hak_store(&slot->bytes, bytes, relaxed);
	hak_store(&slot->huge, 0, relaxed);
	hak_store(&slot->purged, 0, relaxed);
	hak_store(&slot->node, node, relaxed); /* published by the pool's word */
	hak_store(&slot->state, HAK_SLOT_SLABS, relaxed);
	if (bytes == HAK_SS_SIZE)
		hak_pages_superslab(s, hak_superslab_count(), dense);
	if (ready)
		hak_pages_ready(hak_registry_address(s * HAK_SS_SLABS), bytes);
	else
		hak_pages_present(hak_registry_address(s * HAK_SS_SLABS), bytes);
	hak_fetch_add(&superslab_mapped, 1, relaxed);
	hak_count_process(superslab_maps, 1);
	hak_pool_add(s, superslab_mask(0, bytes));
}

static bool superslab_map_bytes(uint32_t node, size_t bytes, bool dense, bool ready)
{
	size_t s = hak_registry_map(1, bytes);

	if (s == HAK_NO_SLOT)
		return false;
	if (!superslab_make_heads(hak_registry_slot(s))) {
		hak_os_unmap(hak_registry_address(s * HAK_SS_SLABS), bytes);
		hak_registry_unclaim(s, 1);
		return false;
	}
	superslab_open(s, node, bytes, dense, ready);
	if (bytes < HAK_SS_SIZE)
		hak_store(&superslab_partial, s + 1, release); /* partner: superslab_extend */
	return true;
}

/* The first one, by the first thread that comes, is mapped in part. */
static bool superslab_map(uint32_t node, bool dense)
{
	bool first = !hak_registry.follow && !hak_pages_is_always() && !hak_swap(&superslab_begun, true, relaxed);
	bool ok = superslab_map_bytes(node, first ? SUPERSLAB_FIRST : HAK_SS_SIZE, dense, false);

	if (first && !ok)
		hak_store(&superslab_begun, false, relaxed);
	return ok;
}

HAK_FN bool hak_superslab_grow(uint32_t node, bool dense)
{
	return superslab_extend(node, dense) || superslab_map(node, dense);
}

HAK_FN void hak_superslab_adopt(uint32_t node, size_t s, size_t n)
{
	for (; n > 0; n--, s++)
		if (superslab_make_heads(hak_registry_slot(s)))
			superslab_open(s, node, HAK_SS_SIZE, false, false);
}

HAK_FN void hak_superslab_prewarm(unsigned n)
{
	unsigned done = 0;

	while (done < n && superslab_map(hak_numa_node(), false))
		done++;
	if (n > 0 && hak_setting(ss_prewarm_debug))
		hak_say_line("prewarm: %u SuperSlabs mapped", done);
}

/* The heads of a slot that is nobody's say nothing: the next to open a slab writes its head anew. */
static void superslab_purge_heads(const struct hak_slot *slot)
{
	uintptr_t heads = (uintptr_t)hak_load(&slot->slabs, relaxed), page = hak_registry.page;
	uintptr_t first = hak_align_up(heads, page), end = hak_align_down(heads + superslab_heads(), page);

	if (first < end)
		hak_os_purge((void *)first, end - first);
}

static bool superslab_unmap(size_t s)
{
	struct hak_slot *slot = hak_registry_slot(s);
	uint32_t dirty;

	if (hak_load(&slot->state, relaxed) != HAK_SLOT_SLABS || !hak_pool_take_whole(s, &dirty))
		return false;
	if (!hak_os_unmap(hak_registry_address(s * HAK_SS_SLABS), HAK_SS_SIZE)) {
		hak_pool_give(s, dirty, true); /* the kernel has no room for the hole: stays as it was */
		hak_pool_give(s, ~dirty, false);
		return false;
	}
	hak_pool_remove(s);
	superslab_purge_heads(slot);
	hak_fetch_sub(&superslab_mapped, 1, relaxed);
	hak_count_process(superslab_unmaps, 1);
	hak_registry_unclaim(s, 1);
	if (hak_setting(ss_lru_debug))
		hak_say_line("SuperSlab cache: slot %zu unmapped", s);
	return true;
}

/* Free slabs in units of SuperSlabs: no more wholly free ones can there be. */
static size_t superslab_free(void)
{
	size_t slabs = hak_load(&superslab_mapped, relaxed) * HAK_SS_SLABS, used = hak_pool_counts().used;

	return slabs > used ? (slabs - used) / HAK_SS_SLABS : 0;
}

HAK_FN size_t hak_superslab_keep(void)
{
	size_t used = hak_pool_counts().used / HAK_SS_SLABS, keep = (size_t)hak_setting(ss_lru_size);

	return keep > 0 && used > keep ? used : keep;
}

HAK_FN void hak_superslab_ahead(void)
{
	unsigned node = hak_numa_node();

	if (superslab_free() == 0 && hak_numa_nodes() == 1) /* else it might be the wrong node's */
		superslab_map_bytes(node, HAK_SS_SIZE, true, true);
}

HAK_FN bool hak_superslab_is_surplus(void) { return superslab_free() > hak_superslab_keep(); }

HAK_FN void hak_superslab_shrink(size_t keep)
{
	hak_registry_return_begin();
	for (size_t s = hak_load(&hak_registry.high, relaxed); s-- > 0 && superslab_free() > keep;)
		superslab_unmap(s);
	hak_registry_return_end();
}

HAK_FN bool hak_superslab_mark_all(void)
{
	bool ok = true;

	for (size_t s = 0; s < hak_load(&hak_registry.high, relaxed) && ok; s++)
		ok = !hak_load(&hak_registry_slot(s)->slabs, relaxed) || superslab_make_marks(hak_registry_slot(s));
	return ok;
}

HAK_FN size_t hak_superslab_count(void) { return hak_load(&superslab_mapped, relaxed); }
