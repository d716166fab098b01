/* SPDX-License-Identifier: MIT */
/* The room refill: blocks come, go, travel and come home; nothing is lost, and all of it returns to the pool.  Links: rooms.
 *
 * One thread plays the owners of three heaps. */
#include "refill.h"
#include "remote.h"

#include "batch.h"
#include "capture.h"
#include "fails.h"
#include "os.h"
#include "random.h"
#include "superslab.h"
#include "tap.h"
#include "tunables.h"

enum { heap_count = 3, live_most = 20000 };

static struct hak_heap *heaps[heap_count];
static void *live[live_most];
static unsigned live_class[live_most];
static unsigned live_heap[live_most];
static size_t live_count;

static void start(void)
{
	need(hak_registry_start());
	for (int i = 0; i < heap_count; i++) {
		heaps[i] = hak_heap_acquire();
		need(heaps[i] && hak_heap_enter(heaps[i]));
	}
}

/* H10 is over. */
static void grow_up(void)
{
	for (int i = 0; i < heap_count; i++) {
		heaps[i]->counts.parcels_sent = HAK_YOUNG;
		for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
			heaps[i]->bins[c].freed = HAK_YOUNG;
	}
}

/* ---- what alloc and hot do ---- */

static void *take(struct hak_heap *heap, unsigned class)
{
	void *p = *heap->caches[class].top;

	if (!p)
		return hak_refill(heap, class);
	heap->caches[class].top--;
	return p;
}

static void give(struct hak_heap *heap, void *p)
{
	uint32_t tag = hak_registry_tag(hak_registry_number(p)), x = tag ^ heap->tag;

	if (x >= HAK_TAG_CLASSES)
		hak_remote_send(heap, p, tag);
	else if (hak_cache_is_full(hak_heap_cache(heap, x)))
		hak_refill_flush(heap, x / HAK_CACHE_SIZE, p);
	else
		*++hak_heap_cache(heap, x)->top = p;
}

/* ---- sums ---- */

static size_t free_in_slabs(const struct hak_heap *heap, unsigned class)
{
	size_t n = 0;
	unsigned empty = 0;

	for (const struct hak_slab *s = heap->bins[class].first; s; s = s->next) {
		hold(s->free > 0 && s->class == class);
		hold(s->next ? s->next->prev == s : heap->bins[class].last == s);
		n += s->free;
		empty += hak_slab_is_empty(s);
	}
	hold(empty == heap->bins[class].empty);
	return n;
}

/* Blocks in use are those of the slabs taken, without the free ones. */
static void check_sum(const struct hak_heap *heap, unsigned class, size_t in_use)
{
	const struct hak_bin *bin = &heap->bins[class];
	size_t slabs = bin->counts.slabs_taken - bin->counts.slabs_given;
	size_t blocks = slabs / hak_classes[class].slabs * hak_classes[class].blocks;

	hold(blocks == in_use + hak_heap_cached(heap, class) + free_in_slabs(heap, class));
}

static void check_sums(void)
{
	for (unsigned h = 0; h < heap_count; h++)
		for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
			size_t n = 0;

			for (size_t i = 0; i < live_count; i++)
				n += live_heap[i] == h && live_class[i] == c;
			check_sum(heaps[h], c, n);
		}
}

/* ---- points ---- */

/* Ascending at first, and full to the last block. */
static void check_first(unsigned class)
{
	struct hak_heap *heap = heaps[0];
	unsigned n = hak_classes[class].blocks;
	char *last = NULL;

	for (unsigned i = 0; i < n; i++) {
		char *p = take(heap, class);

		need(p != NULL && live_count < live_most);
		hold(i == 0 || p == last + hak_classes[class].size);
		hold(hak_registry_tag(hak_registry_number(p)) == (heap->tag | class * 16));
		live_class[live_count] = class;
		live[live_count++] = last = p;
	}
	check_sum(heap, class, n);
	while (live_count > 0)
		give(heap, live[--live_count]);
	check_sum(heap, class, 0);
}

static void step(void)
{
	unsigned h = random_below(heap_count), c = random_below(4) ? random_below(20) : random_below(HAK_CLASS_COUNT);

	if (live_count < 4000 && random_below(2)) {
		void *p = take(heaps[h], c);

		need(p != NULL);
		live[live_count] = p;
		live_class[live_count] = c;
		live_heap[live_count++] = h;
		return;
	}
	if (live_count > 0) {
		size_t i = random_below((unsigned)live_count);

		give(heaps[h], live[i]); /* often not its owner */
		live[i] = live[--live_count];
		live_class[i] = live_class[live_count];
		live_heap[i] = live_heap[live_count];
	}
}

