/* SPDX-License-Identifier: MIT */
/* Any bytes as a trace: hakmem replay reads them to the end or refuses them, and what it plans to play is in order. */
#include "fuzz.h"

#include "../tools/hakmem/trace.c"

#include "../tools/hakmem/trace-blocks.c"

#define PLAN_REST 8u
#include "../tools/hakmem/plan.c"

enum { most_bytes = 1 << 16 };

static char bytes[most_bytes];

/* ---- the file ---- */

static size_t put_raw(struct fuzz_input *input)
{
	size_t size = 0;

	while (size < most_bytes && !fuzz_is_empty(input))
		bytes[size++] = (char)fuzz_byte(input);
	return size;
}

/* Chunks that are chunks, with anything in them. */
static size_t put_chunks(struct fuzz_input *input)
{
	struct hak_record_file head = {HAK_RECORD_MAGIC, HAK_RECORD_VERSION, 4096, 1, 0, 0, "program"};
	size_t size = sizeof head;

	memset(bytes, 0, sizeof bytes);
	memcpy(bytes, &head, sizeof head);
	while (size + 4096 < most_bytes && !fuzz_is_empty(input)) {
		struct hak_record_chunk chunk = {"HAKCHUNK", 0, 0, 0, 0};
		unsigned events = fuzz_byte(input) * 16 + 16;

		chunk.number = fuzz_byte(input) < 192 ? size : fuzz_number(input);
		chunk.thread = fuzz_byte(input);
		memcpy(bytes + size, &chunk, sizeof chunk);
		size += sizeof chunk;
		while (events-- > 0 && size % 4096 != 0 && !fuzz_is_empty(input))
			bytes[size++] = (char)fuzz_byte(input);
		size = (size + 4095) & ~(size_t)4095;
	}
	return size;
}

/* ---- what must be true ---- */

/* Every event is one, and blocks are counted as they come and go. */
static void walk(struct trace *trace)
{
	struct trace_blocks blocks;
	struct trace_event event;
	struct trace_change change;
	uint64_t steps = 0;

	need(trace_blocks_open(&blocks));
	for (; trace_next(trace, &event); steps++) {
		hold(event.kind < HAK_RECORD_KINDS && event.kind > HAK_RECORD_THREAD);
		hold(event.begun <= event.number);
		hold(event.align == 0 || (event.align & (event.align - 1)) == 0);
		need(trace_blocks_apply(&blocks, &event, &change));
		hold(blocks.live_blocks == blocks.used + blocks.displaced_count);
	}
	hold(steps <= trace->size); /* none without a byte */
	trace_blocks_close(&blocks);
}

/* As replayer.c goes through it: each operation once, blocks within their table, turns from 0 without a gap. */
static void check_plan(struct plan *plan)
{
	const struct plan_op *ops = plan_ops(plan);
	uint64_t sum = 0;
	uint32_t *turns = calloc((size_t)plan->blocks, sizeof(*turns));
	uint64_t *by_order_of = calloc((size_t)plan->ops, sizeof(*by_order_of));

	need(turns != NULL && by_order_of != NULL);
	for (uint64_t t = 0; t < plan->threads; t++) {
		const struct plan_thread *thread = &plan_threads(plan)[t];

		hold(thread->count > 0 && thread->first <= plan->ops && thread->count <= plan->ops - thread->first);
		for (uint64_t i = thread->first; i < thread->first + thread->count && i < plan->ops; i++)
			if (hold(ops[i].order < plan->ops))
				by_order_of[ops[i].order] = i + 1;
		sum += thread->count;
	}
	hold(sum == plan->ops);
	for (uint64_t i = 0; i < plan->ops && failures() == 0; i++)
		if (hold(by_order_of[i] > 0) && hold(ops[by_order_of[i] - 1].block < plan->blocks))
			hold(ops[by_order_of[i] - 1].turn == turns[ops[by_order_of[i] - 1].block]++);
	free(turns);
	free(by_order_of);
}

static void make_plan(struct trace *trace)
{
	struct plan_made made;

	if (plan_make(&made, trace, PLAN_TOUCH_NONE) == NULL) {
		check_plan(made.plan);
		plan_reset(&made);
	}
	plan_close(&made);
}

static void fuzz_one(struct fuzz_input *input)
{
	size_t size = fuzz_byte(input) & 1 ? put_raw(input) : put_chunks(input);
	struct trace trace;

	if (trace_open(&trace, fuzz_file_of(bytes, size)) == NULL) {
		walk(&trace);
		make_plan(&trace);
	}
	trace_close(&trace);
}
