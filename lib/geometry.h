/* geometry: every size that fixes the layout, each held by a static assert.  Floor 0. */
#ifndef HAK_GEOMETRY_H
#define HAK_GEOMETRY_H

#include "cc.h"

#define HAK_ALIGN 16u /* of every block */

#define HAK_SLAB_SHIFT 16
#define HAK_SLAB_SIZE ((size_t)1 << HAK_SLAB_SHIFT) /* 64 KiB: what one tag speaks for */
#define HAK_SS_SHIFT 21
#define HAK_SS_SIZE ((size_t)1 << HAK_SS_SHIFT) /* 2 MiB, aligned to itself */
#define HAK_SS_SLABS 32u                        /* one bit each in a 32-bit word */

#define HAK_TINY_MAX 1024u      /* tiny sizes end here */
#define HAK_TINY_CLASSES 20u    /* classes to there */
#define HAK_DIRECT_MAX 2048u    /* what malloc's first step serves */
#define HAK_CLASS_COUNT 44u     /* 8 in steps of 16 to 128, then four per doubling to 64 KiB */
#define HAK_CLASS_MAX 65536u    /* the largest cached block */
#define HAK_MID_MAX HAK_SS_SIZE /* the largest span; above: large */
#define HAK_BLOCKS_MAX 4096u    /* blocks of 16 bytes in a slab */
#define HAK_SPAN_MAX 8u         /* slabs under one class */

/* A tag: owner << 10 | class * 16.  Its low ten bits are the byte offset of a cache in the owner's heap. */
#define HAK_TAG_SHIFT 10
#define HAK_CACHE_SIZE 16u
#define HAK_TAG_CLASSES (HAK_CLASS_COUNT * HAK_CACHE_SIZE)
#define HAK_OWNER_NONE 0u   /* tag 0: nobody's, perhaps the C library's */
#define HAK_OWNER_SPAN 1u   /* mid and large blocks: owned by the process */
#define HAK_OWNER_FIRST 2u  /* the first heap */
#define HAK_OWNER_MAX ((1u << 22) - 2)
#define HAK_TAG_MID ((HAK_OWNER_SPAN << HAK_TAG_SHIFT) | 0u)
#define HAK_TAG_LARGE ((HAK_OWNER_SPAN << HAK_TAG_SHIFT) | 16u)
#define HAK_TAG_INNER ((HAK_OWNER_SPAN << HAK_TAG_SHIFT) | 32u) /* inside a mid block, not its start */
#define HAK_TAG_GUARD ((HAK_OWNER_SPAN << HAK_TAG_SHIFT) | 48u) /* of the guarded blocks: guard.h */
#define HAK_TAG_EMPTY UINT32_MAX                                /* of the empty heap: matches no tag */

/* The window: a range of addresses that is covered by the tag table as far as it is used. */
#if UINTPTR_MAX > UINT32_MAX
#define HAK_WINDOW_MAX ((uint64_t)1 << 44) /* 16 TiB */
#define HAK_ADDRESS_BITS 47
#else
#define HAK_WINDOW_MAX ((uint64_t)1 << 32)
#define HAK_ADDRESS_BITS 32
#endif
#define HAK_SS_MAX ((size_t)(HAK_WINDOW_MAX >> HAK_SS_SHIFT))

#define HAK_LINE 64u /* cache line */

#define HAK_NODES 16u           /* of memory; a machine with more of them counts from 0 again */
#define HAK_NODE_ANY UINT32_MAX /* whichever */

#define HAK_PARCEL_BLOCKS 61u /* 512 bytes with its head, on 64 bits */
#define HAK_PARCEL_SIZE 512u
#define HAK_OUTGOING 16u      /* parcels that a heap fills at once */

_Static_assert(HAK_SS_SIZE / HAK_SLAB_SIZE == HAK_SS_SLABS, "a SuperSlab's slabs are one word");
_Static_assert(HAK_SLAB_SIZE / HAK_ALIGN == HAK_BLOCKS_MAX, "the bitmap holds the smallest class");
_Static_assert(HAK_TAG_CLASSES < (1u << HAK_TAG_SHIFT), "class offsets fit below the owner");
_Static_assert(HAK_TAG_EMPTY >> HAK_TAG_SHIFT > HAK_OWNER_MAX, "the empty heap is nobody");

#endif
