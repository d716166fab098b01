#include "secure.h"

#include <string.h>

#include "bits.h"
#include "meta.h"
#include "misuse.h"
#include "os.h"
#include "remote.h"
#include "say.h"
#include "superslab.h"

#define SECURE_TRAILER sizeof(uint64_t) /* of a block: C3 */
#define SECURE_PATTERN 32u              /* bytes behind the size that are verified, at most */
#define SECURE_SIZE_BITS 17             /* of the trailer */
#define SECURE_SMALL 4096u              /* bytes: these wait among many */

static uint64_t secure_secret[2];
static _Atomic uint64_t secure_drawn;

/* Below n, for places.  Threads may draw the same number. */
static unsigned secure_draw(unsigned n)
{
	uint64_t x = hak_load(&secure_drawn, relaxed) + UINT64_C(0x9e3779b97f4a7c15);

	hak_store(&secure_drawn, x, relaxed);
	return (unsigned)((hak_mix(x ^ secure_secret[0]) >> 32) * n >> 32);
}

/* ---- marks ---- */

struct secure_block {
	struct hak_slab *slab;
	_Atomic uint64_t *word;
	uint64_t bit;
	size_t size;
};

/* Dies if no block begins at p. */
HAK_HOT struct secure_block secure_find(const char *entry, const void *p)
{
	struct hak_slab *slab = hak_slab_head(hak_registry_number(p));
	const struct hak_class *c = &hak_classes[slab->class];
	unsigned i = hak_class_index(c, (size_t)((const char *)p - hak_slab_base(slab)));

	if (hak_unlikely(i >= c->blocks))
		hak_say_fatal(HAK_FATAL_INTERIOR, entry, p, c->size);
	return (struct secure_block){ slab, &hak_slab_marks(slab)[i / 64], UINT64_C(1) << (i % 64), c->size };
}

/* What is free already when marks begin. */
static void secure_mark_heap(const struct hak_heap *heap)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		for (const struct hak_slab *slab = heap->bins[c].first; slab; slab = slab->next)
			for (unsigned w = 0; w < (hak_classes[c].blocks + 63u) / 64; w++)
				hak_store(&hak_slab_marks(slab)[w], slab->bits[w], relaxed);
}

HAK_FN bool hak_secure_start(void)
{
	struct hak_heap *heap = hak_thread.own;

	if (hak_heap_count() > (heap != &hak_empty_heap) || !hak_superslab_mark_all())
		return false;
	for (unsigned i = 0; i < HAK_COUNT_OF(secure_secret); i++)
		secure_secret[i] = hak_os_secret();
	if (heap != &hak_empty_heap) {
		hak_remote_settle(heap); /* no other thread is there who could be inside */
		secure_mark_heap(heap);
	}
	hak_thread.heap = &hak_empty_heap;
	return true;
}

/* ---- canaries: C3 ---- */

static uint64_t secure_key(const void *p) { return hak_mix((uintptr_t)p ^ secure_secret[1]); }

static uint64_t secure_trailer(uint64_t key, size_t size)
{
	uint64_t low = (UINT64_C(1) << SECURE_SIZE_BITS) - 1;

	return (hak_mix(key + size) & ~low) | ((key ^ size) & low);
}

HAK_FN size_t hak_secure_room(size_t size)
{
	return hak_setting(secure) >= HAK_SECURE_CANARY && size <= HAK_CLASS_MAX ? size + SECURE_TRAILER : size;
}

/* Bytes of the pattern behind `size` bytes of a block of `have`. */
static size_t secure_pattern(size_t have, size_t size)
{
	size_t behind = have - SECURE_TRAILER - size;

	return behind < SECURE_PATTERN ? behind : SECURE_PATTERN;
}

static unsigned char secure_byte(uint64_t key) { return (unsigned char)(key >> 56 | 1); } /* not zero: what strings end with */

static void secure_write_size(void *p, size_t have, size_t size)
{
	uint64_t key = secure_key(p), trailer = secure_trailer(key, size);

	memset((char *)p + size, secure_byte(key), secure_pattern(have, size));
	memcpy((char *)p + have - SECURE_TRAILER, &trailer, SECURE_TRAILER);
}

