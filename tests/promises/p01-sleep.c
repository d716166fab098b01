/* SPDX-License-Identifier: MIT */
/* Promise 1: a program that has freed most of its memory and sleeps is small after 2 seconds: at most 1.15 times what lives, and
 * 8 MiB.  It stays so: khugepaged finds little that it could fill. */
#include "promise.h"

static void **blocks;
static size_t count;

struct work {
	const char *name;
	unsigned mib, least, most; /* bytes of a block */
	bool is_mixed;             /* freed in an order by chance */
	bool is_worked;            /* each block was replaced, about once */
	unsigned kept;             /* percent, made last */
};

static const struct work works[] = {
	{ "blocks of one size", 128, 256, 256, false, false, 0 },
	{ "of one size, worked with", 128, 256, 256, true, true, 0 },
	{ "small ones, by chance", 256, 32, 600, true, false, 0 },
	{ "small ones, worked with", 100, 16, 256, true, true, 0 },
	{ "a few, worked with", 24, 16, 512, true, true, 0 },
	{ "to 8 KiB, worked with", 128, 16, 8000, true, true, 0 },
	{ "1 to 9 KiB, worked with", 128, 1000, 9000, true, true, 0 },
	{ "to 60 KiB", 256, 16, 60000, true, false, 0 },
	{ "to 60 KiB, worked with", 256, 16, 60000, true, true, 0 },
	{ "of one size, a quarter kept", 128, 256, 256, true, false, 25 },
};

/* What a cached block keeps is a page; an emulator's own memory counts. */
static size_t most_extra(void) { return (is_emulated() ? 32 : 8) * MIB * ((size_t)sysconf(_SC_PAGESIZE) / 4096); }

static size_t draw_size(const struct work *w) { return w->least + random_below(w->most - w->least + 1); }

static void *make_written(size_t size)
{
	void *p = malloc(size);

	need(p != NULL);
	return memset(p, 1, size);
}

static void mix(size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t other = random_below((unsigned)i);
		void *p = blocks[i - 1];

		blocks[i - 1] = blocks[other];
		blocks[other] = p;
	}
}

/* What khugepaged would make present: the rest of 2 MiB that may have a huge page and have a page already. */
static size_t might_come(void)
{
	enum { huge = 2 * MIB, pages = huge / 4096 };
	static char line[512];
	static uint64_t entries[pages];
	size_t bytes = 0;
	unsigned long from = 0, to = 0;
	FILE *smaps = fopen("/proc/self/smaps", "r");
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (smaps == NULL || map < 0) {
		note("this kernel does not tell what khugepaged could bring");
		return 0;
	}
	while (fgets(line, sizeof(line), smaps)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			from = start, to = end;
		if (strncmp(line, "VmFlags:", 8) != 0 || !strstr(line, " hg"))
			continue;
		for (unsigned long at = (from + huge - 1) / huge * huge; at + huge <= to; at += huge) {
			size_t in = 0;

			if (pread(map, entries, sizeof(entries), (off_t)(at / 4096 * sizeof(*entries))) != sizeof(entries))
				continue;
			for (size_t i = 0; i < pages; i++)
				in += (size_t)(entries[i] >> 63);
			bytes += in > 0 ? huge - in * 4096 : 0;
		}
	}
	fclose(smaps);
	close(map);
	return bytes;
}

static void check(size_t number)
{
	const struct work *w = &works[number];
	size_t n = w->mib * MIB / ((w->least + w->most) / 2), kept = n * w->kept / 100, live = 0, before, after;

	memset(blocks, 1, count * sizeof(*blocks)); /* a table of its own */
	before = resident();
	need(n <= count);
	for (size_t i = 0; i < n; i++)
		blocks[i] = make_written(draw_size(w));
	for (size_t i = 0; i < n && w->is_worked; i++) {
		size_t one = random_below((unsigned)n);

		free(blocks[one]);
		blocks[one] = make_written(draw_size(w));
	}
	if (w->is_mixed)
		mix(n - kept);
	for (size_t i = 0; i < n - kept; i++)
		free(blocks[i]);
	for (size_t i = n - kept; i < n; i++)
		live += malloc_usable_size(blocks[i]);
	rest(2000);
	after = resident();
	after = after > before ? after - before : 0;
	note("%s: %zu KiB of %u MiB, %zu KiB live, %zu KiB might come", w->name, after / KIB, w->mib, live / KIB,
	     sysconf(_SC_PAGESIZE) == 4096 ? might_come() / KIB : 0);
	hold(after <= live + live / 100 * 15 + most_extra());
	hold(sysconf(_SC_PAGESIZE) != 4096 || might_come() <= most_extra());
}

static const char *name_of(size_t number) { return works[number].name; }

int main(void)
{
	count = 128 * MIB / 100;
	blocks = map_table(count * sizeof(*blocks));
	in_children(sizeof(works) / sizeof(*works), 5, check, name_of);
	return done();
}
