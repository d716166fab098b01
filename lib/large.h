/* large: blocks above 2 MiB.  Floor 9.
 *
 * A large block begins at a slot of the window and maps what it needs, not whole slots.
 * G1  The first slot is LARGE; its `bytes` are what the block may use and its `mapped` what is mapped, which ends in its
 *     last slot; the other slots are LARGE_INNER; the block's first tag is HAK_TAG_LARGE, the others are 0.
 * G2  A freed block is unmapped, or its slots are mapped to the end of the last one and go into the BigCache.
 * Concurrency: any threads; no lock is held across a system call. */
#ifndef HAK_LARGE_H
#define HAK_LARGE_H

#include "atomic.h"
#include "cc.h"

struct hak_large_use {
	_Atomic size_t bytes, blocks; /* in the program's hands */
};

HAK_VAR struct hak_large_use hak_large_use;

HAK_FN void *hak_large_alloc(size_t size, size_t align, bool *zero);
HAK_FN void hak_large_free(void *p);
HAK_FN size_t hak_large_size(const void *p);
HAK_FN void *hak_large_resize(void *p, size_t size); /* in place or by moving pages; NULL: neither, p as it was */
HAK_FN size_t hak_large_trim(uint32_t now, uint32_t age); /* unmaps what was cached that long ago; bytes */
HAK_FN void hak_large_tick(void);     /* the same for what is older than HAKMEM_DECAY_MS */
HAK_FN size_t hak_large_used(void);   /* bytes in blocks */
HAK_FN size_t hak_large_blocks(void);
HAK_FN size_t hak_large_cached(void); /* bytes */

#endif
