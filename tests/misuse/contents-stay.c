/* SPDX-License-Identifier: MIT */
/* What a freed block held is found in the next one of that size.
 *
 * 2 3 guard: gone */
#include "misuse.h"

int main(void)
{
	char *p = take(112);

	memset(p, 0x5a, 112);
	drop(p);
	for (int i = 0; i < 10000; i++) {
		p = take(112);
		if (look(p + 50) == 0x5a)
			return 0;
		drop(p);
	}
	return says("gone\n");
}
