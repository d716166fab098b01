#include "secure.h"

#include <string.h>

#include "bits.h"
#include "mark.h"
#include "meta.h"
#include "misuse.h"
#include "os.h"
#include "remote.h"
#include "say.h"
#include "superslab.h"

#define SECURE_TRAILER sizeof(uint64_t) /* of a block: C3 */
#define SECURE_PATTERN 32u              /* bytes behind the size that are verified, at most */
#define SECURE_SIZE_SHIFT 24            /* in the trailer: what comes from either side meets bytes of the key first */
#define SECURE_SMALL 4096u              /* bytes: these wait among many */

static uint64_t secure_secret[2];
static _Atomic uint64_t secure_drawn;
static uint32_t secure_hits; /* HAKMEM_SECURE, or 0: somebody else has to see each call */
static bool secure_is_late; /* there were slabs at the start */

/* Below n, for places.  Threads may draw the same number. */
static unsigned secure_draw(unsigned n)
{
	uint64_t x = hak_load(&secure_drawn, relaxed) + UINT64_C(0x9e3779b97f4a7c15);

	hak_store(&secure_drawn, x, relaxed);
	return (unsigned)((hak_mix(x ^ secure_secret[0]) >> 32) * n >> 32);
}

/* ---- marks ---- */

static bool secure_flip(const void *p)
{
	struct hak_mark m = hak_mark_of(p);
	struct hak_heap *own = hak_thread.own;
	bool was_free;

	if (hak_thread.inside || hak_heap_offset(own, p) >= HAK_TAG_CLASSES)
		return hak_mark_flip_others(&m); /* another heap's, or not this one's for this call */
	hak_heap_hide_parcels(own);
	was_free = hak_mark_flip_own(&m);
	hak_heap_show_parcels();
	return was_free;
}

static size_t secure_block_size(const void *p)
{
	return hak_classes[hak_registry_tag(hak_registry_number(p)) % (1u << HAK_TAG_SHIFT) / HAK_CACHE_SIZE].size;
}

/* It is free, or no block begins there. */
static HAK_COLD HAK_NORETURN void secure_die(enum hak_fatal what, const char *entry, const void *p)
{
	const struct hak_slab *slab = hak_slab_head(hak_registry_number(p));
	const struct hak_class *c = &hak_classes[slab->class];
	size_t offset = (size_t)((const char *)p - hak_slab_base(slab));

	hak_say_fatal(hak_class_index(c, offset) < c->blocks ? what : HAK_FATAL_INTERIOR, entry, p, c->size);
}

static HAK_COLD HAK_NORETURN void secure_die_twice(const void *p)
{
	hak_say_fatal(HAK_FATAL_CORRUPT, "malloc", p, 11); /* HAK_CHECK_CACHE_TWICE */
}

/* What the program holds when marks begin. */
static void secure_mark_heap(const struct hak_heap *heap)
{
	for (size_t i = 0; i < hak_registry_slabs(); i++)
		if ((hak_registry_tag(i) ^ heap->tag) < HAK_TAG_CLASSES && hak_slab_head(i)->number == i)
			hak_mark_used(hak_slab_head(i));
}

HAK_FN bool hak_secure_start(void)
{
	struct hak_heap *heap = hak_thread.own;

	if (hak_heap_count() > (heap != &hak_empty_heap) || !hak_superslab_mark_all())
		return false;
	for (unsigned i = 0; i < HAK_COUNT_OF(secure_secret); i++)
		secure_secret[i] = hak_os_secret();
	secure_is_late = heap != &hak_empty_heap;
	if (secure_is_late) {
		hak_remote_settle(heap); /* no other thread is there who could be inside */
		secure_mark_heap(heap);
	}
	secure_hits = hak_setting(guard_sample) ? 0 : hak_setting(secure);
	hak_thread.heap = &hak_empty_heap;
	hak_store(&hak_registry.shown, 0, relaxed);
	return true;
}

/* ---- canaries: C3 ---- */

static uint64_t secure_key(const void *p) { return hak_mix((uintptr_t)p ^ secure_secret[1]); }

HAK_FN size_t hak_secure_room(size_t size)
{
	return hak_setting(secure) >= HAK_SECURE_CANARY && size <= HAK_CLASS_MAX ? size + SECURE_TRAILER : size;
}