static void send_all(void)
{
	for (unsigned h = 0; h < heap_count; h++) { /* 64 cold calls send what waits */
		for (int i = 0; i < 200; i++) {
			void *p = hak_refill(heaps[h], 0);

			hak_refill_flush(heaps[h], 0, p);
		}
	}
	for (unsigned h = 0; h < heap_count; h++)
		hak_remote_drain(heaps[h]);
}

static void check_traffic(void)
{
	for (int i = 0; i < 300000; i++)
		step();
	send_all();
	for (unsigned h = 0; h < heap_count; h++)
		for (unsigned i = 0; i < HAK_OUTGOING; i++)
			hold(heaps[h]->outgoing[i] == NULL);
	check_sums();
	ok(failures() == 0, "300000 steps of three heaps");
}

static size_t sum_of(size_t counter)
{
	size_t n = 0;

	for (unsigned h = 0; h < heap_count; h++)
		for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
			n += *(hak_counter *)(void *)((char *)&heaps[h]->bins[c].counts + counter);
	return n;
}

static void check_counts(void)
{
	size_t sent = sum_of(offsetof(struct hak_bin_counts, sent));

	ok(sent > 1000, "%zu blocks travelled", sent);
	is(sum_of(offsetof(struct hak_bin_counts, received)), sent);
	ok(sum_of(offsetof(struct hak_bin_counts, flushes)) > 0 &&
		   sum_of(offsetof(struct hak_bin_counts, refill_warm)) > 0 &&
		   sum_of(offsetof(struct hak_bin_counts, refill_pool)) > 0,
	   "all stages were met");
}

static void check_leave(void)
{
	while (live_count > 0)
		give(heaps[random_below(heap_count)], live[--live_count]);
	for (unsigned h = 0; h < heap_count; h++)
		hak_remote_leave(heaps[h]);
	hold(hak_pool_counts().used == 0);
	for (unsigned h = 0; h < heap_count; h++) {
		hold(heaps[h]->state == HAK_HEAP_IDLE && heaps[h]->inbox == NULL);
		for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
			hold(heaps[h]->bins[c].first == NULL && heaps[h]->bins[c].last == NULL &&
			     hak_heap_cached(heaps[h], c) == 0);
	}
	for (int i = 0; i < heap_count; i++) {
		heaps[i] = hak_heap_acquire();
		need(hak_heap_enter(heaps[i]));
	}
}

/* A parcel leaves when it holds 61 small blocks, or about 256 KiB of large ones. */
static void check_parcels(void)
{
	for (unsigned class = 0; class < HAK_CLASS_COUNT; class += 7) {
		unsigned cost = hak_parcel_cost(hak_classes[class].size),
			 full = (HAK_PARCEL_LIMIT + cost - 1) / cost;
		size_t before = heaps[1]->counts.parcels_sent;
		void *p[HAK_PARCEL_BLOCKS];

		for (unsigned i = 0; i < full; i++)
			p[i] = take(heaps[0], class);
		for (unsigned i = 0; i < full; i++) {
			hold(heaps[1]->counts.parcels_sent == before && (i == 0 || heaps[0]->inbox == NULL));
			give(heaps[1], p[i]);
		}
		hold(heaps[1]->counts.parcels_sent == before + 1 && heaps[0]->inbox != NULL);
		hak_remote_drain(heaps[0]);
		hold(heaps[0]->inbox == NULL);
		check_sum(heaps[0], class, 0);
	}
	ok(failures() == 0, "parcels leave when they are full");
}

/* An inbox that nobody empties is emptied by who fills it. */
static void check_visit(void)
{
	size_t taken = 0;

	hak_heap_exit(heaps[0]); /* its owner is outside, and sleeps */
	for (int i = 0; i < 60000; i++) {
		hold(hak_heap_enter(heaps[0]));
		live[i % live_most] = take(heaps[0], 3);
		hak_heap_exit(heaps[0]);
		if (i % live_most == live_most - 1)
			for (int j = 0; j < live_most; j++)
				give(heaps[1], live[j]);
	}
	for (const struct hak_parcel *p = heaps[0]->inbox; p; p = p->next)
		taken++;
	ok(taken < 200, "%zu parcels wait at most", taken);
	ok(heaps[0]->counts.visited > 0, "as the owner is visited");
	hold(hak_heap_enter(heaps[0]));
	send_all();
}

