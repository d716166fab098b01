/* pages: how new memory is backed: huge pages, and pages that are made present ahead of need.  Floor 5.
 *
 * HAKMEM_THP=auto asks for huge pages where the heap is large and dense with small blocks: small processes, heaps of which
 * little is used, and buffers of which little is written never get one, whatever the system's own setting is.
 * HAKMEM_SS_PREFAULT=auto makes slabs of a class that grows present 64 KiB and more by one call.
 * Concurrency: any threads; the kernel's refusals are remembered, and none matters. */
#ifndef HAK_PAGES_H
#define HAK_PAGES_H

#include "registry.h"

/* A SuperSlab that is wholly mapped.  dense: the heap fills what it takes with small blocks. */
HAK_FN void hak_pages_superslab(size_t slot, size_t superslabs, bool dense);
/* Memory of a SuperSlab went back in part.  If HAKMEM_THP=auto asked for huge pages none comes again, here and beside: khugepaged
 * would make all of it present. */
HAK_FN void hak_pages_broken(size_t slot);
HAK_FN void hak_pages_present(char *at, size_t bytes); /* new memory of a SuperSlab: HAKMEM_SS_PREFAULT 1 and 2 */
HAK_FN void hak_pages_ready(char *at, size_t bytes); /* makes them present in any case */
/* Clean slabs that a class which is growing is about to fill; perhaps makes some present, and returns which. */
HAK_FN uint32_t hak_pages_growing(size_t slot, uint32_t slabs);
/* A large block that has new memory, from a slot's start on.  All of it is advised alike, that it is one mapping and can be
 * moved; its last part gets no huge page, as its slot is mapped in part. */
HAK_FN void hak_pages_large(char *at, size_t bytes);
HAK_FN bool hak_pages_is_always(void); /* HAKMEM_THP=always */

#endif
