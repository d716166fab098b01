/* SPDX-License-Identifier: MIT */
/* The room report: known amounts of blocks of every kind, counted exactly; each counter of stats.def moves; what is
 * printed, at exit too.  Settings are read once in a process, so some cases run this program again. */
#include "attach.h"
#include "reclaim.h"
#include "report.h"

#include <pthread.h>
#include <sched.h>

#include "batch.h"
#include "capture.h"
#include "fails.h"
#include "hard.h"
#include "journal.h"
#include "large.h"
#include "malloc_abi.h"
#include "os.h"
#include "pool.h"
#include "tap.h"
#include "tunables.h"

#define MANY 3000
#define MIB ((size_t)1 << 20)

static void *blocks[MANY];

/* ---- helpers ---- */

static struct hak_report report_now(void)
{
	struct hak_report report;

	hak_report_sum(&report);
	return report;
}

static size_t figure(enum hak_figure which)
{
	return report_now().value[which];
}
#define FIGURE(id) figure(HAK_FIGURE_##id)

static size_t of_size(size_t size, enum hak_class_figure which)
{
	struct hak_class_report report;

	hak_report_class(hak_class_of(size), &report);
	return report.value[which];
}
#define OF_SIZE(size, id) of_size((size), HAK_OF_CLASS_##id)

static void take(size_t size, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		blocks[i] = HAK_ABI(malloc)(size);
		hold(blocks[i] != NULL);
	}
}

static void give(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		HAK_ABI(free)(blocks[i]);
}

/* R2, and the slabs of the heaps and of mid blocks are all that are in use. */
static void check_identity(const char *when)
{
	struct hak_report r = report_now();
	size_t *value = r.value;

	ok(value[HAK_FIGURE_superslab_bytes] == value[HAK_FIGURE_small_bytes] + value[HAK_FIGURE_mid_bytes] +
							value[HAK_FIGURE_cached_bytes] +
							value[HAK_FIGURE_parcel_bytes] + value[HAK_FIGURE_slab_bytes] +
							value[HAK_FIGURE_slabs_free] * HAK_SLAB_SIZE,
	   "SuperSlabs are explained to the byte, %s", when);
	ok(value[HAK_FIGURE_slabs_used] == value[HAK_FIGURE_slabs_taken] - value[HAK_FIGURE_slabs_given] +
						   value[HAK_FIGURE_mid_bytes] / HAK_SLAB_SIZE,
	   "slabs in use are explained, %s", when);
	ok(value[HAK_FIGURE_slabs_used] == hak_pool_counts().used &&
		   value[HAK_FIGURE_slabs_dirty] == hak_pool_counts().dirty,
	   "the pool counts the same, %s", when);
}

/* ---- known amounts ---- */

static void check_class(unsigned class)
{
	size_t size = hak_classes[class].size, live = OF_SIZE(size, live_blocks), bytes = FIGURE(live_bytes);
	unsigned n = 41;

	take(size, n);
	hold(OF_SIZE(size, live_blocks) == live + n);
	hold(FIGURE(live_bytes) == bytes + n * size);
	give(n / 2);
	hold(OF_SIZE(size, live_blocks) == live + n - n / 2);
	for (unsigned i = n / 2; i < n; i++)
		HAK_ABI(free)(blocks[i]);
	hold(OF_SIZE(size, live_blocks) == live);
	hold(FIGURE(live_bytes) == bytes);
}

static void check_classes(void)
{
	int before = failures();

	/* So that each class gets what is asked of it (H8), once there is a heap. */
	take(16, 1);
	give(1);
	for (unsigned c = HAK_CLASSES_JOINT; c-- > 0;)
		while (hak_heap_is_joint(hak_thread.own, c))
			hak_heap_part(hak_thread.own, c);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_class(c);
	ok(failures() == before, "41 blocks of each of %u classes are counted exactly", HAK_CLASS_COUNT);
}

