/* SPDX-License-Identifier: MIT */
/* Promise 29: peak RSS / peak live <= 1.2 while the sizes change for a minute.
 *
 * Each phase draws a range of sizes.  The blocks of the phase before are freed in random order, then those of this one come;
 * half of them are freed and made anew, as a program that works does.  Then sizes drift upward, and whatever block is replaced:
 * what an allocator with a place for each size can do then is less than promised. */
#include "promise.h"

struct block { unsigned char *at; size_t size; };

static struct block *blocks;
static size_t used, most, live, live_most, resident_most, before;
static uint64_t seed = 28; /* its tenth phase wants other small sizes than the ninth */

static void look(void)
{
	size_t now = resident();

	if (now > before && now - before > resident_most)
		resident_most = now - before;
}

static void drop(size_t i)
{
	live -= blocks[i].size;
	free(blocks[i].at);
	blocks[i] = blocks[--used];
}

static void add(size_t size)
{
	need(used < most);
	blocks[used++] = (struct block){ make(size), size };
	live += size;
	if (live > live_most)
		live_most = live;
	if (next_random(&seed) % 1024 == 0)
		look();
}

/* Sizes from 64 bytes to 2 MiB; the upper end is up to 17 times the lower. */
static void phase(size_t target)
{
	bool is_small = sysconf(_SC_PAGESIZE) > 4096; /* 64 KiB at most */
	size_t least = (size_t)64 << next_random(&seed) % (is_small ? 9 : 14), spread = least << next_random(&seed) % 5;
	size_t largest = (is_small ? 64 : 2048) * KIB;

	if (least + spread > largest)
		spread = largest - least;
	while (used > 0)
		drop(next_random(&seed) % used);
	while (live < target)
		add(least + next_random(&seed) % spread);
	for (size_t moved = 0; moved < target;) {
		size_t i = next_random(&seed) % used, size = least + next_random(&seed) % spread;

		moved += blocks[i].size;
		drop(i);
		if (live < target)
			add(size);
	}
	look();
	note("%zu..%zu bytes: live %zu MB, resident %zu MB", least, least + spread, live / MIB, (resident() - before) / MIB);
}

/* Each block that comes is a little larger, from 16 KiB to 2 MiB in all. */
static void drift(size_t target)
{
	size_t total = 8 * target, done = 0;
	double base = 16 * KIB, step = 4.852 / (double)total; /* the logarithm of 128 */

	while (used > 0)
		drop(next_random(&seed) % used);
	live_most = resident_most = 0;
	while (done < total) {
		size_t size = (size_t)(base * (0.7 + (double)(next_random(&seed) % 601) / 1000));

		while (live + size > target)
			drop(next_random(&seed) % used);
		add(size);
		look();
		done += size;
		base *= 1 + step * (double)size;
	}
}

int main(void)
{
	size_t target = short_or_long(128 * MIB, 400 * MIB), phases = short_or_long(12, 1000);
	size_t percent = sizeof(void *) == 4 ? 125 : 120; /* other numbers are drawn there */
	double start = seconds();

	most = target / 32;
	blocks = map_table(most * sizeof(*blocks));
	memset(blocks, 1, most * sizeof(*blocks));
	before = resident();
	for (unsigned i = 0; i < phases && seconds() - start < 60; i++)
		phase(target);
	if (is_emulated())
		skip("%zu MB are live at most, but memory is the emulator's too", live_most / MIB);
	else
		ok(resident_most * 100 <= live_most * percent, "peak resident %zu MB, peak live %zu MB", resident_most / MIB,
		   live_most / MIB);
	drift(target);
	if (is_emulated() || sizeof(void *) == 4 || sysconf(_SC_PAGESIZE) > 4096)
		skip("sizes that drift: memory is the emulator's too, addresses are few, or pages large");
	else
		ok(resident_most * 100 <= live_most * 160, "sizes that drift: peak resident %zu MB, peak live %zu MB",
		   resident_most / MIB, live_most / MIB);
	return done();
}
