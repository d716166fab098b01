#include "numa.h"

#include "atomic.h"
#include "bits.h"
#include "os.h"
#include "tunables.h"

static _Atomic uint32_t numa_seen; /* a bit for each node */

_Static_assert(HAK_NODES <= 32, "a bit for each node");

HAK_FN unsigned hak_numa_node(void)
{
	unsigned node = hak_setting(numa) ? hak_os_node() % HAK_NODES : 0;
	uint32_t bit = UINT32_C(1) << node;

	if (hak_unlikely(!(hak_load(&numa_seen, relaxed) & bit)))
		hak_fetch_or(&numa_seen, bit, relaxed);
	return node;
}

HAK_FN unsigned hak_numa_nodes(void) { return hak_count_bits(hak_load(&numa_seen, relaxed)); }
