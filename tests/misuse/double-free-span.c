/* SPDX-License-Identifier: MIT */
/* A block of 200 KiB is freed twice.
 *
 * 0 1 2 3 guard: free(*): the pointer leads into memory that is not handed out */
#include "misuse.h"

int main(void)
{
	char *p = take(200 << 10);

	drop(p);
	drop(p);
	return 0;
}
