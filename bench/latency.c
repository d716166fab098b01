/* SPDX-License-Identifier: MIT */
/* How long single calls take: percentiles of malloc and of free, for several mixes of sizes.
 *
 * Every call is timed by itself and counted in a histogram with 1/32 resolution. The cost of reading the clock (the least
 * difference of two readings) is taken off. The maximum and the last percentile also hold what the scheduler does. */
#include "bench.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#define USAGE "[OPS] [SLOTS] [SEED]"

enum { fine_bits = 5, fine = 1 << fine_bits, buckets = 64 * fine };

struct mix {
	const char *name;
	size_t smallest, largest;
};

/* Sizes are picked evenly by their logarithm, so that each order of magnitude has its share. */
static const struct mix mixes[] = {
	{"tiny", 16, 128},
	{"small", 16, 1024},
	{"medium", 1024, 32 << 10},
	{"wide", 16, 1 << 20},
};

struct histogram {
	uint64_t calls, longest;
	uint64_t bucket[buckets];
};

static struct histogram allocations, frees;
static double nanoseconds_per_tick = 1;
static uint64_t clock_cost;
static bool has_counter;

/* ---- the clock: the processor's counter where it runs evenly, else the system's ---- */

static uint64_t ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
	if (has_counter) {
		/* The fences keep the timed call between the two readings. */
		__asm__ volatile("lfence" ::: "memory");
		uint64_t now = __builtin_ia32_rdtsc();
		__asm__ volatile("lfence" ::: "memory");
		return now;
	}
#endif
	return bench_nanoseconds();
}

static bool counter_is_even(void)
{
#if defined(__x86_64__) || defined(__i386__)
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8) != 0;
#else
	return false;
#endif
}

static void calibrate(void)
{
	has_counter = counter_is_even();
	uint64_t first_time = bench_nanoseconds(), first = ticks();
	bench_sleep(0.02);
	uint64_t last_time = bench_nanoseconds(), last = ticks();
	nanoseconds_per_tick = (double)(last_time - first_time) / (double)(last - first);

	clock_cost = UINT64_MAX;
	for (int i = 0; i < 10000; i++) {
		uint64_t before = ticks(), cost = ticks() - before;

		clock_cost = cost < clock_cost ? cost : clock_cost;
	}
}

/* ---- the histogram: 32 buckets for each power of two ---- */

static size_t bucket_of(uint64_t value)
{
	if (value < fine)
		return (size_t)value;
	unsigned shift = 63 - fine_bits - (unsigned)__builtin_clzll(value);
	return ((size_t)(shift + 1) << fine_bits) + (size_t)(value >> shift) - fine;
}

static uint64_t value_of(size_t bucket)
{
	size_t shift = bucket >> fine_bits;

	return shift == 0 ? bucket : (uint64_t)(fine + bucket % fine) << (shift - 1);
}

static void count(struct histogram *histogram, uint64_t taken)
{
	uint64_t value = taken > clock_cost ? taken - clock_cost : 0;

	histogram->calls++;
	histogram->bucket[bucket_of(value)]++;
	histogram->longest = value > histogram->longest ? value : histogram->longest;
}

static double percentile(const struct histogram *histogram, double share)
{
	uint64_t left = (uint64_t)((double)histogram->calls * share);
	size_t bucket = 0;

	while (bucket < buckets - 1 && left >= histogram->bucket[bucket])
		left -= histogram->bucket[bucket++];
	return (double)value_of(bucket) * nanoseconds_per_tick;
}

/* ---- the work ---- */

static size_t random_size(const struct mix *mix, uint64_t random)
{
	unsigned octaves = (unsigned)__builtin_ctzll(mix->largest / mix->smallest);
	size_t floor = mix->smallest << (random & 0xffff) * octaves / 0x10000;

	return floor + ((size_t)(random >> 16 & 0xffff) * floor >> 16);
}

static char *timed_malloc(size_t size, uint64_t value)
{
	uint64_t start = ticks();
	char *block = malloc(size);
	uint64_t end = ticks();

	count(&allocations, end - start);
	return bench_write_ends(block, size, value);
}

static void timed_free(char *block)
{
	uint64_t start = ticks();

	free(block);
	count(&frees, ticks() - start);
}

static void work(const struct mix *mix, char **slots, size_t slot_count, uint64_t operations, uint64_t seed)
{
	uint64_t random = bench_seed(seed);

	for (; operations > 0; operations--) {
		uint64_t number = bench_random(&random);
		char **slot = &slots[bench_pick_high(number, slot_count)];

		if (*slot != NULL) {
			timed_free(*slot);
			*slot = NULL;
		} else {
			*slot = timed_malloc(random_size(mix, number), number);
		}
	}
	for (size_t i = 0; i < slot_count; i++) {
		free(slots[i]);
		slots[i] = NULL;
	}
}

static void report(const struct mix *mix, const char *call, const struct histogram *histogram)
{
	static const struct {
		const char *name;
		double share;
	} points[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}, {"p99.99", .9999}};

	bench_print("latency mix=%s call=%s calls=%" PRIu64, mix->name, call, histogram->calls);
	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
		bench_print(" %s_ns=%.1f", points[i].name, percentile(histogram, points[i].share));
	bench_print(" max_ns=%.0f peak_kb=%ld\n", (double)histogram->longest * nanoseconds_per_tick, bench_peak_kb());
}

int main(int argc, char **argv)
{
	bench_usage(argc, argv, 0, 3, USAGE);
	uint64_t operations = bench_argument(argc, argv, 1, "OPS", 2000000, 1, UINT64_MAX / 2);
	size_t slot_count = (size_t)bench_argument(argc, argv, 2, "SLOTS", 1000, 1, 1u << 28);
	uint64_t seed = bench_argument(argc, argv, 3, "SEED", 1, 0, UINT64_MAX);
	char **slots = bench_map(slot_count, sizeof *slots);

	calibrate();
	for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
		memset(&allocations, 0, sizeof allocations);
		memset(&frees, 0, sizeof frees);
		work(&mixes[i], slots, slot_count, operations, seed);
		report(&mixes[i], "malloc", &allocations);
		report(&mixes[i], "free", &frees);
	}
	return 0;
}
