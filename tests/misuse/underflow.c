/* SPDX-License-Identifier: MIT */
/* A byte before blocks is written, where another block lies not far below.
 *
 * 3: free(*): the program wrote behind the end of the block of 128 bytes
 * guard: write at *: underflow, 1 byte before a block of 112 bytes at *
 * guard: it was done: change main
 * guard: it was allocated: take main */
#include "misuse.h"

int main(void)
{
	char *blocks[MANY];

	for (int i = 0; i < MANY; i++)
		blocks[i] = take(112);
	for (int i = 0; i < MANY; i++)
		for (int k = 0; k < MANY; k++)
			if (blocks[k] < blocks[i] && blocks[k] + 9000 > blocks[i])
				change(blocks[i] - 1);
	for (int i = 0; i < MANY; i++)
		drop(blocks[i]);
	return 0;
}
