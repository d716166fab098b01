/* alloc: routes by size; the only place that retries after reclaim.  Floor 14.
 *
 * The functions have glibc's error behaviour: NULL and ENOMEM when there is no memory or the size is above PTRDIFF_MAX,
 * errno untouched by frees.  `entry` is the name that a fatal message begins with. */
#ifndef HAK_ALLOC_H
#define HAK_ALLOC_H

#include "hot.h"

HAK_FN bool hak_alloc_start(void); /* the registry, once; by the first call or the constructor */
HAK_FN void *hak_alloc_zeroed(size_t count, size_t size);
HAK_FN void *hak_alloc_aligned(size_t align, size_t size); /* align: a power of two */
HAK_FN void *hak_alloc_resize(void *p, size_t size);       /* realloc */
HAK_FN size_t hak_alloc_usable_size(const void *p);
HAK_FN void hak_alloc_free_sized(void *p, size_t align, size_t size); /* align 0: as malloc gives */
HAK_FN size_t hak_alloc_trim(void);                                   /* gives back what it can: bytes */
HAK_FN struct hak_heap *hak_alloc_heap(void); /* the thread's, made if need be, entered; then hak_alloc_leave */
HAK_FN void hak_alloc_leave(struct hak_heap *heap);
HAK_FN void hak_alloc_follow(void); /* are the caches starved?  The thread's next call is a cold one then, and else a hit */

HAK_FN void hak_alloc_lock(void); /* around fork */
HAK_FN void hak_alloc_unlock(void);

/* Given by start: what a new thread's first call has to do beyond taking a heap. */
HAK_VAR bool hak_alloc_has_key;
HAK_VAR unsigned hak_alloc_key; /* pthread_key_t */

#endif