static size_t secure_read_size(const char *entry, const void *p, size_t have)
{
	uint64_t key = secure_key(p), trailer;
	size_t size;
	bool ok;

	memcpy(&trailer, (const char *)p + have - SECURE_TRAILER, SECURE_TRAILER);
	size = (size_t)((trailer ^ key) & ((UINT64_C(1) << SECURE_SIZE_BITS) - 1));
	ok = size <= have - SECURE_TRAILER && trailer == secure_trailer(key, size);
	ok = ok && hak_is_filled((const char *)p + size, secure_pattern(have, size), secure_byte(key));
	if (hak_unlikely(!ok))
		hak_say_fatal(HAK_FATAL_OVERFLOW, entry, p, have);
	return size;
}

/* A block from before the start has no trailer.  Others may be changing other bits of fresh. */
static HAK_RACY bool secure_has_size(const struct hak_slab *slab) { return slab->fresh & HAK_FRESH_WIPED; }

/* ---- a block goes out ---- */

static void *secure_take_random(struct hak_heap *heap, unsigned class)
{
	void **top = heap->caches[class].top, **at = top - secure_draw(hak_heap_cached(heap, class)), *p = *at;

	*at = *top;
	*top = p;
	return p;
}

HAK_FN void *hak_secure_pop(struct hak_heap *heap, unsigned class)
{
	void *p = *heap->caches[class].top;

	if (p && hak_setting(secure) >= HAK_SECURE_WIPE)
		p = secure_take_random(heap, class);
	if (p)
		heap->caches[class].top--;
	return p;
}

HAK_FN void *hak_secure_exchange(struct hak_heap *heap, unsigned class, void *p)
{
	void **top = heap->caches[class].top;
	void *other;

	if (hak_setting(secure) < HAK_SECURE_WIPE || !*top)
		return p;
	other = secure_take_random(heap, class);
	*top = p;
	return other;
}

HAK_FN bool hak_secure_hand_out(void *p, size_t size)
{
	struct secure_block b = secure_find("malloc", p);

	if (hak_unlikely(!(hak_fetch_and(b.word, ~b.bit, relaxed) & b.bit)))
		hak_say_fatal(HAK_FATAL_CORRUPT, "malloc", p, 11); /* HAK_CHECK_CACHE_TWICE */
	if (!secure_has_size(b.slab))
		return false;
	if (hak_unlikely(!hak_is_filled(p, b.size, 0)))
		hak_say_fatal(HAK_FATAL_WRITTEN, "malloc", p, b.size);
	secure_write_size(p, b.size, size);
	return true;
}

HAK_FN void hak_secure_set_size(void *p, size_t size)
{
	struct secure_block b = secure_find("realloc", p);

	if (secure_has_size(b.slab))
		secure_write_size(p, b.size, size);
}

HAK_FN size_t hak_secure_size(const char *entry, const void *p)
{
	struct secure_block b = secure_find(entry, p);

	if (hak_unlikely(hak_load(b.word, relaxed) & b.bit))
		hak_say_fatal(HAK_FATAL_FREED, entry, p, b.size);
	return secure_has_size(b.slab) ? secure_read_size(entry, p, b.size) : b.size;
}

/* ---- a block comes back ---- */

HAK_FN void hak_secure_take_back(const char *entry, void *p)
{
	struct secure_block b = secure_find(entry, p);

	if (hak_unlikely(hak_fetch_or(b.word, b.bit, relaxed) & b.bit))
		hak_say_fatal(HAK_FATAL_DOUBLE_FREE, entry, p, b.size);
	if (secure_has_size(b.slab))
		secure_read_size(entry, p, b.size);
	if (hak_setting(secure) >= HAK_SECURE_WIPE)
		memset(p, 0, b.size);
}

static void *secure_wait(void **ring, unsigned count, unsigned *oldest, void *p)
{
	void *out = ring[*oldest];

	ring[*oldest] = p;
	*oldest = (*oldest + 1) % count;
	return out;
}

HAK_FN void *hak_secure_delay(struct hak_heap *heap, void *p)
{
	struct hak_delay *delay = heap->delay;

	if (hak_setting(secure) < HAK_SECURE_WIPE)
		return p;
	if (!delay)
		delay = heap->delay = hak_meta_alloc(sizeof(*delay), HAK_LINE);
	if (!delay)
		return p;
	if (hak_classes[hak_slab_head(hak_registry_number(p))->class].size <= SECURE_SMALL)
		return secure_wait(delay->blocks, HAK_DELAY_SMALL, &delay->small, p);
	return secure_wait(delay->blocks + HAK_DELAY_SMALL, HAK_DELAY_LARGE, &delay->large, p);
}

HAK_FN void hak_secure_wipe(void *p, size_t size)
{
	if (hak_setting(secure) >= HAK_SECURE_WIPE && !hak_os_purge(p, size))
		memset(p, 0, size);
}
