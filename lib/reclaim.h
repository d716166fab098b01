/* reclaim: gives memory back, and finds some where none is left.  Floor 15. */
#ifndef HAK_RECLAIM_H
#define HAK_RECLAIM_H

#include "heap.h"

HAK_FN void hak_reclaim_all(struct hak_heap *heap); /* entered, or NULL */
HAK_FN size_t hak_reclaim_trim(void); /* what can be given back: bytes */
HAK_FN void *hak_reclaim_from_idle(unsigned class);
HAK_FN bool hak_reclaim_within_limit(size_t size);
HAK_FN void hak_reclaim_obey(void); /* what was asked for from outside; at the end of a cold call: no heap is entered, no lock held */

#endif
