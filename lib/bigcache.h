/* bigcache: freed large blocks that are kept: whole slots, mapped.  Floor 8.
 *
 * B1  Extents do not overlap, and no two of a node are neighbours: put joins them.
 * B2  Their slots stay LARGE_INNER in the registry, their tags 0; all of their bytes are mapped and perhaps not zero.
 * Concurrency: any threads; one lock, never held across a system call. */
#ifndef HAK_BIGCACHE_H
#define HAK_BIGCACHE_H

#include "cc.h"

#define HAK_BIGCACHE_PLACES HAK_HARD_OR(64u, 8u)

struct hak_extent {
	size_t slot, slots; /* slots == 0: none */
	uint32_t stamp;     /* when its youngest part was freed */
	uint32_t node;      /* whose memory it is */
};

struct hak_bigcache {
	struct hak_extent extents[HAK_BIGCACHE_PLACES]; /* the first `count` are in use, in no order */
	size_t count;
};

HAK_VAR struct hak_bigcache hak_bigcache; /* under the lock */

/* Of a node's, best fit: the first `slots` of the smallest extent that has as many; else the largest. */
HAK_FN struct hak_extent hak_bigcache_take(uint32_t node, size_t slots);
/* Just these: growth in place. */
HAK_FN bool hak_bigcache_take_at(uint32_t node, size_t slot, size_t slots);
/* The oldest, if it was freed at least `age` before `now`. */
HAK_FN struct hak_extent hak_bigcache_take_oldest(uint32_t now, uint32_t age);
HAK_FN bool hak_bigcache_put(struct hak_extent extent); /* false: no place left */
HAK_FN size_t hak_bigcache_slots(void);
HAK_FN void hak_bigcache_lock(void); /* around fork */
HAK_FN void hak_bigcache_unlock(void);

#endif
