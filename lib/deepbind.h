/* deepbind: dlopen without RTLD_DEEPBIND.  Floor 1.
 *
 * A module opened with that flag binds malloc and free to the C library's own, past every allocator that is preloaded or
 * linked, and then frees our blocks there: PHP's modules crash so.  Our dlopen clears the flag and goes on to the next.
 * D1  It goes on by a jump: dlopen finds the caller's RUNPATH by the return address. */
#ifndef HAK_DEEPBIND_H
#define HAK_DEEPBIND_H

#include "cc.h"

HAK_FN void *hak_deepbind_loaded(const char *file); /* as dlopen gives it; NULL: not loaded, or not known here */
HAK_VAR bool hak_deepbind_passes; /* given by start: the C library's malloc is the only one, and the flag stays */

#endif
