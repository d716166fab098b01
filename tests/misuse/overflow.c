/* SPDX-License-Identifier: MIT */
/* A byte behind each block is written.
 *
 * 3: free(*): the program wrote behind the end of the block of 128 bytes
 * guard: write at *: overflow, 0 bytes behind a block of 112 bytes at *
 * guard: it was done: change main
 * guard: it was allocated: take main */
#include "misuse.h"

int main(void)
{
	char *blocks[MANY];

	for (int i = 0; i < MANY; i++)
		change((blocks[i] = take(112)) + 112);
	for (int i = 0; i < MANY; i++)
		drop(blocks[i]);
	return 0;
}
