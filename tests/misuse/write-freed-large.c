/* SPDX-License-Identifier: MIT */
/* A freed block of 8 MiB is written.
 *
 * 0 1 2 3 guard: by chance */
#include "misuse.h"

int main(void)
{
	char *p = take(8 << 20);

	drop(p);
	change(p + (1 << 20));
	return 0;
}
