/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trace.h"

#ifndef PLAN_REST        /* a test has fewer */
#define PLAN_REST 65536u /* so many others are freed before the place of a block is used again */
#endif

/* While it is made. */
struct maker {
	struct plan *plan;
	uint64_t *counts;     /* operations of each thread of the trace, then where its next one goes */
	uint32_t thread_most; /* the highest number of a thread */
	uint32_t *turns;      /* of each block's place */
	uint32_t *rest;       /* places that are free, a ring, oldest first */
	uint64_t rest_from, rest_to, rest_mask;
	uint32_t order;
	struct trace_blocks blocks;
};

struct plan_start {
	uint64_t first;
	uint32_t thread, order;
};

static struct plan_op *plan_ops(struct plan *plan)
{
	return (struct plan_op *)(void *)((char *)plan + plan->ops_at);
}
static struct plan_thread *plan_threads(struct plan *plan)
{
	return (struct plan_thread *)(void *)((char *)plan + plan->threads_at);
}

/* ---- the first pass: how many ---- */

/* Does the event become an operation? */
static bool is_operation(const struct trace_event *event, const struct trace_change *change)
{
	return change->made.id != TRACE_NONE || (event->kind == HAK_RECORD_FREE && change->gone.id != TRACE_NONE);
}

static bool count_thread(struct maker *maker, uint32_t thread)
{
	uint64_t *more;

	if (thread > maker->thread_most || !maker->counts) {
		more = realloc(maker->counts, (thread + 1) * sizeof(*more));
		if (!more)
			return false;
		for (uint32_t i = maker->counts ? maker->thread_most + 1 : 0; i <= thread; i++)
			more[i] = 0;
		maker->counts = more;
		maker->thread_most = thread;
	}
	maker->counts[thread]++;
	return true;
}

/* Operations in all; the most places that blocks can need. */
static const char *count(struct maker *maker, struct trace *trace, struct plan_made *made, uint64_t *ops,
			 uint64_t *places)
{
	struct trace_change change;
	struct trace_event event;
	uint64_t most = 0;

	*ops = 0;
	trace_rewind(trace);
	while (trace_next(trace, &event)) {
		if (event.thread > 1u << 24)
			return "it is damaged: no program has so many threads";
		if (!trace_blocks_apply(&maker->blocks, &event, &change))
			return "no memory";
		most = maker->blocks.live_blocks > most ? maker->blocks.live_blocks : most;
		made->unknown += event.kind == HAK_RECORD_FREE && change.gone.id == TRACE_NONE;
		made->seconds = (double)event.time / 1e9;
		if (!is_operation(&event, &change))
			continue;
		if (!count_thread(maker, event.thread))
			return "no memory";
		++*ops;
	}
	made->peak_live = maker->blocks.peak_bytes;
	*places = most + PLAN_REST + 1;
	return *ops == 0 ? "there are no calls in it" : *ops >= UINT32_MAX ? "it has too many calls" : NULL;
}

/* ---- memory ---- */

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + 4095) & ~UINT64_C(4095);
}

static const char *map_plan(struct maker *maker, struct plan_made *made, uint64_t ops, uint64_t places)
{
	struct plan head = {.ops = ops, .blocks = places};

	for (uint32_t i = 0; i <= maker->thread_most; i++)
		head.threads += maker->counts[i] > 0;
	head.threads_at = round_up(sizeof(head));
	head.ops_at = round_up(head.threads_at + head.threads * sizeof(struct plan_thread));
	head.blocks_at = round_up(head.ops_at + ops * sizeof(struct plan_op));
	head.bytes = round_up(head.blocks_at + places * sizeof(struct plan_block));
	made->file = memfd_create("hakmem-plan", 0);
	if (made->file < 0 || head.bytes > SIZE_MAX / 2 || ftruncate(made->file, (off_t)head.bytes) != 0)
		return "no memory for the plan of it";
	made->plan = mmap(NULL, (size_t)head.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, made->file, 0);
	if (made->plan == MAP_FAILED) {
		made->plan = NULL;
		return "no memory for the plan of it";
	}
	memcpy(made->plan, &head, sizeof(head));
	maker->plan = made->plan;
	maker->rest_mask = 2 * PLAN_REST - 1;
	while (maker->rest_mask < places)
		maker->rest_mask = 2 * maker->rest_mask + 1;
	maker->turns = calloc((size_t)places, sizeof(*maker->turns));
	maker->rest = calloc((size_t)maker->rest_mask + 1, sizeof(*maker->rest));
	return maker->turns && maker->rest ? NULL : "no memory";
}

/* ---- the second pass ---- */

/* The place of the next new block: the one that has been free for longest, once there are enough of them. */
static uint32_t next_place(struct maker *maker, uint64_t *used)
{
	if (maker->rest_to - maker->rest_from > PLAN_REST)
		return maker->rest[maker->rest_from++ & maker->rest_mask];
	return (uint32_t)(*used)++;
}

