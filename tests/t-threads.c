/* SPDX-License-Identifier: MIT */
/* Many threads: blocks that others free, threads that come and go, memory that stays bounded.  Links: library, rooms.
 *
 * HAK_LONG=1 in the environment: ten times as much. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "names.h"
#include "random.h"
#include "resident.h"
#include "tap.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static unsigned times = 1;

static pthread_t start(void *(*run)(void *), void *with)
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, run, with) == 0);
	return thread;
}

static void run_thread(void *(*run)(void *), void *with)
{
	need(pthread_join(start(run, with), NULL) == 0);
}

/* ---- blocks that know their size ---- */

struct block {
	size_t size;
	uint64_t check;
};

static uint64_t check_of(const struct block *b)
{
	return (uintptr_t)b * UINT64_C(0x9e3779b97f4a7c15) ^ b->size;
}

static unsigned char *last_byte(struct block *b)
{
	return (unsigned char *)b + b->size - 1;
}

static struct block *make_block(size_t size)
{
	struct block *b = malloc(size < sizeof(*b) + 1 ? sizeof(*b) + 1 : size);

	need(b != NULL);
	b->size = size < sizeof(*b) + 1 ? sizeof(*b) + 1 : size;
	*last_byte(b) = (unsigned char)b->size;
	b->check = check_of(b);
	return b;
}

static void end_block(struct block *b)
{
	if (b == NULL)
		return;
	hold(b->check == check_of(b) && *last_byte(b) == (unsigned char)b->size);
	b->check = 0;
	free(b);
}

/* Mostly small, now and then larger than a slab. */
static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state);

	if (r % 64 == 0)
		return (size_t)(r / 64 % (200 * KIB));
	return (size_t)(r % 8 == 0 ? r / 8 % (8 * KIB) : r / 8 % 600);
}

/* ---- frees elsewhere, of every size ---- */

enum { list_size = 400 };

struct list {
	struct block *blocks[list_size];
	size_t size;
};

static void *fill_list(void *with)
{
	struct list *list = with;

	for (int i = 0; i < list_size; i++)
		list->blocks[i] = make_block(list->size);
	return NULL;
}

static void *end_list(void *with)
{
	struct list *list = with;

	for (int i = 0; i < list_size; i++)
		end_block(list->blocks[i]);
	return NULL;
}

static void check_frees_elsewhere(void)
{
	static const size_t sizes[] = {16, 48, 64, 500, 1024, 3000, 8192, 20000, 65536, 65537, 200000};
	static struct list list;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		list.size = sizes[i];
		fill_list(&list);
		run_thread(end_list, &list);
		run_thread(fill_list, &list);
		end_list(&list);
		run_thread(fill_list, &list);
		run_thread(end_list, &list);
	}
	ok(failures() == 0, "blocks made here, freed there");
}

/* ---- a storm: short threads that trade blocks ---- */

enum { place_count = 1024, storm_width = 32 };

static _Atomic(struct block *) places[place_count];

static void *trade(void *with)
{
	uint64_t state = (uintptr_t)with * UINT64_C(0x9e3779b97f4a7c15) | 1;

	for (int i = 0; i < 200; i++) {
		struct block *fresh = make_block(some_size(&state));

		end_block(atomic_exchange(&places[next_random(&state) % place_count], fresh));
	}
	return NULL;
}

static void clear_places(void)
{
	for (int i = 0; i < place_count; i++)
		end_block(atomic_exchange(&places[i], NULL));
}

static void check_storm(void)
{
	pthread_t threads[storm_width];
	unsigned count = 2000 * times;
	size_t before = resident();

	for (unsigned i = 0; i < count; i++) {
		if (i >= storm_width)
			pthread_join(threads[i % storm_width], NULL);
		threads[i % storm_width] = start(trade, (void *)(uintptr_t)(i + 1));
	}
	for (unsigned i = 0; i < storm_width; i++)
		pthread_join(threads[i], NULL);
	ok(failures() == 0, "a storm of %u threads", count);
	resident_within(before, 48);
	clear_places();
}

/* ---- a thread's end ---- */

static pthread_key_t early_key, late_key;
static _Atomic(struct block *) legacy[64];
static atomic_uint destructors, legacies;
static __thread unsigned calls; /* of destructors in this thread */

static void leave_block(size_t size)
{
	end_block(atomic_exchange(&legacy[atomic_fetch_add(&legacies, 1) % 64], make_block(size)));
}

/* Allocates, frees what is its own and others', and asks to be called again: four rounds. */
static void destructor(void *with)
{
	pthread_key_t *key = with;
	struct block *mine[20];

	atomic_fetch_add(&destructors, 1);
	for (size_t i = 0; i < 20; i++)
		mine[i] = make_block(i * 100);
	for (int i = 0; i < 20; i++)
		end_block(mine[i]);
	leave_block(3000);
	leave_block(100000);
	if (++calls < 3 || RESIDENT_MEANS_SOMETHING) /* a sanitizer is gone itself in the last round */
		pthread_setspecific(*key, key);
}

static void *use_keys(void *with)
{
	(void)with;
	leave_block(64);
	pthread_setspecific(early_key, &early_key);
	pthread_setspecific(late_key, &late_key);
	leave_block(200);
	return NULL;
}

/* Its first call of the allocator is in a destructor. */
static void *use_keys_only(void *with)
{
	pthread_setspecific(early_key, &early_key);
	return with;
}

