/* journal: the last decisions of what adapts itself, with their reasons.  Floor 2.
 *
 * A ring in static memory, which is touched when the first decision is made.  Cost and gain are in bytes: what the old
 * and the new way would have cost in the time just seen; 0 and 0 where nothing is compared.
 *
 * J1  An entry ends with a seal, a sum over its words.  Where it does not fit, the entry is being written, or two threads
 *     wrote it at once, one of them late by a whole round: readers leave it out.  So no memory order is needed.
 * Concurrency: any threads; lock-free.  Source of the seal: R. Hyatt and T. Mann, "A lock-less transposition table
 * implementation for parallel search chess engines", 2002. */
#ifndef HAK_JOURNAL_H
#define HAK_JOURNAL_H

#include "atomic.h"

#define HAK_JOURNAL_LENGTH 64u

/* HAK_DECISION(id, subject, unit, text): what was changed, in which unit, and why in words. */
#define HAK_DECISIONS(X)                                                                                          \
	X(elo_threshold, "ELO", "bytes", "freed blocks of that size and more go straight back to the kernel")     \
	X(cache_grow, "ACE", "places", "overflow and underflow of the cache took turns")                          \
	X(regret, "ACE", "bytes", "memory was wanted back soon after it had been purged: the dirty budget grows") \
	X(huge, "ACE", "SuperSlabs", "the heap is large and dense: its new SuperSlabs get huge pages")            \
	X(prefault, "ACE", "bytes", "a class grows quickly: its next slabs are populated by one call")

enum hak_decision_kind {
#define HAK_DECISION_ENUM(id, subject, unit, text) HAK_DECISION_##id,
	HAK_DECISIONS(HAK_DECISION_ENUM)
#undef HAK_DECISION_ENUM
		HAK_DECISION_COUNT
};

struct hak_decision {
	uint32_t number; /* from 1; 0: never written */
	uint32_t time;   /* hak_os_now() */
	uint32_t kind;   /* enum hak_decision_kind */
	uint32_t class;  /* of the cache; HAK_CLASS_COUNT: of none */
	uint64_t before, after;
	uint64_t cost_before, cost_after;
};

#define HAK_JOURNAL_WORDS (sizeof(struct hak_decision) / sizeof(uint64_t))

struct hak_journal_entry {
	_Atomic uint64_t words[HAK_JOURNAL_WORDS];
	_Atomic uint64_t seal;
};

struct hak_journal {
	struct hak_journal_entry entries[HAK_JOURNAL_LENGTH]; /* number n is at n % HAK_JOURNAL_LENGTH */
	_Atomic uint32_t count;                               /* decisions ever made */
};

HAK_VAR struct hak_journal hak_journal;

HAK_FN void hak_journal_write(enum hak_decision_kind kind, unsigned class, uint64_t before, uint64_t after,
			      uint64_t cost_before, uint64_t cost_after);
/* The decision of that number; false if it is gone, or being written. */
HAK_FN bool hak_journal_read(uint32_t number, struct hak_decision *d);
HAK_FN uint32_t hak_journal_count(void); /* decisions ever made */

#endif
