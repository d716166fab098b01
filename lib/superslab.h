/* superslab: SuperSlabs come from the kernel and go back.  Floor 7.
 *
 * The first SuperSlab is mapped in part and grows with need, so that a small process never has a range that the
 * kernel may back with a huge page.  Wholly free SuperSlabs stay mapped (their memory is purged by batch) up to
 * HAKMEM_SS_LRU_SIZE of them, or as many as are in use; above that the highest go.
 * Concurrency: any threads, lock-free; two that grow at once map two SuperSlabs. */
#ifndef HAK_SUPERSLAB_H
#define HAK_SUPERSLAB_H

#include "pool.h"

/* More free slabs of the node in the pool; false if the kernel refuses.  dense: see pages.h. */
HAK_FN bool hak_superslab_grow(uint32_t node, bool dense);
HAK_FN void hak_superslab_adopt(uint32_t node, size_t slot, size_t n); /* a large block's slots, mapped, zero, without tags */
HAK_FN void hak_superslab_prewarm(unsigned n);
HAK_FN void hak_superslab_ahead(void); /* if less than one is free: one more, its pages present */
HAK_FN void hak_superslab_shrink(size_t keep); /* unmaps wholly free SuperSlabs until about `keep` are left */
HAK_FN size_t hak_superslab_keep(void);     /* free ones that stay mapped: HAKMEM_SS_LRU_SIZE, or as many as are used */
HAK_FN bool hak_superslab_is_surplus(void); /* more free ones than that, perhaps */
HAK_FN bool hak_superslab_mark_all(void);   /* HAKMEM_SECURE, at start: marks, all clear, for those that there are */
HAK_FN size_t hak_superslab_count(void);    /* mapped */

#endif
