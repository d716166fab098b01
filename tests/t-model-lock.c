/* SPDX-License-Identifier: MIT */
/* The futex mutex in all schedules: one at a time, and nobody sleeps for ever.
 * Links: model (nothing; its room is included). */
#include "explore.h"

#define LOCK_SPINS 2
#define LOCK_PATIENCE_MS 1000u
#include "../lib/lock.c"

static struct hak_lock lock = HAK_LOCK_INIT(HAK_RANK_LARGE);
static unsigned inside, passed;
static bool is_forgetful;

/* As the kernel: looks at the word and sleeps in one. */
HAK_FN bool hak_os_wait(void *word, uint32_t value, uint32_t milliseconds)
{
	(void)milliseconds; /* the holder comes before that */
	hak_model_step();
	if (*(uint32_t *)word == value)
		model_sleep(word);
	return true;
}

HAK_FN void hak_os_wake_one(void *word)
{
	hak_model_step();
	if (!is_forgetful)
		model_wake_one(word);
}

HAK_FN uint32_t hak_os_now(void)
{
	return 0;
}

static void reset(void)
{
	lock.word = 0;
	inside = passed = 0;
	is_forgetful = false;
}

static void reset_forgetful(void)
{
	reset();
	is_forgetful = true;
}

static void pass(void)
{
	hak_lock_held = 0; /* the explorer's threads are one */
	model_require(hak_lock_take(&lock));
	model_require(inside++ == 0);
	hak_model_step();
	model_require(--inside == 0);
	passed++;
	hak_lock_release(&lock);
}

static void pass_twice(void)
{
	pass();
	pass();
}

static void check_four(void)
{
	model_require(passed == 4 && lock.word == 0);
}

int main(void)
{
	static const struct model two = {reset, {pass_twice, pass_twice}, check_four, 5};
	static const struct model three = {reset, {pass, pass_twice, pass}, check_four, 3};
	static const struct model forgetful = {reset_forgetful, {pass_twice, pass_twice}, check_four, 2};

	explore_or_skip_all();
	explore_good("two threads", &two);
	explore_good("three threads", &three);
	explore_bad("a release that wakes nobody", &forgetful);
	return done();
}
