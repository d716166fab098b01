#include "reclaim.h"

#include "attach.h"
#include "batch.h"
#include "large.h"
#include "limit.h"
#include "os.h"
#include "probe.h"
#include "refill.h"
#include "remote.h"
#include "sample.h"
#include "starve.h"
#include "superslab.h"
#include "view.h"

HAK_FN HAK_COLD void hak_reclaim_all(struct hak_heap *heap)
{
	hak_registry_return_begin();
	if (heap) {
		hak_remote_send_all(heap);
		hak_remote_settle(heap);
	}
	hak_remote_visit_all();
	hak_large_trim(hak_os_now(), 0);
	hak_batch_purge_all();
	hak_superslab_shrink(0);
	hak_registry_return_end();
}

HAK_FN size_t hak_reclaim_trim(void)
{
	struct hak_heap *heap;
	size_t bytes;

	hak_registry_return_begin(); /* who is visited borrows another heap; whose that is does not find his slabs */
	heap = hak_attach_heap();
	if (heap) {
		hak_remote_settle(heap);
		hak_attach_leave(heap);
	}
	hak_remote_visit_all();
	bytes = hak_remote_purge_all();
	bytes += hak_large_trim(hak_os_now(), 0) + hak_batch_purge_all();
	hak_superslab_shrink(0); /* the kernel may have promised them: overcommit_memory=2 */
	hak_registry_return_end();
	return bytes;
}

/* Is the program's function among the callers?  It may have been left by longjmp or an exception: then some call comes from
 * where the stack is no deeper. */
static bool reclaim_is_limiting(uint32_t frame)
{
	return hak_thread.limiting && (int32_t)(frame - hak_thread.limiting) < 0;
}

/* HAKMEM_LIMIT and HAKMEM_LIMIT_HARD: may `size` more bytes be taken?  Outside of any heap, since it calls the program. */
HAK_FN HAK_COLD bool hak_reclaim_within_limit(size_t size)
{
	enum hak_limit beyond = hak_limit_check(size);

	if (beyond == HAK_LIMIT_NONE)
		return true;
	if (reclaim_is_limiting(hak_frame()))
		return beyond != HAK_LIMIT_HARD;
	if (hak_limit_is_due() || beyond == HAK_LIMIT_HARD) {
		hak_thread.limiting = hak_frame();
		hak_reclaim_trim();
		if (hak_limit_tell() && hak_limit_check(size) == HAK_LIMIT_HARD)
			hak_reclaim_trim(); /* what the program freed may have been kept */
		hak_thread.limiting = 0;
		beyond = hak_limit_check(size);
	}
	return beyond != HAK_LIMIT_HARD;
}

/* A free block in a slab of an idle heap, which nobody else reaches while there is memory. */
HAK_FN HAK_COLD void *hak_reclaim_from_idle(unsigned class)
{
	void *p = NULL;

	for (uint32_t i = 0; i < hak_heap_count() && !p; i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (!heap || !hak_heap_try_visit(heap) || !hak_heap_enter_last(heap))
			continue; /* with a visitor inside, who makes it idle again */
		heap->borrowed = true;
		p = hak_refill(heap, class);
		hak_remote_leave(heap);
	}
	return p;
}

static HAK_COLD void reclaim_obey_trim(void)
{
	uint32_t wish;

	if (hak_thread.inside || hak_thread.limiting || !hak_view_take_trim(&wish))
		return;
	hak_reclaim_trim();
	hak_view_end_trim(wish);
}

/* The end of a cold call: no heap is entered, no lock held. */
HAK_FN void hak_reclaim_obey(void)
{
	if (hak_unlikely(hak_view_is_trim_asked()))
		reclaim_obey_trim();
	if (hak_probe_is_watched() && !hak_starve_is_for(HAK_STARVE_PROFILE)) {
		hak_sample_begin();
		hak_attach_follow();
	}
}
