/* SPDX-License-Identifier: MIT */
/* The room large: blocks above 2 MiB, their cache, growth by moving pages, and a kernel that refuses.  Links: rooms. */
#include "large.h"

#include "batch.h"
#include "os.h"
#include "registry.h"
#include "tap.h"
#include "tunables.h"

#define MIB ((size_t)1 << 20)

static unsigned char *take(size_t size, size_t align, bool *zero)
{
	unsigned char *p = hak_large_alloc(size, align, zero);

	if (hold(p != NULL))
		hold((uintptr_t)p % (align > HAK_SS_SIZE ? align : HAK_SS_SIZE) == 0);
	return p;
}

static struct hak_slot *slot_of(const void *p)
{
	return hak_registry_slot(hak_registry_number(p) / HAK_SS_SLABS);
}

static void fill(unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		p[i] = (unsigned char)(i >> 12);
	p[size - 1] = 99;
}

static bool is_filled(const unsigned char *p, size_t size)
{
	size_t i = 0;

	while (i < size && p[i] == (unsigned char)(i >> 12))
		i += 4096;
	return i >= size;
}

static bool is_zero(const unsigned char *p, size_t size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

static void set(unsigned id, size_t value)
{
	need(hak_tunables_set_value(id, value) == 0);
}

static void empty_cache(void)
{
	hak_large_trim(hak_os_now(), 0);
	is(hak_large_cached(), 0);
}

/* G1 */
static void check_block(unsigned char *p, size_t size)
{
	size_t bytes = (size + 4095) / 4096 * 4096, slots = (bytes + HAK_SS_SIZE - 1) / HAK_SS_SIZE;

	hold(hak_large_size(p) >= bytes && slot_of(p)->state == HAK_SLOT_LARGE);
	hold(hak_registry_tag(hak_registry_number(p)) == HAK_TAG_LARGE);
	hold(hak_registry_tag(hak_registry_number(p) + 1) == 0);
	for (size_t i = 1; i < slots; i++)
		hold(slot_of(p + i * HAK_SS_SIZE)->state == HAK_SLOT_LARGE_INNER);
	p[0] = p[hak_large_size(p) - 1] = 1;
}

static void check_sizes(void)
{
	set(HAK_TUNABLE_ID_big_cache, 0);
	for (size_t size = 2 * MIB + 1; size < 200 * MIB; size = size * 3 / 2 + 12345) {
		bool zero = false;
		unsigned char *p = take(size, 1, &zero);

		hold(zero);
		check_block(p, size);
		hold(hak_large_blocks() == 1 && hak_large_used() == hak_large_size(p));
		hak_large_free(p);
		hold(slot_of(p)->state == HAK_SLOT_FREE);
		hold(hak_large_blocks() == 0 && hak_large_used() == 0);
	}
	ok(failures() == 0, "blocks to 200 MiB");
}

static void check_alignments(void)
{
	for (size_t align = 4 * MIB; align <= 256 * MIB; align *= 2)
		for (size_t size = 1; size <= 40 * MIB; size = size * 9 + 5 * MIB) {
			bool zero;
			unsigned char *odd = take(3 * MIB, 1, &zero), *p = take(size, align, &zero);

			check_block(p, size);
			fill(p, size);
			hak_large_free(p);
			hak_large_free(odd);
		}
	ok(failures() == 0, "alignments to 256 MiB");
	is(hak_large_blocks(), 0);
}

static void check_cache(void)
{
	bool zero = true;
	unsigned char *p, *q;

	set(HAK_TUNABLE_ID_big_cache, 64 * MIB);
	set(HAK_TUNABLE_ID_dirty_min, 64 * MIB);
	p = take(8 * MIB, 1, &zero);
	memset(p, 1, 8 * MIB);
	hak_large_free(p);
	is(hak_large_cached(), 8 * MIB);
	is(hak_registry_tag(hak_registry_number(p)), 0);
	q = take(7 * MIB, 1, &zero);
	ok(q == p && !zero, "a freed block is used again, and not known to be zero");
	ok(hak_large_size(q) == 8 * MIB && hak_large_cached() == 0, "as large as it was");
	hak_large_free(q);
	q = take(4 * MIB, 1, &zero);
	ok(q != p && zero, "not for a much smaller one");
	hak_large_free(q);
	q = take(9 * MIB, 1, &zero);
	ok(q != p, "nor for a larger one");
	hak_large_free(q);
	is(hak_large_cached(), 21 * MIB);
	hold(hak_large_trim(hak_os_now(), 1000000) == 0);
	is(hak_large_trim(hak_os_now(), 0), 21 * MIB);
	is(slot_of(p)->state, HAK_SLOT_FREE);
}

/* It holds no more than it may, and gives up the oldest. */
static void check_limit(void)
{
	unsigned char *many[30];
	bool zero;

	set(HAK_TUNABLE_ID_big_cache, 10 * MIB);
	for (int i = 0; i < 30; i++)
		many[i] = take(3 * MIB, 1, &zero);
	for (int i = 0; i < 30; i++) {
		hak_large_free(many[i]);
		hold(hak_large_cached() <= 10 * MIB);
	}
	is(hak_large_cached(), 9 * MIB);
	many[0] = take(11 * MIB, 1, &zero);
	hak_large_free(many[0]);
	is(hak_large_cached(), 9 * MIB);
	set(HAK_TUNABLE_ID_big_cache, 1000 * MIB);
	set(HAK_TUNABLE_ID_dirty_min, 1000 * MIB);
	for (int i = 0; i < 30; i++)
		many[i] = take(4 * MIB, 1, &zero);
	for (int i = 0; i < 30; i++)
		hak_large_free(many[i]);
	ok(hak_large_cached() <= 16 * 4 * MIB, "no more than its places");
	empty_cache();
}

static void check_resize(void)
{
	bool zero;
	unsigned char *p = take(5 * MIB, 1, &zero), *q, *wall;

	fill(p, 5 * MIB);
	q = hak_large_resize(p, 9 * MIB);
	ok(q == p && hak_large_size(p) == 9 * MIB, "grows in place where there is room");
	ok(is_filled(p, 5 * MIB - 4096) && is_zero(p + 5 * MIB, 4 * MIB), "its bytes, and zeros behind them");
	check_block(p, 9 * MIB);
	fill(p, 9 * MIB);
	wall = take(3 * MIB, 1, &zero);
	q = hak_large_resize(p, 40 * MIB);
	ok(q != NULL && q != p && is_filled(q, 9 * MIB - 4096), "else moves its pages");
	check_block(q, 40 * MIB);
	is(hak_large_used(), 43 * MIB);
	fill(q, 40 * MIB);
	p = hak_large_resize(q, 3 * MIB);
	ok(p == q && hak_large_size(p) == 3 * MIB && is_filled(p, 3 * MIB - 4096), "shrinks in place");
	is(hak_large_used(), 6 * MIB);
	is(slot_of(p + 4 * MIB)->state, HAK_SLOT_FREE);
	ok(hak_large_resize(p, 3 * MIB - 1) == p, "to a size of as many pages nothing changes");
	hak_large_free(p);
	hak_large_free(wall);
	is(hak_large_blocks(), 0);
	is(hak_large_used(), 0);
	empty_cache();
}

/* ---- a kernel that refuses ---- */

static void fail(unsigned after, unsigned count)
{
	hak_os_fail_after = after;
	hak_os_fail_count = count;
}

static void check_refusals(void)
{
	bool zero;
	unsigned char *p, *q;

	empty_cache();
	fail(1, 100);
	ok(hak_large_alloc(3 * MIB, 1, &zero) == NULL, "no memory");
	ok(hak_large_alloc(3 * MIB, 16 * MIB, &zero) == NULL, "no aligned memory");
	fail(0, 0);
	is(hak_large_blocks(), 0);
	p = take(5 * MIB, 1, &zero);
	fill(p, 5 * MIB);
	q = take(5 * MIB, 1, &zero);
	fail(1, 100);
	ok(hak_large_resize(p, 30 * MIB) == NULL, "no growth");
	ok(hak_large_resize(p, 3 * MIB) == NULL, "no shrinking");
	fail(0, 0);
	ok(hak_large_size(p) == 5 * MIB && is_filled(p, 5 * MIB - 4096), "the block is as it was");
	check_block(p, 5 * MIB);
	for (unsigned call = 1; call <= 4; call++) {
		unsigned char *moved;

		fill(p, 5 * MIB);
		fail(call, 1);
		moved = hak_large_resize(p, 30 * MIB);
		fail(0, 0);
		if (moved)
			p = moved;
		hold(hak_large_size(p) == (moved ? 30 * MIB : 5 * MIB) && is_filled(p, 5 * MIB - 4096));
		hold(!moved || hak_large_resize(p, 5 * MIB) == p);
	}
	ok(failures() == 0, "each call of a move can fail");
	set(HAK_TUNABLE_ID_big_cache, 0);
	fail(1, 1); /* the kernel has no room for another hole */
	hak_large_free(p);
	fail(0, 0);
	hak_large_free(q);
	is(hak_large_blocks(), 0);
	ok(is_zero(p, 5 * MIB), "what cannot be unmapped is purged");
	q = take(5 * MIB, 1, &zero);
	ok(q != p, "and not used again");
	hak_large_free(q);
}

static void check_absurd(void)
{
	bool zero;

	ok(hak_large_alloc(SIZE_MAX, 1, &zero) == NULL, "SIZE_MAX");
	ok(hak_large_alloc(SIZE_MAX - 4096, 1, &zero) == NULL, "SIZE_MAX - 4096");
	ok(hak_large_alloc(PTRDIFF_MAX, 1, &zero) == NULL, "PTRDIFF_MAX");
	ok(hak_large_alloc(1, (size_t)1 << 62, &zero) == NULL, "an alignment of 2^62");
	is(hak_large_blocks(), 0);
}

int main(void)
{
	need(hak_registry_start());
	if (hak_registry.follow)
		skip_all("the kernel chooses the addresses here");
	check_sizes();
	check_alignments();
	check_cache();
	check_limit();
	check_resize();
	check_refusals();
	check_absurd();
	return done();
}
