/* SPDX-License-Identifier: MIT */
/* Large blocks: time against memory. Each part runs in a child, and the parent watches its resident size.
 *
 * Beside time and peak it prints the integral of resident memory over time (MB * s): an allocator that keeps everything is
 * quick and has a large integral, one that gives everything back at once has a small one and is slow.
 *
 * The integral is sampled each millisecond by the parent, from /proc/PID/statm. Not by a thread, as a second thread makes
 * some allocators slower; not at certain operations, as the idle times are what matters most; and not from inside, as the
 * reading would be counted as the allocator's time. The kernel answers from a counter, without a lock of the child. */
#include "bench.h"

#define USAGE "[--seed SEED] [PART] [MIB]   (parts: churn, vectors, oneoff, phases)"

enum { kib = 1024, mib = 1024 * 1024, most_blocks = 4096, vector_count = 4 };

static uint64_t random_state;
static char *slots[most_blocks];

static size_t random_between(size_t smallest, size_t largest)
{
	return smallest + bench_pick_low(bench_random(&random_state), largest - smallest + 1);
}

static char *fill(char *block, size_t from, size_t to)
{
	if (block == NULL)
		bench_die("no block of %zu KiB: %s", to / kib, strerror(errno));
	memset(block + from, 1, to - from);
	return block;
}

static char *filled_block(size_t smallest, size_t largest)
{
	size_t size = random_between(smallest, largest);

	return fill(malloc(size), 0, size);
}

static void free_slots(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(slots[i]);
		slots[i] = NULL;
	}
}

/* ---- the patterns ---- */

/* Images have few sizes: 1280x720 to 3840x2160 pixels of three or four bytes. */
static char *new_image(void)
{
	static const size_t sizes[] = {1280 * 720 * 3,  1920 * 1080 * 3, 1920 * 1080 * 4,
				       2560 * 1440 * 4, 3840 * 2160 * 3, 3840 * 2160 * 4};
	size_t size = sizes[bench_pick_high(bench_random(&random_state), sizeof sizes / sizeof sizes[0])];

	return fill(malloc(size), 0, size);
}

/* Arrays have any size and begin as zeros. */
static char *new_array(void)
{
	size_t size = random_between(mib, 32 * mib);

	return fill(calloc(size / 8, 8), 0, size / 8 * 8);
}

static void replace_large(size_t count, size_t replacements)
{
	for (; replacements > 0; replacements--) {
		uint64_t random = bench_random(&random_state);
		char **slot = &slots[bench_pick_high(random, count)];

		free(*slot);
		*slot = random % 2 == 0 ? new_image() : new_array();
	}
	free_slots(count);
}

static void replace_small(size_t count, size_t replacements)
{
	for (; replacements > 0; replacements--) {
		char **slot = &slots[bench_pick_high(bench_random(&random_state), count)];

		free(*slot);
		*slot = filled_block(16 * kib, 128 * kib);
	}
	free_slots(count);
}

/* The growth of four vectors: by the whole, as of libstdc++, by a half, a quarter, and an eighth, as of Python's lists. Always
 * the smallest one grows, and before it a small block is allocated that may be in its way. */
static void grow_vectors(size_t limit)
{
	char *vectors[vector_count] = {NULL};
	size_t sizes[vector_count] = {0}, steps = 0;

	for (;;) {
		size_t i = 0;

		for (size_t j = 1; j < vector_count; j++)
			i = sizes[j] < sizes[i] ? j : i;
		if (sizes[i] == limit)
			break;
		size_t size = sizes[i] == 0 ? 64 * (size_t)kib : sizes[i] + (sizes[i] >> i);
		size = size < limit ? size : limit;
		slots[steps++] = filled_block(64 * kib, 128 * kib);
		vectors[i] = fill(realloc(vectors[i], size), sizes[i], size);
		sizes[i] = size;
	}
	for (size_t i = 0; i < vector_count; i++)
		free(vectors[i]);
	free_slots(steps);
}

static void one_off(size_t smallest, size_t largest, double idle_seconds)
{
	free(filled_block(smallest, largest));
	bench_sleep(idle_seconds);
}

