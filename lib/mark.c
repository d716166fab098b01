#include "mark.h"

HAK_FN void hak_mark_span(const struct hak_slab *slab)
{
	size_t words = HAK_MARK_WORDS / HAK_SS_SLABS, n = hak_classes[slab->class].slabs * words;
	_Atomic uint32_t *own = hak_registry_slot(slab->number / HAK_SS_SLABS)->marks + slab->number % HAK_SS_SLABS * words;

	for (size_t w = 0; w < n; w++) {
		hak_store(&own[w], UINT32_MAX, relaxed);
		if (hak_load(&own[HAK_MARK_WORDS + w], relaxed)) /* most are never written */
			hak_store(&own[HAK_MARK_WORDS + w], 0, relaxed);
	}
}

HAK_FN void hak_mark_used(const struct hak_slab *slab)
{
	const struct hak_class *c = &hak_classes[slab->class];

	hak_mark_span(slab);
	for (unsigned i = 0; i < c->blocks; i++)
		if (!(slab->bits[i / 64] >> (i % 64) & 1)) {
			struct hak_mark m = hak_mark_of(hak_slab_base(slab) + (size_t)i * c->size);

			hak_mark_flip_own(&m);
		}
}
