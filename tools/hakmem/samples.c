/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "starve.h"

#define SAMPLES_FIRST ((uint64_t)512 << 10) /* bytes: the distance that one begins with who follows */
#define SAMPLES_MOST ((uint64_t)1 << 32)
#define SAMPLES_SETTLE_MS 100u           /* between two looks at the distance */
#define SAMPLES_FILTER_MS 1000u          /* between two looks for filters */
#define SAMPLES_HEAD 256u                /* bytes of a slot before its stack, at most */
#define SAMPLES_TABLE ((size_t)16 << 20) /* bytes of the table, at most */
#define SAMPLES_SLOTS (1u << 20)         /* samples that are kept, at most */

uint64_t samples_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

double sample_weight(const struct sample *sample)
{
	double size = sample->size ? (double)sample->size : 1;

	return sample->distance <= 1 ? 1 : 1 / -expm1(-size / (double)sample->distance);
}

/* ---- the process's own words ---- */

static uint64_t control_at(const struct samples *samples, uint32_t offset)
{
	return PLACE(samples->view, sample) + offset;
}

static uint64_t tables_at(const struct samples *samples)
{
	return view_word(samples->view, control_at(samples, NUMBER(samples->view, sample_tables)));
}

static bool write_distance(struct samples *samples, uint64_t distance)
{
	samples->distance = distance;
	return remote_write(samples->view->remote, control_at(samples, NUMBER(samples->view, sample_distance)),
			    &distance, samples->view->word);
}

static void write_control(const struct samples *samples, uint32_t offset, uint32_t value)
{
	remote_write(samples->view->remote, control_at(samples, offset), &value, sizeof(value));
}

static void say_alive(const struct samples *samples)
{
	uint32_t offset = NUMBER(samples->view, sample_alive);

	write_control(samples, offset, view_u32(samples->view, control_at(samples, offset)) + 1);
}

/* Does it run under a filter of system calls?  One may come at any time. */
static void say_filter(struct samples *samples)
{
	if (samples->filter_at && samples_now() - samples->filter_at < SAMPLES_FILTER_MS)
		return;
	samples->filter_at = samples_now();
	write_control(samples, NUMBER(samples->view, sample_unfiltered),
		      !remote_is_filtered(samples->view->remote->pid));
}

/* ---- begin and end ---- */

static bool has_good_samples(const struct view *view)
{
	static const enum hak_view_number words[] = {
		HAK_VIEW_NUMBER_sample_number, HAK_VIEW_NUMBER_sample_address, HAK_VIEW_NUMBER_sample_size,
		HAK_VIEW_NUMBER_sample_mean,   HAK_VIEW_NUMBER_sample_pc,      HAK_VIEW_NUMBER_sample_sp,
		HAK_VIEW_NUMBER_sample_fp,     HAK_VIEW_NUMBER_sample_time,    HAK_VIEW_NUMBER_sample_thread,
		HAK_VIEW_NUMBER_sample_stack_bytes, HAK_VIEW_NUMBER_sample_is_listed,
	};
	uint32_t live = NUMBER(view, sample_live_size);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!view_fits(view, words[i], 8, SAMPLES_HEAD))
			return false;
	return NUMBER(view, sample_stack) <= SAMPLES_HEAD && NUMBER(view, sample_live_bytes) <= SAMPLES_TABLE &&
	       NUMBER(view, sample_slots) > 0 && NUMBER(view, sample_slots) <= SAMPLES_SLOTS && live >= view->word + 4 &&
	       view_fits(view, HAK_VIEW_NUMBER_sample_live_number, 4, live);
}

static const char *why_not(const struct view *view)
{
	uint32_t before;
	uint64_t at = PLACE(view, sample) + NUMBER(view, sample_alive);

	if (view_lacks(view, "sample starve registry_shown"))
		return "its library does not sample: it is of another version than this hakmem";
	if (!has_good_samples(view))
		return "its library does not make sense";
	before = view_u32(view, at);
	if (!starve_is_on(view, NUMBER(view, starve_profile)))
		return NULL;
	usleep(500000); /* who samples says so all the time; who was killed does not */
	return view_u32(view, at) != before ? "somebody else is sampling it" : NULL;
}

/* Blocks that were sampled before, and may have been freed since. */
static void clear_live(struct samples *samples)
{
	uint64_t tables = tables_at(samples);

	if (tables)
		remote_write(samples->view->remote, tables + NUMBER(samples->view, sample_live_at), samples->live,
			     NUMBER(samples->view, sample_live_bytes));
}

static uint64_t count_now(const struct samples *samples)
{
	uint64_t count = 0, tables = tables_at(samples);

	if (tables)
		remote_read(samples->view->remote, tables + NUMBER(samples->view, sample_count_at), &count,
			    sizeof(count));
	return count;
}

const char *samples_begin(struct samples *samples, const struct view *view, uint64_t distance)
{
	const char *error = why_not(view);

	memset(samples, 0, sizeof(*samples));
	samples->view = view;
	if (error)
		return error;
	samples->live = calloc(1, NUMBER(view, sample_live_bytes));
	if (!samples->live)
		return "no memory for its table";
	samples->is_fixed = distance != 0;
	samples->rate = 500;
	clear_live(samples);
	samples->next = count_now(samples);
	samples->rate_at = samples_now();
	samples->rate_from = samples->next;
	say_alive(samples);
	say_filter(samples);
	if (!write_distance(samples, distance ? distance : SAMPLES_FIRST))
		return remote_refused(view->remote);
	return starve_on(view, NUMBER(view, starve_profile));
}

