#include "journal.h"

#include <string.h>

#include "os.h"

_Static_assert(sizeof(struct hak_decision) % sizeof(uint64_t) == 0, "entries are copied by words");

HAK_DEF struct hak_journal hak_journal HAK_SPARSE;

HAK_FN uint32_t hak_journal_count(void) { return hak_load(&hak_journal.count, relaxed); }

/* Differs if any word does, or two have changed places. */
static uint64_t journal_seal(const uint64_t *words)
{
	uint64_t seal = 0;

	for (size_t i = 0; i < HAK_JOURNAL_WORDS; i++) {
		seal = (seal ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		seal ^= seal >> 32;
	}
	return seal;
}

HAK_FN void hak_journal_write(enum hak_decision_kind kind, unsigned class, uint64_t before, uint64_t after,
                              uint64_t cost_before, uint64_t cost_after)
{
	struct hak_decision d = { .number = hak_fetch_add(&hak_journal.count, 1, relaxed) + 1,
		                  .time = hak_os_now(), .kind = (uint32_t)kind, .class = class,
		                  .before = before, .after = after,
		                  .cost_before = cost_before, .cost_after = cost_after };
	struct hak_journal_entry *entry = &hak_journal.entries[d.number % HAK_JOURNAL_LENGTH];
	uint64_t words[HAK_JOURNAL_WORDS];

	memcpy(words, &d, sizeof(d));
	for (size_t i = 0; i < HAK_JOURNAL_WORDS; i++)
		hak_store(&entry->words[i], words[i], relaxed);
	hak_store(&entry->seal, journal_seal(words), relaxed);
}

HAK_FN bool hak_journal_read(uint32_t number, struct hak_decision *d)
{
	struct hak_journal_entry *entry = &hak_journal.entries[number % HAK_JOURNAL_LENGTH];
	uint64_t words[HAK_JOURNAL_WORDS];

	for (size_t i = 0; i < HAK_JOURNAL_WORDS; i++)
		words[i] = hak_load(&entry->words[i], relaxed);
	memcpy(d, words, sizeof(*d));
	return number != 0 && d->number == number && hak_load(&entry->seal, relaxed) == journal_seal(words);
}
