/* SPDX-License-Identifier: MIT */
#include "gather.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATHER_POLL 20u /* milliseconds */

static volatile sig_atomic_t is_stopped;

static void stop(int signal)
{
	(void)signal;
	is_stopped = 1;
}

/* ---- stacks ---- */

static uint64_t hash_of(const uint64_t *frames, unsigned count)
{
	uint64_t hash = count;

	for (unsigned i = 0; i < count; i++)
		hash = (hash ^ frames[i] ^ hash >> 29) * UINT64_C(0x9e3779b97f4a7c15);
	return hash;
}

/* Twice as large, or the first one. */
static bool grow_index(struct gather *gather)
{
	size_t size = gather->index_size ? gather->index_size * 2 : 1024;
	uint32_t *index = calloc(size, sizeof(*index));

	if (!index)
		return false;
	for (size_t i = 0; i < gather->stack_count; i++) {
		size_t at = gather->stacks[i].hash % size;

		while (index[at])
			at = (at + 1) % size;
		index[at] = (uint32_t)i + 1;
	}
	free(gather->index);
	gather->index = index;
	gather->index_size = size;
	return true;
}

static bool grow_stacks(struct gather *gather)
{
	size_t room = gather->stack_room ? gather->stack_room * 2 : 256;
	struct stack *stacks = reallocarray(gather->stacks, room, sizeof(*stacks));

	if (!stacks)
		return false;
	gather->stacks = stacks;
	gather->stack_room = room;
	return true;
}

static bool is_same(const struct stack *stack, uint64_t hash, const uint64_t *frames, unsigned count)
{
	return stack->hash == hash && stack->count == count &&
	       memcmp(stack->frames, frames, count * sizeof(*frames)) == 0;
}

/* The place of the stack in the index: a 0 if it is new. */
static uint32_t *find_stack(const struct gather *gather, uint64_t hash, const uint64_t *frames, unsigned count)
{
	size_t at = hash % gather->index_size;

	while (gather->index[at] && !is_same(&gather->stacks[gather->index[at] - 1], hash, frames, count))
		at = (at + 1) % gather->index_size;
	return &gather->index[at];
}

static struct stack *get_stack(struct gather *gather, const uint64_t *frames, unsigned count, bool is_cut)
{
	uint64_t hash = hash_of(frames, count);
	struct stack *stack;
	uint32_t *place;

	if (gather->stack_count * 2 >= gather->index_size && !grow_index(gather))
		return NULL;
	place = find_stack(gather, hash, frames, count);
	if (*place)
		return &gather->stacks[*place - 1];
	if (gather->stack_count == gather->stack_room && !grow_stacks(gather))
		return NULL;
	stack = &gather->stacks[gather->stack_count];
	memset(stack, 0, sizeof(*stack));
	stack->frames = malloc((count + 1) * sizeof(*frames));
	if (!stack->frames)
		return NULL;
	memcpy(stack->frames, frames, count * sizeof(*frames));
	stack->count = count;
	stack->is_cut = is_cut;
	stack->hash = hash;
	*place = (uint32_t)++gather->stack_count;
	return stack;
}

/* ---- samples ---- */

static bool grow_all(struct gather *gather)
{
	size_t room = gather->room ? gather->room * 2 : 4096;
	struct gathered *all = reallocarray(gather->all, room, sizeof(*all));

	if (!all)
		return false;
	gather->all = all;
	gather->room = room;
	return true;
}

/* Samples wait here to be unwound, as they are lost in the process if they are not fetched in time. */
struct waiting {
	struct waiting *next;
	double scale;
	uint64_t at;
	struct sample sample; /* as far as its stack goes */
};

static void take_sample(void *with, const struct sample *sample)
{
	struct gather *gather = with;
	size_t size = offsetof(struct sample, stack) + sample->stack_bytes;
	struct waiting *waiting = malloc(offsetof(struct waiting, sample) + size);

	if (!waiting) {
		gather->has_failed = true;
		return;
	}
	memcpy(&waiting->sample, sample, size);
	waiting->next = NULL;
	waiting->at = samples_now();
	*gather->last = waiting;
	gather->last = &waiting->next;
}

