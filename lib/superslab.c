#include "superslab.h"

#include "meta.h"
#include "os.h"
#include "say.h"
#include "slab.h"
#include "tunables.h"

#define SUPERSLAB_FIRST ((size_t)512 << 10) /* of the first one; it doubles from there */

static _Atomic size_t superslab_mapped;
static _Atomic size_t superslab_partial; /* slot + 1 of the one that is mapped in part */

static bool superslab_make_heads(struct hak_slot *slot)
{
	struct hak_slab *slabs;

	if (hak_load(&slot->slabs, relaxed))
		return true;
	slabs = hak_meta_alloc(HAK_SS_SLABS * sizeof(struct hak_slab), HAK_LINE);
	hak_store(&slot->slabs, slabs, relaxed); /* published by the pool's word */
	return slabs != NULL;
}

static uint32_t superslab_mask(size_t from, size_t to) /* bytes */
{
	return hak_low_mask((unsigned)((to - from) >> HAK_SLAB_SHIFT)) << (from >> HAK_SLAB_SHIFT);
}

/* HAKMEM_SS_PREFAULT. */
static void superslab_prefault(char *at, size_t bytes)
{
	unsigned how = hak_setting(ss_prefault);

	if (how == 0 || (how == 1 && hak_os_populate(at, bytes)))
		return;
	for (size_t i = 0; how == 2 && i < bytes; i += hak_registry.page)
		*(volatile char *)(at + i) = 0;
}

/* Maps the next part of the first SuperSlab.  Of two threads that try, the kernel lets one. */
static bool superslab_extend(void)
{
	size_t s = hak_load(&superslab_partial, acquire), have, want; /* partner: superslab_map */
	struct hak_slot *slot;

	if (s == 0)
		return false;
	slot = hak_registry_slot(s - 1);
	have = hak_load(&slot->bytes, relaxed);
	want = have * 2;
	if (have >= HAK_SS_SIZE || hak_os_map_at(hak_registry_address((s - 1) * HAK_SS_SLABS) + have, have) != HAK_OS_OK)
		return false;
	superslab_prefault(hak_registry_address((s - 1) * HAK_SS_SLABS) + have, have);
	hak_store(&slot->bytes, want, relaxed);
	if (want == HAK_SS_SIZE)
		hak_store(&superslab_partial, 0, relaxed);
	hak_pool_add(s - 1, superslab_mask(have, want));
	return true;
}

static bool superslab_map(void)
{
	bool first = hak_load(&superslab_mapped, relaxed) == 0 && !hak_registry.follow;
	size_t bytes = first ? SUPERSLAB_FIRST : HAK_SS_SIZE, s = hak_registry_map(1, bytes);
	struct hak_slot *slot;

	if (s == HAK_NO_SLOT)
		return false;
	slot = hak_registry_slot(s);
	if (!superslab_make_heads(slot)) {
		hak_os_unmap(hak_registry_address(s * HAK_SS_SLABS), bytes);
		hak_registry_unclaim(s, 1);
		return false;
	}
	superslab_prefault(hak_registry_address(s * HAK_SS_SLABS), bytes);
	hak_store(&slot->bytes, bytes, relaxed);
	hak_store(&slot->state, HAK_SLOT_SLABS, relaxed);
	hak_fetch_add(&superslab_mapped, 1, relaxed);
	hak_pool_add(s, superslab_mask(0, bytes));
	if (first)
		hak_store(&superslab_partial, s + 1, release); /* partner: superslab_extend */
	return true;
}

HAK_FN bool hak_superslab_grow(void) { return superslab_extend() || superslab_map(); }

HAK_FN void hak_superslab_prewarm(unsigned n)
{
	unsigned done = 0;

	while (done < n && superslab_map())
		done++;
	if (n > 0 && hak_setting(ss_prewarm_debug))
		hak_say_line("prewarm: %u SuperSlabs mapped", done);
}

static bool superslab_unmap(size_t s)
{
	struct hak_slot *slot = hak_registry_slot(s);

	if (hak_load(&slot->state, relaxed) != HAK_SLOT_SLABS || !hak_pool_take_whole(s))
		return false;
	if (!hak_os_unmap(hak_registry_address(s * HAK_SS_SLABS), HAK_SS_SIZE)) {
		hak_pool_give(s, UINT32_MAX, true); /* the kernel has no room for the hole: stays as it was */
		return false;
	}
	hak_pool_remove(s);
	hak_fetch_sub(&superslab_mapped, 1, relaxed);
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

HAK_FN bool hak_superslab_is_surplus(void) { return superslab_free() > (size_t)hak_setting(ss_lru_size); }

HAK_FN void hak_superslab_shrink(size_t keep)
{
	for (size_t s = hak_load(&hak_registry.high, relaxed); s-- > 0 && superslab_free() > keep;)
		superslab_unmap(s);
}

HAK_FN size_t hak_superslab_count(void) { return hak_load(&superslab_mapped, relaxed); }
