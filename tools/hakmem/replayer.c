/* SPDX-License-Identifier: MIT */
/* hakmem-replayer: does what a plan says, on whatever allocator it was started with.  `hakmem replay` starts it; its argument
 * is the number of the file that holds the plan. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/record.h"
#include "plan.h"

#define REPLAYER_PAGE 4096u
#define REPLAYER_STACK ((size_t)128 << 10)
#define REPLAYER_SPINS 200u

static struct plan *plan;
static struct plan_thread *threads;
static struct plan_op *ops;
static struct plan_block *blocks;
static _Atomic uint64_t failed;

/* ---- waiting ---- */

static void rest(unsigned *spins)
{
	if (++*spins < REPLAYER_SPINS)
		return;
	if (*spins < 10 * REPLAYER_SPINS)
		sched_yield();
	else
		usleep(50);
}

/* The lowest position, which becomes the floor.  Threads that are not there yet stand where they will begin. */
static uint32_t find_floor(void)
{
	uint32_t lowest = UINT32_MAX, floor = atomic_load_explicit(&plan->floor, memory_order_relaxed);

	for (uint64_t i = 0; i < plan->threads && lowest > floor; i++) {
		uint32_t position = atomic_load_explicit(&threads[i].position, memory_order_relaxed);

		lowest = position < lowest ? position : lowest;
	}
	if (lowest > floor)
		atomic_store_explicit(&plan->floor, lowest, memory_order_relaxed);
	return lowest;
}

static void wait_for_others(uint32_t order)
{
	unsigned spins = 0;

	if (order - atomic_load_explicit(&plan->floor, memory_order_relaxed) <= PLAN_WINDOW)
		return;
	while (order > PLAN_WINDOW && find_floor() < order - PLAN_WINDOW)
		rest(&spins);
}

static void wait_for_turn(const struct plan_block *block, uint32_t turn)
{
	unsigned spins = 0;

	while (atomic_load_explicit(&block->turn, memory_order_acquire) != turn)
		rest(&spins);
}

/* ---- operations ---- */

/* What a program would do with it: all of a small block is written, of a large one something in each page. */
static void touch(char *p, uint64_t from, uint64_t size)
{
	uint64_t all = plan->touch == PLAN_TOUCH_ALL || size < REPLAYER_PAGE ? size : REPLAYER_PAGE;

	if (!p || plan->touch == PLAN_TOUCH_NONE)
		return;
	if (from < all)
		memset(p + from, 1, (size_t)(all - from));
	for (uint64_t at = from > all ? from : all; at < size; at += REPLAYER_PAGE)
		p[at] = 1;
}

static char *allocate(const struct plan_op *op, const struct plan_block *block)
{
	size_t size = (size_t)op->size;
	void *p = NULL;

	if (op->kind == HAK_RECORD_REALLOC)
		return realloc(block->p, size);
	if (op->kind == HAK_RECORD_CALLOC)
		return calloc(1, size);
	if (op->kind == HAK_RECORD_ALIGNED)
		return posix_memalign(&p, (size_t)1 << op->align, size) == 0 ? p : NULL;
	return malloc(size);
}

static void operate(const struct plan_op *op)
{
	struct plan_block *block = &blocks[op->block];
	char *p;

	wait_for_turn(block, op->turn);
	if (op->kind == HAK_RECORD_FREE) {
		free(block->p);
		block->p = NULL;
	} else {
		p = allocate(op, block);
		touch(p, op->kind == HAK_RECORD_REALLOC ? block->size : 0, op->size);
		atomic_fetch_add_explicit(&failed, !p, memory_order_relaxed);
		if (p || op->kind != HAK_RECORD_REALLOC)
			block->p = p;
		block->size = op->size;
	}
	atomic_store_explicit(&block->turn, op->turn + 1, memory_order_release);
}

static void *run(void *argument)
{
	struct plan_thread *thread = argument;

	for (uint64_t i = thread->first; i < thread->first + thread->count; i++) {
		atomic_store_explicit(&thread->position, ops[i].order, memory_order_relaxed);
		wait_for_others(ops[i].order);
		operate(&ops[i]);
	}
	atomic_store_explicit(&thread->position, UINT32_MAX, memory_order_release);
	return NULL;
}

/* ---- threads ---- */

/* Each begins when its first operation is near. */
static void *spawn(void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, REPLAYER_STACK);
	for (uint64_t i = 1; i < plan->threads; i++) {
		wait_for_others(ops[threads[i].first].order);
		if (pthread_create(&thread, &attributes, run, &threads[i]) != 0)
			_exit(4);
	}
	return argument;
}

static void run_all(void)
{
	unsigned spins = 0;
	pthread_t spawner;

	if (plan->threads > 1 && pthread_create(&spawner, NULL, spawn, NULL) != 0)
		_exit(4);
	run(&threads[0]);
	while (find_floor() != UINT32_MAX)
		rest(&spins);
	if (plan->threads > 1)
		pthread_join(spawner, NULL);
}

/* ---- figures ---- */

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Without stdio, which allocates. */
static uint64_t take_field(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) << 10 : 0;
}

/* The peak of all memory, but what of it is the plan and code. */
static uint64_t read_peak(void)
{
	char text[4096] = "";
	int file = open("/proc/self/status", O_RDONLY);
	ssize_t length = file < 0 ? 0 : read(file, text, sizeof(text) - 1);

	if (length <= 0)
		return 0;
	return take_field(text, "VmHWM:") - take_field(text, "RssFile:") - take_field(text, "RssShmem:");
}

static void reset_peak(void)
{
	int file = open("/proc/self/clear_refs", O_WRONLY);

	if (file < 0 || write(file, "5", 1) != 1)
		return; /* then it is that of the start, if that was higher */
	close(file);
}

static void measure(void)
{
	struct rusage before, after;
	double begun;

	reset_peak();
	getrusage(RUSAGE_SELF, &before);
	begun = now();
	run_all();
	plan->seconds = now() - begun;
	getrusage(RUSAGE_SELF, &after);
	plan->user = seconds_of(after.ru_utime) - seconds_of(before.ru_utime);
	plan->system = seconds_of(after.ru_stime) - seconds_of(before.ru_stime);
	plan->faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
	plan->peak = read_peak();
	plan->failed = failed;
	plan->is_done = 1;
}

int main(int argc, char **argv)
{
	int file = argc == 2 ? atoi(argv[1]) : -1;
	uint64_t bytes;

	if (file < 0 || pread(file, &bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return 3;
	plan = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
	if (plan == MAP_FAILED)
		return 3;
	threads = (struct plan_thread *)(void *)((char *)plan + plan->threads_at);
	ops = (struct plan_op *)(void *)((char *)plan + plan->ops_at);
	blocks = (struct plan_block *)(void *)((char *)plan + plan->blocks_at);
	measure();
	_exit(0);
}
