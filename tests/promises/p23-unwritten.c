/* SPDX-License-Identifier: MIT */
/* Promise 23: memory that is not written is not made resident: less than 30 % of blocks of 40 KiB and more, of malloc, of
 * calloc, and of buffers of which the first bytes are written.  In a process of its own for each, as freed memory may be reused.
 * Of calloc also with HAKMEM_SECURE, where each call is a cold one. */
#include "promise.h"

static const size_t sizes[] = { 40, 64, 65, 100, 136, 260, 500, 1000, 2048, 2049, 5000, 20000, 100000, 600000 };

enum way { MALLOC, CALLOC, BEGUN, WAYS };
static const char *const ways[] = { "malloc", "calloc", "malloc, the first bytes written" };

static void *take(enum way way, size_t size)
{
	void *p = way == CALLOC ? calloc(1, size) : malloc(size);

	return p && way == BEGUN ? memset(p, 1, 64) : p;
}

static void measure(size_t number)
{
	enum way way = number % WAYS;
	size_t size = sizes[number / WAYS] * KIB, n = size > 32 * MIB ? 1 : 64 * MIB / size, before, percent;
	size_t written = way == BEGUN ? n * (size_t)sysconf(_SC_PAGESIZE) : 0, now;
	void **blocks = map_table(n * sizeof(*blocks));

	memset(blocks, 1, n * sizeof(*blocks));
	free(malloc(size));
	before = resident();
	for (size_t i = 0; i < n; i++)
		need((blocks[i] = take(way, size)) != NULL);
	now = resident() - before;
	percent = now <= written ? 0 : (now - written) * 100 / (n * size);
	if (!hold(percent < 30))
		note("%zu %%", percent);
}

static void start_secured(size_t level)
{
	char word[] = "secured", text[] = { (char)('0' + level), '\0' };

	emulator_exec_again(word, "HAKMEM_SECURE", text);
	_exit(99);
}

static int check_secured(void)
{
	for (size_t i = CALLOC; i < WAYS * sizeof(sizes) / sizeof(*sizes); i += WAYS)
		hold(in_child(measure, i) == 0);
	return failures() != 0;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return check_secured();
	for (size_t i = 0; i < WAYS * sizeof(sizes) / sizeof(*sizes); i++)
		ok(in_child(measure, i) == 0, "%s, blocks of %zu KiB", ways[i % WAYS], sizes[i / WAYS]);
	for (size_t level = 1; level <= 3; level++)
		ok(in_child(start_secured, level) == 0, "calloc, HAKMEM_SECURE=%zu", level);
	return done();
}
