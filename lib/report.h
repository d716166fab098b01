/* report: sums and words for those who look.  Floor 18.
 *
 * Everything is summed when it is asked for, from the counters of all heaps and the tables of the registry.
 * Nobody is stopped, no lock is taken, nothing is allocated.  Rows, ids and units: stats.def.
 * R1  With no other thread in the allocator all is exact; else each number is close, and never negative.
 * R2  By R1 superslab_bytes = small_bytes + mid_bytes + cached_bytes + parcel_bytes + slab_bytes +
 *     slabs_free * 64 KiB.
 * Concurrency: any threads; a cache of another thread is looked at while it moves. */
#ifndef HAK_REPORT_H
#define HAK_REPORT_H

#include "heap.h"
#include "say.h"

enum hak_figure {
#define HAK_FIGURE(id, ...) HAK_FIGURE_##id,
#define HAK_BIN_COUNTER(id, ...) HAK_FIGURE_##id, /* the sum over all classes */
#define HAK_HEAP_COUNTER(id, ...) HAK_FIGURE_##id,
#define HAK_PROCESS_COUNTER(id, ...) HAK_FIGURE_##id,
#include "stats.def"
	HAK_FIGURE_COUNT
};

enum hak_class_figure {
#define HAK_CLASS_FIGURE(id, ...) HAK_OF_CLASS_##id,
#define HAK_BIN_COUNTER(id, ...) HAK_OF_CLASS_##id,
#include "stats.def"
	HAK_CLASS_FIGURE_COUNT
};

struct hak_report {
	size_t value[HAK_FIGURE_COUNT];
};

struct hak_class_report {
	size_t value[HAK_CLASS_FIGURE_COUNT];
};

HAK_FN void hak_report_sum(struct hak_report *report);
HAK_FN void hak_report_class(unsigned class, struct hak_class_report *report);
HAK_FN void hak_report_group(unsigned group, struct hak_class_report *report); /* C0..C7; 8: above 1024 */
HAK_FN const char *hak_report_name(unsigned figure); /* its id, and behind the NUL its summary */

HAK_FN void hak_report_text(struct hak_text *out);
HAK_FN void hak_report_json(struct hak_text *out);

/* A text in memory of its own, mapped, so that a thread with little stack can ask: 64 KiB hold any of them.
 * False if the kernel refuses. */
HAK_FN bool hak_report_open(struct hak_text *out);
HAK_FN void hak_report_close(struct hak_text *out);
HAK_FN void hak_report_say(void);     /* the text, to standard error */
HAK_FN void hak_report_at_exit(void); /* what HAKMEM_STATS, _FRONT_STATS and _WARM_POOL_STATS ask for */

#endif
