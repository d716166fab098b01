/* SPDX-License-Identifier: MIT */
/* A block of no bytes is written.
 *
 * 3: free(*): the program wrote behind the end of the block of 16 bytes
 * guard: write at *: overflow, 0 bytes behind a block of 0 bytes at *
 * guard: it was done: change main
 * guard: it was allocated: take main */
#include "misuse.h"

int main(void)
{
	char *p = take(0);

	change(p);
	drop(p);
	return 0;
}
