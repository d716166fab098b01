/* SPDX-License-Identifier: MIT */
/* The room slab: carving and putting back in every class, what is known of zeros, what a purge leaves.  Links: rooms. */
#include "slab.h"

#include "pool.h"
#include "superslab.h"
#include "tap.h"

static void *places[HAK_BLOCKS_MAX + 1];
static struct hak_run run;
static struct hak_slab *slab;
static const struct hak_class *class;

static void open_span(unsigned c, bool zero)
{
	class = &hak_classes[c];
	while (!hak_pool_take(0, class->slabs, 1, &run))
		need(hak_superslab_grow(0, true));
	hak_slab_open(run.number, c, zero);
	slab = hak_slab_head(run.number);
}

static void close_span(void)
{
	hak_pool_give(run.number / HAK_SS_SLABS, hak_low_mask(run.slabs) << run.number % HAK_SS_SLABS, true);
}

/* S2 */
static void check_slab(void)
{
	unsigned free = 0;

	for (unsigned w = 0; w < (class->blocks + 63u) / 64; w++) {
		free += hak_count_bits(slab->bits[w]);
		hold((slab->summary >> w & 1) == (slab->bits[w] != 0));
	}
	hold(free == slab->free);
}

static char *address(unsigned block)
{
	return hak_registry_address(run.number) + (size_t)block * class->size;
}

/* Batches of growing size; the lowest block comes first, to the highest place. */
static void check_carve(void)
{
	unsigned done = 0;

	hold(slab->free == class->blocks && hak_slab_is_empty(slab));
	for (unsigned n = 1; done < class->blocks; n = n * 2 + 1) {
		unsigned want = n < HAK_BLOCKS_MAX ? n : HAK_BLOCKS_MAX,
			 got = hak_slab_carve(slab, places + want - 1, want);

		hold(got == (want < class->blocks - done ? want : class->blocks - done));
		for (unsigned i = 0; i < got; i++)
			hold(places[want - 1 - i] == address(done + i));
		done += got;
		check_slab();
	}
	hold(slab->free == 0 && slab->summary == 0);
	hold(hak_slab_carve(slab, places + 9, 10) == 0);
}

static void check_put(void)
{
	for (unsigned i = 0; i < class->blocks; i++) {
		unsigned block = (i * 7 + 3) % class->blocks;

		if (class->blocks % 7 == 0)
			block = class->blocks - 1 - i;
		hold(hak_slab_put(slab, address(block)) == HAK_PUT_OK);
		hold(hak_slab_put(slab, address(block)) == HAK_PUT_TWICE);
		hold(slab->free == i + 1);
	}
	hold(hak_slab_is_empty(slab));
	check_slab();
}

/* No offset but those of blocks is taken. */
static void check_interior(void)
{
	size_t span = (size_t) class->slabs * HAK_SLAB_SIZE;

	need(hak_slab_carve(slab, places + class->blocks - 1, class->blocks) == class->blocks);
	for (size_t offset = 0; offset < span; offset++)
		if (offset % class->size != 0 || offset / class->size >= class->blocks)
			hold(hak_slab_put(slab, address(0) + offset) == HAK_PUT_INTERIOR);
	hold(slab->free == 0);
}

/* Each slab of a span leads to its first. */
static void check_heads(void)
{
	for (unsigned i = 0; i < class->slabs; i++)
		hold(hak_slab_head(run.number + i) == slab);
	hold(hak_slab_base(slab) == address(0));
}

static void check_class(unsigned c)
{
	open_span(c, false);
	check_heads();
	check_carve();
	check_put();
	check_carve();
	check_put();
	check_interior();
	close_span();
	ok(failures() == 0, "class %u, %u bytes", c, class->size);
}

/* A block is known to be zero once, where the class is large enough for that to be worth a word. */
static void check_zero(unsigned c)
{
	bool zero = false, is_known, first;
	void *a, *b;

	open_span(c, true);
	is_known = class->blocks <= 64;
	a = hak_slab_carve_one(slab, &first);
	hold(first == is_known);
	hold(hak_slab_put(slab, a) == HAK_PUT_OK);
	hold(hak_slab_carve_one(slab, &zero) == a && !zero);
	b = hak_slab_carve_one(slab, &zero);
	hold(zero == is_known);
	hold(hak_slab_put(slab, a) == HAK_PUT_OK && hak_slab_put(slab, b) == HAK_PUT_OK);
	hold(hak_slab_carve(slab, places + 2, 3) == 3); /* not asked, yet no longer known */
	for (int i = 0; i < 3; i++)
		hold(hak_slab_put(slab, places[i]) == HAK_PUT_OK);
	for (int i = 0; i < 3; i++) {
		hak_slab_carve_one(slab, &zero);
		hold(!zero);
	}
	if (class->blocks > 3) {
		hak_slab_carve_one(slab, &zero);
		hold(zero == is_known);
	}
	close_span();
	open_span(c, false);
	hak_slab_carve_one(slab, &zero);
	hold(!zero);
	close_span();
}

/* Every other stretch of blocks is in use: those keep their bytes, whole free pages lose them. */
static void check_purge(unsigned c)
{
	size_t span, page = hak_registry.page, bytes;
	unsigned stretch;

	open_span(c, false);
	span = (size_t) class->slabs * HAK_SLAB_SIZE;
	stretch = (unsigned)(3 * page / class->size + 1);
	need(hak_slab_carve(slab, places + class->blocks - 1, class->blocks) == class->blocks);
	memset(address(0), 0xee, span);
	for (unsigned i = 0; i < class->blocks; i++)
		if (i / stretch % 2)
			hak_slab_put(slab, address(i));
	bytes = hak_slab_purge(slab);
	hold(bytes % page == 0 && bytes <= slab->free * (size_t) class->size + page);
	hold(class->blocks < 2 * stretch || bytes >= page);
	hold(hak_slab_purge(slab) == 0);
	for (unsigned i = 0; i < class->blocks; i++)
		if (i / stretch % 2 == 0) {
			const char *p = address(i);
			hold(p[0] == (char)0xee && memcmp(p, p + 1, class->size - 1) == 0);
		}
	for (unsigned i = 0; i < class->blocks; i++)
		if (i / stretch % 2 == 0)
			hak_slab_put(slab, address(i));
	hold(hak_slab_purge(slab) == span);
	close_span();
}

int main(void)
{
	need(hak_registry_start());
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_class(c);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_zero(c);
	ok(failures() == 0, "what is known to be zero");
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_purge(c);
	ok(failures() == 0, "free pages inside a span are purged, blocks in use are not");
	return done();
}
