/* SPDX-License-Identifier: MIT */
/* explore: tries every schedule of a few threads with a bounded number of preemptions.
 *
 * A test of a lock-free room includes this file first and the room's sources after it, all in one unit.  With HAK_MODEL
 * each atomic operation calls hak_model_step() before it is done: there, and nowhere else, another thread may go on.
 * The threads are coroutines; each schedule is run from the start.  What is tried: all ways to switch while at most
 * `preemptions` threads are put off that could have gone on (a thread that ends or sleeps costs nothing).
 * Memory is sequentially consistent here: orders that are too weak are ThreadSanitizer's to find (tests/stress.c).
 *
 *	static const struct model two = { reset, { taker, giver }, check, 2 };
 *	ok(explore(&two), ..);
 *
 * In threads and checks model_require() is what must hold; a failed one ends the schedule, which is then shown. */
#ifndef EXPLORE_H
#define EXPLORE_H

#undef HAK_ROOMS /* all functions are static here, and headers declare more than is included */
#pragma GCC diagnostic ignored "-Wunused-function"
#undef HAK_ASSERT
#define HAK_MODEL

#include <ucontext.h>

/* musl declares them, and has none. */
#pragma weak getcontext
#pragma weak makecontext
#pragma weak swapcontext

#include "atomic.h"
#include "cc.h"
#include "tap.h"

/* The rooms' own assertions are checked too. */
#undef hak_assert
#define hak_assert(x) model_require(x)

#define model_require(x) ((x) ? (void)0 : model_fail(#x))

enum { model_threads_most = 4, model_choices_most = 4096, model_stack_size = 1 << 17, model_steps_most = 100000 };

struct model {
	void (*reset)(void);
	void (*threads[model_threads_most])(void);
	void (*check)(void); /* when all threads have ended */
	unsigned preemptions;
};

static struct {
	const struct model *test;
	ucontext_t outside, inside[model_threads_most];
	unsigned count;
	unsigned current; /* the thread that runs; model_threads_most: none */
	unsigned left;    /* preemptions */
	unsigned steps;
	bool is_running;
	bool has_ended[model_threads_most];
	const void *sleeps_on[model_threads_most];
	unsigned char choice[model_choices_most], choices[model_choices_most];
	unsigned depth, known; /* choices made in this run; of these, given in advance */
	const char *failure;
	unsigned long schedules;
	unsigned longest;
} model;

static char model_stacks[model_threads_most][model_stack_size] __attribute__((aligned(64)));

/* Back to explore(); the thread is not gone on with. */
static void model_leave(void)
{
	model.is_running = false;
	swapcontext(&model.inside[model.current], &model.outside);
}

static void model_fail(const char *what)
{
	if (model.failure == NULL)
		model.failure = what;
	if (model.is_running)
		model_leave();
}

static bool model_can_run(unsigned thread)
{
	return thread < model.count && !model.has_ended[thread] && model.sleeps_on[thread] == NULL;
}

/* Those who could run next, the current one first. */
static unsigned model_candidates(unsigned *list)
{
	unsigned n = 0;

	if (model_can_run(model.current))
		list[n++] = model.current;
	if (n > 0 && model.left == 0)
		return n;
	for (unsigned i = 0; i < model.count; i++)
		if (i != model.current && model_can_run(i))
			list[n++] = i;
	return n;
}

/* Which of n: as given in advance, or the first, to be followed by the others in later runs. */
static unsigned model_pick(unsigned n)
{
	if (n == 1)
		return 0;
	if (model.depth == model_choices_most)
		model_fail("the scripts are too long for this explorer");
	if (model.depth >= model.known)
		model.choice[model.depth] = 0;
	model.choices[model.depth] = (unsigned char)n;
	return model.choice[model.depth++];
}

static bool model_is_over(void)
{
	unsigned i = 0;

	while (i < model.count && model.has_ended[i])
		i++;
	return i == model.count;
}

