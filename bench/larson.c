/* SPDX-License-Identifier: MIT */
/* The server of Larson and Krishnan ("Memory allocation for long-running server applications", ISMM 1998).
 *
 * A thread replaces CHUNKS * ROUNDS times a random block of its array by one of another size, then starts a successor, leaves it
 * the array and ends. So most blocks are freed by another thread than the one that allocated them, and threads come and go. */
#include "bench.h"
#include <semaphore.h>

#define USAGE "SECONDS MIN MAX CHUNKS ROUNDS SEED THREADS"

struct plan {
	size_t smallest;
	size_t spread;
	size_t chunks;
	uint64_t replacements;
	size_t threads;
};

/* What a thread leaves to its successor; only the current thread of the line touches it. */
struct estate {
	char **blocks;
	uint64_t random;
	uint64_t replaced;
	uint64_t lives;
	sem_t ended;
} BENCH_ALIGNED;

static struct plan plan;
static atomic_bool stopping;

static char *random_block(struct estate *estate)
{
	uint64_t number = bench_random(&estate->random);

	return bench_block(plan.smallest + bench_pick_low(number, plan.spread), number);
}

static void replace_one(struct estate *estate)
{
	char **victim = &estate->blocks[bench_pick_high(bench_random(&estate->random), plan.chunks)];

	free(*victim);
	*victim = random_block(estate);
}

static void *server(void *argument)
{
	struct estate *estate = argument;
	uint64_t done = 0;

	while (done < plan.replacements && !atomic_load_explicit(&stopping, memory_order_relaxed)) {
		replace_one(estate);
		done++;
	}
	estate->replaced += done;
	estate->lives++;
	if (atomic_load_explicit(&stopping, memory_order_relaxed))
		sem_post(&estate->ended);
	else
		bench_start_thread(NULL, server, estate);
	return NULL;
}

/* As in the original, the first blocks are the main thread's, and it shuffles them before the servers start. */
static void prepare(struct estate *estate, uint64_t seed)
{
	estate->random = bench_seed(seed);
	estate->blocks = bench_map(plan.chunks, sizeof *estate->blocks);
	sem_init(&estate->ended, 0, 0);
	for (size_t i = 0; i < plan.chunks; i++)
		estate->blocks[i] = random_block(estate);
	for (size_t i = 0; i < 4 * plan.chunks; i++)
		replace_one(estate);
}

static struct bench_span serve(struct estate *estates, double seconds)
{
	struct bench_span begin = bench_span_begin();

	for (size_t i = 0; i < plan.threads; i++)
		bench_start_thread(NULL, server, &estates[i]);
	bench_sleep(seconds);
	atomic_store_explicit(&stopping, true, memory_order_relaxed);
	for (size_t i = 0; i < plan.threads; i++)
		while (sem_wait(&estates[i].ended) != 0)
			;
	return bench_span_end(begin);
}

static void report(const struct estate *estates, struct bench_span span)
{
	uint64_t replaced = 0, lives = 0;

	for (size_t i = 0; i < plan.threads; i++) {
		replaced += estates[i].replaced;
		lives += estates[i].lives;
	}
	bench_print("larson threads=%zu lives=%" PRIu64
		    " ops_per_s=%.0f ns_per_op=%.2f cpu_ns_per_op=%.2f peak_kb=%ld faults=%ld\n",
		    plan.threads, lives, (double)replaced / span.wall, span.wall * 1e9 / (double)replaced,
		    span.cpu * 1e9 / (double)replaced, bench_peak_kb(), bench_faults());
}

int main(int argc, char **argv)
{
	bench_usage(argc, argv, 7, 7, USAGE);
	double seconds = (double)bench_number("SECONDS", argv[1], 1, 1000000);
	plan.smallest = (size_t)bench_number("MIN", argv[2], 1, 1u << 30);
	plan.spread = (size_t)bench_number("MAX", argv[3], plan.smallest, 1u << 30) - plan.smallest + 1;
	plan.chunks = (size_t)bench_number("CHUNKS", argv[4], 1, 1u << 28);
	plan.replacements = plan.chunks * bench_number("ROUNDS", argv[5], 1, 1u << 30);
	uint64_t seed = bench_number("SEED", argv[6], 0, UINT64_MAX / 2);
	plan.threads = (size_t)bench_number("THREADS", argv[7], 1, 4096);

	struct estate *estates = bench_map(plan.threads, sizeof *estates);
	for (size_t i = 0; i < plan.threads; i++)
		prepare(&estates[i], seed + i);
	report(estates, serve(estates, seconds));
	return 0;
}
