/* SPDX-License-Identifier: MIT */
/* The room elo: what each outcome costs whom, who wins a window, that what was learnt is unlearnt, and that the same
 * calls give the same ratings.  Links: rooms. */
#include "elo.h"

#include "tap.h"

#define MIB ((size_t)1 << 20)

enum { window = 16, second = 1000, start_rating = 1500, most_rating = 300, two_calls = 64 << 10 };

static struct hak_elo elo;
static uint32_t now;

/* Frees and wants the same memory again after `ms`, n times; the number of changes of the threshold. */
static unsigned churn(size_t bytes, uint32_t ms, unsigned n)
{
	unsigned changes = 0;

	for (unsigned i = 0; i < n; i++) {
		hak_elo_freed(&elo, bytes, now);
		changes += hak_elo_play(&elo).changed;
		now += ms;
		hak_elo_wanted(&elo, bytes, now);
		changes += hak_elo_play(&elo).changed;
	}
	return changes;
}

/* Frees n blocks that nobody wants again. */
static void drop(size_t bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		hak_elo_freed(&elo, bytes, now);
		hak_elo_play(&elo);
		now += 2 * second;
	}
}

static uint64_t sum(const uint64_t *of)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < HAK_ELO_PLAYERS; i++)
		n += of[i];
	return n;
}

/* ---- outcomes ---- */

static void check_start(void)
{
	hak_elo_start(&elo);
	is(hak_elo_threshold(&elo), HAK_ELO_FIRST);
	is(elo.ghost_count, 0);
	for (unsigned i = 0; i < HAK_ELO_PLAYERS; i++)
		hold(elo.rating[i] == start_rating);
	ok(!hak_elo_play(&elo).changed && elo.windows == 0, "nothing is played before a window has ended");
}

/* Wanted after a quarter of a second: kept it would have cost a quarter of the bytes, returned all and two calls. */
static void check_wanted(void)
{
	hak_elo_start(&elo);
	hak_elo_freed(&elo, 4 * MIB, now);
	is(elo.ghost_count, 1);
	hak_elo_wanted(&elo, 4 * MIB, now + 250);
	is(elo.ghost_count, 0);
	is(elo.outcomes, 1);
	is(sum(elo.kept), MIB);
	is(sum(elo.returned), 4 * MIB + two_calls);
	is(elo.proven, 4 * MIB);
}

/* In part; the rest stays a ghost. */
static void check_part(void)
{
	hak_elo_start(&elo);
	hak_elo_freed(&elo, 8 * MIB, now);
	hak_elo_wanted(&elo, 2 * MIB, now + 500);
	is(elo.ghost_count, 1);
	is(elo.ghosts[0].bytes, 6 * MIB);
	is(sum(elo.kept), MIB);
	is(sum(elo.returned), 2 * MIB + two_calls);
	hak_elo_wanted(&elo, 50 * MIB, now + 500);
	is(elo.ghost_count, 0);
	is(elo.proven, 6 * MIB);
}

/* The newest first; of several as much as is wanted. */
static void check_several(void)
{
	hak_elo_start(&elo);
	hak_elo_freed(&elo, MIB, now);
	hak_elo_freed(&elo, 2 * MIB, now + 1);
	hak_elo_freed(&elo, 3 * MIB, now + 2);
	hak_elo_wanted(&elo, 4 * MIB, now + 3);
	is(elo.ghost_count, 2);
	is(elo.ghosts[0].bytes, MIB);
	is(elo.ghosts[1].bytes, MIB);
	is(elo.outcomes, 2);
}

/* A second later nobody wants it any more: who kept it pays for it. */
static void check_forgotten(void)
{
	hak_elo_start(&elo);
	hak_elo_freed(&elo, 4 * MIB, now);
	hak_elo_wanted(&elo, 4 * MIB, now + second);
	is(elo.ghost_count, 0);
	is(sum(elo.kept), 4 * MIB);
	is(sum(elo.returned), 0);
	is(elo.proven, 0);
}

static void check_full(void)
{
	hak_elo_start(&elo);
	for (unsigned i = 0; i < HAK_ELO_GHOSTS + 3; i++)
		hak_elo_freed(&elo, MIB + i, now);
	is(elo.ghost_count, HAK_ELO_GHOSTS);
	is(elo.ghosts[0].bytes, MIB + 3);
	is(elo.outcomes, 3);
}

/* Threads look at the clock before they come here: a stamp can lie a little ahead. */
static void check_clock(void)
{
	hak_elo_start(&elo);
	hak_elo_freed(&elo, 4 * MIB, now + 4);
	hak_elo_freed(&elo, 4 * MIB, now);
	is(elo.ghost_count, 2);
	hak_elo_wanted(&elo, 8 * MIB, now);
	is(elo.proven, 8 * MIB);
	is(sum(elo.kept), 0);
	hak_elo_start(&elo);
	hak_elo_freed(&elo, 4 * MIB, UINT32_MAX - 100); /* the clock wraps */
	hak_elo_wanted(&elo, 4 * MIB, 149);
	is(sum(elo.kept), MIB);
}

/* ---- windows ---- */

