/* SPDX-License-Identifier: MIT */
/* Birth, death, adoption and visits of heaps in all schedules of short scripts: nobody enters a heap that another is
 * inside (H1, H5), no heap gets lost, and what is pushed to a heap that becomes idle is never stranded (H4).
 * Links: model (nothing; the rooms are included). */
#include "explore.h"

#include "stats.h"

/* Counters are their owner's: no place to switch. */
#undef hak_count
#define hak_count(counter, n) ((void)(*(counter) += (n)))

/* The lower rooms are not what is looked at: they run without a switch. */
#define hak_model_step() ((void)0)
#include "../lib/probe.c"
#include "../lib/call.c"
#include "../lib/vdso.c"
#include "../lib/os.c"
#include "../lib/say.c"
#include "../lib/file.c"
#include "../lib/journal.c"
#include "../lib/class.c"
#include "../lib/tunables.c"
#include "../lib/stats.c"
#include "../lib/elo.c"
#include "../lib/lock.h"
#include "../lib/registry.c"
#include "../lib/numa.c"
#include "../lib/policy.c"
#include "../lib/pages.c"
#include "../lib/meta.h"
#include "../lib/slab.c"
#include "../lib/mark.c"
#include "../lib/pool.c"
#include "../lib/superslab.c"
#include "../lib/batch.c"
#include "../lib/bigcache.c"
#include "../lib/large.c"
#include "../lib/limit.c"
#undef hak_model_step

/* No heaps and parcels beyond those of the test. */
HAK_FN void *hak_meta_alloc(size_t size, size_t align)
{
	(void)size, (void)align;
	return NULL;
}

HAK_FN size_t hak_meta_mapped(void)
{
	return 0;
}

/* A mutex whose waiters sleep. */
HAK_DEF HAK_TLS uint32_t hak_lock_held __attribute__((unused)), hak_lock_forking __attribute__((unused));

HAK_FN bool hak_lock_take(struct hak_lock *lock)
{
	if (!model.is_running)
		return true;
	hak_model_step();
	while (lock->word != 0)
		model_sleep(lock);
	lock->word = 1;
	return true;
}

HAK_FN void hak_lock_release(struct hak_lock *lock)
{
	if (!model.is_running)
		return;
	hak_model_step();
	lock->word = 0;
	model_wake_all(lock);
}

#include "../lib/parcel.c"
static uint64_t idle_step; /* 0: the stack's head does not count */
#define IDLE_STEP idle_step
#include "../lib/heap.h"
__attribute__((unused)) HAK_VAR HAK_TLS struct hak_thread hak_thread;
#include "../lib/heap.c"

enum { heap_count = 4, parcel_count = 6, nobody = 0 };

static char heaps[heap_count][(HAK_HEAP_SIZE + HAK_LINE - 1) / HAK_LINE * HAK_LINE] HAK_ALIGNED(HAK_LINE);
static hak_heap_entry directory[HEAP_PART_FIRST];
static unsigned inside[heap_count];   /* thread + 1 */
static unsigned owner_of[heap_count]; /* thread + 1: whose hak_thread.own it is */
static unsigned hit_by[heap_count];   /* thread + 1: who is in the midst of a hit in its caches */
static unsigned sent;

static unsigned number(const struct hak_heap *heap)
{
	return (unsigned)(((const char *)heap - heaps[0]) / (ptrdiff_t)sizeof(heaps[0]));
}

static struct hak_heap *heap_at(size_t i)
{
	return (struct hak_heap *)(void *)heaps[i];
}

static void go_in(struct hak_heap *heap)
{
	model_require(inside[number(heap)] == nobody);
	inside[number(heap)] = model_self() + 1;
	hak_model_step(); /* while somebody is inside, others go on */
}

static void go_out(struct hak_heap *heap)
{
	model_require(!model.is_running || inside[number(heap)] == model_self() + 1);
	inside[number(heap)] = nobody;
}

/* The caches too are his from here on. */
static void go_in_as_owner(struct hak_heap *heap)
{
	go_in(heap);
	model_require(hit_by[number(heap)] == nobody || hit_by[number(heap)] == model_self() + 1);
}

static bool watched_enter(struct hak_heap *heap)
{
	bool got = hak_heap_enter(heap);

	if (got)
		go_in_as_owner(heap);
	return got;
}

static bool watched_enter_last(struct hak_heap *heap)
{
	bool got = hak_heap_enter_last(heap);

	if (got)
		go_in_as_owner(heap);
	return got;
}

