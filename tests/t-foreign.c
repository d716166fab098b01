/* SPDX-License-Identifier: MIT */
/* Blocks of the C library's own malloc: our free, realloc and malloc_usable_size hand them back to it.  Links: library. */
#include <malloc.h>
#include <stdint.h>

#include "tap.h"

extern void *__libc_malloc(size_t size) __attribute__((weak));
extern void *__libc_memalign(size_t align, size_t size) __attribute__((weak));

enum { ring_size = 50 };

static const size_t large[] = {100000, 131072, 300000, 1 << 20, 5 << 20};

static unsigned char *foreign(size_t size)
{
	unsigned char *p = __libc_malloc(size);

	need(p != NULL);
	memset(p, (int)(size % 251), size);
	return p;
}

static bool is_filled(const unsigned char *p, size_t size)
{
	return size == 0 || (p[0] == size % 251 && memcmp(p, p + 1, size - 1) == 0);
}

/* Some live at a time, so that they lie between others and are freed in another order. */
static void check_small(void)
{
	unsigned char *ring[ring_size] = {NULL};

	for (size_t size = 0; size < 5000; size++) {
		unsigned char **place = &ring[size * 7 % ring_size];

		free(*place);
		*place = foreign(size);
		hold(malloc_usable_size(*place) >= size);
	}
	for (int i = 0; i < ring_size; i++)
		free(ring[i]);
	ok(failures() == 0, "free and malloc_usable_size of 0 .. 4999 bytes");
}

static void check_resize(size_t size)
{
	unsigned char *p = realloc(foreign(size), size * 2 + 1);

	if (hold(p != NULL && is_filled(p, size)))
		hold(malloc_usable_size(p) > size * 2);
	free(p);
	p = realloc(foreign(size), size / 2 + 1);
	if (hold(p != NULL))
		hold(p[0] == size % 251);
	free(p);
}

static void check_large(void)
{
	for (size_t i = 0; i < sizeof(large) / sizeof(*large); i++) {
		unsigned char *p = foreign(large[i]);

		hold(malloc_usable_size(p) >= large[i]);
		free(p);
		check_resize(large[i]);
	}
	ok(failures() == 0, "blocks of up to 5 MiB");
}

static void check_aligned(void)
{
	for (size_t align = 16; align <= 1 << 16; align *= 2)
		for (size_t size = 1; size < 3000; size += 211) {
			unsigned char *p = __libc_memalign(align, size);

			need(p != NULL);
			memset(p, 1, size);
			free(p);
		}
	ok(failures() == 0, "aligned blocks");
}

int main(void)
{
	if (__libc_malloc == NULL || __libc_memalign == NULL)
		skip_all("the C library does not say where its own malloc is");
	check_small();
	for (size_t size = 1; size < 5000; size += 3)
		check_resize(size);
	ok(failures() == 0, "realloc of 1 .. 5000 bytes, to more and to less");
	check_large();
	check_aligned();
	return done();
}
