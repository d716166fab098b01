/* free: where a block goes that is no hit.  Floor 16.
 *
 * errno stays. */
#ifndef HAK_FREE_H
#define HAK_FREE_H

#include "cc.h"

HAK_FN void hak_free_sized(void *p, size_t align, size_t size); /* align 0: as malloc gives */

#endif
