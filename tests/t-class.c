/* SPDX-License-Identifier: MIT */
/* The room class: every size has the smallest class that holds it, and every offset its block.  Links: rooms. */
#include "class.h"

#include "tap.h"

static void check_table(void)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		const struct hak_class *class = &hak_classes[c];
		size_t span = (size_t) class->slabs * HAK_SLAB_SIZE;

		hold(c == 0 || class->size > hak_classes[c - 1].size);
		hold(class->size % HAK_ALIGN == 0);
		hold(class->slabs >= 1 && class->slabs <= HAK_SPAN_MAX);
		hold(class->blocks == span / class->size && class->blocks <= HAK_BLOCKS_MAX);
		hold(span - (size_t) class->blocks * class->size <= span / 8); /* what is left over */
		/* four per doubling: at most a fifth is wasted on the largest misfit, and 15 bytes on the smallest */
		hold(c == 0 || class->size <= hak_classes[c - 1].size + 16 ||
		     class->size * 4 <= hak_classes[c - 1].size * 5);
	}
	ok(failures() == 0, "%u classes", HAK_CLASS_COUNT);
	is(hak_classes[0].size, 16);
	is(hak_classes[7].size, 128);
	is(hak_classes[8].size, 160);
	is(hak_classes[HAK_CLASS_COUNT - 1].size, HAK_CLASS_MAX);
}

static void check_sizes(void)
{
	for (size_t size = 1; size <= HAK_CLASS_MAX; size++) {
		unsigned c = hak_class_of(size);

		if (!hold(c < HAK_CLASS_COUNT && hak_classes[c].size >= size &&
			  (c == 0 || hak_classes[c - 1].size < size)))
			note("size %zu, class %u", size, c);
	}
	ok(failures() == 0, "each size to 64 KiB has the smallest class that holds it");
}

static void check_groups(void)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		size_t bound = 16;
		unsigned group = 0;

		for (; bound < hak_classes[c].size && group < 8; group++)
			bound *= 2;
		if (hak_classes[c].size > HAK_TINY_MAX)
			group = 8;
		else if (hak_classes[c].size == HAK_TINY_MAX)
			group = 7;
		hold(hak_classes[c].group == group);
	}
	ok(failures() == 0, "groups C0 to C7, and 8 above 1024 bytes");
}

/* The index by reciprocal is exact for every offset of every span. */
static void check_offsets(unsigned c)
{
	const struct hak_class *class = &hak_classes[c];

	for (size_t offset = 0; offset < (size_t) class->slabs * HAK_SLAB_SIZE; offset++) {
		size_t expected = offset / class->size;

		if (offset % class->size != 0 || expected >= class->blocks)
			expected = class->blocks;
		if (hak_class_index(class, offset) != expected) {
			ok(false, "class %u, offset %zu", c, offset);
			return;
		}
	}
}

/* What free asks of every pointer: exact for slabs of one class, but for the last byte of the last block; of a span whose
 * size is no power of two it says no. */
static void check_starts(unsigned c)
{
	const struct hak_class *class = &hak_classes[c];
	bool is_exact = class->slabs == 1 || hak_is_power_of_two(class->size);

	for (uintptr_t offset = 0; offset < HAK_SLAB_SIZE; offset++) {
		size_t block = offset / class->size;
		bool is_start = is_exact && offset % class->size == 0 && (class->slabs > 1 || block < class->blocks);

		if (hak_class_is_start(class->shape, (void *)offset) != is_start &&
		    offset != (uintptr_t)class->blocks * class->size - 1) {
			ok(false, "class %u, offset %zu", c, (size_t)offset);
			return;
		}
	}
}

static void check_aligned(void)
{
	for (size_t align = 1; align <= 4 * HAK_SLAB_SIZE; align *= 2)
		for (size_t size = 0; size <= HAK_CLASS_MAX + 1; size += size < 2048 ? 1 : 509) {
			unsigned c = hak_class_of_aligned(size, align), smallest = 0;

			while (smallest < HAK_CLASS_COUNT &&
			       (hak_classes[smallest].size < size || hak_classes[smallest].size % align != 0))
				smallest++;
			if (!hold(c == smallest))
				note("size %zu, alignment %zu: class %u, not %u", size, align, c, smallest);
		}
	ok(failures() == 0, "the smallest class of an alignment");
	is(hak_class_of_aligned(HAK_CLASS_MAX + 1, 16), HAK_CLASS_COUNT);
	is(hak_class_of_aligned(1, 2 * HAK_SLAB_SIZE), HAK_CLASS_COUNT);
	is(hak_class_of_aligned(SIZE_MAX, 16), HAK_CLASS_COUNT);
}

int main(void)
{
	check_table();
	check_sizes();
	check_groups();
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_offsets(c);
	ok(failures() == 0, "each offset of each span leads to its block, or to none");
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		check_starts(c);
	ok(failures() == 0, "each address of each slab is known to begin a block, or not to");
	check_aligned();
	return done();
}
