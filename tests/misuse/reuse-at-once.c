/* SPDX-License-Identifier: MIT */
/* The block that was freed last is the next one.
 *
 * 2 3 guard: another one */
#include "misuse.h"

int main(void)
{
	for (int i = 0; i < 100; i++) {
		char *p = take(112);

		drop(p);
		if (take(112) == p)
			return 0;
	}
	return says("another one\n");
}
