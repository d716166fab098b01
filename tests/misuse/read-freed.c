/* SPDX-License-Identifier: MIT */
/* A freed block is read.
 *
 * guard: read at *: use after free, 111 bytes into a block of 112 bytes at *
 * guard: it was done: look main
 * guard: it was allocated: take main
 * guard: it was freed: drop main */
#include "misuse.h"

int main(void)
{
	char *p = take(112);

	drop(p);
	look(p + 111);
	return 0;
}
