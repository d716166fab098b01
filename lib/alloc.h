/* alloc: routes by size; the only place that retries after reclaim.  Floor 17.
 *
 * The functions have glibc's error behaviour: NULL and ENOMEM when there is no memory or the size is above PTRDIFF_MAX. */
#ifndef HAK_ALLOC_H
#define HAK_ALLOC_H

#include "hot.h"

HAK_FN void *hak_alloc_zeroed(size_t count, size_t size);
HAK_FN void *hak_alloc_aligned(size_t align, size_t size); /* align: a power of two */
HAK_FN void *hak_alloc_resize(void *p, size_t size);       /* realloc */
HAK_FN size_t hak_alloc_usable_size(const void *p);

#endif
