/* class: sizes and classes.  Floor 2.
 *
 * 16, 32 .. 128, then four per doubling to 64 KiB: class 7 is 128, 8 is 160, 43 is 65536. */
#ifndef HAK_CLASS_H
#define HAK_CLASS_H

#include "bits.h"
#include "geometry.h"

struct hak_class {
	uint32_t size;       /* bytes of a block */
	uint32_t reciprocal; /* offset * reciprocal >> 32 = index, exact for offsets of a span */
	uint32_t shape;      /* of hak_class_is_start */
	uint16_t blocks;     /* in a span */
	uint8_t slabs;       /* of a span */
	uint8_t group;       /* C0..C7 for tiny sizes, 8 above */
};

#define HAK_GROUP_COUNT 9u
#define HAK_CLASSES_JOINT 24u /* to 2 KiB */

HAK_VAR const struct hak_class hak_classes[HAK_CLASS_COUNT];

/* 1 <= size <= HAK_CLASS_MAX */
HAK_HOT unsigned hak_class_of(size_t size)
{
	size_t s = size - 1;
	unsigned high;

	if (s < 128)
		return (unsigned)(s >> 4);
	high = hak_highest_bit(s);
	return 8 + (high - 7) * 4 + (unsigned)((s >> (high - 2)) & 3);
}

/* The same of any size, 0 too; HAK_CLASS_COUNT: there is none. */
HAK_HOT unsigned hak_class_or_none(size_t size)
{
	return size <= HAK_CLASS_MAX ? hak_class_of(size ? size : 1) : HAK_CLASS_COUNT;
}

/* The class that serves this one in a heap that is not so young any more: of 2 KiB at most, the power of two, so that less than
 * half is left over, but for the smallest. */
HAK_HOT unsigned hak_class_joint(unsigned class)
{
	return class >= HAK_CLASSES_JOINT ? class : class < 2 ? 1 : class | 3;
}

/* And in a young one: above 128 bytes that of two doublings, 512 or 2048. */
HAK_HOT unsigned hak_class_joint_first(unsigned class)
{
	return class < 8 || class >= HAK_CLASSES_JOINT ? hak_class_joint(class) : class | 7;
}

/* The smallest class whose blocks hold size and are all aligned; HAK_CLASS_COUNT if there is none. */
HAK_FN unsigned hak_class_of_aligned(size_t size, size_t alignment);

/* Does a block begin at p?  The product is below the factor exactly for multiples of the size (Lemire, Kaser and Kurz, "Faster
 * remainder by direct computation", 2019); the factor is a little more than 2^32 / size, so that the multiple behind the last
 * block is none.  Only the last byte of a slab's last block is mistaken for a start.  A span, whose slabs begin anywhere in a
 * block, has the shape 0 unless its size is a power of two: never. */
HAK_HOT bool hak_class_is_start(uint32_t shape, const void *p)
{
	return (uint32_t)((uint16_t)(uintptr_t)p * shape) < shape;
}

/* Index of the block at this offset of its span, or blocks if none starts there. */
HAK_HOT unsigned hak_class_index(const struct hak_class *c, size_t offset)
{
	unsigned i = (unsigned)(((uint64_t)offset * c->reciprocal) >> 32);

	return (size_t)i * c->size == offset && i < c->blocks ? i : c->blocks;
}

#endif
