#include "elo.h"

#include "bits.h"

#define ELO_START 1500
#define ELO_K 32           /* a win against an equal is worth half of that */
#define ELO_MOST 300       /* from the start, either way: what was learnt can be unlearnt */
#define ELO_LEAD 50        /* who takes over must be better by more */
#define ELO_WINDOW 16u     /* outcomes */
#define ELO_KEEP_MS 1000u  /* for that long a byte is worth keeping */
#define ELO_CALLS ((size_t)64 << 10) /* two system calls, as bytes */
#define ELO_FIRST 4u       /* before the first window: 2 MiB */

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const size_t elo_thresholds[HAK_ELO_PLAYERS] = { HAK_ELO_SMALLEST, 768 * KIB, 1 * MIB,  3 * MIB / 2,
	                                                2 * MIB,          4 * MIB,   6 * MIB,  8 * MIB,
	                                                12 * MIB,         16 * MIB,  32 * MIB, SIZE_MAX };

HAK_FN void hak_elo_start(struct hak_elo *elo)
{
	*elo = (struct hak_elo){ .best = ELO_FIRST };
	for (unsigned i = 0; i < HAK_ELO_PLAYERS; i++)
		elo->rating[i] = ELO_START;
}

HAK_FN size_t hak_elo_threshold(const struct hak_elo *elo) { return elo_thresholds[elo->best]; }

/* The number of thresholds that give a block of this size back. */
static unsigned elo_level(size_t bytes)
{
	unsigned level = 0;

	while (level < HAK_ELO_PLAYERS - 1 && bytes >= elo_thresholds[level])
		level++;
	return level;
}

static void elo_outcome(struct hak_elo *elo, const struct hak_elo_ghost *ghost, size_t bytes, uint32_t age, bool wanted)
{
	elo->kept[ghost->level] += age < ELO_KEEP_MS ? (uint64_t)bytes * age / ELO_KEEP_MS : bytes;
	elo->returned[ghost->level] += wanted ? bytes + ELO_CALLS : 0;
}

static void elo_forget(struct hak_elo *elo, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		elo_outcome(elo, &elo->ghosts[i], elo->ghosts[i].bytes, ELO_KEEP_MS, false);
	elo->outcomes += n;
	elo->ghost_count -= n;
	for (unsigned i = 0; i < elo->ghost_count; i++)
		elo->ghosts[i] = elo->ghosts[i + n];
}

static void elo_expire(struct hak_elo *elo, uint32_t now)
{
	unsigned n = 0;

	while (n < elo->ghost_count && hak_elapsed(now, elo->ghosts[n].stamp) >= ELO_KEEP_MS)
		n++;
	if (n > 0)
		elo_forget(elo, n);
}

HAK_FN void hak_elo_freed(struct hak_elo *elo, size_t bytes, uint32_t now)
{
	elo_expire(elo, now);
	if (elo->ghost_count == HAK_ELO_GHOSTS)
		elo_forget(elo, 1);
	elo->ghosts[elo->ghost_count++] = (struct hak_elo_ghost){ bytes, now, elo_level(bytes) };
}

HAK_FN void hak_elo_wanted(struct hak_elo *elo, size_t bytes, uint32_t now)
{
	size_t found = 0;

	elo_expire(elo, now);
	while (found < bytes && elo->ghost_count > 0) {
		struct hak_elo_ghost *ghost = &elo->ghosts[elo->ghost_count - 1];
		size_t part = ghost->bytes < bytes - found ? ghost->bytes : bytes - found;

		elo_outcome(elo, ghost, part, hak_elapsed(now, ghost->stamp), true);
		elo->outcomes++;
		ghost->bytes -= part;
		elo->ghost_count -= ghost->bytes == 0;
		found += part;
	}
	elo->seen = found > elo->seen ? found : elo->seen;
	elo->proven = found > elo->proven ? found : elo->proven;
}

/* Of 1000: the chance of a player who is rated higher by `lead`; a straight line between 1/11 and 10/11. */
static int32_t elo_chance(int32_t lead)
{
	if (lead > 400)
		lead = 400;
	if (lead < -400)
		lead = -400;
	return 500 + lead * 409 / 400;
}

static uint64_t elo_cost(const struct hak_elo *elo, unsigned player)
{
	uint64_t cost = 0;

	for (unsigned level = 0; level < HAK_ELO_PLAYERS; level++)
		cost += level <= player ? elo->kept[level] : elo->returned[level];
	return cost;
}

static void elo_gain(struct hak_elo *elo, unsigned player, int32_t gain)
{
	int32_t rating = elo->rating[player] + gain;

	rating = rating > ELO_START + ELO_MOST ? ELO_START + ELO_MOST : rating;
	elo->rating[player] = rating < ELO_START - ELO_MOST ? ELO_START - ELO_MOST : rating;
}

static void elo_match(struct hak_elo *elo, const uint64_t *cost, unsigned a, unsigned b)
{
	int32_t chance = elo_chance(elo->rating[a] - elo->rating[b]);
	int32_t score = cost[a] < cost[b] ? 1000 : cost[a] == cost[b] ? 500 : 0;
	int32_t gain = (score - chance) * ELO_K / 1000;

	elo_gain(elo, a, gain);
	elo_gain(elo, b, -gain);
}

HAK_FN struct hak_elo_verdict hak_elo_play(struct hak_elo *elo)
{
	struct hak_elo_verdict verdict = { .before = hak_elo_threshold(elo) };
	uint64_t cost[HAK_ELO_PLAYERS];
	unsigned best = elo->best;

	if (elo->outcomes < ELO_WINDOW)
		return verdict;
	for (unsigned i = 0; i < HAK_ELO_PLAYERS; i++)
		cost[i] = elo_cost(elo, i);
	for (unsigned a = 0; a < HAK_ELO_PLAYERS; a++)
		for (unsigned b = a + 1; b < HAK_ELO_PLAYERS; b++)
			elo_match(elo, cost, a, b);
	for (unsigned i = 0; i < HAK_ELO_PLAYERS; i++)
		if (elo->rating[i] > elo->rating[best] + (best == elo->best ? ELO_LEAD : 0))
			best = i;
	verdict = (struct hak_elo_verdict){ .changed = best != elo->best, .before = elo_thresholds[elo->best],
		                            .after = elo_thresholds[best], .cost_before = cost[elo->best],
		                            .cost_after = cost[best] };
	elo->best = best;
	elo->windows++;
	elo->outcomes = 0;
	elo->proven -= elo->proven / 4;
	elo->proven = elo->seen > elo->proven ? elo->seen : elo->proven;
	elo->seen = 0;
	for (unsigned i = 0; i < HAK_ELO_PLAYERS; i++)
		elo->kept[i] = elo->returned[i] = 0;
	return verdict;
}