/* ---- the pattern: up to 32 bytes behind the size ---- */

/* From any place n of it to n + 31: which of 32 bytes belong to a pattern of n, the last ones. */
static const unsigned char secure_last[2 * SECURE_PATTERN] = {
	[SECURE_PATTERN ... 2 * SECURE_PATTERN - 1] = 0xff,
};

struct secure_pattern {
	size_t at, bytes; /* from the block's start */
	uint64_t word;
};

HAK_HOT struct secure_pattern secure_pattern_of(uint64_t key, size_t have, size_t size)
{
	size_t behind = have - SECURE_TRAILER - size;
	uint64_t byte = key >> 56 | 1; /* not zero: what strings end with */

	return (struct secure_pattern){ size, behind < SECURE_PATTERN ? behind : SECURE_PATTERN, byte * UINT64_C(0x0101010101010101) };
}

/* The 32 bytes that end with the pattern, without a branch that nobody could predict.  The block is as long as that. */
HAK_HOT void secure_write_last(unsigned char *end, const struct secure_pattern *t)
{
	for (unsigned i = 0; i < SECURE_PATTERN; i += 8) {
		unsigned char *at = end - SECURE_PATTERN + i;
		uint64_t old = hak_word_at(at), word = old ^ ((old ^ t->word) & hak_word_at(secure_last + t->bytes + i));

		memcpy(at, &word, sizeof(word));
	}
}

HAK_HOT bool secure_has_last(const unsigned char *end, const struct secure_pattern *t)
{
	uint64_t differs = 0;

	for (unsigned i = 0; i < SECURE_PATTERN; i += 8)
		differs |= (hak_word_at(end - SECURE_PATTERN + i) ^ t->word) & hak_word_at(secure_last + t->bytes + i);
	return differs == 0;
}

static void secure_write_pattern(unsigned char *p, const struct secure_pattern *t)
{
	if (hak_likely(t->at + t->bytes >= SECURE_PATTERN))
		secure_write_last(p + t->at + t->bytes, t);
	else
		memset(p + t->at, (int)(t->word & 0xff), t->bytes);
}

static bool secure_has_pattern(const unsigned char *p, const struct secure_pattern *t)
{
	if (hak_likely(t->at + t->bytes >= SECURE_PATTERN))
		return secure_has_last(p + t->at + t->bytes, t);
	return hak_is_filled(p + t->at, t->bytes, (unsigned char)t->word);
}

/* ---- the trailer ---- */

static void secure_write_size(void *p, size_t have, size_t size)
{
	uint64_t key = secure_key(p), trailer = key ^ (uint64_t)size << SECURE_SIZE_SHIFT;
	struct secure_pattern pattern = secure_pattern_of(key, have, size);

	secure_write_pattern(p, &pattern);
	memcpy((char *)p + have - SECURE_TRAILER, &trailer, SECURE_TRAILER);
}

static size_t secure_read_size(const char *entry, const void *p, size_t have)
{
	uint64_t key = secure_key(p), trailer = hak_word_at((const unsigned char *)p + have - SECURE_TRAILER) ^ key;
	size_t size = (size_t)(trailer >> SECURE_SIZE_SHIFT);
	bool ok = size <= have - SECURE_TRAILER && trailer == (uint64_t)size << SECURE_SIZE_SHIFT;

	if (ok) {
		struct secure_pattern pattern = secure_pattern_of(key, have, size);

		ok = secure_has_pattern(p, &pattern);
	}
	if (hak_unlikely(!ok))
		hak_say_fatal(HAK_FATAL_OVERFLOW, entry, p, have);
	return size;
}

/* Others may be changing other bits of fresh. */
static HAK_RACY bool secure_is_wiped(const void *p)
{
	return hak_slab_head(hak_registry_number(p))->fresh & HAK_FRESH_WIPED;
}

/* A block of a slab from before the start has no trailer. */
HAK_HOT bool secure_has_size(const void *p)
{
	return hak_setting(secure) >= HAK_SECURE_CANARY && (!secure_is_late || secure_is_wiped(p));
}

/* ---- a block goes out ---- */

/* One of those in the cache, which is not empty. */
static void *secure_pop_random(const struct hak_heap *heap, struct hak_cache *cache)
{
	void **top = cache->top, **at = top - secure_draw((unsigned)(top - heap->bins[cache - heap->caches].array)), *p = *at;

	cache->top--;
	hak_signal_fence(); /* C6 */
	*at = *top;
	return p;
}