static bool watched_visit(struct hak_heap *heap)
{
	bool got = hak_heap_visit(heap);

	if (got)
		go_in(heap);
	return got;
}

static bool watched_visit_end(struct hak_heap *heap)
{
	bool is_over;

	go_out(heap);
	is_over = hak_heap_visit_end(heap);
	if (!is_over)
		go_in_as_owner(heap);
	return is_over;
}

static void watched_release(struct hak_heap *heap)
{
	go_out(heap);
	hak_heap_release(heap);
}

static void watched_exit(struct hak_heap *heap)
{
	go_out(heap);
	hak_heap_exit(heap);
}

#define hak_heap_enter(heap) watched_enter(heap)
#define hak_heap_enter_last(heap) watched_enter_last(heap)
#define hak_heap_visit(heap) watched_visit(heap)
#define hak_heap_visit_end(heap) watched_visit_end(heap)
#define hak_heap_release(heap) watched_release(heap)
#define hak_heap_exit(heap) watched_exit(heap)
#include "../lib/bin.c"
#include "../lib/capacity.c"
#include "../lib/misuse.c"
#include "../lib/backtrace.c"
#include "../lib/guard.c"
#include "../lib/remote.c"
#include "../lib/refill.c"

/* ---- the world ---- */

static struct {
	struct hak_parcel parcel;
} parcels[parcel_count] HAK_ALIGNED(HAK_PARCEL_SIZE);

static void forget_heaps(void)
{
	memset(heaps, 0, sizeof(heaps));
	memset(inside, 0, sizeof(inside));
	memset(owner_of, 0, sizeof(owner_of));
	memset(hit_by, 0, sizeof(hit_by));
	heap_idle[0] = 0;
	idle_step = IDLE_MASK + 1;
	hak_heap_made = heap_count;
	hak_store(&hak_heap_directory[0], directory, relaxed);
	for (uint32_t i = 0; i < heap_count; i++) {
		heap_init(heap_at(i), HAK_OWNER_FIRST + i);
		hak_store(&directory[HAK_OWNER_FIRST + i], heap_at(i), relaxed);
	}
}

/* Threads 0, 1, 2 own heaps 0, 1, 2; heap 3 is idle. */
static void three_owners(void)
{
	forget_heaps();
	memset(parcels, 0, sizeof(parcels));
	parcel_stock = 0;
	for (unsigned i = 0; i < parcel_count; i++)
		hak_parcel_put(&parcels[i].parcel);
	for (unsigned i = 0; i < heap_count - 1; i++)
		owner_of[i] = i + 1;
	heap_make_idle(heap_at(heap_count - 1));
	sent = 0;
}

/* Heap 0 has no owner. */
static void one_orphan(void)
{
	three_owners();
	owner_of[0] = nobody;
	heap_make_idle(heap_at(0));
}

static void two_orphans_without_counter(void)
{
	one_orphan();
	idle_step = 0;
}

static bool is_listed(const struct hak_heap *heap)
{
	unsigned n = 0;

	for (uint32_t id = (uint32_t)heap_idle[0]; id && n <= heap_count; id = hak_heap_find(id)->next_idle, n++)
		if (id == heap->id)
			return true;
	return false;
}

static unsigned received_of(struct hak_heap *heap)
{
	return (unsigned)heap->counts.parcels_received;
}

static void check(void)
{
	unsigned arrived = 0, waiting = 0;

	for (unsigned i = 0; i < heap_count; i++) {
		struct hak_heap *heap = heap_at(i);
		bool is_idle = heap->state == HAK_HEAP_IDLE;

		model_require(inside[i] == nobody);
		model_require(heap->use == HAK_USE_NONE);
		model_require(!is_idle || is_listed(heap));
		model_require(is_listed(heap) == heap->listed);
		model_require(is_idle == (owner_of[i] == nobody));           /* none is lost */
		model_require(!is_idle || hak_inbox_is_empty(&heap->inbox)); /* H4 */
		model_require(!is_idle || heap->received == NULL);
		arrived += received_of(heap);
		for (struct hak_parcel *p = heap->inbox; p; p = p->next)
			waiting++;
	}
	model_require(arrived + waiting == sent);
}

/* ---- what threads do ---- */

static unsigned own_heap(void)
{
	unsigned i = 0;

	while (i < heap_count && owner_of[i] != model_self() + 1)
		i++;
	return i;
}

/* As alloc_take. */
static struct hak_heap *take(void)
{
	struct hak_heap *heap;