/* H9: what was popped, freed elsewhere and put by a visitor is free in its slab by right. */
static void check_popped(void)
{
	unsigned n = 0;

	hak_remote_settle(heaps[0]);
	do
		live[n++] = take(heaps[0], 9);
	while (hak_heap_cached(heaps[0], 9) > 0);
	hak_heap_exit(heaps[0]);
	for (unsigned i = 0; i < n; i++)
		give(heaps[1], live[i]);
	hak_remote_send_all(heaps[1]);
	hak_remote_visit_all();
	hold(hak_heap_enter(heaps[0]) && heaps[0]->inbox == NULL);
	ok(take(heaps[0], 9) != NULL, "of %u blocks that a visitor put back none counts as freed twice", n);
	hak_remote_settle(heaps[0]);
}

static void check_lost(void)
{
	void *p = take(heaps[2], 5);
	size_t before = heaps[1]->counts.parcels_dropped;

	heaps[2]->state = HAK_HEAP_LOST;
	give(heaps[1], p);
	send_all();
	is(heaps[1]->counts.parcels_dropped, before + 1);
	heaps[2]->state = HAK_HEAP_LIVE;
}

/* What fails changes nothing; then it goes on. */
static void check_refusal(void)
{
	struct hak_heap *heap = heaps[0];
	unsigned n = 0;

	fail_mappings(1, 1000000);
	while (n < live_most && (live[n] = take(heap, 43)) != NULL)
		n++;
	ok(n < live_most, "NULL when the kernel refuses, after %u blocks of 64 KiB", n);
	check_sum(heap, 43, n);
	fail_none();
	live[n] = take(heap, 43);
	ok(live[n] != NULL, "and on it goes");
	for (unsigned i = 0; i <= n; i++)
		give(heap, live[i]);
	check_sum(heap, 43, 0);
}

static void check_zeroed(void)
{
	unsigned known = 0;

	hak_remote_settle(heaps[0]);
	hak_batch_purge_all();
	for (unsigned i = 0; i < 40; i++) {
		bool zero;
		char *p = hak_refill_zeroed(heaps[0], 40, &zero);

		need(p != NULL);
		known += zero;
		hold(!zero || (p[0] == 0 && memcmp(p, p + 1, hak_classes[40].size - 1) == 0));
		memset(p, 1, hak_classes[40].size);
		live[i] = p;
	}
	ok(known > 0 && failures() == 0, "%u of 40 fresh blocks are known to be zero", known);
	for (unsigned i = 0; i < 40; i++)
		give(heaps[0], live[i]);
	for (unsigned i = 0; i < 40; i++) {
		bool zero;
		char *p = hak_refill_zeroed(heaps[0], 40, &zero);

		hold(!zero || (p[0] == 0 && memcmp(p, p + 1, hak_classes[40].size - 1) == 0));
		live[i] = p;
	}
	for (unsigned i = 0; i < 40; i++)
		give(heaps[0], live[i]);
	ok(failures() == 0, "used ones are not");
}

/* ---- settings, each in a child ---- */

static void set(unsigned id, size_t value)
{
	need(hak_tunables_set_value(id, value) == 0);
}

static void with_capacity(const void *with)
{
	size_t capacity = *(const size_t *)with;

	set(HAK_TUNABLE_ID_fc_cap, capacity);
	start();
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c += 3)
		check_first(c);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c += 3)
		hold(heaps[0]->bins[c].capacity == capacity);
	for (int i = 0; i < 20000; i++)
		step();
	send_all();
	check_sums();
	check_leave();
}

static void with_refill(const void *with)
{
	set(HAK_TUNABLE_ID_fc_refill, *(const size_t *)with);
	set(HAK_TUNABLE_ID_tiny_refill_count, *(const size_t *)with);
	start();
	for (int i = 0; i < 20000; i++)
		step();
	send_all();
	check_sums();
	check_leave();
}

static size_t take_while_served(size_t size, size_t joint)
{
	size_t n = 0;

	while (hak_heap_serving(heaps[0], hak_class_of(size)) == hak_class_of(joint) && n < 100)
		hold(take(heaps[0], hak_class_of(joint)) != NULL && ++n);
	return n * joint;
}