static void check_groups(void)
{
	size_t sum[HAK_CLASS_FIGURE_COUNT] = {0};
	struct hak_class_report one;
	struct hak_report all = report_now();

	for (unsigned g = 0; g < HAK_GROUP_COUNT; g++) {
		hak_report_group(g, &one);
		for (unsigned i = 0; i < HAK_CLASS_FIGURE_COUNT; i++)
			sum[i] += one.value[i];
	}
	is(sum[HAK_OF_CLASS_live_blocks], all.value[HAK_FIGURE_small_blocks]);
	is(sum[HAK_OF_CLASS_slab_blocks], all.value[HAK_FIGURE_slab_blocks]);
#define HAK_BIN_COUNTER(id, ...) hold(sum[HAK_OF_CLASS_##id] == all.value[HAK_FIGURE_##id]);
#include "stats.def"
}

static void check_other_ways(void)
{
	size_t live = FIGURE(live_blocks), bytes = FIGURE(live_bytes);
	void *a = HAK_ABI(calloc)(3, 20000), *b = HAK_ABI(memalign)(4096, 100), *c = HAK_ABI(realloc)(NULL, 10);

	c = HAK_ABI(realloc)(c, 100000);
	is(FIGURE(live_blocks) - live, 3);
	is(FIGURE(live_bytes) - bytes,
	   HAK_ABI(malloc_usable_size)(a) + HAK_ABI(malloc_usable_size)(b) + HAK_ABI(malloc_usable_size)(c));
	HAK_ABI(free)(a);
	HAK_ABI(free)(b);
	HAK_ABI(free)(c);
	is(FIGURE(live_bytes), bytes);
}

static void check_mid(void)
{
	size_t n = FIGURE(mid_blocks), bytes = FIGURE(mid_bytes), live = FIGURE(live_bytes);
	void *a = HAK_ABI(malloc)(70000), *b = HAK_ABI(malloc)(1 << 20), *c = HAK_ABI(malloc)(HAK_MID_MAX);

	is(FIGURE(mid_blocks) - n, 3);
	is(FIGURE(mid_bytes) - bytes, (128 << 10) + (1 << 20) + (2 << 20));
	is(FIGURE(live_bytes) - live, (128 << 10) + (1 << 20) + (2 << 20));
	b = HAK_ABI(realloc)(b, 600 << 10);
	is(FIGURE(mid_bytes) - bytes, (128 << 10) + HAK_ABI(malloc_usable_size)(b) + (2 << 20));
	check_identity("with mid blocks");
	HAK_ABI(free)(a);
	HAK_ABI(free)(b);
	HAK_ABI(free)(c);
	is(FIGURE(mid_blocks), n);
	is(FIGURE(mid_bytes), bytes);
}

static void check_large(void)
{
	size_t n = FIGURE(large_blocks), bytes = FIGURE(large_bytes), mapped = FIGURE(mapped_bytes);
	size_t need = hak_align_up(((size_t)5 << 20) + 1, hak_registry.page);
	void *a = HAK_ABI(malloc)(((size_t)5 << 20) + 1);

	is(FIGURE(large_blocks) - n, 1);
	is(FIGURE(large_bytes) - bytes, need);
	ok(FIGURE(mapped_bytes) >= mapped + need, "a large block is mapped");
	HAK_ABI(free)(a);
	is(FIGURE(large_blocks), n);
	is(FIGURE(large_bytes), bytes);
	is(FIGURE(large_cached_bytes), hak_large_cached());
	hak_reclaim_trim();
	is(FIGURE(large_cached_bytes), 0);
}

static void check_trim(void)
{
	take(2000, MANY);
	for (unsigned i = 0; i < MANY; i++)
		memset(blocks[i], 1, 2000);
	give(MANY);
	ok(FIGURE(trim_bytes) > 0, "there is something to trim");
	ok(hak_reclaim_trim() > 0, "it is trimmed");
	is(FIGURE(trim_bytes), 0);
	is(FIGURE(slabs_dirty), 0);
	is(FIGURE(cached_blocks), 0);
	check_identity("after a trim");
}

/* ---- threads ---- */

static _Atomic int phase;

static void wait_for(int n)
{
	while (hak_load(&phase, acquire) < n)
		sched_yield();
}

static void reach(int n)
{
	hak_store(&phase, n, release);
}

static void start_thread(pthread_t *thread, void *(*run)(void *), const size_t *with)
{
	need(pthread_create(thread, NULL, run, (void *)(uintptr_t)with) == 0);
}