/* Hits last: with the first of them the process gives the tables back, if nobody samples any more. */
void samples_end(struct samples *samples)
{
	if (!samples->live || !write_distance(samples, 0))
		return;
	write_control(samples, NUMBER(samples->view, sample_unfiltered), 0);
	starve_off(samples->view, NUMBER(samples->view, starve_profile));
}

/* ---- reading ---- */

static uint64_t take_u64(const char *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

#define FIELD(name) (head + NUMBER(view, sample_##name))

/* False: it is not whole, or another one's by now. */
static bool read_one(struct samples *samples, uint64_t tables, uint64_t number)
{
	const struct view *view = samples->view;
	struct sample *sample = &samples->sample;
	uint64_t at = tables + NUMBER(view, sample_slots_at) +
		      number % NUMBER(view, sample_slots) * NUMBER(view, sample_slot_size),
		 again = 0;
	char head[SAMPLES_HEAD] = "";

	if (!remote_read(view->remote, at, head, NUMBER(view, sample_stack)))
		return false;
	sample->number = take_u64(FIELD(number)) - 1;
	sample->address = take_u64(FIELD(address));
	sample->size = take_u64(FIELD(size));
	sample->distance = take_u64(FIELD(mean));
	sample->pc = take_u64(FIELD(pc));
	sample->sp = take_u64(FIELD(sp));
	sample->fp = take_u64(FIELD(fp));
	sample->time = view_take_u32(FIELD(time));
	sample->thread = view_take_u32(FIELD(thread));
	sample->stack_bytes = view_take_u32(FIELD(stack_bytes));
	sample->is_listed = view_take_u32(FIELD(is_listed)) != 0;
	if (sample->number != number || sample->stack_bytes > SAMPLES_STACK)
		return false;
	sample->stack_bytes = (uint32_t)remote_read_some(view->remote, at + NUMBER(view, sample_stack), sample->stack,
							 sample->stack_bytes);
	return remote_read(view->remote, at + NUMBER(view, sample_number), &again, sizeof(again)) &&
	       again == number + 1;
}

/* So many samples a second as are wanted: few enough not to be lost, many enough to tell. */
static void follow(struct samples *samples, uint64_t lost)
{
	uint64_t now = samples_now(), elapsed = now - samples->rate_at, distance = samples->distance, rate;

	if (samples->is_fixed || (lost == 0 && elapsed < SAMPLES_SETTLE_MS))
		return;
	rate = (samples->next - samples->rate_from) * 1000 / (elapsed ? elapsed : 1);
	samples->rate_at = now;
	samples->rate_from = samples->next;
	if ((lost || rate > 2 * samples->rate) && distance < SAMPLES_MOST)
		distance *= rate > 8 * samples->rate ? 8 : 2;
	else if (rate < samples->rate / 2 && distance > 1)
		distance /= rate < samples->rate / 16 ? 8 : 2;
	if (distance != samples->distance)
		write_distance(samples, distance ? distance : 1);
}

bool samples_read(struct samples *samples, void (*take)(void *with, const struct sample *sample), void *with)
{
	uint64_t count = count_now(samples), tables = tables_at(samples), slots = NUMBER(samples->view, sample_slots);
	uint64_t first = samples->next, from = count > slots && first < count - slots ? count - slots : first, lost;

	say_alive(samples);
	say_filter(samples);
	if (count < first) /* it was cleared */
		samples->next = first = from = count;
	lost = from - first;
	for (uint64_t number = from; number < count; number++) {
		bool is_whole = read_one(samples, tables, number);

		/* the newest may be being written: it is there next time */
		if (!is_whole && number + 8 >= count && count - number <= slots / 2) {
			usleep(100);
			is_whole = read_one(samples, tables, number);
		}
		lost += !is_whole;
		if (is_whole)
			take(with, &samples->sample);
	}
	samples->lost += lost;
	samples->scale = count - first > lost ? (double)(count - first) / (double)(count - first - lost) : 1;
	samples->next = count;
	follow(samples, lost);
	return remote_is_there(samples->view->remote->pid);
}

bool samples_read_live(struct samples *samples)
{
	uint64_t tables = tables_at(samples);
	uint32_t bytes = NUMBER(samples->view, sample_live_bytes);

	memset(samples->live, 0, bytes);
	return !tables ||
	       remote_read(samples->view->remote, tables + NUMBER(samples->view, sample_live_at), samples->live, bytes);
}

void samples_each_live(const struct samples *samples, void (*take)(void *with, uint64_t address, uint32_t number),
		       void *with)
{
	const struct view *view = samples->view;
	uint32_t bytes = NUMBER(view, sample_live_bytes), step = NUMBER(view, sample_live_size);

	for (uint32_t at = 0; at + step <= bytes; at += step) {
		uint64_t address = view_take_word(view, samples->live + at);

		if (address)
			take(with, address, view_take_u32(samples->live + at + NUMBER(view, sample_live_number)));
	}
}