	do {
		heap = hak_heap_acquire();
		model_require(!heap || owner_of[number(heap)] == nobody);
	} while (heap && !hak_heap_enter_last(heap));
	return heap;
}

/* As hak_attach_heap: the thread's heap, entered; another one, for one call, if a visitor is inside; NULL if there is none. */
static struct hak_heap *attach(void)
{
	unsigned i = own_heap();
	struct hak_heap *heap;

	if (i < heap_count && hak_heap_enter(heap_at(i)))
		return heap_at(i);
	heap = take();
	if (heap && i == heap_count)
		owner_of[number(heap)] = model_self() + 1;
	return heap;
}

/* As hak_attach_leave. */
static void leave(struct hak_heap *heap)
{
	if (owner_of[number(heap)] == model_self() + 1)
		hak_heap_exit(heap);
	else
		hak_remote_leave(heap);
}

static void work(void)
{
	struct hak_heap *heap = attach();

	if (!heap)
		return;
	hak_remote_drain(heap);
	leave(heap);
}

/* A handler that allocates interrupts a hit, which then goes on in the caches. */
static void work_in_a_hit(void)
{
	unsigned i = own_heap();

	hit_by[i] = model_self() + 1;
	work();
	hak_model_step();
	hit_by[i] = nobody;
}

/* As start_thread_exit. */
static void end(void)
{
	unsigned i = own_heap();

	if (i == heap_count)
		return;
	owner_of[i] = nobody;
	if (hak_heap_enter_last(heap_at(i)))
		hak_remote_leave(heap_at(i));
}

static void send_to(unsigned to)
{
	struct hak_heap *heap = attach();
	unsigned place = (HAK_OWNER_FIRST + to) % HAK_OUTGOING;

	if (!heap)
		return;
	if (number(heap) != to && heap->outgoing[place] == NULL) {
		heap->outgoing[place] = remote_get_parcel(heap, HAK_OWNER_FIRST + to);
		if (heap->outgoing[place]) {
			sent++;
			remote_push(heap, place);
		}
	}
	leave(heap);
}

static void send_to_first(void)
{
	send_to(0);
}

static void send_and_end(void)
{
	send_to(0);
	end();
}

static void send_twice(void)
{
	send_to(0);
	send_to(0);
}

static void visit_first(void)
{
	remote_visit_live(heap_at(0));
}

static void send_and_visit(void)
{
	send_to(0);
	remote_visit_live(heap_at(0));
}

static void work_and_end(void)
{
	work();
	end();
}

/* A new thread: adopts an idle heap and ends. */
static void adopt_and_end(void)
{
	end();
	work();
	end();
}

/* Two heaps for one that ended: the first one's place in the stack changes. */
static void adopt_two(void)
{
	struct hak_heap *first, *second;

	end();
	first = attach();
	if (!first)
		return;
	hak_heap_exit(first);
	owner_of[number(first)] = heap_count + 1; /* held, so that the next is another */
	second = attach();
	if (second)
		hak_heap_exit(second);
	owner_of[number(first)] = nobody;
	model_require(hak_heap_enter_last(first));
	hak_remote_leave(first);
	end();
}

static void purge_all(void)
{
	hak_remote_purge_all();
}

/* ---- fork ---- */

/* Goes on as the child of a fork: there are no other threads any more, wherever they were. */
static void fork_child(void)
{
	unsigned mine = own_heap();

	for (unsigned i = 0; i < model.count; i++)
		model.has_ended[i] = i != model_self();
	for (unsigned i = 0; i < heap_count; i++)
		owner_of[i] = i == mine ? model_self() + 1 : nobody;
	hak_heap_after_fork(mine < heap_count ? heap_at(mine) : NULL);
	send_to(0);
}

/* What is idle is whole: nobody was inside when the process forked, and a new thread may have it. */
static void check_child(void)
{
	for (unsigned i = 0; i < heap_count; i++) {
		struct hak_heap *heap = heap_at(i);

		model_require(is_listed(heap) == (heap->state == HAK_HEAP_IDLE) || heap->listed);
		if (heap->state != HAK_HEAP_IDLE)
			continue;
		model_require(inside[i] == nobody && heap->use == HAK_USE_NONE);
	}
}

/* ---- controls: what the code must not do ---- */

/* The inbox is looked at before the state is stored. */
static void end_carelessly(void)
{
	unsigned i = own_heap();

	owner_of[i] = nobody;
	if (hak_heap_enter_last(heap_at(i))) {
		hak_remote_settle(heap_at(i));
		hak_heap_release(heap_at(i));
	}
}

