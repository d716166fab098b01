/* malloc_abi: the C and C++ names.  Floor 19.
 *
 * With HAK_NO_LIBC_NAMES (sanitizer builds, unit tests) each name has hak_abi_ before it and replaces nothing.
 * The names carry no symbol version: a versioned malloc is silently not interposed.  reallocarray is not here: glibc's
 * own calls our realloc. */
#ifndef HAK_MALLOC_ABI_H
#define HAK_MALLOC_ABI_H

#include <stddef.h>

#ifdef HAK_NO_LIBC_NAMES
#define HAK_ABI(name) hak_abi_##name
#else
#define HAK_ABI(name) name
#endif

void *HAK_ABI(malloc)(size_t size);
void HAK_ABI(free)(void *p);
void *HAK_ABI(calloc)(size_t count, size_t size);
void *HAK_ABI(realloc)(void *p, size_t size);
void *HAK_ABI(aligned_alloc)(size_t align, size_t size);
void *HAK_ABI(memalign)(size_t align, size_t size);
int HAK_ABI(posix_memalign)(void **out, size_t align, size_t size);
void *HAK_ABI(valloc)(size_t size);
void *HAK_ABI(pvalloc)(size_t size);
size_t HAK_ABI(malloc_usable_size)(void *p);
void HAK_ABI(cfree)(void *p);
void HAK_ABI(free_sized)(void *p, size_t size);
void HAK_ABI(free_aligned_sized)(void *p, size_t align, size_t size);

#endif