HAK_FN void *hak_secure_pop(struct hak_heap *heap, unsigned class)
{
	struct hak_cache *cache = &heap->caches[class];

	if (!*cache->top)
		return NULL;
	return hak_setting(secure) >= HAK_SECURE_WIPE ? secure_pop_random(heap, cache) : *cache->top--;
}

HAK_FN void *hak_secure_exchange(struct hak_heap *heap, unsigned class, void *p)
{
	struct hak_cache *cache = &heap->caches[class];
	void *other;

	if (hak_setting(secure) < HAK_SECURE_WIPE || !*cache->top)
		return p;
	other = secure_pop_random(heap, cache);
	hak_cache_push(cache, p);
	return other;
}

/* C2, C3.  Is its memory zero? */
HAK_HOT bool secure_fill(void *p, size_t have, size_t size)
{
	if (!secure_has_size(p))
		return false;
	if (hak_unlikely(!hak_is_filled(p, have, 0)))
		hak_say_fatal(HAK_FATAL_WRITTEN, "malloc", p, have);
	secure_write_size(p, have, size);
	return true;
}

HAK_FN bool hak_secure_hand_out(void *p, size_t size)
{
	if (hak_unlikely(!secure_flip(p)))
		secure_die_twice(p);
	return secure_fill(p, secure_block_size(p), size);
}

HAK_FN void hak_secure_set_size(void *p, size_t size)
{
	if (secure_has_size(p))
		secure_write_size(p, secure_block_size(p), size);
}

HAK_FN size_t hak_secure_size(const char *entry, const void *p)
{
	struct hak_mark m = hak_mark_of(p);
	size_t have = secure_block_size(p);

	if (hak_unlikely((uintptr_t)p % HAK_ALIGN != 0 || hak_mark_is_free(&m)))
		secure_die(HAK_FATAL_FREED, entry, p);
	return secure_has_size(p) ? secure_read_size(entry, p, have) : have;
}

/* ---- a block comes back ---- */

/* C2, C3 */
HAK_HOT void secure_clear(const char *entry, void *p, size_t have)
{
	if (secure_has_size(p))
		secure_read_size(entry, p, have);
	if (hak_setting(secure) >= HAK_SECURE_WIPE)
		memset(p, 0, have);
}

HAK_FN void hak_secure_take_back(const char *entry, void *p)
{
	if (hak_unlikely((uintptr_t)p % HAK_ALIGN != 0 || secure_flip(p)))
		secure_die(HAK_FATAL_DOUBLE_FREE, entry, p);
	secure_clear(entry, p, secure_block_size(p));
}

/* Where the block of that size waits that has waited longest, and where the next one waits. */
HAK_HOT void **secure_oldest(struct hak_delay *delay, size_t size)
{
	return size <= SECURE_SMALL ? &delay->blocks[delay->small] : &delay->blocks[HAK_DELAY_SMALL + delay->large];
}

static void *secure_wait(struct hak_delay *delay, size_t size, void *p)
{
	void **place = secure_oldest(delay, size), *out = *place;
	unsigned *oldest = size <= SECURE_SMALL ? &delay->small : &delay->large;

	*place = p;
	*oldest = *oldest + 1 < (size <= SECURE_SMALL ? HAK_DELAY_SMALL : HAK_DELAY_LARGE) ? *oldest + 1 : 0;
	return out;
}

HAK_FN void *hak_secure_delay(struct hak_heap *heap, void *p)
{
	if (hak_setting(secure) < HAK_SECURE_WIPE)
		return p;
	if (!heap->delay)
		heap->delay = hak_meta_alloc(sizeof(*heap->delay), HAK_LINE);
	return heap->delay ? secure_wait(heap->delay, secure_block_size(p), p) : p;
}

HAK_FN void hak_secure_wipe(void *p, size_t size)
{
	if (hak_setting(secure) >= HAK_SECURE_WIPE && !hak_os_purge(p, size))
		memset(p, 0, size);
}

/* ---- hits ---- */

/* Not while every call is watched, and not for a signal handler that finds the thread inside of its heap. */
HAK_HOT bool secure_may_hit(void) { return hak_likely(!hak_starve_is_on() && !hak_thread.inside); }

