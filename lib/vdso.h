/* vdso: the kernel's own code in the process, which tells the time without a system call.  Floor 0.
 *
 * Not by the C library's name: in its place libraries like faketime put a function that allocates, or stands still.
 * Looked for by hand, as dlsym() allocates.  Read only; nothing of it is kept here. */
#ifndef HAK_VDSO_H
#define HAK_VDSO_H

#include "cc.h"

HAK_FN void *hak_vdso_find(const char *name); /* the address of a function; NULL: there is none */

#endif
