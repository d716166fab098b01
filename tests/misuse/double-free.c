/* SPDX-License-Identifier: MIT */
/* A block is freed twice, at once.
 *
 * 0 3: free(*): double free of a block of 128 bytes
 * 1 2 guard: free(*): double free of a block of 112 bytes
 * guard: it was done: drop main
 * guard: it was allocated: take main
 * guard: it was freed: drop main */
#include "misuse.h"

int main(void)
{
	char *p = take(112);

	drop(p);
	drop(p);
	return 0;
}
