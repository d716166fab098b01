/* SPDX-License-Identifier: MIT */
/* Starving in all schedules: against growth, frees that pass by, and another switch.  While it is on, what hits compare with
 * ends as 0; it is never more than what is covered; and when it is off, the next free brings hits back.
 * Links: model (nothing; its room is included). */
#include "explore.h"

#include "../lib/starve.c"

HAK_DEF struct hak_registry hak_registry;

enum { first_slabs = 32, grown_slabs = 64 };

static bool is_hasty; /* follows without a second look at the flag: what X3 forbids */

static void reset(void)
{
	hak_starve.on = 0;
	hak_registry.slabs = first_slabs;
	hak_registry.shown = first_slabs;
	is_hasty = false;
}

static void reset_fresh(void)
{
	reset();
	hak_registry.shown = 0; /* nothing was freed so far, or it was on before */
}

static void reset_hasty(void)
{
	reset_fresh();
	is_hasty = true;
}

static void check_bound(void) { model_require(hak_registry.shown <= hak_registry.slabs); }

static void pass_by(void)
{
	size_t shown = hak_load(&hak_registry.shown, relaxed);

	if (is_hasty && !hak_load(&hak_starve.on, seq_cst))
		hak_cas(&hak_registry.shown, &shown, hak_load(&hak_registry.slabs, acquire), seq_cst);
	else if (!is_hasty && hak_starve_is_news())
		hak_starve_follow();
	check_bound();
}

static void pass_by_twice(void)
{
	pass_by();
	pass_by();
}

static void grow(void) { hak_store(&hak_registry.slabs, grown_slabs, release); }

static void grow_and_pass_by(void)
{
	grow();
	pass_by();
}

static void switch_on(void)
{
	hak_starve_on(HAK_STARVE_PROFILE);
	check_bound();
}

/* As the tool writes it: the byte, then the word. */
static void switch_on_from_outside(void)
{
	hak_fetch_or(&hak_starve.on, 1, seq_cst);
	hak_store(&hak_registry.shown, 0, seq_cst);
}

static void switch_on_and_off(void)
{
	hak_starve_on(HAK_STARVE_RECORD);
	hak_starve_off(HAK_STARVE_RECORD);
}

static void check_on(void)
{
	model_require(hak_starve_is_on());
	model_require(hak_registry.shown == 0);
}

static void check_off(void)
{
	model_require(!hak_starve_is_on());
	if (hak_starve_is_news())
		hak_starve_follow();
	model_require(hak_registry.shown == hak_registry.slabs);
}

/* One reason is left. */
static void check_one_left(void)
{
	model_require(hak_starve_is_for(HAK_STARVE_PROFILE) && !hak_starve_is_for(HAK_STARVE_RECORD));
	check_on();
}

int main(void)
{
	static const struct model on = {reset, {switch_on, pass_by, grow_and_pass_by}, check_on, 4};
	static const struct model fresh = {reset_fresh, {switch_on_from_outside, pass_by_twice, grow_and_pass_by}, check_on, 4};
	static const struct model off = {reset_fresh, {switch_on_and_off, pass_by_twice, grow_and_pass_by}, check_off, 4};
	static const struct model both = {reset, {switch_on, switch_on_and_off, pass_by_twice, grow}, check_one_left, 3};
	static const struct model hasty = {reset_hasty, {switch_on, pass_by, grow_and_pass_by}, check_on, 2};

	explore_or_skip_all();
	explore_good("switched on while hits go on and the tables grow", &on);
	explore_good("switched on from outside before the first free", &fresh);
	explore_good("switched on and off", &off);
	explore_good("two reasons", &both);
	explore_bad("without the second look at the flag", &hasty);
	return done();
}
