#include "report.h"

#include <hakmem.h>
#include <string.h>

#include "batch.h"
#include "explain.h"
#include "journal.h"
#include "guard.h"
#include "large.h"
#include "meta.h"
#include "os.h"
#include "policy.h"
#include "pool.h"
#include "tunables.h"

#define REPORT_TRIES 3
#define REPORT_TEXT ((size_t)64 << 10)

#define OF_CLASS(id) one->value[HAK_OF_CLASS_##id]
#define TOTAL(id) value[HAK_FIGURE_##id]

/* ---- sums ---- */

static size_t report_less(size_t a, size_t b) { return a > b ? a - b : 0; }

/* What another thread may be changing; read once, not more often and not less. */
#define report_peek(x) (*(const volatile __typeof__(x) *)&(x))

/* Blocks in a cache that may be another thread's: what is no count of its places is read again. */
static HAK_RACY size_t report_cached(const struct hak_heap *heap, unsigned class)
{
	const struct hak_bin *bin = &heap->bins[class];

	for (int i = 0; i < REPORT_TRIES; i++) {
		size_t capacity = report_peek(bin->capacity);
		uintptr_t array = (uintptr_t)report_peek(bin->array);
		uintptr_t cached = ((uintptr_t)report_peek(heap->caches[class].top) - array) / sizeof(void *);

		if (capacity == 0)
			break;
		if (cached <= capacity)
			return cached;
	}
	return 0;
}

/* The same of an out-cache, whose array never changes. */
static HAK_RACY size_t report_outs(const struct hak_heap *heap, unsigned class)
{
	size_t outs = hak_heap_outs(heap, class);

	return outs < (size_t)1 << HAK_OUT_SHIFT ? outs : 0;
}

static void report_add_bin(struct hak_class_report *one, struct hak_heap *heap, unsigned class)
{
	struct hak_bin *bin = &heap->bins[class];

#define HAK_BIN_COUNTER(id, ...) OF_CLASS(id) += hak_load(&bin->counts.id, relaxed);
#include "stats.def"
	OF_CLASS(cached_blocks) += report_cached(heap, class) + report_outs(heap, class);
}

/* A block that is carved and not put back is in a cache, in a parcel or in use. */
static void report_derive(struct hak_class_report *one, const struct hak_class *c)
{
	size_t out = report_less(OF_CLASS(carved), OF_CLASS(put));
	size_t slabs = report_less(OF_CLASS(slabs_taken), OF_CLASS(slabs_given));

	OF_CLASS(parcel_blocks) = report_less(OF_CLASS(sent), OF_CLASS(received));
	OF_CLASS(live_blocks) = report_less(out, OF_CLASS(cached_blocks) + OF_CLASS(parcel_blocks));
	OF_CLASS(slab_blocks) = report_less(slabs / c->slabs * c->blocks, out);
}

HAK_FN void hak_report_class(unsigned class, struct hak_class_report *report)
{
	uint32_t heaps = hak_heap_count();

	memset(report, 0, sizeof(*report));
	for (uint32_t i = 0; i < heaps; i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);
		if (heap)
			report_add_bin(report, heap, class);
	}
	report_derive(report, &hak_classes[class]);
}

HAK_FN void hak_report_group(unsigned group, struct hak_class_report *report)
{
	struct hak_class_report one;

	memset(report, 0, sizeof(*report));
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		if (hak_classes[c].group != group)
			continue;
		hak_report_class(c, &one);
		for (unsigned i = 0; i < HAK_CLASS_FIGURE_COUNT; i++)
			report->value[i] += one.value[i];
	}
}

static void report_add_class(size_t *value, struct hak_class_report *one, const struct hak_class *c)
{
	size_t out = report_less(OF_CLASS(carved), OF_CLASS(put));
	size_t slabs = report_less(OF_CLASS(slabs_taken), OF_CLASS(slabs_given));

#define HAK_BIN_COUNTER(id, ...) TOTAL(id) += OF_CLASS(id);
#include "stats.def"
	TOTAL(small_blocks) += OF_CLASS(live_blocks);
	TOTAL(small_bytes) += OF_CLASS(live_blocks) * c->size;
	TOTAL(cached_blocks) += OF_CLASS(cached_blocks);
	TOTAL(cached_bytes) += OF_CLASS(cached_blocks) * c->size;
	TOTAL(parcel_blocks) += OF_CLASS(parcel_blocks);
	TOTAL(parcel_bytes) += OF_CLASS(parcel_blocks) * c->size;
	TOTAL(slab_blocks) += OF_CLASS(slab_blocks);
	TOTAL(slab_bytes) += report_less(slabs * HAK_SLAB_SIZE, out * c->size);
}