static void add_op(struct maker *maker, const struct trace_event *event, const struct trace_change *change)
{
	uint64_t place = change->made.id != TRACE_NONE ? change->made.id : change->gone.id;
	bool is_new = change->gone.id == TRACE_NONE;
	struct plan_op *op = &plan_ops(maker->plan)[maker->counts[event->thread]++];

	*op = (struct plan_op){
		.size = event->size,
		.block = (uint32_t)place,
		.turn = maker->turns[place]++,
		.order = maker->order++,
		.kind = (uint8_t)(event->kind == HAK_RECORD_REALLOC && is_new ? HAK_RECORD_MALLOC : event->kind),
		.align = (uint8_t)(event->align ? __builtin_ctzll(event->align) : 0),
	};
	if (event->kind == HAK_RECORD_FREE)
		maker->rest[maker->rest_to++ & maker->rest_mask] = (uint32_t)place;
}

static const char *fill(struct maker *maker, struct trace *trace, struct plan_made *made)
{
	uint64_t used = 0, place, step = maker->plan->ops / PLAN_CURVE + 1;
	struct trace_change change;
	struct trace_event event;

	trace_blocks_close(&maker->blocks);
	if (!trace_blocks_open(&maker->blocks))
		return "no memory";
	trace_rewind(trace);
	place = next_place(maker, &used);
	while (trace_next(trace, &event)) {
		maker->blocks.next_id = place;
		if (!trace_blocks_apply(&maker->blocks, &event, &change))
			return "no memory";
		if (!is_operation(&event, &change))
			continue;
		made->curve[maker->order / step] = maker->blocks.live_bytes;
		add_op(maker, &event, &change);
		if (change.made.id == place && change.gone.id == TRACE_NONE)
			place = next_place(maker, &used);
	}
	for (uint64_t i = (maker->order - 1) / step + 1; i <= PLAN_CURVE; i++)
		made->curve[i] = maker->blocks.live_bytes;
	return NULL;
}

static int by_order(const void *a, const void *b)
{
	const struct plan_start *first = a, *second = b;

	return first->order < second->order ? -1 : first->order > second->order;
}

/* Threads stand in the order in which they begin; where the operations of each begin follows from how many there are. */
static void lay_out(struct maker *maker)
{
	uint64_t at = 0, n = 0;

	for (uint32_t i = 0; i <= maker->thread_most; i++)
		if (maker->counts[i] > 0) {
			struct plan_thread *thread = &plan_threads(maker->plan)[n++];

			thread->first = at;
			thread->count = maker->counts[i];
			maker->counts[i] = at;
			at += thread->count;
		}
}

static bool sort_threads(struct plan *plan)
{
	struct plan_thread *threads = plan_threads(plan), *copy = calloc((size_t)plan->threads, sizeof(*copy));
	struct plan_start *starts = calloc((size_t)plan->threads, sizeof(*starts));
	bool ok = copy && starts;

	for (uint32_t i = 0; ok && i < plan->threads; i++) {
		memcpy(&copy[i], &threads[i], sizeof(copy[i]));
		starts[i] = (struct plan_start){threads[i].first, i, plan_ops(plan)[threads[i].first].order};
	}
	if (ok)
		qsort(starts, (size_t)plan->threads, sizeof(*starts), by_order);
	for (uint32_t i = 0; ok && i < plan->threads; i++)
		memcpy(&threads[i], &copy[starts[i].thread], sizeof(copy[i]));
	free(copy);
	free(starts);
	return ok;
}

/* ---- all ---- */

const char *plan_make(struct plan_made *made, struct trace *trace, enum plan_touch touch)
{
	struct maker maker = {.plan = NULL};
	uint64_t ops, places;
	const char *error;

	memset(made, 0, sizeof(*made));
	made->file = -1;
	error = trace_blocks_open(&maker.blocks) ? count(&maker, trace, made, &ops, &places) : "no memory";
	if (!error)
		error = map_plan(&maker, made, ops, places);
	if (!error) {
		lay_out(&maker);
		error = fill(&maker, trace, made);
	}
	if (!error && !sort_threads(maker.plan))
		error = "no memory";
	if (!error)
		maker.plan->touch = touch;
	trace_blocks_close(&maker.blocks);
	free(maker.counts);
	free(maker.turns);
	free(maker.rest);
	return error;
}

void plan_reset(struct plan_made *made)
{
	struct plan *plan = made->plan;

	memset((char *)plan + plan->blocks_at, 0, (size_t)plan->blocks * sizeof(struct plan_block));
	for (uint64_t i = 0; i < plan->threads; i++) {
		struct plan_thread *thread = &plan_threads(plan)[i];

		atomic_store(&thread->position, plan_ops(plan)[thread->first].order);
	}
	atomic_store(&plan->floor, 0);
	plan->is_done = 0;
	plan->failed = 0;
}

void plan_close(struct plan_made *made)
{
	if (made->plan)
		munmap(made->plan, (size_t)made->plan->bytes);
	if (made->file >= 0)
		close(made->file);
}
