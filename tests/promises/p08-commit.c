/* SPDX-License-Identifier: MIT */
/* Promises 8, 9: where the kernel promises no more memory than there is (overcommit_memory=2), malloc gives it to the end, then
 * NULL and ENOMEM without delay; what is freed serves any other size and thread, and goes back.  As this takes all memory,
 * it runs in a machine that is set up so: tests/vm. */
#include "promise.h"

enum { most = 2000000, refusals = 1000 };

static unsigned char **blocks;
static size_t count, size;

static size_t number_of(const char *file, const char *name)
{
	char text[4096] = "", *at = text;
	int in = open(file, O_RDONLY | O_CLOEXEC);

	need(in >= 0 && read(in, text, sizeof(text) - 1) > 0);
	close(in);
	if (name != NULL)
		need((at = strstr(text, name)) != NULL);
	return strtoul(at + strcspn(at, "0123456789"), NULL, 10);
}

/* What the kernel would still promise. */
static size_t promised(void)
{
	size_t limit = number_of("/proc/meminfo", "CommitLimit:"), used = number_of("/proc/meminfo", "Committed_AS:");

	return limit > used ? (limit - used) * KIB : 0;
}

static void keep(unsigned char *p)
{
	memset(p, (int)(count % 251), size);
	blocks[count++] = p;
}

static void *take_all(void *with)
{
	unsigned char *p = NULL;

	errno = 0;
	while (count < most && (p = malloc(size)) != NULL)
		keep(p);
	hold(p == NULL && errno == ENOMEM);
	return with;
}

static void *free_all(void *with)
{
	while (count > 0) {
		unsigned char *p = blocks[--count];

		hold(p[0] == count % 251 && p[size / 2] == count % 251 && p[size - 1] == count % 251);
		free(p);
	}
	return with;
}

/* A program that goes on asking is told no at once, and nothing of what it has changes. */
static void refuse(void)
{
	double begun = seconds();

	for (int i = 0; i < refusals; i++) {
		void *p;

		errno = 0;
		p = malloc(size);
		hold(p == NULL && errno == ENOMEM);
		if (p != NULL)
			keep(p); /* the kernel has found some */
	}
	note("%u refusals in %u ms", (unsigned)refusals, (unsigned)((seconds() - begun) * 1000));
	hold(seconds() - begun < 30);
}

static void in_thread(void *(*run)(void *))
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, run, NULL) == 0);
	need(pthread_join(thread, NULL) == 0);
}

static void turns(void)
{
	static const size_t sizes[] = { 1000, 120000, 3 * MIB, 5000, 500000, 9 * MIB };
	size_t all;

	in_thread(free_all); /* the C library keeps its stack */
	all = promised();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size = sizes[i];
		if (i % 4 == 1)
			in_thread(take_all);
		else
			take_all(NULL);
		ok((count + 1) * size >= all / 10 * 8, "%zu blocks of %zu bytes: %zu of %zu MiB", count, size, count * size / MIB,
		   all / MIB);
		refuse();
		if (i % 3 == 1)
			in_thread(free_all);
		else
			free_all(NULL);
	}
	malloc_trim(0);
	ok(promised() >= all / 10 * 9, "%zu of %zu MiB are promised to others again", promised() / MIB, all / MIB);
}

int main(void)
{
	if (number_of("/proc/sys/vm/overcommit_memory", NULL) != 2)
		skip_all("the kernel promises more memory than there is; tests/vm sets up a machine where it does not");
	blocks = map_table(most * sizeof(void *));
	turns();
	ok(failures() == 0, "refused without delay, and all was intact");
	return done();
}
