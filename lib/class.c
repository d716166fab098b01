#include "class.h"

/* X(size, slabs, group): above 8 KiB the span is chosen so that little or nothing of it is left over. */
#define HAK_CLASS_TABLE(X)                                                                                  \
	X(16, 1, 0) X(32, 1, 1) X(48, 1, 2) X(64, 1, 2) X(80, 1, 3) X(96, 1, 3) X(112, 1, 3) X(128, 1, 3)   \
	X(160, 1, 4) X(192, 1, 4) X(224, 1, 4) X(256, 1, 4)                                                 \
	X(320, 1, 5) X(384, 1, 5) X(448, 1, 5) X(512, 1, 5)                                                 \
	X(640, 1, 6) X(768, 1, 6) X(896, 1, 6) X(1024, 1, 7)                                                \
	X(1280, 1, 8) X(1536, 1, 8) X(1792, 1, 8) X(2048, 1, 8)                                             \
	X(2560, 1, 8) X(3072, 1, 8) X(3584, 1, 8) X(4096, 1, 8)                                             \
	X(5120, 1, 8) X(6144, 1, 8) X(7168, 1, 8) X(8192, 1, 8)                                             \
	X(10240, 5, 8) X(12288, 3, 8) X(14336, 7, 8) X(16384, 4, 8)                                         \
	X(20480, 5, 8) X(24576, 3, 8) X(28672, 7, 8) X(32768, 4, 8)                                         \
	X(40960, 5, 8) X(49152, 6, 8) X(57344, 7, 8) X(65536, 8, 8)

#define CLASS_2_32 (UINT64_C(1) << 32)
#define CLASS_USED(s) ((s) * (HAK_SLAB_SIZE / (s))) /* bytes of a slab's blocks */
/* What is left of factor * size - 2^32, times the number of blocks, is not less than the factor. */
#define CLASS_LEFT(s) ((CLASS_2_32 + CLASS_USED(s) - 2) / (CLASS_USED(s) - 1))
#define CLASS_SHAPE(s, n)                                                                                   \
	((uint32_t)(CLASS_2_32 % (s) == 0 ? CLASS_2_32 / (s)                                                \
	            : (n) > 1             ? 0                                                               \
	                                  : (CLASS_2_32 + CLASS_LEFT(s) + (s) - 1) / (s)))

#define CLASS_ROW(s, n, g)                                                                                  \
	{ .size = (s), .shape = CLASS_SHAPE(s, n), .reciprocal = (uint32_t)((UINT64_C(1) << 32) / (s) + 1),                             \
	  .blocks = (uint16_t)((n) * HAK_SLAB_SIZE / (s)), .slabs = (n), .group = (g) },

HAK_DEF const struct hak_class hak_classes[HAK_CLASS_COUNT] = { HAK_CLASS_TABLE(CLASS_ROW) };

_Static_assert(7 + 4 * 3 + 1 == HAK_TINY_CLASSES, "class 7 is 128, and 1024 is three doublings above");

#define CLASS_CHECK(s, n, g)                                                                                \
	_Static_assert((s) % HAK_ALIGN == 0 && (n) <= HAK_SPAN_MAX, "class " #s);                           \
	_Static_assert((n) * HAK_SLAB_SIZE / (s) <= HAK_BLOCKS_MAX, "class " #s " fits the bitmap");
HAK_CLASS_TABLE(CLASS_CHECK)

HAK_FN unsigned hak_class_of_aligned(size_t size, size_t alignment)
{
	unsigned c;

	if (size > HAK_CLASS_MAX || alignment > HAK_SLAB_SIZE)
		return HAK_CLASS_COUNT;
	for (c = hak_class_of(size ? size : 1); c < HAK_CLASS_COUNT; c++)
		if (hak_classes[c].size % alignment == 0)
			break;
	return c;
}
