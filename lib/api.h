/* api: hakmem_*.  Floor 19.
 *
 * The functions, their errors and their structures are declared in hakmem.h, for everybody. */
#ifndef HAK_API_H
#define HAK_API_H

#include <hakmem.h>

#endif
