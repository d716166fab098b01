#include "pool.h"

#define POOL_WORDS (HAK_SS_MAX / 64)
#define POOL_HINTS 6 /* by run length: 1, 2, 3..4, 5..8, 9..16, 17..32 */

/* Bit i: slot i may have free slabs.  The first slots' word is apart: it is all that a small process touches. */
static _Atomic uint64_t pool_first;
static _Atomic uint64_t pool_some[POOL_WORDS] HAK_SPARSE;
/* No run of that length below this slot, as far as known. */
static _Atomic size_t pool_hints[HAK_NODES][POOL_HINTS] HAK_SPARSE;
HAK_DEF _Atomic uint64_t hak_pool_counters;

static void pool_count(int used, int dirty)
{
	hak_fetch_add(&hak_pool_counters, ((uint64_t)(int64_t)dirty << 32) + (uint64_t)(int64_t)used, relaxed);
}

HAK_FN struct hak_pool_counts hak_pool_counts(void)
{
	uint64_t c = hak_load(&hak_pool_counters, relaxed);

	return (struct hak_pool_counts){ .used = (uint32_t)c, .dirty = (uint32_t)(c >> 32) };
}

static _Atomic uint64_t *pool_word(size_t w) { return w == 0 ? &pool_first : &pool_some[w]; }

static unsigned pool_hint_of(unsigned k) { return k <= 1 ? 0 : hak_highest_bit(k - 1) + 1; }

/* Where a search for a run of k slabs begins.  Who takes from any node does so when all else has failed. */
static size_t pool_hint(uint32_t node, unsigned k)
{
	return node == HAK_NODE_ANY ? 0 : hak_load(&pool_hints[node][pool_hint_of(k)], relaxed);
}

static void pool_raise_hint(uint32_t node, unsigned k, size_t from, size_t found)
{
	if (node != HAK_NODE_ANY && found != from) /* a small process does not write there */
		hak_cas(&pool_hints[node][pool_hint_of(k)], &from, found, relaxed);
}

static void pool_mark(size_t slot)
{
	/* release: who finds the bit sees the word; partner: acquire in pool_unmark */
	hak_fetch_or(pool_word(slot / 64), UINT64_C(1) << (slot % 64), release);
}

/* The word was seen empty.  A giver may have filled it and found the bit still set: look again after clearing. */
static void pool_unmark(size_t slot)
{
	/* acq_rel: partner is pool_mark; what a giver wrote before its mark is seen by the load below */
	hak_fetch_and(pool_word(slot / 64), ~(UINT64_C(1) << (slot % 64)), acq_rel);
	if (hak_load(&hak_registry_slot(slot)->word, relaxed) != 0)
		pool_mark(slot);
}

/* The next slot at or above `from` whose bit is set; HAK_NO_SLOT if there is none. */
static size_t pool_find_some(size_t from)
{
	size_t high = hak_load(&hak_registry.high, relaxed);
	uint64_t skip = ~UINT64_C(0) << (from % 64);

	for (size_t w = from / 64; w * 64 < high; w++, skip = ~UINT64_C(0)) {
		uint64_t bits = hak_load(pool_word(w), relaxed) & skip;
		if (bits)
			return w * 64 + hak_lowest_bit(bits);
	}
	return HAK_NO_SLOT;
}

/* The same, of that node.  (A slot that is unmapped and mapped for another node right now may be taken for the old one.) */
static size_t pool_find(size_t from, uint32_t node)
{
	size_t s = pool_find_some(from);

	while (s != HAK_NO_SLOT && !hak_registry_is_near(hak_registry_slot(s), node))
		s = pool_find_some(s + 1);
	return s;
}

/* Takes the slabs of mask out of the word that was read as `old`. */
static bool pool_try_take(struct hak_slot *slot, uint64_t *old, uint32_t mask)
{
	uint64_t both = mask | (uint64_t)mask << 32;

	/* acquire: the former owner's last writes to heads and tags; partner: release in hak_pool_give */
	if (!hak_cas(&slot->word, old, *old & ~both, acquire))
		return false;
	pool_count((int)hak_count_bits(mask), -(int)hak_count_bits(*old >> 32 & mask));
	return true;
}

static uint32_t pool_starts(unsigned align)
{
	static const uint32_t starts[] = { 0xffffffff, 0x55555555, 0x11111111, 0x01010101, 0x00010001, 0x00000001 };

	return starts[hak_lowest_bit(align)];
}

/* One run of this slot, warm: all dirty; on success the word as it was is in *old and the run's mask is returned. */
static uint32_t pool_take_run(size_t s, unsigned k, unsigned align, bool warm, uint64_t *old)
{
	struct hak_slot *slot = hak_registry_slot(s);

	*old = hak_load(&slot->word, relaxed);
	for (;;) {
		uint32_t runs = hak_runs_of((uint32_t)(warm ? *old >> 32 : *old), k) & pool_starts(align), dirty, mask;

		if (!runs)
			break;
		dirty = runs & (uint32_t)(*old >> 32); /* memory that is there already costs no fault */
		mask = hak_low_mask(k) << hak_lowest_bit(dirty ? dirty : runs);
		if (pool_try_take(slot, old, mask)) {
			if ((uint32_t)*old == mask)
				pool_unmark(s);
			return mask;
		}
	}
	if (*old == 0)
		pool_unmark(s);
	return 0;
}

static bool pool_take_from(size_t from, uint32_t node, unsigned k, unsigned align, bool warm, struct hak_run *run)
{
	uint64_t old;

	for (size_t s = pool_find(from, node); s != HAK_NO_SLOT; s = pool_find(s + 1, node)) {
		uint32_t mask = pool_take_run(s, k, align, warm, &old);

		if (!mask)
			continue;
		if (align == 1 && !warm)
			pool_raise_hint(node, k, from, s);
		*run = (struct hak_run){ .number = s * HAK_SS_SLABS + hak_lowest_bit(mask), .slabs = k,
			                 .dirty = (old >> 32 & mask) != 0 };
		return true;
	}
	return false;
}

