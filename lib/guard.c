#include "guard.h"

#include <string.h>

#include "bits.h"
#include "meta.h"
#include "os.h"
#include "registry.h"
#include "say.h"
#include "tunables.h"

#define GUARD_BATCH ((1u << HAK_OUT_SHIFT) - 1) /* blocks of an out-cache, at most .. */
#define GUARD_BATCH_BYTES 32768u                /* .. and their sizes */
#define GUARD_EDGE 64u     /* bytes beside a block that are verified when it is freed */
#define GUARD_FILL 0xab    /* what they hold */

HAK_DEF struct hak_guard hak_guard;
static _Atomic uint64_t guard_freed; /* how often a page was freed */
static _Atomic uint64_t guard_drawn;
static uint64_t guard_secret;
static bool guard_protects; /* by mprotect: the kernel knows no MADV_GUARD_INSTALL */

/* Below n.  splitmix64; threads may draw the same number. */
static uint32_t guard_draw(uint32_t n)
{
	uint64_t x = hak_fetch_add(&guard_drawn, UINT64_C(0x9e3779b97f4a7c15), relaxed) ^ guard_secret;

	return (uint32_t)((hak_mix(x) >> 32) * n >> 32);
}

/* ---- pages ---- */

static char *guard_page(size_t i) { return hak_guard.base + (2 * i + 1) * hak_guard.page; }
static char *guard_page_of(const void *p) { return (char *)((uintptr_t)p & ~(uintptr_t)(hak_guard.page - 1)); }

static bool guard_open(char *page)
{
	return guard_protects ? hak_os_protect_write(page, hak_guard.page) : hak_os_unguard(page, hak_guard.page);
}

/* Its memory goes back too. */
static bool guard_close(char *at, size_t bytes)
{
	if (!guard_protects)
		return hak_os_guard(at, bytes);
	hak_os_purge(at, bytes);
	return hak_os_protect_none(at, bytes);
}

static bool guard_close_all(void)
{
	hak_os_advise_huge(hak_guard.base, hak_guard.bytes, false);
	if (guard_close(hak_guard.base, hak_guard.bytes))
		return true;
	guard_protects = true;
	return guard_close(hak_guard.base, hak_guard.bytes);
}

static void guard_claim(size_t slot, size_t slots)
{
	for (size_t i = 0; i < slots; i++)
		hak_store(&hak_registry_slot(slot + i)->state, HAK_SLOT_GUARD, relaxed);
	hak_registry_set_tags(slot * HAK_SS_SLABS, slots * HAK_SS_SLABS, HAK_TAG_GUARD);
}

HAK_FN bool hak_guard_start(void)
{
	uint32_t count = hak_setting(guard_pages);
	size_t page = hak_registry.page, bytes = hak_align_up((2 * (size_t)count + 1) * page, HAK_SS_SIZE), slot;

	if (count == 0)
		return false;
	hak_guard.words = hak_meta_alloc(count * sizeof(*hak_guard.words), HAK_LINE);
	hak_guard.blocks = hak_meta_alloc(count * sizeof(*hak_guard.blocks), HAK_LINE);
	if (!hak_guard.words || !hak_guard.blocks)
		return false;
	slot = hak_registry_map(bytes >> HAK_SS_SHIFT, bytes);
	if (slot == HAK_NO_SLOT)
		return false;
	guard_secret = hak_os_secret();
	hak_guard.page = page;
	hak_guard.bytes = bytes;
	hak_guard.base = hak_registry_address(slot * HAK_SS_SLABS);
	guard_claim(slot, bytes >> HAK_SS_SHIFT);
	hak_backtrace_start();
	hak_guard.count = guard_close_all() ? count : 0; /* without closed pages none is handed out */
	return hak_guard.count > 0;
}

/* ---- which one ---- */

/* A distance of N on the average, as GWP-ASan draws it: any from 1 to 2 N - 1. */
static uint32_t guard_distance(void) { return 1 + guard_draw(2 * hak_setting(guard_sample) - 1); }

/* Does the refill count the block that this call will get? */
static bool guard_is_batched(const struct hak_thread *thread, unsigned class)
{
	return class < HAK_TINY_CLASSES && thread->own->outs && !hak_setting(secure) && !hak_starve_is_on();
}

HAK_FN void *hak_guard_sample(size_t size, unsigned class, size_t align)
{
	struct hak_thread *thread = &hak_thread;

	if (thread->inside || hak_guard.count == 0)
		return NULL;
	if (thread->until_guarded == 0)
		thread->until_guarded = guard_distance();
	if (thread->until_guarded > 1) {
		thread->until_guarded -= !guard_is_batched(thread, class);
		return NULL;
	}
	thread->until_guarded = guard_distance();
	return hak_guard_alloc(size, align);
}