static void report_add_classes(size_t *value)
{
	struct hak_class_report one;

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		hak_report_class(c, &one);
		report_add_class(value, &one, &hak_classes[c]);
	}
}

static void report_add_heap(size_t *value, struct hak_heap *heap)
{
	uint32_t state = hak_load(&heap->state, relaxed);

#define HAK_HEAP_COUNTER(id, ...) TOTAL(id) += hak_load(&heap->counts.id, relaxed);
#include "stats.def"
	TOTAL(heaps_live) += state == HAK_HEAP_LIVE;
	TOTAL(heaps_idle) += state == HAK_HEAP_IDLE;
	TOTAL(heaps_lost) += state == HAK_HEAP_LOST;
}

static void report_add_heaps(size_t *value)
{
	uint32_t heaps = hak_heap_count();

	for (uint32_t i = 0; i < heaps; i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);
		if (heap)
			report_add_heap(value, heap);
	}
}

/* The tags tell where mid blocks begin and go on. */
static void report_add_tags(size_t *value, size_t number)
{
	for (size_t i = 0; i < HAK_SS_SLABS; i++) {
		uint32_t tag = hak_registry_tag(number + i);

		TOTAL(mid_blocks) += tag == HAK_TAG_MID;
		TOTAL(mid_bytes) += tag == HAK_TAG_MID || tag == HAK_TAG_INNER ? HAK_SLAB_SIZE : 0;
	}
}

static void report_add_slot(size_t *value, size_t s)
{
	struct hak_slot *slot = hak_registry_slot(s);
	uint64_t word = hak_load(&slot->word, relaxed);
	size_t bytes = hak_load(&slot->bytes, relaxed), free = hak_count_bits((uint32_t)word);

	if (hak_load(&slot->state, relaxed) != HAK_SLOT_SLABS)
		return;
	TOTAL(superslabs)++;
	TOTAL(superslabs_huge) += hak_load(&slot->huge, relaxed) != 0;
	TOTAL(superslab_bytes) += bytes;
	TOTAL(slabs_free) += free;
	TOTAL(slabs_dirty) += hak_count_bits(word >> 32);
	TOTAL(slabs_used) += report_less(bytes >> HAK_SLAB_SHIFT, free);
	report_add_tags(value, s * HAK_SS_SLABS);
}

static void report_add_registry(size_t *value)
{
	size_t slabs = hak_load(&hak_registry.slabs, acquire); /* partner: registry_lay */
	size_t slots = slabs / HAK_SS_SLABS;
	size_t high = hak_load(&hak_registry.high, relaxed);

	for (size_t s = 0; s < high && s < slots; s++)
		report_add_slot(value, s);
	TOTAL(metadata_bytes) += hak_registry.page + slabs * sizeof(*hak_registry.tags);
	TOTAL(metadata_bytes) += hak_align_up(slots * sizeof(struct hak_slot), hak_registry.page);
}

/* What the calling thread's heap would give back at once when it is settled. */
static size_t report_empty_slabs(void)
{
	size_t slabs = 0;

	for (unsigned c = 0; c < HAK_CLASS_COUNT && hak_thread.own != &hak_empty_heap; c++)
		slabs += (size_t)hak_thread.own->bins[c].empty * hak_classes[c].slabs;
	return slabs;
}

static void report_add_totals(size_t *value)
{
	TOTAL(large_blocks) = hak_large_blocks();
	TOTAL(large_bytes) = hak_large_used();
	TOTAL(large_cached_bytes) = hak_large_cached();
	TOTAL(metadata_bytes) += hak_meta_mapped();
	TOTAL(dirty_budget) = hak_batch_budget();
	TOTAL(dirty_regret) = hak_batch_regret();
	TOTAL(elo_threshold) = hak_policy_threshold();
	TOTAL(decisions) = hak_journal_count();
#define HAK_PROCESS_COUNTER(id, ...) TOTAL(id) = hak_load(&hak_process_counts.id, relaxed);
#include "stats.def"
	TOTAL(guarded_blocks) = hak_guard_blocks(&TOTAL(guarded_bytes));
	TOTAL(live_blocks) = TOTAL(small_blocks) + TOTAL(mid_blocks) + TOTAL(large_blocks) + TOTAL(guarded_blocks);
	TOTAL(live_bytes) = TOTAL(small_bytes) + TOTAL(mid_bytes) + TOTAL(large_bytes) + TOTAL(guarded_bytes);
	TOTAL(mapped_bytes) = TOTAL(superslab_bytes) + TOTAL(large_bytes) + TOTAL(large_cached_bytes) +
	                      TOTAL(metadata_bytes) + TOTAL(guarded_bytes);
	TOTAL(trim_bytes) = ((TOTAL(slabs_dirty) + report_empty_slabs()) << HAK_SLAB_SHIFT) +
	                    TOTAL(large_cached_bytes);
}

