/* SPDX-License-Identifier: MIT */
/* A variable of a function is freed.
 *
 * 0 1 2 3 guard: free(*): no allocator gave out this pointer */
#include "misuse.h"

int main(void)
{
	long words[8] __attribute__((aligned(16))) = { 0 };

	drop(&words[2]);
	return 0;
}