/* What is dirty as a whole costs no fault.  Else a search from the hint, then, before it gives up, from the start. */
HAK_FN bool hak_pool_take(uint32_t node, unsigned k, unsigned align, struct hak_run *run)
{
	size_t from = pool_hint(node, k);

	if (k > 1 && hak_pool_counts().dirty >= k && pool_take_from(0, node, k, align, true, run))
		return true;
	return pool_take_from(from, node, k, align, false, run) || (from > 0 && pool_take_from(0, node, k, align, false, run));
}

/* Up to n slabs of this word: dirty ones first, then the lowest. */
static uint32_t pool_choose(uint64_t word, unsigned n)
{
	uint32_t dirty = (uint32_t)(word >> 32), clean = (uint32_t)word & ~dirty, mask = 0;

	for (; n > 0 && dirty; n--, dirty &= dirty - 1)
		mask |= dirty & -dirty;
	for (; n > 0 && clean; n--, clean &= clean - 1)
		mask |= clean & -clean;
	return mask;
}

static uint32_t pool_take_many_from(size_t from, uint32_t node, unsigned n, size_t *found, uint32_t *dirty)
{
	for (size_t s = pool_find(from, node); s != HAK_NO_SLOT; s = pool_find(s + 1, node)) {
		struct hak_slot *slot = hak_registry_slot(s);
		uint64_t old = hak_load(&slot->word, relaxed);
		uint32_t mask = 0;

		while (old && !pool_try_take(slot, &old, mask = pool_choose(old, n)))
			;
		if ((uint32_t)old == mask)
			pool_unmark(s);
		if (!old)
			continue;
		pool_raise_hint(node, 1, from, s);
		*found = s;
		*dirty = (uint32_t)(old >> 32) & mask;
		return mask;
	}
	return 0;
}

HAK_FN uint32_t hak_pool_take_many(uint32_t node, unsigned n, size_t *slot, uint32_t *dirty)
{
	size_t from = pool_hint(node, 1);
	uint32_t mask = pool_take_many_from(from, node, n, slot, dirty);

	return mask || from == 0 ? mask : pool_take_many_from(0, node, n, slot, dirty);
}

HAK_FN bool hak_pool_take_at(size_t number, unsigned k, bool *dirty)
{
	struct hak_slot *slot = hak_registry_slot(number / HAK_SS_SLABS);
	unsigned first = number % HAK_SS_SLABS;
	uint64_t old = hak_load(&slot->word, relaxed);
	uint32_t mask;

	if (first + k > HAK_SS_SLABS)
		return false;
	mask = hak_low_mask(k) << first;
	while (((uint32_t)old & mask) == mask)
		if (pool_try_take(slot, &old, mask)) {
			*dirty = (old >> 32 & mask) != 0;
			return true;
		}
	return false;
}

HAK_FN uint32_t hak_pool_take_free(size_t s, bool clean_too)
{
	struct hak_slot *slot = hak_registry_slot(s);
	uint64_t old = hak_load(&slot->word, relaxed);
	uint32_t mask;

	while ((mask = (uint32_t)(clean_too ? old : old >> 32)) != 0)
		if (pool_try_take(slot, &old, mask))
			return mask;
	return 0;
}

HAK_FN bool hak_pool_take_whole(size_t s, uint32_t *dirty)
{
	struct hak_slot *slot = hak_registry_slot(s);
	uint64_t old = hak_load(&slot->word, relaxed);

	while ((uint32_t)old == UINT32_MAX)
		if (pool_try_take(slot, &old, UINT32_MAX)) {
			pool_unmark(s);
			*dirty = (uint32_t)(old >> 32);
			return true;
		}
	return false;
}

static void pool_lower_hints(size_t s)
{
	_Atomic size_t *hints = pool_hints[hak_load(&hak_registry_slot(s)->node, relaxed)];

	for (unsigned h = 0; h < POOL_HINTS; h++) {
		size_t hint = hak_load(&hints[h], relaxed);
		while (s < hint && !hak_cas(&hints[h], &hint, s, relaxed))
			;
	}
}

static bool pool_put(size_t s, uint32_t mask, bool dirty)
{
	struct hak_slot *slot = hak_registry_slot(s);
	uint64_t add = mask | (dirty ? (uint64_t)mask << 32 : 0);
	uint64_t old = hak_fetch_or(&slot->word, add, release); /* partner: pool_try_take */

	hak_assert(((uint32_t)old & mask) == 0);
	if ((uint32_t)old == 0)
		pool_mark(s);
	pool_lower_hints(s);
	return ((uint32_t)old | mask) == UINT32_MAX;
}

HAK_FN bool hak_pool_give(size_t s, uint32_t mask, bool dirty)
{
	int n = (int)hak_count_bits(mask);

	pool_count(-n, dirty ? n : 0);
	return pool_put(s, mask, dirty);
}

HAK_FN void hak_pool_add(size_t s, uint32_t mask) { pool_put(s, mask, false); }
HAK_FN void hak_pool_remove(size_t s)
{
	(void)s;
	pool_count(-(int)HAK_SS_SLABS, 0);
}

HAK_FN void hak_pool_after_fork(void)
{
	size_t high = hak_load(&hak_registry.high, relaxed);

	for (size_t s = 0; s < high; s++)
		if (hak_load(&hak_registry_slot(s)->word, relaxed) != 0)
			pool_mark(s);
}
