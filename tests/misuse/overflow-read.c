/* SPDX-License-Identifier: MIT */
/* A byte behind each block is read.
 *
 * guard: read at *: overflow, 0 bytes behind a block of 112 bytes at *
 * guard: it was done: look main
 * guard: it was allocated: take main */
#include "misuse.h"

int main(void)
{
	char *blocks[MANY];

	for (int i = 0; i < MANY; i++)
		look((blocks[i] = take(112)) + 112);
	for (int i = 0; i < MANY; i++)
		drop(blocks[i]);
	return 0;
}