/* ---- the parts; BUDGET is about the most that is live at a time ---- */

static void churn(size_t budget)
{
	replace_large(budget / (64 * (size_t)mib), 150);
}

static void vectors(size_t budget)
{
	grow_vectors(budget / vector_count);
}

static void oneoff(size_t budget)
{
	for (size_t i = 0; i < 4; i++)
		one_off(budget / 8, budget / 4, 0.4);
}

/* What one pattern frees the next one cannot use as it is. */
static void phases(size_t budget)
{
	for (size_t i = 0; i < 3; i++) {
		replace_large(budget / (128 * (size_t)mib) + 1, 20);
		replace_small(budget / mib, 4 * budget / mib);
		one_off(budget / 8, budget / 4, 0.1);
		grow_vectors(budget / 8 / vector_count);
	}
}

static const struct part {
	const char *name;
	void (*run)(size_t budget);
} parts[] = {{"churn", churn}, {"vectors", vectors}, {"oneoff", oneoff}, {"phases", phases}};

enum { part_count = sizeof parts / sizeof parts[0] };

/* ---- the parent ---- */

static double resident_mb(pid_t child)
{
	char path[64], text[256];
	const char *space;

	snprintf(path, sizeof path, "/proc/%ld/statm", (long)child);
	bench_read_file(path, text, sizeof text);
	space = strchr(text, ' ');
	return space != NULL ? (double)strtoul(space, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / (double)mib : 0;
}

/* Looks at the child every millisecond until it ends; says how much memory it held for how long. */
static double watch(pid_t child, int *status, struct rusage *usage)
{
	double integral = 0, before = bench_seconds();

	while (wait4(child, status, WNOHANG, usage) == 0) {
		double now = bench_seconds();

		integral += resident_mb(child) * (now - before);
		before = now;
		bench_sleep(0.001);
	}
	return integral;
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void measure(const struct part *part, char *budget, char *seed)
{
	char name[16];
	char *argv[] = {program_invocation_name, (char[]){"--part"}, name, (char[]){"--seed"}, seed, budget, NULL};
	struct rusage usage;
	int status = 0;

	snprintf(name, sizeof name, "%s", part->name);
	double start = bench_seconds();
	double integral = watch(bench_spawn_self(argv, environ), &status, &usage);
	double seconds = bench_seconds() - start;
	if (status != 0)
		bench_die("the part %s failed (wait status %d)", part->name, status);
	double user = seconds_of(usage.ru_utime), sys = seconds_of(usage.ru_stime);
	bench_print(
		"large part=%s time_s=%.3f cpu_s=%.3f user_s=%.3f sys_s=%.3f peak_kb=%ld rss_mb_s=%.1f faults=%ld\n",
		part->name, seconds, user + sys, user, sys, usage.ru_maxrss, integral, usage.ru_minflt);
}

static const struct part *find_part(const char *name)
{
	for (size_t i = 0; i < part_count; i++)
		if (strcmp(parts[i].name, name) == 0)
			return &parts[i];
	bench_die("there is no part '%s' (usage: %s)", name, USAGE);
}

int main(int argc, char **argv)
{
	static char whole[] = "1024";
	const char *child_part = bench_option(&argc, argv, "--part");
	char *seed = bench_option(&argc, argv, "--seed");

	bench_usage(argc, argv, 0, 2, USAGE);
	int place = child_part != NULL ? 1 : 2;
	char *budget_text = argc > place ? argv[place] : whole;
	size_t budget = (size_t)bench_number("MIB", budget_text, 64, SIZE_MAX / mib / 4) * mib;

	seed = seed != NULL ? seed : (char[]){"1"};
	random_state = bench_seed(bench_number("SEED", seed, 0, UINT64_MAX));
	if (child_part != NULL) {
		find_part(child_part)->run(budget);
	} else if (argc > 1) {
		measure(find_part(argv[1]), budget_text, seed);
	} else {
		for (size_t i = 0; i < part_count; i++)
			measure(&parts[i], budget_text, seed);
	}
	return 0;
}
