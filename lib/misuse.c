#include "misuse.h"

#include <string.h>

#include "say.h"

static HAK_COLD HAK_NORETURN void misuse_die_free(const char *entry, const void *p, size_t size)
{
	hak_say_fatal(strcmp(entry, "free") == 0 ? HAK_FATAL_DOUBLE_FREE : HAK_FATAL_FREED, entry, p, size);
}

/* Of a slab that others may be changing: their blocks' bits may be old, not this one's. */
static HAK_RACY bool misuse_is_free(const struct hak_slab *slab, unsigned i)
{
	return slab->bits[i / 64] >> (i % 64) & 1;
}

HAK_FN void hak_misuse_check_slab(const char *entry, const void *p)
{
	const struct hak_slab *slab = hak_slab_head(hak_registry_number(p));
	const struct hak_class *c = &hak_classes[slab->class];
	unsigned i = hak_class_index(c, (size_t)((const char *)p - hak_slab_base(slab)));

	if (hak_unlikely(i >= c->blocks))
		hak_say_fatal(HAK_FATAL_INTERIOR, entry, p, c->size);
	if (hak_unlikely(misuse_is_free(slab, i)))
		misuse_die_free(entry, p, c->size);
}

HAK_FN void hak_misuse_check(const struct hak_heap *heap, unsigned class, const char *entry, const void *p, unsigned most)
{
	hak_misuse_check_slab(entry, p);
	if (hak_unlikely(hak_heap_is_cached(heap, class, p, most)))
		misuse_die_free(entry, p, hak_classes[class].size);
}