HAK_FN void hak_report_sum(struct hak_report *report)
{
	memset(report, 0, sizeof(*report));
	report_add_classes(report->value);
	report_add_heaps(report->value);
	report_add_registry(report->value);
	report_add_totals(report->value);
}

/* ---- words ---- */

/* Row after row the id and the summary: an array of pointers would have to be relocated in every process. */
#define REPORT_ROW(id, unit, summary) #id "\0" summary "\0"

static const char report_words[] =
#define HAK_FIGURE REPORT_ROW
#define HAK_BIN_COUNTER REPORT_ROW
#define HAK_HEAP_COUNTER REPORT_ROW
#define HAK_PROCESS_COUNTER REPORT_ROW
#include "stats.def"
	;

static const char report_class_words[] =
#define HAK_CLASS_FIGURE REPORT_ROW
#define HAK_BIN_COUNTER REPORT_ROW
#include "stats.def"
	;

static const char *report_summary(const char *word) { return hak_text_nth(word, 1); }

static const char *report_word(const char *words, unsigned row) { return hak_text_nth(words, 2 * row); }

HAK_FN const char *hak_report_name(unsigned figure) { return report_word(report_words, figure); }

/* ---- text ---- */

static void report_print_group(struct hak_text *out, unsigned group)
{
	if (group < HAK_GROUP_COUNT - 1)
		hak_text_format(out, "C%u", group);
	else
		hak_text_string(out, "more");
}

/* A line for each class group, a column for each figure. */
static void report_print_table(struct hak_text *out, const char *title, const uint8_t *columns, size_t n)
{
	struct hak_class_report report;

	hak_text_format(out, "%s\n    ", title);
	for (size_t i = 0; i < n; i++)
		hak_text_format(out, "%15s", report_word(report_class_words, columns[i]));
	for (unsigned g = 0; g < HAK_GROUP_COUNT; g++) {
		hak_report_group(g, &report);
		hak_text_string(out, g < HAK_GROUP_COUNT - 1 ? "\n  " : "\n");
		report_print_group(out, g);
		for (size_t i = 0; i < n; i++)
			hak_text_format(out, "%15zu", report.value[columns[i]]);
	}
	hak_text_string(out, "\n");
}

static void report_print_blocks(struct hak_text *out)
{
	static const uint8_t columns[] = { HAK_OF_CLASS_live_blocks, HAK_OF_CLASS_cached_blocks,
		                           HAK_OF_CLASS_parcel_blocks, HAK_OF_CLASS_slab_blocks,
		                           HAK_OF_CLASS_sent, HAK_OF_CLASS_received };

	report_print_table(out, "Blocks by class group: up to 16, 32, 64, 128, 256, 512, 896, 1024, and more",
	                   columns, sizeof(columns));
}

static void report_print_front(struct hak_text *out)
{
	static const uint8_t columns[] = { HAK_OF_CLASS_refill_inbox, HAK_OF_CLASS_refill_warm,
		                           HAK_OF_CLASS_refill_pool, HAK_OF_CLASS_refill_map,
		                           HAK_OF_CLASS_flushes, HAK_OF_CLASS_carved, HAK_OF_CLASS_put };

	report_print_table(out, "Unified caches: refills by source, flushes, blocks carved and put back",
	                   columns, sizeof(columns));
}

static void report_print_warm(struct hak_text *out)
{
	static const uint8_t columns[] = { HAK_OF_CLASS_refill_warm, HAK_OF_CLASS_refill_pool,
		                           HAK_OF_CLASS_refill_map, HAK_OF_CLASS_slabs_taken,
		                           HAK_OF_CLASS_slabs_given };

	report_print_table(out, "Warm pools: hits, misses filled by pool and kernel, slabs taken and given",
	                   columns, sizeof(columns));
}

