#include "batch.h"

#include "journal.h"
#include "os.h"
#include "pages.h"
#include "policy.h"
#include "stats.h"
#include "superslab.h"
#include "tunables.h"

#define BATCH_TICK_MS HAK_HARD_OR(100u, 1u)
#define BATCH_TELL ((size_t)4 << 20) /* each time that regret passes a multiple of it is a decision in the journal */
#define BATCH_REGRET_MS 1000u
#define BATCH_TENDED ((size_t)64 << 20) /* more may be dirty where a thread gives back what is old */
#define BATCH_REGRET_LEAST ((size_t)4 << 20)
#define BATCH_HUGE_SPARE 2u   /* free slabs for whose sake a huge page is not broken up by age */
#define BATCH_PAUSE_MS HAK_HARD_OR(10000u, 10u) /* after the kernel refused: locked memory, most often */

static _Atomic size_t batch_top;       /* no dirty slabs at or above this slot, as far as known */
static _Atomic uint32_t batch_last;    /* time of the last tick */
static _Atomic size_t batch_regret;    /* bytes: kept, since purging them was regretted */
static _Atomic uint32_t batch_refused; /* time | 1 of a refusal, 0 = none */

static void batch_pause(uint32_t now) { hak_store(&batch_refused, now | 1, relaxed); }

static bool batch_is_paused(uint32_t now)
{
	uint32_t refused = hak_load(&batch_refused, relaxed);

	return refused != 0 && hak_elapsed(now | 1, refused) < BATCH_PAUSE_MS;
}

static void batch_raise_top(size_t s)
{
	size_t top = hak_load(&batch_top, relaxed);

	while (top < s + 1 && !hak_cas(&batch_top, &top, s + 1, relaxed))
		;
}

/* Purges one run of slabs, which is ours, and gives it to the pool. */
static bool batch_purge_run(size_t slot, uint32_t run)
{
	unsigned first = hak_lowest_bit(run);
	bool ok = hak_os_purge(hak_registry_address(slot * HAK_SS_SLABS + first), hak_count_bits(run) * HAK_SLAB_SIZE);

	if (ok) {
		hak_fetch_or(&hak_registry_slot(slot)->purged, run, relaxed);
		hak_count_process(purge_calls, 1);
		hak_count_process(purged_bytes, hak_count_bits(run) * HAK_SLAB_SIZE);
	}
	hak_pool_give(slot, run, !ok);
	if (!ok)
		batch_raise_top(slot);
	return ok;
}

static void batch_stamp_purge(size_t slot, uint32_t mask)
{
	hak_store(&hak_registry_slot(slot)->purge_stamp, hak_os_now(), relaxed);
	if (mask != UINT32_MAX)
		hak_pages_broken(slot);
}

/* The free dirty slabs of a slot go back to the kernel; returns bytes. */
static size_t batch_purge_slot(size_t slot)
{
	/* a huge page was made present as a whole: clean slabs of it may have memory too */
	bool clean_too = hak_load(&hak_registry_slot(slot)->huge, relaxed), ok = true;
	uint64_t word = hak_load(&hak_registry_slot(slot)->word, relaxed);
	size_t bytes = 0;
	uint32_t mask;

	if ((clean_too ? word : word >> 32) == 0)
		return 0;
	hak_registry_return_begin();
	mask = hak_pool_take_free(slot, clean_too);
	if (mask)
		batch_stamp_purge(slot, mask);
	while (mask) {
		uint32_t run = hak_lowest_run(mask);

		if (batch_purge_run(slot, run))
			bytes += hak_count_bits(run) * HAK_SLAB_SIZE;
		else
			ok = false;
		mask &= ~run;
	}
	hak_registry_return_end();
	if (!ok)
		batch_pause(hak_os_now());
	return bytes;
}

/* Regret counts no more than 4 MiB and a little of what is in use: a program that frees all and then sleeps is small. */
HAK_FN size_t hak_batch_regret(void)
{
	size_t regret = hak_load(&batch_regret, relaxed), used = (size_t)hak_pool_counts().used * HAK_SLAB_SIZE;
	size_t bound = used / 32 + (used / 2 < BATCH_REGRET_LEAST ? used / 2 : BATCH_REGRET_LEAST);

	return regret < bound ? regret : bound;
}

HAK_FN size_t hak_batch_budget(void)
{
	size_t used = (size_t)hak_pool_counts().used * HAK_SLAB_SIZE, least = (size_t)hak_setting(dirty_min);
	size_t part, budget;

	if (hak_mul_overflow(used / 100, (size_t)hak_setting(dirty_percent), &part))
		part = SIZE_MAX;
	budget = part > least ? part : least;
	if (hak_policy_is_tended())
		budget += used / 2 + BATCH_TENDED;
	return hak_add_overflow(budget, hak_batch_regret(), &budget) ? SIZE_MAX : budget;
}

static void batch_add_regret(size_t bytes)
{
	size_t before = hak_fetch_add(&batch_regret, bytes, relaxed);

	if (before / BATCH_TELL != (before + bytes) / BATCH_TELL)
		hak_journal_write(HAK_DECISION_regret, HAK_CLASS_COUNT, before, before + bytes, 0, 0);
}

