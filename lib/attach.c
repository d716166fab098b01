#include "attach.h"

#include <pthread.h>

#include "check.h"
#include "libc.h"
#include "lock.h"
#include "remote.h"
#include "sample.h"
#include "starve.h"

HAK_DEF bool hak_attach_has_key;
HAK_DEF unsigned hak_attach_key;

static struct hak_lock attach_start_lock = HAK_LOCK_INIT(HAK_RANK_INIT);
static _Atomic uint32_t attach_started;

HAK_FN void hak_attach_lock(void) { hak_lock_take(&attach_start_lock); }
HAK_FN void hak_attach_unlock(void) { hak_lock_release(&attach_start_lock); }

static HAK_COLD bool attach_start_slow(void)
{
	bool ok = true;

	if (!hak_lock_take(&attach_start_lock))
		return false;
	if (!hak_load(&attach_started, relaxed)) {
		ok = hak_registry_start();
		hak_starve_follow();
		hak_store(&attach_started, ok, release); /* partner: hak_attach_start */
	}
	hak_lock_release(&attach_start_lock);
	return ok;
}

HAK_FN bool hak_attach_start(void)
{
	return hak_load(&attach_started, acquire) || attach_start_slow(); /* partner: attach_start_slow */
}

/* Not a thread that has announced its end, and none of a process that allocates elsewhere: each call borrows a heap. */
static bool attach_keeps_heap(void) { return !hak_thread.gone && !hak_libc_passes(); }

/* An idle heap or a new one, entered; NULL: no memory.  A handler that forks between here makes it an idle one of the child. */
static HAK_COLD struct hak_heap *attach_take(void)
{
	for (;;) {
		uint32_t forks = hak_load(&hak_heap_forks, relaxed);
		struct hak_heap *heap = hak_heap_acquire();

		if (!heap)
			return NULL;
		if (!hak_heap_enter_last(heap))
			continue;
		heap->borrowed = true;
		if (hak_load(&hak_heap_forks, relaxed) == forks)
			return heap;
		hak_heap_exit(heap);
	}
}

/* A thread that has none gets a heap of its own; a handler that comes between borrows. */
static HAK_COLD bool attach_thread(void)
{
	struct hak_heap *heap;

	if (!hak_attach_start() || !attach_keeps_heap())
		return false;
	hak_heap_hide(&hak_empty_heap);
	heap = hak_thread.own == &hak_empty_heap ? attach_take() : NULL; /* else a handler came before, and has got one */
	if (heap) {
		heap->borrowed = false;
		hak_thread.own = heap;
	}
	hak_signal_fence();
	hak_thread.inside = hak_thread.own;
	hak_heap_show();
	if (heap)
		hak_heap_exit(heap);
	if (heap && hak_attach_has_key)
		pthread_setspecific(hak_attach_key, &hak_thread); /* may allocate: the heap is there */
	return hak_thread.own != &hak_empty_heap;
}

HAK_FN struct hak_heap *hak_attach_heap(void)
{
	struct hak_heap *heap = hak_thread.own;

	if (hak_unlikely(hak_thread.inside)) /* a handler that interrupted the allocator: all is left as it was found */
		return attach_take();
	if (hak_unlikely(heap == &hak_empty_heap)) {
		if (!attach_thread())
			return hak_attach_start() ? attach_take() : NULL; /* of a thread that is gone: for one call */
		heap = hak_thread.own;
	}
	if (hak_unlikely(!hak_heap_enter(heap))) /* a visitor is inside; or a handler, right before the heap was hidden */
		return attach_take();
	hak_heap_hide(heap);
	return heap;
}

/* Back, if it was borrowed. */
HAK_FN void hak_attach_leave(struct hak_heap *heap)
{
	if (HAK_HARD)
		hak_check_now(heap);
	if (hak_unlikely(heap != hak_thread.inside)) {
		hak_remote_leave(heap);
		return;
	}
	hak_heap_show();
	hak_heap_exit(heap);
}

/* The thread shows what the flag says, and frees of all threads find what it says. */
HAK_FN HAK_COLD void hak_attach_follow(void)
{
	if (hak_starve_follow() || hak_setting(secure))
		hak_sample_end();
	if (hak_thread.inside || hak_thread.own == &hak_empty_heap)
		return;
	hak_heap_hide_parcels(hak_thread.own);
	if (hak_thread.inside == hak_thread.own) /* no handler has changed it since it was read */
		hak_thread.heap = hak_heap_shown(hak_thread.own);
	hak_heap_show_parcels();
}
