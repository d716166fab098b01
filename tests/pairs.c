/* SPDX-License-Identifier: MIT */
/* pairs COUNT: malloc and free of 64 bytes, COUNT times; for tests/fastpath.sh, which counts instructions. */
#include <stdlib.h>

int main(int argc, char **argv)
{
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;

	for (long i = 0; i < count; i++) {
		void *volatile block = malloc(64);

		free(block);
	}
	return count > 0 ? 0 : 2;
}