/* A batch ends anywhere in its second half, so that no place in a program's loops is always passed over; xorshift. */
HAK_FN unsigned hak_guard_batch(struct hak_heap *heap, unsigned class)
{
	uint32_t *seed = &heap->outs->seed, until = hak_thread.until_guarded, most = GUARD_BATCH_BYTES / hak_classes[class].size;

	if (heap != hak_thread.inside || until <= 2) /* a borrowed heap; or the next one is due, or none was drawn yet */
		return 0;
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	most = most < GUARD_BATCH ? most : GUARD_BATCH;
	most -= *seed % (most / 2 + 1);
	return most < until - 2 ? most : until - 2;
}

HAK_FN void hak_guard_passed(const struct hak_heap *heap, unsigned blocks)
{
	if (heap == hak_thread.inside && hak_thread.until_guarded > blocks)
		hak_thread.until_guarded -= blocks;
}

/* ---- a block goes out ---- */

static uint64_t guard_word(enum hak_guard_state state, uint64_t freed) { return freed * (HAK_GUARD_STATE + 1) | state; }
static enum hak_guard_state guard_state(uint64_t word) { return (enum hak_guard_state)(word & HAK_GUARD_STATE); }

/* Makes the page busy that has been free for longest; hak_guard.count: none is free. */
static uint32_t guard_take(void)
{
	for (;;) {
		uint32_t oldest = hak_guard.count;
		uint64_t least = UINT64_MAX;

		for (uint32_t i = 0; i < hak_guard.count; i++) {
			uint64_t word = hak_load(&hak_guard.words[i], relaxed);

			if (guard_state(word) == HAK_GUARD_FREE && word < least) {
				oldest = i;
				least = word;
			}
		}
		/* acquire: what the last one wrote of the block; partner: guard_set */
		if (oldest == hak_guard.count ||
		    hak_cas(&hak_guard.words[oldest], &least, guard_word(HAK_GUARD_BUSY, 0), acquire))
			return oldest;
	}
}

static void guard_set(uint32_t i, enum hak_guard_state state, uint64_t freed)
{
	hak_store(&hak_guard.words[i], guard_word(state, freed), release); /* partner: guard_take, hak_guard_find */
}

/* At the page's end or at its start, by chance: what is written behind the block, or before it, hits a closed page. */
static char *guard_place(char *page, size_t size, size_t align)
{
	uintptr_t end = (uintptr_t)page + hak_guard.page;

	if (size == 0 || guard_draw(2) == 0) /* no bytes: the page stays closed */
		return page;
	return (char *)((end - size) & ~(uintptr_t)((align > HAK_ALIGN ? align : HAK_ALIGN) - 1));
}

/* The bytes on both sides, as far as they are verified. */
struct guard_edges {
	char *before, *behind;
	size_t before_bytes, behind_bytes;
};

static struct guard_edges guard_edges(const struct hak_guard_block *block)
{
	char *page = guard_page_of(block->start), *end = block->start + block->size;
	size_t before = (size_t)(block->start - page), behind = (size_t)(page + hak_guard.page - end);

	before = before < GUARD_EDGE ? before : GUARD_EDGE;
	behind = behind < GUARD_EDGE ? behind : GUARD_EDGE;
	return (struct guard_edges){ block->start - before, end, before, behind };
}

static void guard_fill_edges(const struct hak_guard_block *block)
{
	struct guard_edges edges = guard_edges(block);

	memset(edges.before, GUARD_FILL, edges.before_bytes);
	memset(edges.behind, GUARD_FILL, edges.behind_bytes);
}

HAK_FN HAK_NOINLINE void *hak_guard_alloc(size_t size, size_t align)
{
	struct hak_guard_block *block;
	uint32_t i;

	if (size > hak_guard.page || align > hak_guard.page)
		return NULL;
	i = guard_take();
	if (i == hak_guard.count) {
		hak_count_process(guard_full, 1);
		return NULL;
	}
	if (size > 0 && !guard_open(guard_page(i))) {
		guard_set(i, HAK_GUARD_FREE, 0);
		return NULL;
	}
	block = &hak_guard.blocks[i];
	block->start = guard_place(guard_page(i), size, align);
	block->size = size;
	block->taker = hak_os_thread_unasked();
	block->freer = 0;
	block->freed.word[0] = 0;
	hak_backtrace_take(&block->taken);
	if (size > 0)
		guard_fill_edges(block);
	hak_count_process(guard_allocs, 1);
	guard_set(i, HAK_GUARD_USED, 0);
	return block->start;
}

/* ---- a block comes back ---- */

/* The block whose page it is, or of the nearer page beside it. */
static uint32_t guard_nearest(const void *p)
{
	size_t offset = (size_t)((const char *)p - hak_guard.base), number = offset / hak_guard.page, i = number / 2;

	if (number % 2 == 0 && i > 0 && offset % hak_guard.page < hak_guard.page / 2)
		i--;
	return i < hak_guard.count ? (uint32_t)i : hak_guard.count - 1;
}

