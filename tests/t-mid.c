/* SPDX-License-Identifier: MIT */
/* The room mid: spans of every size, alignment, growth in place up to a SuperSlab's end, and what is zero.  Links: rooms. */
#include "mid.h"

#include "batch.h"
#include "os.h"
#include "policy.h"
#include "slab.h"
#include "stats.h"
#include "superslab.h"
#include "tap.h"
#include "tunables.h"
#include "window.h"

#define KIB ((size_t)1 << 10)

static char *take(size_t size, size_t align)
{
	bool zero;
	char *p;

	while (!(p = hak_mid_alloc(0, size, align, &zero)))
		need(hak_superslab_grow(0, true));
	return p;
}

static bool is_zero(const char *p, size_t size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

static uint32_t tag(const char *p)
{
	return hak_registry_tag(hak_registry_number(p));
}

/* M1 */
static void check_span(char *p, size_t size)
{
	size_t slabs = (size + HAK_SLAB_SIZE - 1) / HAK_SLAB_SIZE;

	hold(hak_mid_size(p) == slabs * HAK_SLAB_SIZE);
	hold((uintptr_t)p % HAK_SLAB_SIZE == 0);
	hold(tag(p) == HAK_TAG_MID);
	for (size_t i = 1; i < slabs; i++)
		hold(tag(p + i * HAK_SLAB_SIZE) == HAK_TAG_INNER &&
		     hak_slab_head(hak_registry_number(p) + i) == hak_slab_head(hak_registry_number(p)));
	p[0] = p[hak_mid_size(p) - 1] = 1;
}

static void check_sizes(void)
{
	for (size_t size = 64 * KIB + 1; size <= HAK_MID_MAX; size += 31 * KIB) {
		char *a = take(size, 1), *b = take(HAK_MID_MAX - size + 1, 1);

		check_span(a, size);
		check_span(b, HAK_MID_MAX - size + 1);
		hak_mid_free(a);
		hold(tag(a) == 0 && tag(a + size - 1) == 0);
		hak_mid_free(b);
	}
	ok(failures() == 0, "spans of 64 KiB to 2 MiB");
	is(hak_pool_counts().used, 0);
}

static void check_alignments(void)
{
	for (size_t align = 64 * KIB; align <= HAK_MID_MAX; align *= 2)
		for (size_t size = 1; size <= HAK_MID_MAX; size = size * 3 + 1000) {
			char *odd = take(64 * KIB + 1, 1), *p = take(size, align);

			hold((uintptr_t)p % align == 0);
			check_span(p, size);
			hak_mid_free(p);
			hak_mid_free(odd);
		}
	ok(failures() == 0, "alignments to 2 MiB");
	is(hak_pool_counts().used, 0);
}

static void check_resize(void)
{
	char *p = take(128 * KIB, 1), *next;

	p[0] = 7;
	p[128 * KIB - 1] = 8;
	ok(hak_mid_resize(p, 500 * KIB), "grows in place where there is room");
	check_span(p, 500 * KIB);
	ok(p[128 * KIB - 1] == 8, "and keeps its bytes");
	next = take(100 * KIB, 1);
	ok(next == p + 512 * KIB && !hak_mid_resize(p, 513 * KIB), "not into its neighbour");
	is(hak_mid_size(p), 512 * KIB);
	ok(hak_mid_resize(p, 70 * KIB), "shrinks");
	is(hak_mid_size(p), 128 * KIB);
	is(tag(p + 128 * KIB), 0);
	ok(hak_mid_resize(p, 512 * KIB), "and grows again");
	ok(hak_mid_resize(p, 512 * KIB - 1), "a size of as many slabs changes nothing");
	hak_mid_free(p);
	hak_mid_free(next);
	is(hak_pool_counts().used, 0);
}

/* Behind the last slab of a SuperSlab the next one begins: it is nobody's room to grow. */
static void check_border(void)
{
	char *all[3], *last;

	for (int i = 0; i < 3; i++)
		all[i] = take(HAK_MID_MAX, 1);
	hold(all[1] == all[0] + HAK_SS_SIZE && all[2] == all[1] + HAK_SS_SIZE);
	for (int i = 0; i < 3; i++)
		hak_mid_free(all[i]);
	last = take(HAK_MID_MAX - 128 * KIB, 1);
	hold(hak_mid_resize(last, HAK_MID_MAX));
	hold(hak_mid_resize(last, 64 * KIB + 1));
	hak_mid_free(last);
	hold(take(HAK_MID_MAX - 128 * KIB, 1) == all[0]);
	last = take(128 * KIB, 128 * KIB);
	ok(last == all[1] - 128 * KIB, "a span at the end of a SuperSlab");
	ok(!hak_mid_resize(last, 192 * KIB), "does not grow into the next SuperSlab");
	check_span(last, 128 * KIB);
	is(hak_pool_counts().used, 32);
	hak_mid_free(last);
	hak_mid_free(all[0]);
	is(hak_pool_counts().used, 0);
}

static void check_zero(void)
{
	bool zero = true;
	char *p = take(300 * KIB, 1), *q;

	memset(p, 1, 300 * KIB);
	hak_mid_free(p);
	q = hak_mid_alloc(0, 300 * KIB, 1, &zero);
	ok(q == p && !zero, "used memory is not known to be zero");
	hak_mid_free(q);
	hak_batch_purge_all();
	q = hak_mid_alloc(0, 300 * KIB, 1, &zero);
	ok(q == p && zero && is_zero(q, 300 * KIB), "purged memory is, and it is true");
	hak_mid_free(q);
	q = hak_mid_alloc(0, 70 * KIB, 1, &zero);
	hak_batch_purge_all();
	p = hak_mid_alloc(0, 400 * KIB, 1, &zero);
	ok(zero && is_zero(p, 400 * KIB), "so is what was never used, beside a span in use");
	hak_mid_free(q);
	hak_mid_free(p);
	p = hak_mid_alloc(0, 200 * KIB, 1, &zero);
	ok(!zero, "one dirty slab is enough");
	hak_mid_free(p);
}

static size_t given_back(void) { return (size_t)hak_load(&hak_process_counts.inside_bytes, relaxed); }

static void take_all(char **all, size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++)
		memset(all[i] = take(size, 1), 1, size);
}