static void report_print_class(struct hak_text *out, unsigned class)
{
	struct hak_class_report report;

	hak_report_class(class, &report);
	if (report.value[HAK_OF_CLASS_carved] == 0)
		return;
	hak_text_format(out, "%8u", hak_classes[class].size);
	for (unsigned i = HAK_OF_CLASS_live_blocks; i <= HAK_OF_CLASS_slab_blocks; i++)
		hak_text_format(out, "%15zu", report.value[i]);
	hak_text_string(out, "\n");
}

static void report_print_classes(struct hak_text *out)
{
	hak_text_string(out, "Blocks by size\n        ");
	for (unsigned i = HAK_OF_CLASS_live_blocks; i <= HAK_OF_CLASS_slab_blocks; i++)
		hak_text_format(out, "%15s", report_word(report_class_words, i));
	hak_text_string(out, "\n");
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		report_print_class(out, c);
}

static void report_print_figures(struct hak_text *out)
{
	const char *word = report_words;
	struct hak_report report;

	hak_report_sum(&report);
	for (unsigned i = 0; i < HAK_FIGURE_COUNT; i++, word = report_word(word, 1))
		hak_text_format(out, "%16zu  %-19s %s\n", report.value[i], word, report_summary(word));
}

HAK_FN void hak_report_text(struct hak_text *out)
{
	hak_text_string(out, "HAKMEM " HAKMEM_VERSION " statistics\n");
	report_print_figures(out);
	report_print_blocks(out);
	report_print_front(out);
	report_print_warm(out);
	report_print_classes(out);
	hak_explain_text(out, hak_os_now());
}

/* ---- JSON ---- */

static void report_json_values(struct hak_text *out, const char *word, const size_t *value, unsigned n)
{
	for (unsigned i = 0; i < n; i++, word = report_word(word, 1))
		hak_text_format(out, ",\"%s\":%zu", word, value[i]);
}

static void report_json_groups(struct hak_text *out)
{
	struct hak_class_report report;

	for (unsigned g = 0; g < HAK_GROUP_COUNT; g++) {
		hak_text_string(out, g ? ",\n{\"group\":\"" : "{\"group\":\"");
		report_print_group(out, g);
		hak_text_string(out, "\"");
		hak_report_group(g, &report);
		report_json_values(out, report_class_words, report.value, HAK_CLASS_FIGURE_COUNT);
		hak_text_string(out, "}");
	}
}

static void report_json_classes(struct hak_text *out)
{
	struct hak_class_report report;

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		hak_text_format(out, "%s{\"size\":%u", c ? ",\n" : "", hak_classes[c].size);
		hak_report_class(c, &report);
		report_json_values(out, report_class_words, report.value, HAK_CLASS_FIGURE_COUNT);
		hak_text_string(out, "}");
	}
}

HAK_FN void hak_report_json(struct hak_text *out)
{
	struct hak_report report;

	hak_report_sum(&report);
	hak_text_string(out, "{\"version\":\"" HAKMEM_VERSION "\"");
	report_json_values(out, report_words, report.value, HAK_FIGURE_COUNT);
	hak_text_string(out, ",\n\"groups\":[");
	report_json_groups(out);
	hak_text_string(out, "],\n\"classes\":[");
	report_json_classes(out);
	hak_text_string(out, "],\n\"last_decisions\":[");
	hak_explain_json(out, hak_os_now());
	hak_text_string(out, "]}\n");
}

/* ---- to standard error ---- */

HAK_FN bool hak_report_open(struct hak_text *out)
{
	char *buffer = hak_os_map(REPORT_TEXT);

	if (buffer)
		hak_text_open(out, buffer, REPORT_TEXT);
	return buffer != NULL;
}

HAK_FN void hak_report_close(struct hak_text *out) { hak_os_unmap(out->start, REPORT_TEXT); }

static void report_end(struct hak_text *out)
{
	hak_say_text(out);
	hak_report_close(out);
}

HAK_FN void hak_report_say(void)
{
	struct hak_text out;

	if (!hak_report_open(&out))
		return;
	hak_report_text(&out);
	report_end(&out);
}

HAK_FN void hak_report_at_exit(void)
{
	bool all = hak_setting(stats), front = hak_setting(front_stats), warm = hak_setting(warm_pool_stats);
	struct hak_text out;

	if (!(all || front || warm) || !hak_report_open(&out))
		return;
	if (all)
		hak_report_text(&out);
	if (front && !all)
		report_print_front(&out);
	if (warm && !all)
		report_print_warm(&out);
	report_end(&out);
}
