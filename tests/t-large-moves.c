/* SPDX-License-Identifier: MIT */
/* The room large: pages that do not move, because mremap fails in one of its ways, or the place is not ours.  Links: rooms. */
#include "large.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fails.h"
#include "os.h"
#include "registry.h"
#include "tap.h"
#include "tunables.h"
#include "window.h"

#define MIB ((size_t)1 << 20)

static bool is_taken_away; /* by the next mremap */

/* The library's mremap.  When it fails, older kernels have unmapped the new place, and emulators believe that it is mapped still:
 * they give it to nobody until it is unmapped once more.  As would a mapping that cannot be read. */
void *mremap(void *at, size_t old_size, size_t size, int flags, ...)
{
	va_list rest;
	void *to;

	va_start(rest, flags);
	to = va_arg(rest, void *);
	va_end(rest);
	if (!is_taken_away)
		return (void *)syscall(SYS_mremap, at, old_size, size, flags, to);
	is_taken_away = false;
	need(mmap(to, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == to);
	errno = EFAULT;
	return MAP_FAILED;
}

static unsigned char *take(size_t size)
{
	bool zero = true;
	unsigned char *p = hak_large_alloc(size, 1, &zero);

	need(p != NULL);
	return p;
}

static void fill(unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		p[i] = (unsigned char)(i >> 12);
}

static bool is_filled(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		if (p[i] != (unsigned char)(i >> 12))
			return false;
	return true;
}

static bool is_there(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		if (hak_os_look(p + i) != HAK_OS_OK)
			return false;
	return true;
}

static void check_kept_pages(void)
{
	unsigned char *holder, *p;

	need(hak_tunables_set_value(HAK_TUNABLE_ID_big_cache, 64 * MIB) == 0);
	need(hak_tunables_set_value(HAK_TUNABLE_ID_elo_threshold, PTRDIFF_MAX) == 0);
	holder = take(100 * MIB);
	hak_large_free(take(4 * MIB));
	is(hak_large_cached(), 4 * MIB);
	is_taken_away = true;
	p = take(10 * MIB);
	ok(!is_taken_away && is_there(p, 10 * MIB), "a block that kept pages did not move to is whole");
	hak_large_free(p);
	hak_large_free(holder);
	hak_large_trim(hak_os_now(), 0);
	is(hak_large_blocks(), 0);
}

static void check_growth(void)
{
	unsigned char *p = take(5 * MIB), *wall = take(3 * MIB), *q;

	fill(p, 5 * MIB);
	is_taken_away = true;
	q = hak_large_resize(p, 30 * MIB);
	ok(!is_taken_away && q && is_there(q, 30 * MIB) && is_filled(q, 5 * MIB), "one that was to grow moves at the second try");
	hak_large_free(q ? q : p);
	hak_large_free(wall);
	is(hak_large_blocks(), 0);
}

/* At its limit of mappings the kernel does not say that a place is taken, but that there is no memory. */
static void check_place_of_another(void)
{
	unsigned char *p = take(5 * MIB), *wall = take(3 * MIB), *to = take(30 * MIB), *q;
	size_t slot = hak_registry_number(to) / HAK_SS_SLABS;

	fill(p, 5 * MIB);
	hak_large_free(to);
	hak_large_trim(hak_os_now(), 0);
	need(hak_os_map_at(to, MIB) == HAK_OS_OK);
	to[0] = 99;
	for (unsigned count = 2; count <= 3; count++) { /* not mapped, not moved, and not mapped again */
		fail(HAK_FAULT_MAP | HAK_FAULT_MOVE, ENOMEM, 1, count);
		q = hak_large_resize(p, 30 * MIB);
		fail_none();
		ok(q == NULL && is_there(p, 5 * MIB) && is_filled(p, 5 * MIB), "%u calls fail: the block stays", count);
		ok(is_there(to, MIB) && to[0] == 99, "and what is another's where it was to go");
		is(hak_registry_slot(slot)->state, HAK_SLOT_FREE);
	}
	q = hak_large_resize(p, 30 * MIB);
	ok(q && q != p && q != to && is_filled(q, 5 * MIB) && to[0] == 99, "it moves elsewhere");
	hak_large_free(q ? q : p);
	hak_large_free(wall);
	is(hak_large_blocks(), 0);
}

int main(void)
{
	start_window();
	check_kept_pages();
	check_growth();
	check_place_of_another();
	return done();
}