static void free_all(char **all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hak_mid_free(all[i]);
}

/* M2 */
static void check_tails(void)
{
	char *all[64];
	size_t n = HAK_COUNT_OF(all), tail = 128 * KIB - hak_align_up(65 * KIB, hak_registry.page), before;

	need(hak_tunables_set_value(HAK_TUNABLE_ID_dirty_min, 1024 * KIB * KIB) == 0);
	take_all(all, n, 128 * KIB);
	before = given_back();
	free_all(all, n);
	take_all(all, n, 65 * KIB);
	if (tail == 0)
		ok(given_back() == before, "a page is a slab: nothing lies behind blocks");
	else
		ok(given_back() - before >= n * tail - (1024 + 256 + 64) * KIB && given_back() - before < n * tail,
		   "of what lies behind blocks all but a bound goes back");
	before = given_back();
	free_all(all, n);
	take_all(all, n, 80 * KIB);
	ok(given_back() - before <= (1024 + 256) * KIB, "once");
	for (size_t i = 0; i < n; i++)
		need(hak_mid_resize(all[i], 128 * KIB));
	before = given_back();
	for (size_t i = 0; i < n; i++) {
		memset(all[i], 2, 128 * KIB);
		need(hak_mid_resize(all[i], 65 * KIB));
		hold(all[i][0] == 2 && all[i][65 * KIB - 1] == 2);
	}
	ok(tail == 0 || given_back() - before >= n * tail - (1024 + 256 + 64) * KIB, "what a block grew into and left again too");
	free_all(all, n);
	need(hak_tunables_set_value(HAK_TUNABLE_ID_dirty_min, 4 * KIB * KIB) == 0);
	hak_batch_purge_all();
	is(hak_pool_counts().used, 0);
}

/* ELO: from the threshold on memory goes back at once, and each block is asked for once. */
static void check_threshold(void)
{
	struct hak_run hole;
	size_t proven;
	bool zero;
	char *p = take(1024 * KIB, 1), *q;

	need(hak_tunables_set_value(HAK_TUNABLE_ID_elo_threshold, 1024 * KIB) == 0);
	memset(p, 1, 1024 * KIB);
	hak_mid_free(p);
	is(hak_pool_counts().dirty, 0);
	q = hak_mid_alloc(0, 1024 * KIB, 1, &zero);
	ok(q == p && zero && is_zero(q, 1024 * KIB), "a block of the threshold's size goes straight back");
	hak_mid_free(q);
	p = take(960 * KIB, 1);
	memset(p, 1, 960 * KIB);
	hak_mid_free(p);
	is(hak_pool_counts().dirty, 15);
	need(hak_tunables_set_value(HAK_TUNABLE_ID_elo_threshold, 0) == 0);
	while (hak_pool_take(0, 1, 1, &hole))
		;
	is(hak_pool_counts().used, hak_superslab_count() * 32);
	proven = hak_policy_proven();
	hak_policy_freed(1536 * KIB, hak_os_now());
	for (int i = 0; i < 10; i++)
		hold(hak_mid_alloc(0, 2000 * KIB, 1, &zero) == NULL);
	ok(hak_policy_proven() == proven, "what finds no room is not counted as wanted");
}

int main(void)
{
	start_window();
	check_sizes();
	check_alignments();
	check_resize();
	check_border();
	check_zero();
	check_tails();
	check_threshold();
	return done();
}
