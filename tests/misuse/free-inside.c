/* SPDX-License-Identifier: MIT */
/* A pointer into a block is freed.
 *
 * 0 3: free(*): the pointer leads into a block of 128 bytes, not to its start
 * 1 2 guard: free(*): the pointer leads into a block of 112 bytes, not to its start
 * guard: it was done: drop main
 * guard: it was allocated: take main */
#include "misuse.h"

int main(void)
{
	drop(take(112) + 16);
	return 0;
}