static void check_ends(void)
{
	unsigned count = 100 * times;
	size_t before = resident();

	need(pthread_key_create(&early_key, destructor) == 0);
	for (int i = 0; i < 40; i++) { /* beyond the first 32 keys the C library allocates */
		pthread_key_t other;
		need(pthread_key_create(&other, NULL) == 0);
	}
	need(pthread_key_create(&late_key, destructor) == 0);
	for (unsigned i = 0; i < count; i++) {
		run_thread(use_keys, NULL);
		run_thread(use_keys_only, NULL);
	}
	for (int i = 0; i < 64; i++)
		end_block(atomic_exchange(&legacy[i], NULL));
	ok(failures() == 0, "destructors allocate and free");
	if (RESIDENT_MEANS_SOMETHING)
		ok(destructors >= count * 12, "in four rounds each: %u of %u", destructors, count * 12);
	resident_within(before, 16);
}

/* ---- memory stays bounded ---- */

enum { queue_size = 4096 };

struct queue {
	_Atomic(struct block *) places[queue_size];
	unsigned count;
	size_t size; /* 0: of all sizes */
};

static void *produce(void *with)
{
	struct queue *queue = with;
	uint64_t state = 88172645463325252u;

	for (unsigned i = 0; i < queue->count; i++) {
		struct block *b = make_block(queue->size ? queue->size : some_size(&state) % (16 * KIB));

		while (atomic_load(&queue->places[i % queue_size]) != NULL)
			sched_yield();
		atomic_store(&queue->places[i % queue_size], b);
	}
	return NULL;
}

static void *consume(void *with)
{
	struct queue *queue = with;

	for (unsigned i = 0; i < queue->count; i++) {
		struct block *b;

		while ((b = atomic_exchange(&queue->places[i % queue_size], NULL)) == NULL)
			sched_yield();
		end_block(b);
	}
	return NULL;
}

static void check_queue(size_t size, unsigned count, size_t most)
{
	static struct queue queue;
	size_t before = resident();
	pthread_t producer;

	queue.count = count * times;
	queue.size = size;
	producer = start(produce, &queue);
	consume(&queue);
	pthread_join(producer, NULL);
	ok(failures() == 0, "%u blocks of %zu bytes through a queue", count * times, size);
	resident_within(before, most);
}

/* Each generation frees what the one before it left when it ended. */
static void *inherit(void *with)
{
	struct list *list = with;

	if (list->blocks[0] != NULL)
		end_list(list);
	return fill_list(list);
}

static void check_generations(void)
{
	static struct list list = {.size = 2500};
	size_t before = resident();

	for (unsigned i = 0; i < 300 * times; i++)
		run_thread(inherit, &list);
	end_list(&list);
	ok(failures() == 0, "generations of threads, each heir to the one before");
	resident_within(before, 12);
}

/* One thread makes, a new one each time frees and ends. */
static void check_helpers(void)
{
	static struct list list = {.size = 1000};
	size_t before = resident();

	for (unsigned i = 0; i < 300 * times; i++) {
		fill_list(&list);
		run_thread(end_list, &list);
	}
	ok(failures() == 0, "short helpers free what one thread makes");
	resident_within(before, 12);
}

/* What a burst of threads took comes back: each keeps a block, all end, the blocks are freed here. */
static void *keep_one(void *with)
{
	_Atomic(struct block *) *place = with;
	struct block *many[100];

	for (int i = 0; i < 100; i++)
		many[i] = make_block(4000);
	for (int i = 1; i < 100; i++)
		end_block(many[i]);
	atomic_store(place, many[0]);
	return NULL;
}

static void check_bursts(void)
{
	size_t before = resident();

	for (unsigned burst = 0; burst < 20 * times; burst++) {
		pthread_t threads[50];

		for (int i = 0; i < 50; i++)
			threads[i] = start(keep_one, &places[i]);
		for (int i = 0; i < 50; i++)
			pthread_join(threads[i], NULL);
		clear_places();
	}
	ok(failures() == 0, "bursts of 50 threads");
	resident_within(before, 40);
}

/* ---- realloc and usable size of others' blocks ---- */

static void *resize_list(void *with)
{
	struct list *list = with;

	for (int i = 0; i < list_size; i++) {
		struct block *b = list->blocks[i];
		size_t size = b->size;

		hold(malloc_usable_size(b) >= size);
		b = realloc(b, size * 2 + 100);
		need(b != NULL);
		hold(b->size == size && *last_byte(b) == (unsigned char)size);
		b->size = size * 2 + 100;
		*last_byte(b) = (unsigned char)b->size;
		b->check = check_of(b);
		list->blocks[i] = b;
	}
	return NULL;
}

static void check_resize_elsewhere(void)
{
	static struct list list;

	for (size_t size = 40; size < 300 * KIB; size = size * 2 + 7) {
		list.size = size;
		fill_list(&list);
		run_thread(resize_list, &list);
		end_list(&list);
	}
	ok(failures() == 0, "realloc and malloc_usable_size of blocks of another thread");
}

int main(void)
{
	const char *is_long = getenv("HAK_LONG");

	if (is_long != NULL && *is_long == '1')
		times = 10;
	check_frees_elsewhere();
	check_resize_elsewhere();
	check_ends();
	check_generations();
	check_helpers();
	check_bursts();
	check_queue(64, 400000, 12);
	check_queue(3000, 60000, 32);
	check_queue(0, 60000, 48);
	check_storm();
	return done();
}
