/* SPDX-License-Identifier: MIT */
/* A block is freed twice, eight others between.
 *
 * 1 2 guard: free(*): double free of a block of 112 bytes
 * 0 3: free(*): double free of a block of 128 bytes
 * guard: it was done: drop main
 * guard: it was allocated: take main
 * guard: it was freed: drop main */
#include "misuse.h"

int main(void)
{
	char *p = take(112), *others[8];

	for (int i = 0; i < 8; i++)
		others[i] = take(112);
	drop(p);
	for (int i = 0; i < 8; i++)
		drop(others[i]);
	drop(p);
	return 0;
}
