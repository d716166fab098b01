#include "journal.h"

#include "os.h"

HAK_DEF struct hak_decision hak_journal[HAK_JOURNAL_LENGTH];

static _Atomic uint32_t journal_count;

HAK_FN uint32_t hak_journal_count(void) { return hak_load(&journal_count, relaxed); }

HAK_FN void hak_journal_write(enum hak_decision_kind kind, unsigned class, uint64_t before, uint64_t after,
                              uint64_t cost_before, uint64_t cost_after)
{
	uint32_t number = hak_fetch_add(&journal_count, 1, relaxed) + 1;
	struct hak_decision *d = &hak_journal[number % HAK_JOURNAL_LENGTH];

	hak_store(&d->number, 0, release); /* partner: readers look at it before and after */
	hak_store(&d->time, hak_os_now(), relaxed);
	hak_store(&d->kind, (uint32_t)kind, relaxed);
	hak_store(&d->class, class, relaxed);
	hak_store(&d->before, before, relaxed);
	hak_store(&d->after, after, relaxed);
	hak_store(&d->cost_before, cost_before, relaxed);
	hak_store(&d->cost_after, cost_after, relaxed);
	hak_store(&d->number, number, release);
}
