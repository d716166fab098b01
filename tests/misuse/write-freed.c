/* SPDX-License-Identifier: MIT */
/* A freed block is written, and its size is asked for again.
 *
 * 3: malloc(*): the program wrote to the block of 128 bytes after it was freed
 * guard: write at *: use after free, 40 bytes into a block of 112 bytes at *
 * guard: it was done: change main
 * guard: it was allocated: take main
 * guard: it was freed: drop main */
#include "misuse.h"

int main(void)
{
	char *p = take(112);

	drop(p);
	change(p + 40);
	for (int i = 0; i < 10000; i++)
		drop(take(112));
	return 0;
}