static unsigned model_next(void)
{
	unsigned list[model_threads_most], n = model_candidates(list), picked;

	if (n == 0) {
		if (!model_is_over())
			model_fail("all threads sleep");
		return model.current;
	}
	picked = model_pick(n);
	if (picked > 0 && model_can_run(model.current))
		model.left--;
	return list[picked];
}

/* Somebody else's turn, perhaps. */
static void model_switch(void)
{
	unsigned before = model.current, next = model_next();

	if (next == before)
		return;
	model.current = next;
	swapcontext(before < model.count ? &model.inside[before] : &model.outside, &model.inside[next]);
}

void hak_model_step(void)
{
	if (!model.is_running)
		return;
	if (++model.steps > model_steps_most)
		model_fail("the threads go round in circles");
	model_switch();
}

/* The current thread sleeps until somebody wakes a sleeper on this address. */
static void model_sleep(const void *on)
{
	model.sleeps_on[model.current] = on;
	model_switch();
}

static void model_wake_one(const void *on)
{
	for (unsigned i = 0; i < model.count; i++)
		if (model.sleeps_on[i] == on) {
			model.sleeps_on[i] = NULL;
			return;
		}
}

static void model_wake_all(const void *on)
{
	for (unsigned i = 0; i < model.count; i++)
		if (model.sleeps_on[i] == on)
			model.sleeps_on[i] = NULL;
}

/* Who runs, from 0; outside of threads 0. */
static unsigned model_self(void)
{
	return model.is_running ? model.current : 0;
}

static void model_thread(void)
{
	model.test->threads[model.current]();
	model.has_ended[model.current] = true;
	if (model_is_over())
		model_leave();
	model_switch();
}

static void model_start_threads(void)
{
	model.count = 0;
	while (model.count < model_threads_most && model.test->threads[model.count] != NULL) {
		ucontext_t *c = &model.inside[model.count];

		getcontext(c);
		c->uc_stack.ss_sp = model_stacks[model.count];
		c->uc_stack.ss_size = model_stack_size;
		c->uc_link = NULL;
		makecontext(c, model_thread, 0);
		model.has_ended[model.count] = false;
		model.sleeps_on[model.count] = NULL;
		model.count++;
	}
}

/* One schedule. */
static void model_run(void)
{
	model.test->reset();
	model_start_threads();
	model.left = model.test->preemptions;
	model.steps = 0;
	model.depth = 0;
	model.current = model_threads_most;
	model.is_running = true;
	model_switch();
	model.is_running = false;
	if (model.failure == NULL)
		model.test->check();
	model.schedules++;
	if (model.steps > model.longest)
		model.longest = model.steps;
}

/* The next schedule: the last choice that had another way takes it. */
static bool model_advance(void)
{
	model.known = model.depth;
	while (model.known > 0 && model.choice[model.known - 1] + 1 >= model.choices[model.known - 1])
		model.known--;
	if (model.known == 0)
		return false;
	model.choice[model.known - 1]++;
	return true;
}

/* Tries all schedules; false as soon as one fails, with what failed in model.failure. */
static bool explore(const struct model *test)
{
	model.test = test;
	model.failure = NULL;
	model.schedules = 0;
	model.longest = 0;
	model.known = 0;
	do
		model_run();
	while (model.failure == NULL && model_advance());
	return model.failure == NULL;
}

/* Points: all schedules are good; or one is bad, as it should be. */
static void explore_good(const char *name, const struct model *test)
{
	bool is_good = explore(test);

	ok(is_good, "%s: %lu schedules of up to %u steps", name, model.schedules, model.longest);
	if (!is_good)
		note("failed: %s", model.failure);
}

static void explore_bad(const char *name, const struct model *test)
{
	bool is_good = explore(test);

	ok(!is_good, "%s: found in schedule %lu: %s", name, model.schedules, is_good ? "nothing" : model.failure);
}

#ifndef __has_feature
#define __has_feature(x) 0
#endif

/* First of all in main. */
static void explore_or_skip_all(void)
{
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
	skip_all("ThreadSanitizer loses its way among coroutines");
#endif
	if (makecontext == NULL)
		skip_all("the C library has no makecontext");
}

#endif
