/* attach: a thread comes to its heap, or borrows one for a call.  Floor 14. */
#ifndef HAK_ATTACH_H
#define HAK_ATTACH_H

#include "heap.h"
#include "record.h"
#include "sample.h"

HAK_FN bool hak_attach_start(void); /* the registry, once; by the first call or the constructor */
HAK_FN struct hak_heap *hak_attach_heap(void); /* the thread's, made if need be, entered; then hak_attach_leave */
HAK_FN void hak_attach_leave(struct hak_heap *heap);
/* Is there something to follow?  With HAKMEM_SECURE, where hits never come back, the end of a profile is. */
HAK_HOT bool hak_attach_has_news(void)
{
	return hak_starve_is_on() || (hak_setting(secure) ? hak_sample_is_left() : hak_starve_is_news());
}
HAK_FN void hak_attach_follow(void); /* are the caches starved?  The thread's next call is a cold one then, and else a hit */

/* HAKMEM_TRACE: a realloc is one event, not those of which it is made. */
HAK_HOT bool hak_attach_is_recorded(void) { return hak_unlikely(hak_record_is_on()) && !hak_thread.resizing; }

HAK_FN void hak_attach_lock(void); /* around fork */
HAK_FN void hak_attach_unlock(void);

/* Given by start: what a new thread's first call has to do beyond taking a heap. */
HAK_VAR bool hak_attach_has_key;
HAK_VAR unsigned hak_attach_key; /* pthread_key_t */

#endif
