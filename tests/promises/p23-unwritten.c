/* SPDX-License-Identifier: MIT */
/* Promise 23: memory that is not written is not made resident: less than 30 % of blocks of 40 KiB and more, of malloc and of
 * calloc.  In a process of its own for each size, as freed memory may be reused. */
#include "promise.h"

static const size_t sizes[] = { 40, 64, 65, 100, 136, 260, 500, 1000, 2048, 2049, 5000, 20000, 100000, 600000 };

/* Odd numbers: calloc. */
static void measure(size_t number)
{
	size_t size = sizes[number / 2] * KIB, n = size > 32 * MIB ? 1 : 64 * MIB / size, before, percent;
	void **blocks = map_table(n * sizeof(*blocks));

	memset(blocks, 1, n * sizeof(*blocks));
	free(malloc(size));
	before = resident();
	for (size_t i = 0; i < n; i++)
		need((blocks[i] = number % 2 ? calloc(1, size) : malloc(size)) != NULL);
	percent = (resident() - before) * 100 / (n * size);
	if (!hold(percent < 30))
		note("%zu %%", percent);
}

int main(void)
{
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++)
		ok(in_child(measure, i) == 0, "%s, blocks of %zu KiB", i % 2 ? "calloc" : "malloc", sizes[i / 2]);
	return done();
}
