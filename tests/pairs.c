/* SPDX-License-Identifier: MIT */
/* pairs COUNT: malloc, malloc_usable_size and free of 64 bytes, COUNT times; for tests/fastpath.sh, which counts instructions. */
#include <malloc.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;

	for (long i = 0; i < count; i++) {
		void *volatile block = malloc(64);

		if (malloc_usable_size(block) < 64)
			return 1;
		free(block);
	}
	return count > 0 ? 0 : 2;
}