static void *taker(void *with)
{
	take(*(size_t *)with, 200);
	return NULL;
}

static void *giver(void *with)
{
	(void)with;
	give(200);
	return NULL;
}

/* The owner has gone when his blocks come back. */
static void check_idle_heap(void)
{
	static const size_t size = 5000;
	size_t live = OF_SIZE(size, live_blocks), parcel = OF_SIZE(size, parcel_blocks);
	pthread_t thread;

	start_thread(&thread, taker, &size);
	pthread_join(thread, NULL);
	is(OF_SIZE(size, live_blocks) - live, 200);
	ok(FIGURE(heaps_idle) >= 1, "the heap is idle");
	check_identity("with an idle heap");
	give(200);
	is(OF_SIZE(size, live_blocks), live);
	ok(OF_SIZE(size, parcel_blocks) - parcel < 62, "the parcel that is not full waits");
	check_identity("with parcels on their way");
}

static void *holder(void *with)
{
	take(*(size_t *)with, 200);
	reach(1);
	wait_for(2);
	take(*(size_t *)with, 300);
	give(300);
	reach(3);
	return NULL;
}

/* The owner lives when his blocks come back, and takes them when his cache is empty. */
static void check_live_heap(void)
{
	static const size_t size = 5000;
	size_t live = OF_SIZE(size, live_blocks), inbox = OF_SIZE(size, refill_inbox);
	pthread_t thread, other;

	if (is_hard_skipped("200 blocks on their way"))
		return;
	reach(0);
	start_thread(&thread, holder, &size);
	wait_for(1);
	is(OF_SIZE(size, live_blocks) - live, 200);
	ok(FIGURE(heaps_live) >= 2, "two heaps are live");
	start_thread(&other, giver, NULL);
	pthread_join(other, NULL);
	is(OF_SIZE(size, live_blocks), live);
	ok(OF_SIZE(size, parcel_blocks) >= 200, "200 blocks are on their way");
	check_identity("with a full inbox");
	reach(2);
	wait_for(3);
	pthread_join(thread, NULL);
	is(OF_SIZE(size, live_blocks), live);
	ok(OF_SIZE(size, refill_inbox) > inbox, "the inbox served a refill");
	check_identity("after the threads");
}

static void *churner(void *with)
{
	void *mine[64] = {NULL};

	(void)with;
	for (unsigned i = 0; hak_load(&phase, relaxed) == 0; i++) {
		HAK_ABI(free)(mine[i % 64]);
		mine[i % 64] = HAK_ABI(malloc)(i % 7 ? i % 900 : i % 90000);
	}
	for (unsigned i = 0; i < 64; i++)
		HAK_ABI(free)(mine[i]);
	return NULL;
}

/* Looking on while others work: nothing breaks, no number is absurd. */
static void check_busy(void)
{
	size_t live = FIGURE(live_blocks);
	pthread_t threads[2];
	int before = failures();

	reach(0);
	start_thread(&threads[0], churner, NULL);
	start_thread(&threads[1], churner, NULL);
	for (unsigned i = 0; i < 300; i++) {
		struct hak_report r = report_now();
		hold(r.value[HAK_FIGURE_live_bytes] < (size_t)1 << 28);
		hold(r.value[HAK_FIGURE_cached_bytes] < (size_t)1 << 28);
		hold(r.value[HAK_FIGURE_slab_blocks] < 1u << 24);
	}
	reach(1);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ok(failures() == before, "300 sums while two threads churn");
	ok(FIGURE(live_blocks) - live <= 8, "all that they took has come back");
	check_identity("after the churn");
}

/* ---- fork ---- */

static void drop(const void *with)
{
	(void)with;
	hold(FIGURE(heaps_lost) == 1);
	give(200);
	hold(FIGURE(parcels_dropped) >= 3);
}

/* Is inside its heap while the other thread forks: the child cannot know in what state. */
static void *waiter(void *with)
{
	struct hak_heap *heap;

	take(*(size_t *)with, 200);
	heap = hak_attach_heap();
	reach(1);
	wait_for(2);
	hak_attach_leave(heap);
	give(200);
	return NULL;
}

