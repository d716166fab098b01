/* libc: the C library's own allocator, for its own blocks and for programs that are to have it.  Floor 5.
 *
 * It can be reached with glibc, in the shared library: glibc exports its functions under names of their own.  Elsewhere
 * hak_libc_is_there is false, and no other function here is of use.
 * B1  A pointer into our window is never taken for a block of the C library.
 * B2  In a process that passes (HAKMEM_DISABLE, mode=pass) every pointer outside the window is the C library's. */
#ifndef HAK_LIBC_H
#define HAK_LIBC_H

#include "tunables.h"

HAK_FN bool hak_libc_is_there(void);
HAK_FN bool hak_libc_is_excluded(const void *p); /* B1: it lies in our window */
HAK_FN bool hak_libc_is_block(const void *p);    /* by what lies before it; B2 */

HAK_FN void *hak_libc_malloc(size_t size);
HAK_FN void *hak_libc_zeroed(size_t size);
HAK_FN void *hak_libc_aligned(size_t align, size_t size); /* align 1: as malloc */
HAK_FN void *hak_libc_resize(void *p, size_t size);
HAK_FN void hak_libc_free(void *p);
HAK_FN size_t hak_libc_usable_size(const void *p);

/* The C library's function of that name, where ours comes before it; NULL: there is none.  May allocate. */
HAK_FN void *hak_libc_find(const char *name);

/* Does the program get the C library's malloc? */
HAK_HOT bool hak_libc_passes(void) { return hak_unlikely(hak_setting(disable)) && hak_libc_is_there(); }

#endif
