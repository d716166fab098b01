/* SPDX-License-Identifier: MIT */
/* Threads that come and go, and threads that only work: speed, and what they leave behind.
 *
 * storm: THREADS short threads, sixteen at a time, free blocks of threads that are gone already.
 * scale: THREADS threads work each for itself for some seconds. */
#include "bench.h"

#define USAGE "[--idle SECONDS] storm THREADS | scale THREADS SECONDS [SLOTS]"

enum { alive_at_once = 16, storm_blocks = 100, table_size = 4096, smallest = 16, spread = 1025 };

struct worker {
	pthread_t id;
	uint64_t random;
	uint64_t operations;
} BENCH_ALIGNED;

static atomic_bool stopping;
static double idle_seconds = 2;
static size_t own_slots;
static _Atomic(char *) table[table_size];

static char *random_block(uint64_t number)
{
	return bench_block(smallest + bench_pick_low(number, spread), number);
}

/* What the threads kept is reported when they are gone, and again after an idle time. */
static void report_memory(long peak)
{
	long after = bench_rss_kb();

	bench_sleep(idle_seconds);
	bench_print(" peak_kb=%ld exit_kb=%ld idle_kb=%ld faults=%ld\n", peak, after, bench_rss_kb(), bench_faults());
}

/* ---- storm ---- */

/* Release and acquire: the block's bytes travel with the pointer. */
static void swap_into_table(size_t place, char *block)
{
	free(atomic_exchange_explicit(&table[place], block, memory_order_acq_rel));
}

static void *short_life(void *argument)
{
	struct worker *worker = argument;

	for (int i = 0; i < storm_blocks; i++) {
		uint64_t number = bench_random(&worker->random);

		swap_into_table(bench_pick_high(number, table_size), random_block(number));
	}
	return NULL;
}

static double run_storm(size_t count)
{
	struct worker *workers = bench_map(alive_at_once, sizeof *workers);
	double start = bench_seconds();

	for (size_t i = 0; i < count; i++) {
		struct worker *worker = &workers[i % alive_at_once];

		if (i >= alive_at_once)
			pthread_join(worker->id, NULL);
		worker->random = bench_seed(i);
		bench_start_thread(&worker->id, short_life, worker);
	}
	for (size_t i = 0; i < alive_at_once && i < count; i++)
		pthread_join(workers[i].id, NULL);
	return bench_seconds() - start;
}

static void storm(size_t count)
{
	double seconds = run_storm(count);
	long peak = bench_peak_kb();

	for (size_t i = 0; i < table_size; i++)
		swap_into_table(i, NULL);
	bench_print("threads mode=storm threads=%zu ops_per_s=%.0f us_per_thread=%.2f", count, (double)count / seconds,
		    seconds * 1e6 / (double)count);
	report_memory(peak);
}

/* ---- scale ---- */

static void operate(char **slot, uint64_t number)
{
	if (*slot != NULL) {
		free(*slot);
		*slot = NULL;
	} else {
		*slot = random_block(number);
	}
}

static void *long_life(void *argument)
{
	struct worker *worker = argument;
	char **slots = bench_map(own_slots, sizeof *slots);
	uint64_t operations = 0;

	for (; !atomic_load_explicit(&stopping, memory_order_relaxed); operations++) {
		uint64_t number = bench_random(&worker->random);

		operate(&slots[bench_pick_high(number, own_slots)], number);
	}
	for (size_t i = 0; i < own_slots; i++)
		free(slots[i]);
	munmap(slots, own_slots * sizeof *slots);
	worker->operations = operations;
	return NULL;
}

static struct bench_span run_scale(struct worker *workers, size_t count, double seconds)
{
	struct bench_span begin = bench_span_begin();

	for (size_t i = 0; i < count; i++) {
		workers[i].random = bench_seed(i);
		bench_start_thread(&workers[i].id, long_life, &workers[i]);
	}
	bench_sleep(seconds);
	atomic_store_explicit(&stopping, true, memory_order_relaxed);
	for (size_t i = 0; i < count; i++)
		pthread_join(workers[i].id, NULL);
	return bench_span_end(begin);
}

static void scale(size_t count, double seconds)
{
	struct worker *workers = bench_map(count, sizeof *workers);
	struct bench_span span = run_scale(workers, count, seconds);
	uint64_t operations = 0;

	for (size_t i = 0; i < count; i++)
		operations += workers[i].operations;
	bench_print("threads mode=scale threads=%zu ops_per_s=%.0f ns_per_op=%.2f cpu_ns_per_op=%.2f", count,
		    (double)operations / span.wall, span.wall * 1e9 / (double)operations,
		    span.cpu * 1e9 / (double)operations);
	report_memory(bench_peak_kb());
}

int main(int argc, char **argv)
{
	const char *idle = bench_option(&argc, argv, "--idle");

	bench_usage(argc, argv, 2, 4, USAGE);
	if (idle != NULL)
		idle_seconds = (double)bench_number("--idle", idle, 0, 1000000);
	size_t count = (size_t)bench_number("THREADS", argv[2], 1, 10000000);
	own_slots = (size_t)bench_argument(argc, argv, 4, "SLOTS", 1000, 1, 1u << 28);

	if (strcmp(argv[1], "storm") == 0 && argc == 3)
		storm(count);
	else if (strcmp(argv[1], "scale") == 0 && argc >= 4)
		scale(count, (double)bench_number("SECONDS", argv[3], 1, 1000000));
	else
		bench_die("wrong arguments (usage: %s)", USAGE);
	return 0;
}
