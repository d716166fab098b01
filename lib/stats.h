/* stats: every counter, from one table.  Floor 3. */
#ifndef HAK_STATS_H
#define HAK_STATS_H

#include "atomic.h"
#include "cc.h"

typedef _Atomic size_t hak_counter;

struct hak_bin_counts {
#define HAK_BIN_COUNTER(id, ...) hak_counter id;
#include "stats.def"
};

struct hak_heap_counts {
#define HAK_HEAP_COUNTER(id, ...) hak_counter id;
#include "stats.def"
};

struct hak_process_counts {
#define HAK_PROCESS_COUNTER(id, ...) hak_counter id;
#include "stats.def"
};

HAK_VAR struct hak_process_counts hak_process_counts;

#define hak_count_process(id, n) hak_fetch_add(&hak_process_counts.id, (n), relaxed)

/* Only the owner writes: a load and a store, no locked instruction. */
#define hak_count(counter, n) hak_store((counter), hak_load((counter), relaxed) + (n), relaxed)

#endif
