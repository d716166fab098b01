/* elo: rates sizes above which freed memory goes straight back to the kernel.  Floor 3.
 *
 * Twelve thresholds play against each other.  What was freed is remembered for a second ("ghosts"), whether it was kept
 * or not; if memory is wanted meanwhile, it comes from the newest ghosts.  So each freed byte has an outcome, and each
 * threshold a cost, in bytes: who would have kept it pays for the time that it lay there (a second costs as much as
 * the byte), who would have given it back pays for its fault and clearing, and two system calls, if it was wanted
 * again.  After a window of outcomes every two thresholds play: the cheaper wins, by the rules of Elo's chess ratings.
 * The best rated decides until the next window.
 *
 * E1  Nothing here depends on what was really kept: the same calls give the same ratings.
 * Concurrency: none; the caller locks.  Source: A. Elo, "The Rating of Chessplayers", 1978. */
#ifndef HAK_ELO_H
#define HAK_ELO_H

#include "cc.h"

#define HAK_ELO_PLAYERS 12u
#define HAK_ELO_SMALLEST ((size_t)512 << 10) /* what is freed below that size is not looked at */
#define HAK_ELO_GHOSTS 64u
#define HAK_ELO_FIRST ((size_t)2 << 20) /* the threshold before the first window */

struct hak_elo_ghost {
	size_t bytes; /* not wanted again yet */
	uint32_t stamp;
	uint32_t level; /* by its size when it was freed: thresholds from number `level` on keep it */
};

struct hak_elo {
	int32_t rating[HAK_ELO_PLAYERS];
	uint32_t best;
	uint32_t outcomes;                  /* in this window */
	uint64_t kept[HAK_ELO_PLAYERS];     /* by level: the cost of keeping, this window */
	uint64_t returned[HAK_ELO_PLAYERS]; /* and of giving back */
	uint64_t windows;
	size_t proven;                      /* the most that was wanted again at once, lately */
	size_t seen;                        /* the same, in this window: proven does not decay below it */
	struct hak_elo_ghost ghosts[HAK_ELO_GHOSTS]; /* oldest first */
	uint32_t ghost_count;
};

struct hak_elo_verdict {
	bool changed;
	size_t before, after;     /* thresholds */
	uint64_t cost_before, cost_after; /* of both, in the window just played */
};

HAK_FN void hak_elo_start(struct hak_elo *elo);
HAK_FN size_t hak_elo_threshold(const struct hak_elo *elo); /* blocks of that size and more go straight back */
HAK_FN void hak_elo_freed(struct hak_elo *elo, size_t bytes, uint32_t now);
HAK_FN void hak_elo_wanted(struct hak_elo *elo, size_t bytes, uint32_t now);
/* After either: if a window has ended, plays it. */
HAK_FN struct hak_elo_verdict hak_elo_play(struct hak_elo *elo);

#endif
