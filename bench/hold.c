/* SPDX-License-Identifier: MIT */
/* What a program keeps when it has freed its memory: resident right away, after an idle time, after malloc_trim(0). */
#include "bench.h"

#define USAGE "[--mode all|sparse|thread|mixed] [--idle SECONDS] [BLOCKS] [SIZE]"

enum { kept_of = 64 };

/* Weak: a C library need not have it, and then nothing is trimmed. */
extern int malloc_trim(size_t pad) __attribute__((weak));

struct heap {
	char **blocks;
	size_t count, size;
	size_t live; /* blocks that stay */
};

static double idle_seconds;

static void fill(struct heap *heap)
{
	heap->blocks = bench_map(heap->count, sizeof *heap->blocks);
	for (size_t i = 0; i < heap->count; i++)
		heap->blocks[i] = memset(bench_block(heap->size, 1), 1, heap->size);
}

static void *free_all(void *argument)
{
	struct heap *heap = argument;

	for (size_t i = 0; i < heap->count; i++)
		free(heap->blocks[i]);
	return NULL;
}

static void free_sparsely(struct heap *heap)
{
	for (size_t i = 0; i < heap->count; i++)
		if (i % kept_of != 0)
			free(heap->blocks[i]);
	heap->live = (heap->count + kept_of - 1) / kept_of;
}

static void *free_odd(void *argument)
{
	struct heap *heap = argument;

	for (size_t i = 1; i < heap->count; i += 2)
		free(heap->blocks[i]);
	return NULL;
}

static void free_by_another_thread(struct heap *heap, void *(*body)(void *))
{
	pthread_t thread;

	bench_start_thread(&thread, body, heap);
	pthread_join(thread, NULL);
}

static void free_by_both(struct heap *heap)
{
	free_by_another_thread(heap, free_odd);
	for (size_t i = 0; i < heap->count; i += 2)
		free(heap->blocks[i]);
}

static void report(const char *mode, const struct heap *heap, long peak)
{
	long after = bench_rss_kb();
	bench_sleep(idle_seconds);
	long idle = bench_rss_kb();
	if (malloc_trim != NULL)
		malloc_trim(0);

	bench_print("hold mode=%s live_kb=%zu peak_kb=%ld after_kb=%ld idle_kb=%ld trim_kb=%ld\n", mode,
		    heap->live * heap->size >> 10, peak, after, idle, bench_rss_kb());
}

static void hold(const char *mode, struct heap *heap)
{
	fill(heap);
	if (strcmp(mode, "all") == 0)
		free_all(heap);
	else if (strcmp(mode, "sparse") == 0)
		free_sparsely(heap);
	else if (strcmp(mode, "thread") == 0)
		free_by_another_thread(heap, free_all);
	else if (strcmp(mode, "mixed") == 0)
		free_by_both(heap);
	else
		bench_die("there is no mode '%s' (all, sparse, thread, mixed)", mode);
	long peak = bench_peak_kb();
	munmap(heap->blocks, heap->count * sizeof *heap->blocks);
	report(mode, heap, peak);
}

/* Each mode in a process of its own, so that none finds what another left. */
static void hold_every_mode(int argc, char **argv, char *idle)
{
	static char modes[][8] = {"all", "sparse", "thread", "mixed"};
	char *arguments[8] = {argv[0], (char[]){"--idle"}, idle, (char[]){"--mode"}};

	for (int i = 1; i < argc; i++)
		arguments[i + 4] = argv[i];
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		arguments[4] = modes[i];
		bench_wait(bench_spawn_self(arguments, environ), modes[i]);
	}
}

int main(int argc, char **argv)
{
	const char *mode = bench_option(&argc, argv, "--mode");
	char *idle = bench_option(&argc, argv, "--idle");
	struct heap heap = {0};

	bench_usage(argc, argv, 0, 2, USAGE);
	idle = idle != NULL ? idle : (char[]){"2"};
	idle_seconds = (double)bench_number("--idle", idle, 0, 1000000);
	heap.count = (size_t)bench_argument(argc, argv, 1, "BLOCKS", 800000, 1, 1u << 30);
	heap.size = (size_t)bench_argument(argc, argv, 2, "SIZE", 256, 1, 1u << 30);
	if (mode != NULL)
		hold(mode, &heap);
	else
		hold_every_mode(argc, argv, idle);
	return 0;
}
