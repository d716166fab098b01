#include "pages.h"

#include "journal.h"
#include "os.h"
#include "stats.h"
#include "tunables.h"

enum pages_thp { THP_NEVER, THP_AUTO, THP_ALWAYS };
enum pages_prefault { PREFAULT_OFF, PREFAULT_POPULATE, PREFAULT_TOUCH, PREFAULT_AUTO };

#define PAGES_HEAP_LEAST HAK_HARD_OR(16u, 2u) /* SuperSlabs without huge pages, before the first with */

enum pages_huge { PAGES_HUGE = 1, PAGES_HUGE_LAST }; /* of a slot, else 0 */

static _Atomic uint32_t pages_huge_begun, pages_prefault_begun; /* a word: riscv64 cannot exchange less by itself */
static _Atomic bool pages_no_thp, pages_no_populate; /* the kernel does not know it */
static _Atomic bool pages_were_broken;

HAK_FN bool hak_pages_is_always(void) { return hak_setting(thp) == THP_ALWAYS; }

static void pages_advise(char *at, size_t bytes, bool huge)
{
	if (bytes > 0 && !hak_load(&pages_no_thp, relaxed) && !hak_os_advise_huge(at, bytes, huge))
		hak_store(&pages_no_thp, true, relaxed);
}

/* A heap that comes and goes: what is asked for otherwise than its neighbour is a mapping of its own. */
static bool pages_may_be(size_t slot)
{
	return !hak_load(&pages_were_broken, relaxed) ||
	       (slot > 0 && hak_load(&hak_registry_slot(slot - 1)->huge, relaxed) == PAGES_HUGE);
}

HAK_FN void hak_pages_superslab(size_t slot, size_t superslabs, bool dense)
{
	unsigned thp = hak_setting(thp);
	bool huge = thp == THP_ALWAYS || (thp == THP_AUTO && dense && superslabs >= PAGES_HEAP_LEAST && pages_may_be(slot));

	if (huge && !hak_swap(&pages_huge_begun, true, relaxed))
		hak_journal_write(HAK_DECISION_huge, HAK_CLASS_COUNT, 0, 1, 0, 0);
	hak_store(&hak_registry_slot(slot)->huge, huge, relaxed);
	pages_advise(hak_registry_address(slot * HAK_SS_SLABS), HAK_SS_SIZE, huge);
}

/* It gets no other huge page when this one is broken up. */
static bool pages_make_last(size_t slot)
{
	uint32_t huge = PAGES_HUGE;

	return hak_cas(&hak_registry_slot(slot)->huge, &huge, PAGES_HUGE_LAST, relaxed);
}

/* With its neighbours, whose huge pages stay: each by itself would be a mapping. */
HAK_FN void hak_pages_broken(size_t slot)
{
	uint32_t was = hak_swap(&hak_registry_slot(slot)->huge, 0, relaxed);
	size_t first = slot, end = slot + 1, high = hak_load(&hak_registry.high, relaxed);

	if (was != PAGES_HUGE || hak_pages_is_always())
		return;
	hak_store(&pages_were_broken, true, relaxed);
	while (first > 0 && pages_make_last(first - 1))
		first--;
	while (end < high && pages_make_last(end))
		end++;
	pages_advise(hak_registry_address(first * HAK_SS_SLABS), (end - first) << HAK_SS_SHIFT, false);
}

HAK_FN void hak_pages_large(char *at, size_t bytes)
{
	if (hak_setting(thp) != THP_AUTO)
		pages_advise(at, bytes, hak_setting(thp) == THP_ALWAYS);
}

static bool pages_populate(char *at, size_t bytes)
{
	enum hak_os_result result;

	if (hak_load(&pages_no_populate, relaxed))
		return false;
	result = hak_os_populate(at, bytes);
	if (result == HAK_OS_OK)
		hak_count_process(populated_bytes, bytes);
	else if (result == HAK_OS_UNKNOWN)
		hak_store(&pages_no_populate, true, relaxed);
	return result == HAK_OS_OK;
}

static void pages_touch(char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += hak_registry.page)
		*(volatile char *)(at + i) = 0;
}

HAK_FN void hak_pages_ready(char *at, size_t bytes)
{
	if (!pages_populate(at, bytes))
		pages_touch(at, bytes);
}

HAK_FN void hak_pages_present(char *at, size_t bytes)
{
	unsigned how = hak_setting(ss_prefault);

	if (how == PREFAULT_POPULATE)
		hak_pages_ready(at, bytes);
	if (how == PREFAULT_TOUCH)
		pages_touch(at, bytes);
}

HAK_FN uint32_t hak_pages_growing(size_t slot, uint32_t slabs)
{
	uint32_t present = 0;

	if (hak_setting(ss_prefault) != PREFAULT_AUTO || hak_load(&hak_registry.high, relaxed) < PAGES_HEAP_LEAST ||
	    hak_load(&hak_registry_slot(slot)->huge, relaxed))
		return 0;
	if (!hak_load(&pages_prefault_begun, relaxed) && !hak_swap(&pages_prefault_begun, true, relaxed))
		hak_journal_write(HAK_DECISION_prefault, HAK_CLASS_COUNT, 0, hak_count_bits(slabs) * HAK_SLAB_SIZE, 0, 0);
	while (slabs) {
		uint32_t run = hak_lowest_run(slabs);

		if (pages_populate(hak_registry_address(slot * HAK_SS_SLABS + hak_lowest_bit(run)),
		                   hak_count_bits(run) * HAK_SLAB_SIZE))
			present |= run;
		slabs &= ~run;
	}
	return present;
}