HAK_FN void hak_batch_taken(size_t s, uint32_t clean)
{
	struct hak_slot *slot = hak_registry_slot(s);
	size_t regret = hak_load(&batch_regret, relaxed);
	uint32_t back;

	if (!(hak_load(&slot->purged, relaxed) & clean))
		return;
	back = hak_fetch_and(&slot->purged, ~clean, relaxed) & clean;
	if (!back || hak_elapsed(hak_os_now(), hak_load(&slot->purge_stamp, relaxed)) >= BATCH_REGRET_MS)
		return;
	hak_count_process(regretted_bytes, hak_count_bits(back) * HAK_SLAB_SIZE);
	if (hak_setting(ace_enabled) && regret <= hak_batch_regret()) /* more would count no more */
		batch_add_regret(hak_count_bits(back) * HAK_SLAB_SIZE);
}

/* An eighth per second is forgotten. */
static void batch_forget_regret(void)
{
	size_t regret = hak_load(&batch_regret, relaxed);

	hak_cas(&batch_regret, &regret, regret - regret / 64, relaxed);
}

static size_t batch_dirty(void) { return (size_t)hak_pool_counts().dirty * HAK_SLAB_SIZE; }

static bool batch_is_dirty(size_t s) { return hak_load(&hak_registry_slot(s)->word, relaxed) >> 32 != 0; }

/* A SuperSlab in huge pages that is partly used: purging would break them up. */
static bool batch_is_whole(size_t s)
{
	struct hak_slot *slot = hak_registry_slot(s);

	return hak_load(&slot->huge, relaxed) && (uint32_t)hak_load(&slot->word, relaxed) != UINT32_MAX;
}

/* Until no more than target is dirty: first what breaks no huge page up. */
static void batch_purge_volume(size_t target)
{
	size_t top = hak_load(&batch_top, relaxed), s = top, spared = 0; /* nothing dirty at or above, if not 0 */

	while (s > 0 && batch_dirty() > target) {
		if (!batch_is_dirty(--s))
			continue;
		if (!batch_is_whole(s))
			batch_purge_slot(s);
		else if (spared == 0)
			spared = s + 1;
	}
	if (spared > 0)
		s = spared;
	while (s > 0 && batch_dirty() > target)
		if (batch_is_dirty(--s))
			batch_purge_slot(s);
	if (s < top)
		hak_cas(&batch_top, &top, s + 1, relaxed); /* unless somebody raised it meanwhile */
}

static void batch_purge_age(uint32_t now)
{
	uint32_t age = (uint32_t)hak_setting(decay_ms);

	for (size_t s = hak_load(&batch_top, relaxed); s-- > 0;) {
		struct hak_slot *slot = hak_registry_slot(s);
		unsigned dirty = hak_count_bits(hak_load(&slot->word, relaxed) >> 32);

		if (dirty > (batch_is_whole(s) ? BATCH_HUGE_SPARE : 0) &&
		    hak_elapsed(now, hak_load(&slot->stamp, relaxed)) >= age)
			batch_purge_slot(s);
	}
}

static void batch_age(uint32_t now)
{
	uint32_t last = hak_load(&batch_last, relaxed);

	if (hak_elapsed(now, last) < BATCH_TICK_MS || !hak_cas(&batch_last, &last, now, relaxed))
		return;
	batch_forget_regret();
	if (hak_setting(decay_ms) > 0 && batch_dirty() > 0 && !batch_is_paused(now))
		batch_purge_age(now);
}

HAK_FN void hak_batch_tick(void) { batch_age(hak_os_now()); }

/* After slabs were given: is too much dirty, or mapped? */
static void batch_settle(bool whole, uint32_t now)
{
	size_t budget = hak_batch_budget();

	if (batch_dirty() > budget && !batch_is_paused(now))
		batch_purge_volume(budget - budget / 8);
	if (whole && hak_superslab_is_surplus())
		hak_superslab_shrink(hak_superslab_keep() * 3 / 4);
	batch_age(now);
}

HAK_FN void hak_batch_give(size_t slot, uint32_t mask, bool dirty)
{
	uint32_t now = hak_os_now();
	bool whole;

	hak_store(&hak_registry_slot(slot)->stamp, now, relaxed);
	whole = hak_pool_give(slot, mask, dirty);
	batch_raise_top(slot);
	batch_settle(whole, now);
}

HAK_FN void hak_batch_give_purged(size_t slot, uint32_t run)
{
	uint32_t now = hak_os_now();

	if (batch_is_paused(now)) {
		hak_batch_give(slot, run, true);
		return;
	}
	hak_registry_return_begin();
	batch_stamp_purge(slot, run);
	if (!batch_purge_run(slot, run)) {
		hak_store(&hak_registry_slot(slot)->stamp, now, relaxed);
		batch_pause(now);
	}
	hak_registry_return_end();
	batch_settle((uint32_t)hak_load(&hak_registry_slot(slot)->word, relaxed) == UINT32_MAX, now);
}

HAK_FN bool hak_batch_purge_part(void *at, size_t bytes)
{
	uint32_t now = hak_os_now();

	if (batch_is_paused(now))
		return false;
	if (!hak_os_purge(at, bytes)) {
		batch_pause(now);
		return false;
	}
	hak_count_process(inside_bytes, bytes);
	return true;
}

HAK_FN size_t hak_batch_purge_all(void)
{
	size_t bytes = 0;

	for (size_t s = hak_load(&hak_registry.high, relaxed); s-- > 0;)
		if (batch_is_dirty(s) || batch_is_whole(s))
			bytes += batch_purge_slot(s);
	return bytes;
}
