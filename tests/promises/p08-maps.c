/* SPDX-License-Identifier: MIT */
/* Promise 8: at the limit of mappings (vm.max_map_count) the kernel refuses mmap, and munmap where it would split: malloc serves
 * from what it has, fails with ENOMEM, loses nothing, and recovers when there is room again. */
enum { places = 3000 };

#include "places.h"

static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state);

	return 2 + (r % 100 == 0 ? r % (7 * MIB) : r % 10 == 0 ? r % (300 * KIB) : r % 2000);
}

/* Returns how many requests failed. */
static size_t churn(size_t rounds, uint64_t seed)
{
	size_t failed = 0;

	for (size_t round = 0; round < rounds; round++) {
		size_t i = next_random(&seed) % places, size = some_size(&seed);
		unsigned char *p;

		look(i);
		errno = 0;
		if (round % 3 == 0) {
			p = realloc(blocks[i], size);
			if (p == NULL)
				look(i);
			else
				put(i, p, size);
		} else {
			free(blocks[i]);
			hold(errno == 0);
			p = round % 3 == 1 ? malloc(size) : calloc(1, size);
			put(i, p, size);
		}
		if (p == NULL) {
			failed++;
			hold(errno == ENOMEM);
		}
	}
	return failed;
}

/* Every place a large block of its own. */
static size_t fill(size_t size)
{
	size_t failed = 0;

	for (size_t i = 0; i < places; i++) {
		errno = 0;
		put(i, malloc(size), size);
		failed += blocks[i] == NULL;
		hold(blocks[i] != NULL || errno == ENOMEM);
	}
	return failed;
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), failed, length = 0, before;
	unsigned char *holes = mmap(NULL, GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (is_emulated())
		skip_all("at the limit the emulator gets no memory itself, says so, and hangs");
	alarm(240);
	if (holes == MAP_FAILED)
		skip_all("no room for many mappings");
	is(churn(20000, 3), 0);
	while (length + page < GIB && mprotect(holes + length, page, PROT_READ) == 0)
		length += 2 * page;
	if (length + page >= GIB)
		skip_all("there is no limit of mappings");
	note("%zu mappings", 2 * length / page / 2);
	failed = churn(20000, 5);
	free_all();
	failed += fill(20 * MIB - 100 * KIB); /* no two make one mapping */
	note("%zu requests refused", failed);
	ok(failed > 0, "the limit is reached");
	ok(failures() == 0, "at the limit what there is stays as it was, and ENOMEM is said");
	malloc_trim(0);
	free_all();
	malloc_trim(0);
	churn(20000, 7);
	free_all();
	ok(failures() == 0, "still there");
	munmap(holes, GIB);
	is(churn(30000, 9), 0);
	free_all();
	malloc_trim(0);
	before = resident();
	for (uint64_t i = 0; i < 5; i++) {
		is(churn(10000, i + 20), 0);
		free_all();
	}
	malloc_trim(0);
	resident_within(before, 8);
	return done();
}