/* Neighbouring sizes share pages until that many bytes were handed out: H8. */
static void young(const void *with)
{
	size_t most = (size_t)16 * 512; /* a refill */
	size_t wide, narrow;

	(void)with;
	start();
	wide = take_while_served(200, 512);
	hold(wide >= 8192 && wide < 8192 + most && hak_heap_serving(heaps[0], hak_class_of(200)) == hak_class_of(256));
	narrow = wide + take_while_served(300, 512);
	hold(narrow >= 16384 && narrow < 16384 + most && hak_heap_serving(heaps[0], hak_class_of(300)) == hak_class_of(300));
	hold(heaps[0]->bins[hak_class_of(300)].capacity == 0);
	hold(hak_heap_serving(heaps[0], hak_class_of(200)) == hak_class_of(256));
	hold(hak_heap_serving(heaps[0], hak_class_of(700)) == hak_class_of(2048));
}

/* H10: frees of a class go to its slabs at first, each by itself; then its cache takes them. */
static void check_first_frees(struct hak_heap *heap, unsigned class)
{
	unsigned first = class < HAK_TINY_CLASSES ? HAK_YOUNG : HAK_YOUNG / 4;
	void *p[HAK_YOUNG + 1];
	size_t put = heap->bins[class].counts.put;

	for (unsigned i = 0; i <= first; i++)
		p[i] = take(heap, class);
	for (unsigned i = 0; i < first; i++) {
		unsigned cached = hak_heap_cached(heap, class);

		hold(hak_bin_is_young(&heap->bins[class]) && hak_cache_is_full(&heap->caches[class]));
		give(heap, p[i]);
		hold(heap->bins[class].counts.put == put + i + 1 && hak_heap_cached(heap, class) == cached);
	}
	hold(!hak_bin_is_young(&heap->bins[class]));
	give(heap, p[first]);
	hold(heap->bins[class].counts.put == put + first && *heap->caches[class].top == p[first]);
	check_sum(heap, class, 0);
}

/* .. and so do those that others send, which come one by one. */
static void check_first_sent(struct hak_heap *from, struct hak_heap *to, unsigned class)
{
	for (unsigned i = 0; i < HAK_YOUNG; i++) {
		give(from, take(to, class));
		hold(from->counts.parcels_sent == i + 1 && hak_remote_receive(to) && to->inbox == NULL);
	}
	hold(!hak_bin_is_young(&to->bins[class]));
	give(from, take(to, class));
	hold(from->counts.parcels_sent == HAK_YOUNG && to->inbox == NULL);
	send_all();
	check_sum(to, class, 0);
}

static void first_frees(const void *with)
{
	(void)with;
	start();
	check_first_sent(heaps[1], heaps[0], 5);
	for (unsigned class = 0; class < HAK_CLASS_COUNT; class += 3)
		if (class != 0)
			check_first_frees(heaps[2], class);
	check_leave();
}

/* Each call is counted. */
static void starved(const void *with)
{
	(void)with;
	set(HAK_TUNABLE_ID_tiny_front_direct, 1);
	start();
	for (int i = 0; i < 20000; i++)
		step();
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		hold(heaps[0]->bins[c].capacity == 0);
	hold(sum_of(offsetof(struct hak_bin_counts, direct_malloc)) > 5000);
	send_all();
	check_sums();
	check_leave();
}

static void silent_and_good(const char *name, void (*run)(const void *), size_t value)
{
	struct capture child;

	capture(&child, run, &value);
	ok(child.status == 0 && child.words[0] == '\0', "%s %zu", name, value);
	if (child.words[0])
		note("%s", child.words);
}

int main(void)
{
	static const size_t capacities[] = {1, 2, 3, 16, 100, 2048}, batches[] = {1, 2, 7, 1024};

	for (size_t i = 0; i < HAK_COUNT_OF(capacities); i++)
		silent_and_good("HAKMEM_FC_CAP", with_capacity, capacities[i]);
	for (size_t i = 0; i < HAK_COUNT_OF(batches); i++)
		silent_and_good("HAKMEM_FC_REFILL", with_refill, batches[i]);
	silent_and_good("HAKMEM_TINY_FRONT_DIRECT", starved, 1);
	silent_and_good("a young heap", young, 1);
	silent_and_good("first frees", first_frees, 1);
	start();
	grow_up();
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_first(c);
	ok(failures() == 0, "a span of each class, in order, to its last block");
	check_parcels();
	check_traffic();
	check_counts();
	check_leave();
	check_visit();
	check_leave();
	check_zeroed();
	check_refusal();
	check_leave();
	ok(failures() == 0, "heaps that are left hold nothing");
	check_popped();
	check_lost();
	return done();
}