static void sum_up(struct gather *gather, const struct waiting *waiting)
{
	const struct sample *sample = &waiting->sample;
	uint64_t frames[UNWIND_DEPTH];
	bool is_cut;
	unsigned count = unwind_sample(gather->unwind, sample, frames, &is_cut);
	struct stack *stack = get_stack(gather, frames, count, is_cut);
	double weight = sample_weight(sample) * waiting->scale;

	if (!stack || (gather->count == gather->room && !grow_all(gather))) {
		gather->has_failed = true;
		return;
	}
	stack->blocks += weight;
	stack->bytes += weight * (double)sample->size;
	stack->samples++;
	gather->unlisted += !sample->is_listed;
	gather->all[gather->count++] = (struct gathered){
		sample->address, (uint32_t)sample->number, (uint32_t)(stack - gather->stacks), sample->size, weight,
		waiting->at};
}

/* Unwinds what waits, until then. */
static void unwind_until(struct gather *gather, uint64_t end)
{
	while (gather->first && samples_now() < end) {
		struct waiting *waiting = gather->first;

		sum_up(gather, waiting);
		gather->first = waiting->next;
		if (!gather->first)
			gather->last = &gather->first;
		free(waiting);
	}
}

static int compare_gathered(const void *left, const void *right)
{
	const struct gathered *a = left, *b = right;

	return a->number < b->number ? -1 : a->number > b->number;
}

static void take_live(void *with, uint64_t address, uint32_t number)
{
	struct gather *gather = with;
	const struct gathered key = {.number = number};
	const struct gathered *one = bsearch(&key, gather->all, gather->count, sizeof(key), compare_gathered);
	struct stack *stack;
	uint64_t age;

	if (!one || one->address != address)
		return;
	stack = &gather->stacks[one->stack];
	age = gather->ended - one->at;
	stack->live_blocks += one->weight;
	stack->live_bytes += one->weight * (double)one->size;
	stack->live_samples++;
	if (one->at - gather->begun < (gather->ended - gather->begun) / 2)
		stack->old_bytes += one->weight * (double)one->size;
	if (age > stack->oldest)
		stack->oldest = age;
}

/* ---- all ---- */

/* False: the process is gone. */
static bool fetch(struct gather *gather)
{
	struct waiting **from = gather->last;
	bool is_there = samples_read(&gather->samples, take_sample, gather);

	for (struct waiting *waiting = *from; waiting; waiting = waiting->next)
		waiting->scale = gather->samples.scale;
	return is_there;
}

static void run(struct gather *gather, double seconds)
{
	uint64_t end = gather->begun + (uint64_t)(seconds * 1000);

	while (!is_stopped && samples_now() < end && !gather->is_gone) {
		uint64_t next = samples_now() + GATHER_POLL;

		unwind_until(gather, next);
		while (samples_now() < next)
			usleep(1000);
		gather->is_gone = !fetch(gather);
	}
	if (!gather->is_gone) {
		fetch(gather);
		gather->has_live = samples_read_live(&gather->samples);
	}
	gather->ended = samples_now();
}

const char *gather(struct gather *gather, const struct process *process, double seconds, uint64_t distance)
{
	struct sigaction action = {.sa_handler = stop};
	const char *error;

	memset(gather, 0, sizeof(*gather));
	gather->last = &gather->first;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	gather->unwind = unwind_open(&process->remote, process->view.at);
	if (!gather->unwind)
		return "its files cannot be read";
	error = samples_begin(&gather->samples, &process->view, distance);
	gather->begun = samples_now();
	if (!error) {
		printf("process %ld (%s): sampling for %g s; ^C ends it sooner\n", (long)process->remote.pid,
		       process->remote.name, seconds);
		fflush(stdout);
		run(gather, seconds);
	}
	samples_end(&gather->samples);
	unwind_until(gather, UINT64_MAX);
	if (!error && gather->has_live && gather->count > 0)
		samples_each_live(&gather->samples, take_live, gather);
	return error ? error : gather->has_failed ? "no memory for its samples" : NULL;
}

void gather_close(struct gather *gather)
{
	for (size_t i = 0; i < gather->stack_count; i++)
		free(gather->stacks[i].frames);
	free(gather->stacks);
	free(gather->index);
	free(gather->all);
	free(gather->samples.live);
	if (gather->unwind)
		unwind_close(gather->unwind);
}

double gather_seconds(const char *word)
{
	char *end;
	double seconds = strtod(word, &end);

	return *word && *end == '\0' && seconds >= 0.1 && seconds <= 1e6 ? seconds : 0;
}
