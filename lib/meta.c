#include "meta.h"

#include "atomic.h"
#include "bits.h"
#include "geometry.h"
#include "os.h"

#define META_FIRST ((size_t)64 << 10) /* in .bss: a small program maps nothing for metadata */
#define META_PAGE 4096u /* bounds in the first: a small program touches no page more than it must */
#define META_CHUNK ((size_t)HAK_HARD_OR(512, 64) << 10)

static char meta_first_bytes[META_FIRST] HAK_SPARSE HAK_ALIGNED(HAK_LINE);
static struct hak_meta_chunk meta_first = { 0, META_FIRST, meta_first_bytes, NULL };
HAK_DEF _Atomic(struct hak_meta_chunk *) hak_meta_current = &meta_first;
static _Atomic size_t meta_mapped_bytes;

/* Replaces a chunk that is used up; another thread may have done it already. */
static bool meta_renew(struct hak_meta_chunk *old, size_t need)
{
	size_t size = need > META_CHUNK / 2 ? hak_align_up(need + META_CHUNK, META_CHUNK) : META_CHUNK;
	struct hak_meta_chunk *fresh;

	if (hak_load(&hak_meta_current, relaxed) != old)
		return true;
	fresh = hak_os_map(size);
	if (!fresh)
		return false;
	fresh->size = size;
	fresh->bytes = (char *)fresh;
	fresh->older = old;
	hak_store(&fresh->used, sizeof(struct hak_meta_chunk), relaxed);
	if (hak_cas(&hak_meta_current, &old, fresh, release)) /* partner: acquire in hak_meta_alloc */
		hak_fetch_add(&meta_mapped_bytes, size, relaxed);
	else
		hak_os_unmap(fresh, size);
	return true;
}

/* What is used of the chunk.  (To align the first's bytes would move all small variables behind a page's border.) */
static size_t meta_used(const struct hak_meta_chunk *chunk, size_t used)
{
	return used > 0 ? used : hak_align_up((uintptr_t)chunk->bytes, META_PAGE) - (uintptr_t)chunk->bytes;
}

HAK_FN void *hak_meta_alloc(size_t size, size_t align)
{
	size_t need = size + align - HAK_ALIGN;

	for (;;) {
		struct hak_meta_chunk *chunk = hak_load(&hak_meta_current, acquire); /* partner: meta_renew */
		size_t used = hak_load(&chunk->used, relaxed), at = meta_used(chunk, used);

		if (at <= chunk->size && chunk->size - at >= need) { /* else it would wrap some day */
			if (!hak_cas(&chunk->used, &used, at + hak_align_up(need, HAK_ALIGN), relaxed))
				continue;
			return (void *)hak_align_up((uintptr_t)chunk->bytes + at, align);
		}
		if (!meta_renew(chunk, need + sizeof(struct hak_meta_chunk)))
			return NULL;
	}
}

HAK_FN size_t hak_meta_mapped(void) { return hak_load(&meta_mapped_bytes, relaxed); }
