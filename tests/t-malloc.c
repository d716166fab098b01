/* SPDX-License-Identifier: MIT */
/* The malloc interface.  Links: library, rooms.
 *
 * Each point also holds for glibc 2.36: linked with neither of the two this program passes as well. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include "names.h"
#include "resident.h"
#include "tap.h"

#ifdef HAK_NO_LIBC_NAMES
#define cfree hak_abi_cfree
#define free_sized hak_abi_free_sized
#define free_aligned_sized hak_abi_free_aligned_sized
#else
__attribute__((weak)) void cfree(void *p);
__attribute__((weak)) void free_sized(void *p, size_t size);
__attribute__((weak)) void free_aligned_sized(void *p, size_t align, size_t size);
#endif

#define MIB ((size_t)1 << 20)

/* What the compiler cannot know, it does not warn of. */
static volatile size_t too_large = (size_t)PTRDIFF_MAX + 1, largest = SIZE_MAX, nothing = 0;

/* One size of each kind, at both sides of every change of kind. */
static const size_t sizes[] = {
	1,
	15,
	16,
	17,
	24,
	100,
	128,
	129,
	500,
	1024,
	1025,
	1280,
	4096,
	5000,
	8192,
	8193,
	16383,
	16384,
	30000,
	65535,
	65536,
	65537,
	131072,
	300000,
	MIB - 1,
	MIB,
	2 * MIB - 1,
	2 * MIB,
	2 * MIB + 1,
	3 * MIB,
	5 * MIB + 4097,
	9 * MIB,
};

enum { size_count = sizeof(sizes) / sizeof(*sizes) };

/* ---- contents ---- */

static unsigned char pattern(size_t i, size_t seed)
{
	return (unsigned char)(i * 7 + (i >> 8) + seed);
}

static void fill(unsigned char *p, size_t size, size_t seed)
{
	for (size_t i = 0; i < size; i++)
		p[i] = pattern(i, seed);
}

static bool is_filled(const unsigned char *p, size_t size, size_t seed)
{
	size_t i = 0;

	while (i < size && p[i] == pattern(i, seed))
		i++;
	return i == size;
}

