/* SPDX-License-Identifier: MIT */
/* Memory of mmap is freed.
 *
 * 0 1 2 3 guard: free(*): no allocator gave out this pointer */
#include <sys/mman.h>

#include "misuse.h"

int main(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 2;
	drop(p + 65536);
	return 0;
}