static void check_fork(void)
{
	static const size_t size = 300;
	pthread_t thread;

	reach(0);
	start_thread(&thread, waiter, &size);
	wait_for(1);
	capture_silent("the child's frees into a lost heap are dropped parcels", drop, NULL);
	reach(2);
	pthread_join(thread, NULL);
}

/* ---- every counter has moved; those of starved caches and of guarded blocks (t-guard) move in a process of their own, those of
 * lost heaps in a child ---- */

/* A large block is made of what was kept, and one is moved, since another lies behind it. */
static void move_large(void)
{
	void *holder = HAK_ABI(malloc)(100 * MIB), *p = HAK_ABI(malloc)(8 * MIB), *wall;

	need(hak_tunables_set_value(HAK_TUNABLE_ID_elo_threshold, PTRDIFF_MAX) == 0);
	HAK_ABI(free)(p);
	p = HAK_ABI(malloc)(8 * MIB);
	wall = HAK_ABI(malloc)(8 * MIB);
	p = HAK_ABI(realloc)(p, 40 * MIB);
	hold(p && wall);
	HAK_ABI(free)(holder);
	HAK_ABI(free)(wall);
	HAK_ABI(free)(p);
}

/* Purged, wanted back at once, and at last no SuperSlab is kept. */
static void move_superslabs(void)
{
	void *p[20];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20; i++)
			hold((p[i] = HAK_ABI(malloc)(2 * MIB - 1)) != NULL);
		need(hak_tunables_set_value(HAK_TUNABLE_ID_ss_lru_size, round ? 0 : 64) == 0);
		for (int i = 0; i < 20; i++)
			HAK_ABI(free)(p[i]);
		if (round == 0)
			hak_batch_purge_all();
	}
	need(hak_tunables_set_value(HAK_TUNABLE_ID_ss_lru_size, 64) == 0);
}

/* Every second page of slabs in use is free. */
static void move_inside(void)
{
	unsigned in_page = (unsigned)hak_os_page_size() / 2048;

	take(2048, MANY);
	for (unsigned i = 0; i < MANY; i++)
		if (i / in_page % 2)
			HAK_ABI(free)(blocks[i]);
	hak_reclaim_trim();
	for (unsigned i = 0; i < MANY; i++)
		if (i / in_page % 2 == 0)
			HAK_ABI(free)(blocks[i]);
}

/* A page may be as large as a slab: then none is free inside one that is in use. */
static bool has_no_inside(unsigned figure)
{
	return figure == HAK_FIGURE_inside_bytes && hak_os_page_size() >= HAK_SLAB_SIZE;
}

static void check_moved(void)
{
	struct hak_report r;

	move_large();
	move_superslabs();
	move_inside();
	take(16, MANY);
	give(MANY);
	take(40000, 100);
	give(100);
	r = report_now();
	for (unsigned i = 0; i < HAK_FIGURE_COUNT; i++) {
		if (i == HAK_FIGURE_direct_malloc || i == HAK_FIGURE_direct_free || i == HAK_FIGURE_parcels_dropped ||
		    i == HAK_FIGURE_heaps_lost || i == HAK_FIGURE_guard_allocs || i == HAK_FIGURE_guard_full ||
		    has_no_inside(i))
			is(r.value[i], 0);
		else if (i >= HAK_FIGURE_refill_inbox && !(is_hard() && i == HAK_FIGURE_refill_inbox))
			ok(r.value[i] > 0, "%s has moved", hak_report_name(i));
	}
}

static void starved(void)
{
	size_t mallocs = FIGURE(direct_malloc), frees = FIGURE(direct_free), live = FIGURE(live_blocks);

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		take(hak_classes[c].size, 5);
		hold(FIGURE(live_blocks) == live + 5);
		give(5);
	}
	hold(FIGURE(direct_malloc) - mallocs == HAK_CLASS_COUNT * 5);
	hold(FIGURE(direct_free) - frees == HAK_CLASS_COUNT * 5);
	hold(FIGURE(cached_blocks) == 0);
	hold(FIGURE(live_blocks) == live);
}

/* ---- this program again, with settings ---- */

static const char *program;

struct again {
	const char *mode;
	const char *setting;
};

