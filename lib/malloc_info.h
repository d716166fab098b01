/* malloc_info: the C library's names for those who look at malloc or tune it.  Floor 19.
 *
 * Names, numbers and errors are glibc's, whatever the C library is; the structures are declared here because
 * musl has none.  HAK_ABI as in malloc_abi.h. */
#ifndef HAK_MALLOC_INFO_H
#define HAK_MALLOC_INFO_H

#include <stddef.h>
#include <stdio.h>

#ifndef HAK_ABI
#ifdef HAK_NO_LIBC_NAMES
#define HAK_ABI(name) hak_abi_##name
#else
#define HAK_ABI(name) name
#endif
#endif

/* HAK_MALLINFO(field): arena = uordblks + fordblks. */
#define HAK_MALLINFO_FIELDS(X)                                                                              \
	X(arena)    /* bytes mapped for blocks but those of hblkhd */                                        \
	X(ordblks)  /* free blocks in slabs, and free slabs */                                               \
	X(smblks)   /* free blocks in caches and parcels */                                                  \
	X(hblks)    /* blocks above 2 MiB in use */                                                          \
	X(hblkhd)   /* their bytes */                                                                        \
	X(usmblks)  /* always 0 */                                                                           \
	X(fsmblks)  /* bytes in caches and parcels */                                                        \
	X(uordblks) /* bytes in use, but those of hblkhd */                                                  \
	X(fordblks) /* bytes free */                                                                         \
	X(keepcost) /* bytes that malloc_trim(0) would give back */

#define HAK_MALLINFO_INT(field) int field;
#define HAK_MALLINFO_SIZE(field) size_t field;

struct hak_mallinfo {
	HAK_MALLINFO_FIELDS(HAK_MALLINFO_INT)
};

struct hak_mallinfo2 {
	HAK_MALLINFO_FIELDS(HAK_MALLINFO_SIZE)
};

/* Parameters of mallopt. */
enum hak_mallopt {
	HAK_M_MXFAST = 1,
	HAK_M_TRIM_THRESHOLD = -1,
	HAK_M_TOP_PAD = -2,
	HAK_M_MMAP_THRESHOLD = -3,
	HAK_M_MMAP_MAX = -4,
	HAK_M_CHECK_ACTION = -5,
	HAK_M_PERTURB = -6,
	HAK_M_ARENA_TEST = -7,
	HAK_M_ARENA_MAX = -8,
};

struct hak_mallinfo HAK_ABI(mallinfo)(void); /* what is above INT_MAX is given as INT_MAX */
struct hak_mallinfo2 HAK_ABI(mallinfo2)(void);
int HAK_ABI(malloc_info)(int options, FILE *to); /* XML; EINVAL: options != 0; -1 and errno: not written */
void HAK_ABI(malloc_stats)(void);                /* text, to standard error */
int HAK_ABI(malloc_trim)(size_t pad);            /* 1 if memory was given back; pad has no meaning here */
int HAK_ABI(mallopt)(int parameter, int value);  /* 1; 0: no such parameter, or not with that value */

#endif
