/* SPDX-License-Identifier: MIT */
/* names: one source for tests of the library and of the rooms (malloc_tests of Makefile.am).
 *
 * In a program that is linked with the rooms, malloc and its family are ours by the names of malloc_abi.h.  In one that is
 * linked with the library they are what they are. */
#ifndef NAMES_H
#define NAMES_H

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAK_NO_LIBC_NAMES
#include "malloc_abi.h"
#include "malloc_info.h"

#define malloc hak_abi_malloc
#define free hak_abi_free
#define calloc hak_abi_calloc
#define realloc hak_abi_realloc
#define aligned_alloc hak_abi_aligned_alloc
#define memalign hak_abi_memalign
#define posix_memalign hak_abi_posix_memalign
#define valloc hak_abi_valloc
#define pvalloc hak_abi_pvalloc
#define malloc_usable_size hak_abi_malloc_usable_size
#define malloc_trim hak_abi_malloc_trim
#elif !defined(__GLIBC__)
/* The library has all of the family, musl's headers have not. */
void *pvalloc(size_t size);
int malloc_trim(size_t pad);
#endif

#endif
