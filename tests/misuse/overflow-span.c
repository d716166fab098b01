/* SPDX-License-Identifier: MIT */
/* A byte behind a block of 200 KiB is written. */
#include "misuse.h"

int main(void)
{
	char *p = take(200 << 10);

	change(p + (200 << 10));
	drop(p);
	return 0;
}
