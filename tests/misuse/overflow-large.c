/* SPDX-License-Identifier: MIT */
/* A byte behind a block of 8 MiB is written.
 *
 * 0 1 2 3 guard: by chance */
#include "misuse.h"

int main(void)
{
	char *p = take(8 << 20);

	change(p + (8 << 20));
	drop(p);
	return 0;
}