static char *writable(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void run_again(const void *with)
{
	const struct again *again = with;
	char *words[] = {writable(program), writable(again->mode), NULL};
	char *settings[] = {writable(again->setting), NULL};

	emulator_exec(words, settings);
	_exit(99);
}

static void check_starved(void)
{
	static const struct again again = {"starved", "HAKMEM_TINY_FRONT_DIRECT=1"};

	capture_silent("with starved caches every call is counted", run_again, &again);
}

static void check_exit(const char *setting, const char *has, const char *has_not)
{
	struct again again = {"exit", setting};
	struct capture child;

	capture(&child, run_again, &again);
	is(child.status, 0);
	ok(strstr(child.words, has) != NULL, "%s prints %s", setting, has);
	ok(strstr(child.words, has_not) == NULL, "%s does not print %s", setting, has_not);
}

static void check_exits(void)
{
	static const struct again quiet = {"exit", "HAKMEM_STATS=0"};

	capture_silent("nothing is printed unless asked", run_again, &quiet);
	check_exit("HAKMEM_STATS=1", "live_bytes", "nothing");
	check_exit("HAKMEM_FRONT_STATS=1", "Unified caches", "Warm pools");
	check_exit("HAKMEM_WARM_POOL_STATS=1", "Warm pools", "Unified caches");
}

/* ---- words ---- */

static char buffer[1 << 16];

static unsigned count_of(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

/* As many decisions, and as long ones, as there can be. */
static void fill_journal(void)
{
	for (unsigned i = 0; i < HAK_JOURNAL_LENGTH; i++)
		hak_journal_write(HAK_DECISION_elo_threshold, HAK_CLASS_COUNT - 1, SIZE_MAX, SIZE_MAX, SIZE_MAX,
				  SIZE_MAX);
}

static void check_text(void)
{
	struct hak_text out;

	fill_journal();
	hak_text_open(&out, buffer, sizeof(buffer));
	hak_report_text(&out);
	is(out.lost, 0);
	ok(hak_text_length(&out) < sizeof(buffer) / 2, "the text is %zu bytes", hak_text_length(&out));
	for (unsigned i = 0; i < HAK_FIGURE_COUNT; i++)
		hold(strstr(buffer, hak_report_name(i)) != NULL);
	ok(strstr(buffer, "\n  C7 ") && strstr(buffer, "\nmore "), "the groups are C0 to C7, and more");
}

static void check_json(void)
{
	struct hak_text out;

	hak_text_open(&out, buffer, sizeof(buffer));
	hak_report_json(&out);
	is(out.lost, 0);
	ok(hak_text_length(&out) < sizeof(buffer) / 4 * 3, "JSON is %zu bytes", hak_text_length(&out));
	is(count_of(buffer, "\"group\":"), HAK_GROUP_COUNT);
	is(count_of(buffer, "\"by\":"), HAK_JOURNAL_LENGTH);
	is(count_of(buffer, "\"size\":"), HAK_CLASS_COUNT + HAK_JOURNAL_LENGTH);
	is(count_of(buffer, "\"live_blocks\":"), 1 + HAK_GROUP_COUNT + HAK_CLASS_COUNT);
	is(count_of(buffer, "{"), count_of(buffer, "}"));
	ok(count_of(buffer, ",}") + count_of(buffer, "{,") + count_of(buffer, ",]") == 0, "no comma too many");
}

static void check_open(void)
{
	struct hak_text out;

	ok(hak_report_open(&out), "a text opens");
	hak_report_text(&out);
	is(out.lost, 0);
	hak_report_close(&out);
#ifdef HAK_ROOMS
	fail_mappings(1, 1);
	ok(!hak_report_open(&out), "the kernel refuses a text");
	fail_mappings(1, 1);
	hak_report_say(); /* then nothing is said */
#endif
}

int main(int count, char **words)
{
	program = words[0];
	if (count > 1 && strcmp(words[1], "starved") == 0)
		starved();
	if (count > 1)
		return failures();
	check_identity("at start");
	check_classes();
	check_groups();
	check_other_ways();
	check_mid();
	check_large();
	check_trim();
	check_idle_heap();
	check_live_heap();
	check_busy();
	check_fork();
	check_moved();
	check_starved();
	check_exits();
	check_text();
	check_json();
	check_open();
	return done();
}