HAK_HOT struct hak_cache *secure_cache(struct hak_heap *heap, size_t size)
{
	return size > HAK_DIRECT_MAX ? &heap->caches[hak_class_of(size)] : heap->direct[(size + HAK_ALIGN - 1) / HAK_ALIGN];
}

HAK_HOT void secure_mark_used(const void *p)
{
	struct hak_mark m = hak_mark_of(p);

	hak_signal_fence(); /* C6 */
	if (hak_unlikely(!hak_mark_flip_own(&m)))
		secure_die_twice(p);
}

/* C2, C3 */
static HAK_NOINLINE void *secure_hit_wiped(size_t size)
{
	struct hak_heap *heap = hak_thread.own;
	struct hak_cache *cache = secure_cache(heap, hak_secure_room(size));
	void *p = NULL;

	hak_heap_hide_parcels(heap);
	if (hak_likely(*cache->top != NULL)) {
		p = secure_pop_random(heap, cache);
		secure_mark_used(p);
	}
	hak_heap_show_parcels();
	if (p)
		secure_fill(p, hak_classes[cache - heap->caches].size, size);
	return p;
}

HAK_FN void *hak_secure_hit(size_t size)
{
	struct hak_heap *heap = hak_thread.own;
	struct hak_cache *cache;
	void *p;

	if (!secure_may_hit() || size > HAK_CLASS_MAX - SECURE_TRAILER)
		return NULL;
	if (hak_unlikely(secure_hits != HAK_SECURE_CHECK))
		return secure_hits ? secure_hit_wiped(size) : NULL;
	cache = secure_cache(heap, size);
	hak_heap_hide_parcels(heap);
	p = *cache->top;
	if (hak_likely(p != NULL)) {
		cache->top--;
		secure_mark_used(p);
	}
	hak_heap_show_parcels();
	return p;
}

/* False: it was free. */
HAK_HOT bool secure_mark_free(const void *p)
{
	struct hak_mark m = hak_mark_of(p);
	bool was_free = hak_mark_flip_own(&m);

	if (hak_unlikely(was_free))
		hak_mark_flip_own(&m);
	hak_signal_fence(); /* C6 */
	return !was_free;
}

/* C2, C3: p waits, and what has waited longest goes to its cache.  False: p was free, or there is no room. */
static bool secure_put_wiped(struct hak_heap *heap, void *p)
{
	size_t have = secure_block_size(p);
	struct hak_cache *cache = NULL;
	void *out;

	if (!heap->delay)
		return false;
	out = *secure_oldest(heap->delay, have);
	if (out) {
		uint32_t x = hak_heap_offset(heap, out);

		if (x >= HAK_TAG_CLASSES || hak_cache_is_full(hak_heap_cache(heap, x)))
			return false;
		cache = hak_heap_cache(heap, x);
	}
	if (hak_unlikely(!secure_mark_free(p)))
		return false;
	secure_clear("free", p, have);
	secure_wait(heap->delay, have, p);
	hak_signal_fence(); /* C6 */
	if (cache)
		hak_cache_push(cache, out);
	return true;
}

static HAK_NOINLINE bool secure_hit_free_wiped(void *p)
{
	struct hak_heap *heap = hak_thread.own;
	bool is_hit;

	hak_heap_hide_parcels(heap);
	is_hit = secure_put_wiped(heap, p);
	hak_heap_show_parcels();
	return is_hit;
}

HAK_FN bool hak_secure_hit_free(void *p)
{
	struct hak_heap *heap = hak_thread.own;
	struct hak_cache *cache;
	uint32_t x;
	bool is_hit;

	if (!secure_may_hit() || hak_registry_number(p) >= hak_registry_slabs() || (uintptr_t)p % HAK_ALIGN != 0)
		return false;
	x = hak_heap_offset(heap, p);
	if (x >= HAK_TAG_CLASSES)
		return false;
	if (hak_unlikely(secure_hits != HAK_SECURE_CHECK))
		return secure_hits && secure_hit_free_wiped(p);
	cache = hak_heap_cache(heap, x);
	hak_heap_hide_parcels(heap);
	is_hit = !hak_cache_is_full(cache) && secure_mark_free(p);
	if (hak_likely(is_hit))
		hak_cache_push(cache, p);
	hak_heap_show_parcels();
	return is_hit;
}
