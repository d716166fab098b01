/* SPDX-License-Identifier: MIT */
/* random: numbers that are the same in every run (xorshift64). */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline size_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (size_t)(*state >> 11);
}

/* 0 .. below - 1, of one sequence. */
static inline unsigned random_below(unsigned below)
{
	static uint64_t seed = 88172645463325252u;

	return (unsigned)(next_random(&seed) >> 9) % below;
}

#endif