static void check_cheaper_wins(void)
{
	hak_elo_start(&elo);
	churn(5 * MIB, 10, 20 * window);
	ok(hak_elo_threshold(&elo) > 5 * MIB, "5 MiB that is wanted again at once is kept: %zu",
	   hak_elo_threshold(&elo));
	hak_elo_start(&elo);
	drop(MIB, 20 * window);
	ok(hak_elo_threshold(&elo) <= MIB, "1 MiB that nobody wants again goes back: %zu", hak_elo_threshold(&elo));
	hak_elo_start(&elo);
	for (unsigned i = 0; i < 20 * window; i++) {
		churn(3 * MIB, 5, 4);
		drop(20 * MIB, 1);
	}
	ok(hak_elo_threshold(&elo) > 3 * MIB && hak_elo_threshold(&elo) <= 20 * MIB,
	   "small ones wanted, large ones not: in between, %zu", hak_elo_threshold(&elo));
}

/* What a change of phase costs until it is found out. */
static void check_unlearning(void)
{
	uint64_t windows;
	size_t before;

	hak_elo_start(&elo);
	churn(5 * MIB, 10, 1000 * window);
	before = hak_elo_threshold(&elo);
	windows = elo.windows;
	while (hak_elo_threshold(&elo) > 5 * MIB && elo.windows - windows < 1000)
		drop(5 * MIB, 1);
	ok(before > 5 * MIB && elo.windows - windows <= 8, "a long phase is unlearnt in %zu windows",
	   (size_t)(elo.windows - windows));
	windows = elo.windows;
	while (hak_elo_threshold(&elo) <= 5 * MIB && elo.windows - windows < 1000)
		churn(5 * MIB, 10, 1);
	ok(elo.windows - windows <= 8, "and learnt again in %zu", (size_t)(elo.windows - windows));
}

/* Whoever is level in cost is no reason to change. */
static void check_calm(void)
{
	hak_elo_start(&elo);
	churn(5 * MIB, 10, 40 * window);
	is(churn(5 * MIB, 10, 1000), 0);
}

/* A verdict names both thresholds and what they would have cost. */
static void check_verdict(void)
{
	struct hak_elo_verdict v = {.changed = false};

	hak_elo_start(&elo);
	for (unsigned i = 0; i < 100 * window && !v.changed; i++) {
		hak_elo_freed(&elo, 5 * MIB, now);
		hak_elo_wanted(&elo, 5 * MIB, ++now);
		v = hak_elo_play(&elo);
	}
	ok(v.changed && v.before == HAK_ELO_FIRST && v.after == hak_elo_threshold(&elo), "%zu -> %zu", v.before,
	   v.after);
	is(v.cost_before, window * (5 * MIB + two_calls));
	is(v.cost_after, window * (5 * MIB / 1000));
}

/* ---- ratings ---- */

static uint32_t next_random(uint32_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 17;
	return *random ^= *random << 5;
}

static void random_calls(struct hak_elo *e, uint32_t random, unsigned n)
{
	uint32_t clock = random;

	for (unsigned i = 0; i < n; i++) {
		size_t bytes = HAK_ELO_SMALLEST << next_random(&random) % 8;

		clock += next_random(&random) % 200;
		if (next_random(&random) % 2)
			hak_elo_freed(e, bytes, clock);
		else
			hak_elo_wanted(e, bytes + random % bytes, clock);
		hak_elo_play(e);
		hold(e->ghost_count <= HAK_ELO_GHOSTS && e->best < HAK_ELO_PLAYERS);
		for (unsigned p = 0; p < HAK_ELO_PLAYERS; p++)
			hold(e->rating[p] >= start_rating - most_rating && e->rating[p] <= start_rating + most_rating);
	}
}

/* E1 */
static void check_determinism(void)
{
	static struct hak_elo a, b;

	hak_elo_start(&a);
	hak_elo_start(&b);
	random_calls(&a, 7, 20000);
	random_calls(&b, 7, 20000);
	ok(memcmp(&a, &b, sizeof(a)) == 0, "the same calls, the same state after %zu windows", (size_t)a.windows);
	random_calls(&b, 8, 1000);
	ok(memcmp(&a, &b, sizeof(a)) != 0, "other calls, another");
	is(failures(), 0);
}

static void check_proven(void)
{
	size_t before;

	hak_elo_start(&elo);
	for (unsigned i = 0; i < 5 * window; i++) {
		churn(32 * MIB, 1, 1);
		hold(elo.proven == 32 * MIB); /* also when a window has just ended */
	}
	ok(failures() == 0, "32 MiB were wanted again at once");
	before = elo.proven;
	churn(MIB, 1, 2 * window);
	ok(elo.proven < before && elo.proven >= before / 4, "that decays by windows");
	churn(MIB, 1, 30 * window);
	ok(elo.proven >= MIB / 4 * 3 && elo.proven <= MIB, "down to what is wanted still");
	is(elo.proven, MIB);
}

static void check_sizes(void)
{
	size_t last = 0;

	for (elo.best = 0; elo.best < HAK_ELO_PLAYERS; elo.best++) {
		hold(hak_elo_threshold(&elo) > last);
		last = hak_elo_threshold(&elo);
	}
	ok(last == SIZE_MAX && failures() == 0, "thresholds rise from 512 KiB to never");
	elo.best = 0;
	is(hak_elo_threshold(&elo), HAK_ELO_SMALLEST);
}

int main(void)
{
	check_start();
	check_wanted();
	check_part();
	check_several();
	check_forgotten();
	check_full();
	check_clock();
	check_cheaper_wins();
	check_unlearning();
	check_calm();
	check_verdict();
	check_determinism();
	check_proven();
	check_sizes();
	return done();
}
