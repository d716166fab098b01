/* large: blocks above 2 MiB, and the BigCache.  Floor 9.
 *
 * A large block begins at a slot of the window and maps what it needs, not whole slots.
 * G1  The first slot is LARGE and its `bytes` are what is mapped; the others are LARGE_INNER; the block's first tag is
 *     HAK_TAG_LARGE, the others are 0.
 * G2  A cached block's tag is 0; its slots stay as they were.
 * Concurrency: any threads; the BigCache has a lock that is never held across a system call. */
#ifndef HAK_LARGE_H
#define HAK_LARGE_H

#include "cc.h"

HAK_FN void *hak_large_alloc(size_t size, size_t align, bool *zero);
HAK_FN void hak_large_free(void *p);
HAK_FN size_t hak_large_size(const void *p);
HAK_FN void *hak_large_resize(void *p, size_t size); /* in place or by moving pages; NULL: neither, p as it was */
HAK_FN size_t hak_large_trim(uint32_t now, uint32_t age); /* unmaps what was cached that long ago; bytes */
HAK_FN void hak_large_tick(void);     /* the same for what is older than HAKMEM_DECAY_MS */
HAK_FN size_t hak_large_used(void);   /* bytes in blocks */
HAK_FN size_t hak_large_blocks(void);
HAK_FN size_t hak_large_cached(void); /* bytes */
HAK_FN void hak_large_lock(void);     /* around fork */
HAK_FN void hak_large_unlock(void);

#endif