/* The owner leaves his heap to the visitor before his end. */
static void work_carelessly_in_a_hit(void)
{
	unsigned i = own_heap();

	hit_by[i] = model_self() + 1;
	if (hak_heap_enter_last(heap_at(i)))
		hak_heap_exit(heap_at(i));
	else
		owner_of[i] = nobody;
	hak_model_step();
	hit_by[i] = nobody;
}

/* The owner goes in whoever is there. */
static void work_rudely(void)
{
	unsigned i = own_heap();

	if (hak_load(&heap_at(i)->use, acquire) == HAK_USE_NONE) {
		hak_store(&heap_at(i)->use, HAK_USE_OWNER, relaxed);
		go_in_as_owner(heap_at(i));
		hak_heap_exit(heap_at(i));
	}
}

/* The visitor goes without a look whether the owner has left meanwhile. */
static void visit_carelessly(void)
{
	if (!hak_heap_visit(heap_at(0)))
		return;
	go_out(heap_at(0));
	hak_store(&heap_at(0)->use, HAK_USE_NONE, release);
}

/* The state is looked at before the push. */
static void send_carelessly(void)
{
	struct hak_heap *heap = attach();
	struct hak_parcel *parcel = remote_get_parcel(heap, HAK_OWNER_FIRST);
	bool is_idle = hak_load(&heap_at(0)->state, seq_cst) == HAK_HEAP_IDLE;

	model_require(heap && parcel);
	sent++;
	hak_parcel_push(&heap_at(0)->inbox, parcel);
	if (is_idle)
		remote_visit_idle(heap_at(0));
	leave(heap);
}

int main(void)
{
	static const struct {
		const char *name;
		struct model model;
	} models[] = {
		{"an end, a sender", {three_owners, {end, send_twice}, check, 4}},
		{"an end, two senders", {three_owners, {end, send_to_first, send_to_first}, check, 2}},
		{"two ends", {three_owners, {work_and_end, send_and_end}, check, 4}},
		{"an end, a sender, an adopter", {three_owners, {end, send_to_first, adopt_and_end}, check, 2}},
		{"a worker, a visitor", {three_owners, {work, send_and_visit}, check, 3}},
		{"a worker, two visitors", {three_owners, {work_and_end, send_and_visit, visit_first}, check, 2}},
		{"an interrupted hit, two visitors",
		 {three_owners, {work_in_a_hit, send_and_visit, visit_first}, check, 2}},
		{"an interrupted hit, a visitor, a purger",
		 {three_owners, {work_in_a_hit, visit_first, purge_all}, check, 2}},
		{"an end, a visitor, a sender", {three_owners, {end, visit_first, send_to_first}, check, 2}},
		{"two adopters", {one_orphan, {adopt_two, adopt_and_end}, check, 3}},
		{"three adopters", {one_orphan, {adopt_two, adopt_and_end, adopt_and_end}, check, 2}},
		{"a purger, an adopter", {one_orphan, {work, purge_all, send_to_first}, check, 2}},
		{"two purgers, an end", {three_owners, {end, purge_all, purge_all}, check, 2}},
		{"a fork, an end, a sender", {three_owners, {end, send_to_first, fork_child}, check_child, 2}},
		{"a fork, an end, a visitor", {three_owners, {end, visit_first, fork_child}, check_child, 2}},
		{"a fork, a purger, an adopter", {one_orphan, {work, purge_all, fork_child}, check_child, 2}},
	};
	static const struct model careless_end = {three_owners, {end_carelessly, send_to_first}, check, 2};
	static const struct model no_counter = {two_orphans_without_counter, {adopt_two, adopt_and_end}, check, 3};
	static const struct model careless_hit = {
		three_owners, {work_carelessly_in_a_hit, visit_first}, check, 2};
	static const struct model rude = {three_owners, {work_rudely, visit_first}, check, 2};
	static const struct model careless_visit = {three_owners, {end, visit_carelessly}, check, 2};
	static const struct model careless_send = {three_owners, {end, send_carelessly}, check, 2};

	explore_or_skip_all();
	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
		explore_good(models[i].name, &models[i].model);
	explore_bad("an end that looks at the inbox first", &careless_end);
	explore_bad("a stack whose head does not count", &no_counter);
	explore_bad("a sender that looks at the state first", &careless_send);
	explore_bad("an owner who leaves his heap in the midst of a hit", &careless_hit);
	explore_bad("an owner who enters by a load and a store", &rude);
	explore_bad("a visitor who does not see that the owner left", &careless_visit);
	return done();
}