static bool is_zero(const unsigned char *p, size_t size)
{
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

/* ---- what is refused ---- */

/* NULL and this errno; 0: it was left alone. */
#define refused(call, error)                                                           \
	do {                                                                           \
		errno = 0;                                                             \
		void *volatile got = (call);                                           \
		int said = errno;                                                      \
		ok(got == NULL && said == (error), "%s: NULL, errno %d", #call, said); \
		free(got);                                                             \
	} while (0)

static void check_refused_sizes(void)
{
	refused(malloc(too_large), ENOMEM);
	refused(malloc(largest), ENOMEM);
	refused(malloc(largest - 4096), ENOMEM);
	refused(malloc(too_large - 1), ENOMEM);
	if (sizeof(size_t) == 8) /* a quarter of 4 GiB can be had */
		refused(malloc((too_large - 1) / 2), ENOMEM);
	refused(calloc(largest, 2), ENOMEM);
	refused(calloc(2, largest), ENOMEM);
	refused(calloc(too_large / 8, too_large / 8), ENOMEM);
	refused(calloc(too_large, 1), ENOMEM);
	refused(realloc(NULL, too_large), ENOMEM);
	refused(aligned_alloc(64, too_large), ENOMEM);
	refused(aligned_alloc(4096, largest), ENOMEM);
	refused(memalign(32, too_large), ENOMEM);
	refused(memalign(MIB, largest - MIB), ENOMEM);
	refused(valloc(too_large), ENOMEM);
	refused(valloc(largest), ENOMEM);
	refused(pvalloc(too_large), ENOMEM);
	refused(pvalloc(largest), ENOMEM);
}

static void check_refused_alignments(void)
{
	refused(memalign(too_large, 64), ENOMEM);
	refused(memalign(too_large + 1, 64), EINVAL);
	refused(memalign(largest, 64), EINVAL);
}

static void check_posix_memalign(void)
{
	static const size_t bad[] = {0, 1, 2, 3, 4, 7, 9, 12, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX / 2};
	void *p = &p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int error = bad[i] % sizeof(void *) == 0 && bad[i] != 0 && (bad[i] & (bad[i] - 1)) == 0 ? 0 : EINVAL;

		if (error == 0) /* 4, where pointers have 4 bytes */
			continue;
		errno = 77;
		ok(posix_memalign(&p, bad[i], 64) == EINVAL && p == &p && errno == 77,
		   "posix_memalign(.., %zu, 64) is EINVAL and leaves pointer and errno alone", bad[i]);
	}
	ok(posix_memalign(&p, 64, too_large) == ENOMEM && p == &p,
	   "posix_memalign, too large: ENOMEM, pointer left alone");
	ok(posix_memalign(&p, 4096, largest) == ENOMEM && p == &p, "posix_memalign, SIZE_MAX: the same");
	ok(posix_memalign(&p, 64, 0) == 0 && p != &p && p != NULL, "posix_memalign of nothing gives a block");
	free(p);
}

static void check_realloc_refused(void)
{
	for (size_t i = 0; i < size_count; i++) {
		unsigned char *p = malloc(sizes[i]);

		need(p != NULL);
		fill(p, sizes[i], i);
		errno = 0;
		hold(realloc(p, too_large) == NULL);
		hold(errno == ENOMEM);
		errno = 0;
		hold(realloc(p, largest) == NULL);
		hold(errno == ENOMEM);
		hold(is_filled(p, sizes[i], i));
		free(p);
	}
	ok(failures() == 0, "realloc that is refused leaves the block as it was");
}

/* ---- nothing ---- */

static void check_nothing(void)
{
	void *a = malloc(nothing), *b = malloc(nothing), *c = calloc(nothing, 8), *d = calloc(8, nothing);

	ok(a && b && c && d, "malloc and calloc of nothing give blocks");
	ok(a != b && a != c && a != d && b != c && b != d && c != d, "of different addresses");
	free(a);
	free(b);
	free(c);
	free(d);
	a = realloc(NULL, 100);
	ok(a != NULL, "realloc(NULL, 100) is malloc");
	errno = 77;
	b = realloc(a, nothing);
	ok(b == NULL && errno == 77, "realloc(p, 0) is free");
	a = realloc(NULL, nothing);
	ok(a != NULL, "realloc(NULL, 0) is malloc(0)");
	free(a);
	a = pvalloc(nothing);
	ok(a != NULL, "pvalloc(0) gives a block");
	free(a);
	errno = 77;
	free(NULL);
	ok(errno == 77, "free(NULL)");
	is(malloc_usable_size(NULL), 0);
}

/* ---- errno ---- */

static void check_errno(void)
{
	for (size_t i = 0; i < size_count; i++) {
		void *many[40];

		for (int n = 0; n < 40; n++)
			many[n] = malloc(sizes[i]);
		for (int n = 0; n < 40; n++) {
			errno = 4711 + n;
			free(many[n]);
			hold(errno == 4711 + n);
		}
		errno = 4711;
		many[0] = malloc(sizes[i]);
		many[1] = calloc(1, sizes[i]);
		many[0] = realloc(many[0], sizes[i] * 2);
		hold(many[0] && many[1] && errno == 4711);
		free(many[0]);
		free(many[1]);
	}
	ok(failures() == 0, "free keeps errno, and so does every success");
}

/* ---- every size ---- */

enum { ring_size = 64, edge = 40 };

struct held {
	unsigned char *at;
	size_t size; /* usable */
	size_t seed;
};

static bool is_intact(const struct held *h)
{
	size_t part = h->size < edge ? h->size : edge;

	return is_filled(h->at, part, h->seed) && is_filled(h->at + h->size - part, part, h->seed + 1);
}

static struct held hold_block(void *p, size_t asked, size_t seed)
{
	struct held h = {p, malloc_usable_size(p), seed};
	size_t part = h.size < edge ? h.size : edge;

	need(p != NULL);
	hold(h.size >= asked);
	hold((uintptr_t)p % 16 == 0);
	fill(h.at, part, seed);
	if (h.size >= 2 * edge)
		fill(h.at + h.size - part, part, seed + 1);
	else if (h.size > part)
		h.size = part; /* too small for two edges: one is enough */
	return h;
}

static bool has_two_edges(const struct held *h)
{
	return h->size >= 2 * edge;
}

static void release_block(struct held *h)
{
	if (h->at == NULL)
		return;
	hold(has_two_edges(h) ? is_intact(h) : is_filled(h->at, h->size, h->seed));
	free(h->at);
	h->at = NULL;
}

/* The newest 64 blocks live; each keeps its first and its last usable bytes. */
static void check_every_size(const char *name, void *(*make)(size_t))
{
	struct held ring[ring_size] = {{NULL, 0, 0}};

	for (size_t size = 0; size <= 70000; size++) {
		struct held *h = &ring[size % ring_size];

		release_block(h);
		*h = hold_block(make(size), size, size);
	}
	for (int i = 0; i < ring_size; i++)
		release_block(&ring[i]);
	ok(failures() == 0, "%s of 0 .. 70000 bytes: aligned, apart, writable to the last usable byte", name);
}

static void *plain(size_t size)
{
	return malloc(size);
}

static void *zeroed(size_t size)
{
	unsigned char *p = calloc(1, size);
	size_t ends = size < 64 ? size : 64;

	hold(p != NULL && is_zero(p, ends) && is_zero(p + size - ends, ends));
	return p;
}

static void *resized(size_t size)
{
	void *p = malloc(size / 3 + 1);

	return realloc(p, size + (size == 0));
}

/* ---- alignments ---- */

static void check_one_alignment(size_t align, size_t size)
{
	unsigned char *a = aligned_alloc(align, size), *b = memalign(align, size), *c = NULL;

	hold(posix_memalign((void **)&c, align, size) == 0);
	need(a && b && c);
	hold(((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) % align == 0);
	hold(malloc_usable_size(a) >= size && malloc_usable_size(b) >= size && malloc_usable_size(c) >= size);
	if (malloc_usable_size(a) > 0) {
		a[0] = b[0] = c[0] = 1;
		a[malloc_usable_size(a) - 1] = 2;
		b[malloc_usable_size(b) - 1] = 2;
		c[malloc_usable_size(c) - 1] = 2;
	}
	free(a);
	free(c);
	b = realloc(b, size + 1000);
	hold(b != NULL && (size < 2 || b[0] == 1));
	free(b);
}

static void check_alignments(void)
{
	for (size_t align = 16; align <= 16 * MIB; align *= 2) {
		const size_t those[] = {0,   1,    24,    align - 1, align, align + 1, align * 3 / 2,
					100, 5000, 70000, 3 * MIB};

		for (size_t i = 0; i < sizeof(those) / sizeof(*those); i++)
			check_one_alignment(align, those[i]);
	}
	ok(failures() == 0, "alignments from 16 to 16 MiB");
}

static void check_odd_alignments(void)
{
	for (size_t align = 0; align <= 100; align++) {
		size_t rounded = 16;
		void *p = memalign(align, 40);

		while (rounded < align)
			rounded *= 2;
		hold(p != NULL && (uintptr_t)p % rounded == 0);
		free(p);
	}
	ok(failures() == 0, "memalign rounds an alignment up to a power of two");
}

static void check_pages(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *a = valloc(1), *b = pvalloc(1), *c = pvalloc(page + 1);

	ok(a && (uintptr_t)a % page == 0, "valloc is aligned to a page");
	ok(b && (uintptr_t)b % page == 0 && malloc_usable_size(b) >= page, "pvalloc gives a whole page");
	ok(c && malloc_usable_size(c) >= 2 * page, "or two");
	free(a);
	free(b);
	free(c);
}

/* ---- realloc ---- */

static void check_realloc_pair(size_t from, size_t to)
{
	unsigned char *p = malloc(from), *neighbour = malloc(from);
	size_t kept = from < to ? from : to;

	need(p && neighbour);
	fill(p, from, to);
	fill(neighbour, from < 64 ? from : 64, 1);
	p = realloc(p, to);
	need(p != NULL);
	hold(malloc_usable_size(p) >= to);
	hold(is_filled(p, kept, to));
	p[to - 1] = 1;
	p[malloc_usable_size(p) - 1] = 2;
	hold(is_filled(neighbour, from < 64 ? from : 64, 1));
	free(p);
	free(neighbour);
}

static void check_realloc_pairs(void)
{
	for (size_t i = 0; i < size_count; i++)
		for (size_t j = 0; j < size_count; j++)
			check_realloc_pair(sizes[i], sizes[j]);
	ok(failures() == 0, "realloc from each kind of size to each keeps the contents");
}

/* A vector grows by an eighth at a time, with other blocks coming between, and shrinks again. */
static void check_realloc_chain(void)
{
	unsigned char *p = NULL, *between = NULL;
	size_t size = 0, most = 24 * MIB;

	while (size < most) {
		size_t next = size + size / 8 + 1;

		p = realloc(p, next);
		need(p != NULL);
		hold(size == 0 || p[size - 1] == pattern(size - 1, 0));
		for (size_t i = size; i < next; i++)
			p[i] = pattern(i, 0);
		size = next;
		free(between);
		between = malloc(size / 2 + 1);
	}
	ok(is_filled(p, size, 0), "a vector that grew to 24 MiB is whole");
	for (; size > 1; size = size / 3 + 1 < size ? size / 3 + 1 : 1) {
		p = realloc(p, size);
		need(p != NULL);
		hold(is_filled(p, size < 100000 ? size : 100000, 0));
	}
	free(p);
	free(between);
	ok(failures() == 0, "and as it shrank");
}

/* ---- calloc ---- */

enum { many_most = 24 };

static int many_of(size_t size)
{
	return size < MIB ? many_most : 3;
}

static void dirty(size_t size)
{
	void *many[many_most];

	for (int i = 0; i < many_of(size); i++) {
		many[i] = malloc(size);
		need(many[i] != NULL);
		memset(many[i], 0xee, malloc_usable_size(many[i]));
	}
	for (int i = 0; i < many_of(size); i++)
		free(many[i]);
}

static void check_zero_again(size_t size)
{
	void *many[many_most];

	for (int i = 0; i < many_of(size); i++) {
		many[i] = i % 2 ? calloc(size, 1) : calloc((size + 2) / 3, 3);
		need(many[i] != NULL);
		hold(is_zero(many[i], size));
	}
	for (int i = 0; i < many_of(size); i++)
		free(many[i]);
}

static void check_calloc(void)
{
	for (size_t i = 0; i < size_count; i++) {
		dirty(sizes[i]);
		check_zero_again(sizes[i]);
		check_zero_again(sizes[size_count - 1 - i] / 2 + 1);
	}
	ok(failures() == 0, "calloc is zero where memory was used before");
}

/* Spans that grew in place, were cut, moved: what is zero must be known to the byte. */
static void check_calloc_after_realloc(void)
{
	for (size_t i = 0; i < size_count; i++) {
		size_t size = sizes[i];
		unsigned char *p = calloc(1, size), *q;

		p = realloc(p, size * 2);
		need(p != NULL);
		memset(p, 0xee, size * 2);
		p = realloc(p, size / 2 + 1);
		q = calloc(1, size);
		hold(q != NULL && is_zero(q, size));
		free(p);
		p = calloc(2, size);
		hold(p != NULL && is_zero(p, 2 * size));
		free(q);
		free(p);
	}
	ok(failures() == 0, "and after realloc");
}

/* ---- what others call free ---- */

static bool has_other_frees(void)
{
#ifdef HAK_NO_LIBC_NAMES
	return true;
#else
	return cfree != NULL && free_sized != NULL && free_aligned_sized != NULL;
#endif
}

static void check_other_frees(void)
{
	if (!has_other_frees()) {
		skip("no cfree, free_sized, free_aligned_sized here");
		return;
	}
	for (size_t i = 0; i < size_count; i++) {
		cfree(malloc(sizes[i]));
		free_sized(malloc(sizes[i]), sizes[i]);
		free_sized(calloc(1, sizes[i]), sizes[i]);
		free_sized(realloc(malloc(10), sizes[i]), sizes[i]);
		for (size_t align = 16; align <= 4 * MIB; align *= 4)
			free_aligned_sized(aligned_alloc(align, sizes[i]), align, sizes[i]);
	}
	errno = 77;
	cfree(NULL);
	free_sized(NULL, 10);
	free_aligned_sized(NULL, 64, 10);
	ok(errno == 77, "cfree, free_sized and free_aligned_sized of all sizes, and of NULL");
}

/* A thread's first blocks may be larger than others of their size are later: they stay where they are, and go, all the same. */
static void *first_blocks(void *with)
{
	for (size_t size = 1; size <= 4096; size++) {
		char *p = malloc(size);

		hold(realloc(p, size) == p);
		if (has_other_frees())
			free_sized(p, size);
		else
			free(p);
	}
	return with;
}

static void check_first_blocks(void)
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, first_blocks, NULL) == 0);
	pthread_join(thread, NULL);
	ok(failures() == 0, "a thread's first blocks do not move when their size stays");
}

/* ---- what fails costs nothing ---- */

/* Programs ask for absurd sizes to see what happens. */
static void check_absurd(void)
{
	size_t before = resident();

	if (sizeof(size_t) < 8)
		return;
	for (unsigned bits = 40; bits < 63; bits++) {
		void *p = malloc((size_t)1 << bits);

		if (p != NULL)
			*(volatile char *)p = 1;
		free(p);
	}
	ok(failures() == 0, "absurd sizes");
	resident_within(before, 4);
}

int main(void)
{
	check_nothing();
	check_refused_sizes();
	check_refused_alignments();
	check_posix_memalign();
	check_realloc_refused();
	check_errno();
	check_every_size("malloc", plain);
	check_every_size("calloc", zeroed);
	check_every_size("realloc", resized);
	check_alignments();
	check_odd_alignments();
	check_pages();
	check_realloc_pairs();
	check_realloc_chain();
	check_calloc();
	check_calloc_after_realloc();
	check_other_frees();
	check_first_blocks();
	check_absurd();
	return done();
}
