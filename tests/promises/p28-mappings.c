/* SPDX-License-Identifier: MIT */
/* Promise 28: 100,000 blocks of 136 KiB need fewer than 5,000 mappings; and promise 8: at 1,000 mappings, which is what a
 * machine may allow, a program with blocks of all sizes has fewer than a quarter of them from us. */
#include "promise.h"

static void check_many(size_t n)
{
	unsigned char **blocks = map_table(n * sizeof(*blocks));
	unsigned before = count_mappings(), most = 0;

	for (size_t i = 0; i < n; i++) {
		blocks[i] = malloc(136 * KIB);
		if (!hold(blocks[i] != NULL))
			break;
	}
	most = count_mappings() - before;
	ok(most < 5000, "%zu blocks of 136 KiB: %u mappings", n, most);
	for (size_t i = 0; i < n; i += 2)
		free(blocks[i]);
	most = count_mappings() - before;
	ok(most < 5000, "every other one freed: %u mappings", most);
	for (size_t i = 1; i < n; i += 2)
		free(blocks[i]);
	munmap(blocks, n * sizeof(*blocks));
}

static void check_mixture(void)
{
	static void *blocks[4000];
	unsigned before = count_mappings(), most = 0;
	uint64_t seed = 5;

	for (int i = 0; i < 200000; i++) {
		size_t r = next_random(&seed);
		size_t place = r % 4000, size = r % 100 < 90 ? r % 2000 : r % 1000 < 990 ? r % (300 * KIB) : r % (2 * MIB);

		free(blocks[place]);
		blocks[place] = malloc(size);
		hold(blocks[place] != NULL);
		if (i % 1000 == 0) {
			unsigned now = count_mappings() - before;

			most = now > most ? now : most;
		}
	}
	ok(most < 250, "blocks of all sizes to 2 MiB: %u mappings", most);
	for (int i = 0; i < 4000; i++)
		free(blocks[i]);
}

int main(void)
{
	check_many(sizeof(void *) > 4 ? 100000 : 10000); /* in 4 GiB what fits */
	check_mixture();
	return done();
}
