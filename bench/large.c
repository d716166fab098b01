/* SPDX-License-Identifier: MIT */
/* Large blocks: time against memory. Each part runs in a child, and the parent watches its resident size from outside.
 *
 * Beside time and peak it prints the integral of resident memory over time (MB * s): an allocator that keeps everything is
 * quick and has a large integral, one that gives everything back at once has a small one and is slow. */
#include "bench.h"

#define USAGE "[PART] [MIB]   (parts: churn, vector, idle, phases)"

enum { kib = 1024, mib = 1024 * 1024, page = 4096, most_blocks = 4096 };

static uint64_t random_state;
static char *slots[most_blocks];

/* ---- the parts; BUDGET is about the most that is live at a time ---- */

/* One byte in each page makes it resident without the time of filling it. */
static void touch(char *block, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += page)
		((volatile char *)block)[i] = 1;
}

static char *resident_block(size_t smallest, size_t largest)
{
	size_t size = smallest + bench_pick_low(bench_random(&random_state), largest - smallest + 1);
	char *block = bench_block(size, 1);

	touch(block, 0, size);
	return block;
}

static void free_slots(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(slots[i]);
		slots[i] = NULL;
	}
}

static void replace_random(size_t count, size_t replacements, size_t smallest, size_t largest)
{
	for (; replacements > 0; replacements--) {
		char **slot = &slots[bench_pick_high(bench_random(&random_state), count)];

		free(*slot);
		*slot = resident_block(smallest, largest);
	}
}

/* Blocks of 1 to 32 MiB replace each other. */
static void churn(size_t budget)
{
	size_t largest = budget / 32 > mib ? budget / 32 : mib;

	replace_random(16, 400, mib, largest);
	free_slots(16);
}

/* A vector grows by half its size to the whole budget; beside it small ones that keep it from growing in place. */
static void vector(size_t budget)
{
	size_t size = 64 * (size_t)kib, used = 0, next = 0;
	char *block = bench_block(size, 1);

	while (used < budget) {
		touch(block, used, size);
		used = size;
		size = size + size / 2 < budget ? size + size / 2 : budget;
		slots[next++] = resident_block(64 * kib, 128 * kib);
		char *grown = realloc(block, size);
		if (grown == NULL)
			bench_die("realloc to %zu MiB failed", size / mib);
		block = grown;
	}
	free(block);
	free_slots(next);
}

/* A big block once in a while and nothing between. */
static void idle(size_t budget)
{
	for (size_t i = 0; i < 4; i++) {
		free(resident_block(budget / 8, budget / 4));
		bench_sleep(0.3);
	}
}

/* What one phase frees the next one cannot use as it is: the sizes differ by a factor of hundred. */
static void phases(size_t budget)
{
	size_t half = budget / 2;

	for (size_t i = 0; i < 6; i++) {
		size_t largest = i % 2 == 0 ? 128 * (size_t)kib : 12 * (size_t)mib;
		size_t count = half / largest < 1 ? 1 : half / largest < most_blocks ? half / largest : most_blocks;

		replace_random(count, 3 * count, largest / 4, largest);
		free_slots(count);
	}
}

static const struct part {
	const char *name;
	void (*run)(size_t budget);
} parts[] = {{"churn", churn}, {"vector", vector}, {"idle", idle}, {"phases", phases}};

enum { part_count = sizeof parts / sizeof parts[0] };

/* ---- the parent ---- */

static double resident_mb(pid_t child)
{
	char path[64], text[256];
	const char *space;

	snprintf(path, sizeof path, "/proc/%ld/statm", (long)child);
	bench_read_file(path, text, sizeof text);
	space = strchr(text, ' ');
	return space != NULL ? (double)strtoul(space, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / mib : 0;
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

static void measure(const struct part *part, char *budget)
{
	char name[16];
	char *argv[] = {program_invocation_name, (char[]){"--part"}, name, budget, NULL};
	struct rusage usage;
	int status = 0;

	snprintf(name, sizeof name, "%s", part->name);
	double start = bench_seconds();
	double integral = watch(bench_spawn_self(argv, environ), &status, &usage);
	double seconds = bench_seconds() - start;
	if (status != 0)
		bench_die("the part %s failed (wait status %d)", part->name, status);
	bench_print("large part=%s time_s=%.3f user_s=%.3f sys_s=%.3f peak_kb=%ld rss_mb_s=%.1f faults=%ld\n", part->name, seconds,
		seconds_of(usage.ru_utime), seconds_of(usage.ru_stime), usage.ru_maxrss, integral, usage.ru_minflt);
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

	bench_usage(argc, argv, 0, 2, USAGE);
	int place = child_part != NULL ? 1 : 2;
	char *budget_text = argc > place ? argv[place] : whole;
	size_t budget = (size_t)bench_number("MIB", budget_text, 64, SIZE_MAX / mib / 4) * mib;

	if (child_part != NULL) {
		random_state = bench_seed(1);
		find_part(child_part)->run(budget);
	} else if (argc > 1) {
		measure(find_part(argv[1]), budget_text);
	} else {
		for (size_t i = 0; i < part_count; i++)
			measure(&parts[i], budget_text);
	}
	return 0;
}
