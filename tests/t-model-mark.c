/* SPDX-License-Identifier: MIT */
/* The marks of HAKMEM_SECURE in all schedules of short scripts: legal programs meet no wrong answer, and of two frees at once
 * one is found, at the latest when the block is handed out (C1, C4); and an owner's change by who is none, as a control.
 * Links: model (nothing; its room is included). */
#include "explore.h"

#include "../lib/mark.h"

enum { first, second, third, blocks };

static _Atomic uint32_t words[2];
static _Atomic int passed, returned; /* what the threads of the program tell each other: relaxed would do here */
static bool is_used[blocks];         /* by the program, as the script goes */
static unsigned found;               /* misuses */

static void all_used(void)
{
	atomic_store(&words[0], 0);
	atomic_store(&words[1], 0);
	passed = returned = 0;
	for (int i = 0; i < blocks; i++)
		is_used[i] = true;
	found = 0;
}

static struct hak_mark mark(int i)
{
	return (struct hak_mark){ &words[0], &words[1], UINT32_C(1) << (7 + i) };
}

/* ---- what the threads do ---- */

static void free_own(int i)
{
	struct hak_mark m = mark(i);

	is_used[i] = false;
	found += hak_mark_flip_own(&m);
}

static void free_others(int i)
{
	struct hak_mark m = mark(i);

	is_used[i] = false;
	found += hak_mark_flip_others(&m);
}

static void hand_out(int i)
{
	struct hak_mark m = mark(i);

	found += !hak_mark_flip_own(&m);
	is_used[i] = true;
}

/* ---- legal scripts ---- */

static void owner(void)
{
	free_own(first);
	hand_out(first);
	hak_store(&passed, 1, release); /* partner: other */
	if (hak_load(&returned, acquire)) /* partner: other */
		hand_out(second);
}

static void other(void)
{
	free_others(second);
	hak_store(&returned, 1, release); /* partner: owner */
	if (hak_load(&passed, acquire)) /* partner: owner */
		free_others(first);
}

static void another(void)
{
	free_others(third);
}

static void check_legal(void)
{
	model_require(found == 0);
	for (int i = 0; i < blocks; i++) {
		struct hak_mark m = mark(i);

		model_require(hak_mark_is_free(&m) == !is_used[i]);
	}
}

/* ---- two frees of one block ---- */

static void owner_frees(void) { free_own(first); }
static void other_frees(void) { free_others(first); }

/* It waits at as many places as there were frees, and is handed out once at most. */
static void check_found(void)
{
	if (found == 0)
		hand_out(first);
	if (found == 0)
		hand_out(first);
	model_require(found > 0);
}

static void check_found_once(void) { model_require(found == 1); }

/* ---- the control: an owner's change, by a thread that is none ---- */

static void other_as_owner(void) { free_own(second); }

int main(void)
{
	static const struct model legal = { all_used, { owner, other }, check_legal, 5 };
	static const struct model legal_three = { all_used, { owner, other, another }, check_legal, 4 };
	static const struct model with_owner = { all_used, { owner_frees, other_frees }, check_found, 4 };
	static const struct model of_others = { all_used, { other_frees, other_frees }, check_found_once, 4 };
	static const struct model of_three = { all_used, { owner_frees, other_frees, other_frees }, check_found, 4 };
	static const struct model two_owners = { all_used, { owner_frees, other_as_owner }, check_legal, 4 };

	explore_or_skip_all();
	explore_good("legal, two", &legal);
	explore_good("legal, three", &legal_three);
	explore_good("freed by its owner and by another", &with_owner);
	explore_good("freed by two others", &of_others);
	explore_good("freed by all three", &of_three);
	explore_bad("two that are owners", &two_owners);
	return done();
}
