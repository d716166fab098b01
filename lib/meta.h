/* meta: memory for our own structures.  Floor 3.
 *
 * Zeroed, never given back, never beside a user's block.  Lock-free: a bump of the current chunk's counter.
 * M1  A chunk is never unmapped once it is current: a stale reader of any structure reads valid memory. */
#ifndef HAK_META_H
#define HAK_META_H

#include "atomic.h"
#include "cc.h"

struct hak_meta_chunk {
	_Atomic size_t used;
	size_t size;
	char *bytes;                  /* behind this head, or in .bss */
	struct hak_meta_chunk *older; /* for those who look from outside */
};

HAK_VAR _Atomic(struct hak_meta_chunk *) hak_meta_current;

/* align: a power of two, at least 16, at most 4096.  NULL if the kernel gives nothing. */
HAK_FN void *hak_meta_alloc(size_t size, size_t align);
HAK_FN size_t hak_meta_mapped(void); /* bytes in mappings */

#endif