HAK_FN const struct hak_guard_block *hak_guard_find(const void *p, enum hak_guard_state *state)
{
	uint32_t nearest = guard_nearest(p), around[] = { nearest, nearest - 1, nearest + 1 };

	for (unsigned k = 0; k < HAK_COUNT_OF(around); k++) {
		const struct hak_guard_block *block = &hak_guard.blocks[around[k]];

		if (around[k] >= hak_guard.count || !block->start)
			continue;
		*state = guard_state(hak_load(&hak_guard.words[around[k]], acquire)); /* partner: guard_set */
		return block;
	}
	return NULL;
}

static void guard_say_trace(const struct hak_backtrace *trace, const char *what, uint32_t thread)
{
	hak_say_line("  it was %s by thread %u:", what, thread);
	hak_backtrace_say(trace);
}

HAK_FN void hak_guard_say_traces(const struct hak_guard_block *block)
{
	guard_say_trace(&block->taken, "allocated", block->taker);
	if (block->freed.word[0])
		guard_say_trace(&block->freed, "freed", block->freer);
}

HAK_FN void hak_guard_die(enum hak_fatal what, const char *entry, const void *p, size_t number)
{
	enum hak_guard_state state;
	const struct hak_guard_block *block = hak_guard_find(p, &state);
	struct hak_backtrace here;

	hak_backtrace_take(&here);
	hak_say_misuse(what, entry, p, number);
	hak_say_line("  it was done by thread %u:", hak_os_thread_unasked());
	hak_backtrace_say(&here);
	if (block)
		hak_guard_say_traces(block);
	hak_os_abort();
}

/* The block that the program holds and that begins at p; it dies if there is none. */
static uint32_t guard_check(const char *entry, const void *p)
{
	enum hak_guard_state state;
	const struct hak_guard_block *block = hak_guard_find(p, &state);

	if (hak_unlikely(!block))
		hak_guard_die(HAK_FATAL_NO_BLOCK, entry, p, 0);
	if (hak_unlikely(block->start != p))
		hak_guard_die(HAK_FATAL_INTERIOR, entry, p, block->size);
	if (hak_unlikely(state != HAK_GUARD_USED))
		hak_guard_die(strcmp(entry, "free") == 0 ? HAK_FATAL_DOUBLE_FREE : HAK_FATAL_FREED, entry, p, block->size);
	return (uint32_t)(block - hak_guard.blocks);
}

static void guard_check_edges(const char *entry, const struct hak_guard_block *block)
{
	struct guard_edges edges = guard_edges(block);

	if (hak_unlikely(!hak_is_filled(edges.behind, edges.behind_bytes, GUARD_FILL)))
		hak_guard_die(HAK_FATAL_OVERFLOW, entry, block->start, block->size);
	if (hak_unlikely(!hak_is_filled(edges.before, edges.before_bytes, GUARD_FILL)))
		hak_guard_die(HAK_FATAL_UNDERFLOW, entry, block->start, block->size);
}

HAK_FN size_t hak_guard_size(const char *entry, const void *p) { return hak_guard.blocks[guard_check(entry, p)].size; }

HAK_FN HAK_NOINLINE void hak_guard_free(const char *entry, void *p)
{
	uint32_t i = guard_check(entry, p);
	struct hak_guard_block *block = &hak_guard.blocks[i];
	uint64_t used = guard_word(HAK_GUARD_USED, 0);

	/* acquire: what was written of the block; partner: guard_set */
	if (hak_unlikely(!hak_cas(&hak_guard.words[i], &used, guard_word(HAK_GUARD_BUSY, 0), acquire)))
		hak_guard_die(HAK_FATAL_DOUBLE_FREE, entry, p, block->size);
	if (block->size > 0)
		guard_check_edges(entry, block);
	block->freer = hak_os_thread_unasked();
	hak_backtrace_take(&block->freed);
	if (block->size > 0 && !guard_close(guard_page(i), hak_guard.page))
		hak_os_purge(guard_page(i), hak_guard.page);
	guard_set(i, HAK_GUARD_FREE, hak_fetch_add(&guard_freed, 1, relaxed) + 1);
}

HAK_FN size_t hak_guard_blocks(size_t *bytes)
{
	size_t blocks = 0;

	*bytes = 0;
	for (uint32_t i = 0; i < hak_guard.count; i++)
		if (guard_state(hak_load(&hak_guard.words[i], acquire)) == HAK_GUARD_USED) { /* partner: guard_set */
			blocks++;
			*bytes += hak_guard.blocks[i].size;
		}
	return blocks;
}
