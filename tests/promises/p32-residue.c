/* SPDX-License-Identifier: MIT */
/* Promise 32: of freed small blocks at most a quarter is resident after 2 seconds, whoever freed them; after malloc_trim
 * less than 5 %. */
#include "promise.h"

enum { size = 256 }; /* of each, or on average */

static void **blocks;
static size_t count;

struct part { size_t first, step; };

static void *free_part(void *with)
{
	const struct part *part = with;

	for (size_t i = part->first; i < count; i += part->step)
		free(blocks[i]);
	return NULL;
}

static void *fill(void *with)
{
	for (size_t i = 0; i < count; i++)
		blocks[i] = make(size);
	return with;
}

/* Sizes and order by chance: a block that waits anywhere for its slab keeps that slab. */
static void *fill_mixed(void *with)
{
	for (size_t i = 0; i < count; i++) {
		size_t other = random_below((unsigned)i + 1);

		blocks[i] = blocks[other];
		blocks[other] = make(size / 8 + random_below(size * 7 / 4));
	}
	return with;
}

static void in_thread(void *(*run)(void *), void *with)
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, run, with) == 0);
	need(pthread_join(thread, NULL) == 0);
}

static size_t percent_of(size_t now, size_t before) { return now > before ? (now - before) * 100 / (count * size) : 0; }

struct way {
	const char *name;
	bool made_elsewhere;
	int freed; /* 0 here, 1 elsewhere, 2 both */
	bool is_mixed;
};

static const struct way ways[] = {
	{ "freed by their maker", false, 0, false },
	{ "freed by another thread", false, 1, false },
	{ "freed by both", false, 2, false },
	{ "made by a thread that ended", true, 0, false },
	{ "made and freed by threads that ended", true, 1, false },
	{ "mixed, freed by their maker", false, 0, true },
	{ "mixed, freed by another thread", false, 1, true },
	{ "mixed, freed by both", false, 2, true },
	{ "mixed, made and freed by threads that ended", true, 1, true },
};

static void free_all(int by)
{
	struct part all = { 0, 1 }, even = { 0, 2 }, odd = { 1, 2 };

	if (by == 0)
		free_part(&all);
	else if (by == 1)
		in_thread(free_part, &all);
	else {
		free_part(&even);
		in_thread(free_part, &odd);
	}
}

static void check(size_t number)
{
	const struct way *way = &ways[number];
	void *(*make_all)(void *) = way->is_mixed ? fill_mixed : fill;
	size_t before, resting, trimmed;

	memset(blocks, 1, count * sizeof(*blocks)); /* a table of its own */
	before = resident();
	if (way->made_elsewhere)
		in_thread(make_all, NULL);
	else
		make_all(NULL);
	free_all(way->freed);
	rest(2000);
	resting = percent_of(resident(), before);
	malloc_trim(0);
	trimmed = percent_of(resident(), before);
	note("%s: %zu %% stay, %zu %% after malloc_trim", way->name, resting, trimmed);
	hold(resting <= 25);
	hold(trimmed < 5);
}

static const char *name_of(size_t number) { return ways[number].name; }

int main(void)
{
	enum { n = sizeof(ways) / sizeof(*ways) };

	/* what a cached block keeps is a page, however much was freed */
	count = short_or_long(sysconf(_SC_PAGESIZE) > 4096 ? 256 * MIB : 128 * MIB, GIB) / size;
	blocks = map_table(count * sizeof(*blocks));
	memset(blocks, 1, count * sizeof(*blocks));
	in_children(n, n, check, name_of);
	return done();
}
