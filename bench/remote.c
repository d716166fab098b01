/* SPDX-License-Identifier: MIT */
/* Producers allocate, consumers free: no thread ever frees what it allocated.
 *
 * Each pair shares a bounded ring with one writer and one reader. Blocks are handed over in batches, so that the ring costs
 * little beside malloc and free. The processor time is given without the time of waiting for the partner: where other programs
 * use the machine too, it says more than the clock. */
#include "bench.h"
#include <sched.h>

#define USAGE "[PAIRS] [BLOCKS] [SIZE_MIN SIZE_MAX]"

enum { ring_size = 4096, batch_size = 64 };

struct pair {
	/* Positions only grow. A store-release of one pairs with the load-acquire of it on the other side. */
	atomic_size_t freed BENCH_ALIGNED;
	atomic_size_t made BENCH_ALIGNED;
	char *ring[ring_size] BENCH_ALIGNED;
	uint64_t random;
	pthread_t producer, consumer;
	double producer_waited, consumer_waited;
	char sum;
};

static size_t blocks, smallest, spread;

static double thread_seconds(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	return (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
}

/* Waits until POSITION, which grows, is at least WANTED; returns it. */
static size_t wait_for(atomic_size_t *position, size_t wanted, double *waited)
{
	size_t seen = atomic_load_explicit(position, memory_order_acquire);

	if (seen >= wanted)
		return seen;
	double start = thread_seconds();
	for (unsigned turns = 1; seen < wanted; turns++) {
		/* Spins a little, since the partner usually runs; then lets it run if it shares this processor. */
		if (turns % 64 == 0)
			sched_yield();
		seen = atomic_load_explicit(position, memory_order_acquire);
	}
	*waited += thread_seconds() - start;
	return seen;
}

static void *produce(void *argument)
{
	struct pair *pair = argument;
	double waited = 0;

	for (size_t made = 0; made < blocks;) {
		size_t end = made + batch_size < blocks ? made + batch_size : blocks;

		if (end > ring_size)
			wait_for(&pair->freed, end - ring_size, &waited);
		for (; made < end; made++) {
			uint64_t number = bench_random(&pair->random);

			pair->ring[made % ring_size] = bench_block(smallest + bench_pick_low(number, spread), number);
		}
		atomic_store_explicit(&pair->made, made, memory_order_release);
	}
	pair->producer_waited = waited;
	return NULL;
}

static void *consume(void *argument)
{
	struct pair *pair = argument;
	double waited = 0;
	char sum = 0;

	for (size_t freed = 0; freed < blocks;) {
		size_t made = wait_for(&pair->made, freed + 1, &waited);

		/* Gives the places back batch by batch, so that the producer need not wait for a whole ring. */
		for (; freed < made; freed++) {
			char *block = pair->ring[freed % ring_size];

			sum = (char)(sum ^ *block);
			free(block);
			if ((freed + 1) % batch_size == 0)
				atomic_store_explicit(&pair->freed, freed + 1, memory_order_release);
		}
		atomic_store_explicit(&pair->freed, freed, memory_order_release);
	}
	pair->consumer_waited = waited;
	pair->sum = sum;
	return NULL;
}

static struct bench_span run(struct pair *pairs, size_t count)
{
	struct bench_span begin = bench_span_begin();

	for (size_t i = 0; i < count; i++) {
		pairs[i].random = bench_seed(i);
		bench_start_thread(&pairs[i].producer, produce, &pairs[i]);
		bench_start_thread(&pairs[i].consumer, consume, &pairs[i]);
	}
	for (size_t i = 0; i < count; i++) {
		pthread_join(pairs[i].producer, NULL);
		pthread_join(pairs[i].consumer, NULL);
	}
	struct bench_span span = bench_span_end(begin);
	for (size_t i = 0; i < count; i++)
		span.cpu -= pairs[i].producer_waited + pairs[i].consumer_waited;
	return span;
}

int main(int argc, char **argv)
{
	bench_usage(argc, argv, 0, 4, USAGE);
	size_t count = (size_t)bench_argument(argc, argv, 1, "PAIRS", 1, 1, 1024);
	blocks = (size_t)bench_argument(argc, argv, 2, "BLOCKS", 10000000, 1, SIZE_MAX / 4);
	smallest = (size_t)bench_argument(argc, argv, 3, "SIZE_MIN", 16, 1, 1u << 30);
	spread = (size_t)bench_argument(argc, argv, 4, "SIZE_MAX", smallest > 256 ? smallest : 256, smallest, 1u << 30);
	spread -= smallest - 1;

	struct bench_span span = run(bench_map(count, sizeof(struct pair)), count);
	double all = (double)blocks * (double)count;
	bench_print("remote pairs=%zu blocks=%.0f ops_per_s=%.0f ns_per_op=%.2f cpu_ns_per_op=%.2f peak_kb=%ld "
		    "faults=%ld\n",
		    count, all, all / span.wall, span.wall * 1e9 / all, span.cpu * 1e9 / all, bench_peak_kb(),
		    bench_faults());
	return 0;
}
