/* SPDX-License-Identifier: MIT */
/* A byte behind blocks of an odd size is written.
 *
 * 3: free(*): the program wrote behind the end of the block of 112 bytes
 * guard: free(*): the program wrote behind the end of the block of 101 bytes
 * guard: it was done: drop main
 * guard: it was allocated: take main */
#include "misuse.h"

int main(void)
{
	char *blocks[MANY];

	for (int i = 0; i < MANY; i++)
		change((blocks[i] = take(101)) + 101);
	for (int i = 0; i < MANY; i++)
		drop(blocks[i]);
	return 0;
}
