/* SPDX-License-Identifier: MIT */
/* A block is freed again when caches have given it back.
 *
 * 0 1 2 guard: free(*): double free of a block of 112 bytes
 * 3: free(*): double free of a block of 128 bytes */
#include "misuse.h"

int main(void)
{
	char *p, *others[800];

	for (int i = 0; i < 300; i++) /* or all of this would be the first of its kind */
		take(112);
	p = take(112);
	for (int i = 0; i < 800; i++)
		others[i] = take(112);
	drop(p);
	for (int i = 0; i < 800; i += 2)
		drop(others[i]);
	drop(p);
	for (int i = 0; i < 800; i += 2)
		others[i] = take(112);
	return 0;
}
