/* SPDX-License-Identifier: MIT */
/* The room meta: memory that is aligned, zero, apart, and there again after a refusal; and
 * the room os where no program may map.  Links: rooms. */
#include "meta.h"

#include <pthread.h>

#include "bits.h"
#include "fails.h"
#include "os.h"
#include "tap.h"

enum { pieces = 3000, threads = 4 };

static unsigned char *piece[threads][pieces];

static size_t size_of(unsigned i)
{
	return 16 + i * 37 % 1500;
}

static void *take(void *with)
{
	size_t me = (uintptr_t)with;

	for (unsigned i = 0; i < pieces; i++) {
		unsigned char *p = hak_meta_alloc(size_of(i), (size_t)16 << i % 9);

		need(p != NULL);
		hold((uintptr_t)p % ((size_t)16 << i % 9) == 0);
		hold(p[0] == 0 && memcmp(p, p + 1, size_of(i) - 1) == 0);
		memset(p, (int)(me * 31 + i) & 0xff, size_of(i));
		piece[me][i] = p;
	}
	return NULL;
}

static void check_pieces(size_t me)
{
	for (unsigned i = 0; i < pieces; i++) {
		const unsigned char *p = piece[me][i];

		hold(p[0] == ((me * 31 + i) & 0xff) && memcmp(p, p + 1, size_of(i) - 1) == 0);
	}
}

static void check_threads(void)
{
	pthread_t thread[threads];

	for (uintptr_t i = 0; i < threads; i++)
		need(pthread_create(&thread[i], NULL, take, (void *)i) == 0);
	for (size_t i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < threads; i++)
		check_pieces(i);
	ok(failures() == 0, "%d threads: aligned, zero, apart", (int)threads);
}

static void check_first(void)
{
	void *p = hak_meta_alloc(100, 64);

	ok(p != NULL && hak_meta_mapped() == 0, "a small program maps nothing for it");
}

static void check_large(void)
{
	size_t before = hak_meta_mapped(), size = (size_t)3 << 20;
	unsigned char *p = hak_meta_alloc(size, 4096);

	ok(p != NULL && (uintptr_t)p % 4096 == 0 && hak_meta_mapped() >= before + size, "3 MiB at once");
	memset(p, 1, size);
	p = hak_meta_alloc(64, 64);
	ok(p != NULL && p[0] == 0 && p[63] == 0, "and small ones after");
}

static void check_refusal(void)
{
	unsigned n = 0;

	fail_mappings(1, 1000);
	while (n < 100000 && hak_meta_alloc(1024, 64) != NULL)
		n++;
	fail_none();
	ok(n < 100000, "NULL when the kernel refuses, after %u more", n);
	ok(hak_meta_alloc(1024, 64) != NULL, "and then there is memory again");
}

static void check_nowhere(void)
{
	size_t size = (size_t)1 << 20;

	if (sizeof(void *) == 4) {
		skip("nothing in the kernel's own half: with 32 bits all of 4 GiB may be the program's there");
		return;
	}
	ok(hak_os_map_at((void *)(UINTPTR_MAX - 2 * size + 1), size) != HAK_OS_OK, "nothing in the kernel's own half");
}

int main(void)
{
	check_first();
	check_threads();
	check_large();
	check_refusal();
	check_nowhere();
	return done();
}
