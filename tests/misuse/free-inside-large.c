/* SPDX-License-Identifier: MIT */
/* A pointer into a block of 8 MiB is freed.
 *
 * 0 1 2 3 guard: free(*): the pointer leads into a block of 8388608 bytes, not to its start */
#include "misuse.h"

int main(void)
{
	drop(take(8 << 20) + 4096);
	return 0;
}
