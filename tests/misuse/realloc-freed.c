/* SPDX-License-Identifier: MIT */
/* A freed block gets another size.
 *
 * 0 3: realloc(*): the block of 128 bytes is free
 * 1 2 guard: realloc(*): the block of 112 bytes is free
 * guard: it was done: main
 * guard: it was allocated: take main
 * guard: it was freed: drop main */
#include "misuse.h"

int main(void)
{
	char *p = take(112);

	drop(p);
	p = realloc(p, 300);
	HERE;
	return 0;
}
