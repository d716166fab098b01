#include "slab.h"

#include "os.h"

HAK_FN void hak_slab_open(size_t number, unsigned class, bool zero)
{
	struct hak_slab *slabs = hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->slabs, relaxed);
	struct hak_slab *slab = &slabs[number % HAK_SS_SLABS];
	const struct hak_class *c = &hak_classes[class];
	unsigned words = c->blocks / 64, rest = c->blocks % 64;

	for (unsigned i = 0; i < c->slabs; i++) {
		slab[i].number = (uint32_t)number;
		slab[i].fresh = 0; /* mid.h, M2 */
	}
	slab->next = slab->prev = NULL;
	slab->class = (uint8_t)class;
	slab->free = c->blocks;
	for (unsigned w = 0; w < words; w++)
		slab->bits[w] = UINT64_MAX;
	if (rest)
		slab->bits[words] = (UINT64_C(1) << rest) - 1;
	words += rest != 0;
	slab->summary = UINT64_MAX >> (64 - words);
	slab->fresh = (uint8_t)(zero ? HAK_FRESH_CLEAN | (words == 1 ? HAK_FRESH_ZERO : 0) : 0);
	if (slab->fresh & HAK_FRESH_ZERO)
		slab->bits[HAK_ZERO_WORD] = slab->bits[0];
}

/* Takes up to n bits of word w. */
static unsigned slab_carve_word(struct hak_slab *slab, unsigned w, void **place, unsigned n)
{
	size_t size = hak_classes[slab->class].size;
	char *base = hak_slab_base(slab) + (size_t)w * 64 * size;
	uint64_t bits = slab->bits[w];
	unsigned done = 0;

	for (; bits && done < n; bits &= bits - 1)
		*(place - done++) = base + hak_lowest_bit(bits) * size;
	if (slab->fresh & HAK_FRESH_ZERO)
		slab->bits[HAK_ZERO_WORD] &= ~(slab->bits[0] ^ bits);
	slab->bits[w] = bits;
	if (!bits)
		slab->summary &= slab->summary - 1; /* w was the lowest */
	return done;
}

HAK_FN unsigned hak_slab_carve(struct hak_slab *slab, void **place, unsigned n)
{
	unsigned done = 0;

	while (done < n && slab->summary)
		done += slab_carve_word(slab, hak_lowest_bit(slab->summary), place - done, n - done);
	slab->free = (uint16_t)(slab->free - done);
	slab->fresh &= (uint8_t)~HAK_FRESH_CLEAN;
	return done;
}

HAK_FN void *hak_slab_carve_one(struct hak_slab *slab, bool *zero)
{
	uint64_t still_zero = slab->fresh & HAK_FRESH_ZERO ? slab->bits[HAK_ZERO_WORD] & slab->bits[0] : 0;
	void *block = NULL;

	*zero = still_zero != 0 && hak_lowest_bit(still_zero) == hak_lowest_bit(slab->bits[0]);
	hak_slab_carve(slab, &block, 1);
	return block;
}

/* Are blocks first .. last all free?  What lies behind the last block is. */
static bool slab_are_free(const struct hak_slab *slab, size_t first, size_t last)
{
	size_t blocks = hak_classes[slab->class].blocks, end = last < blocks ? last + 1 : blocks;

	for (size_t i = first, next; i < end; i = next) {
		uint64_t wanted;

		next = (i / 64 + 1) * 64 < end ? (i / 64 + 1) * 64 : end;
		wanted = UINT64_MAX >> (64 - (next - i)) << i % 64;
		if ((slab->bits[i / 64] & wanted) != wanted)
			return false;
	}
	return true;
}

HAK_FN size_t hak_slab_purge(struct hak_slab *slab)
{
	size_t size = hak_classes[slab->class].size, page = hak_registry.page, run = 0, bytes = 0;
	size_t end = (size_t)hak_classes[slab->class].slabs << HAK_SLAB_SHIFT;

	if (slab->fresh & (HAK_FRESH_CLEAN | HAK_FRESH_PURGED))
		return 0;
	slab->fresh |= HAK_FRESH_PURGED;
	for (size_t at = 0; at <= end; at += page) {
		if (at < end && slab_are_free(slab, at / size, (at + page - 1) / size)) {
			run += page;
			continue;
		}
		if (run > 0 && hak_os_purge(hak_slab_base(slab) + at - run, run))
			bytes += run;
		else if (run > 0)
			slab->fresh &= (uint8_t)~HAK_FRESH_PURGED;
		run = 0;
	}
	return bytes;
}
