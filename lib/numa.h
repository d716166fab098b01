/* numa: on which node of memory a thread runs.  Floor 4.
 *
 * The kernel takes a page from the node of the thread that touches it first.  So it is enough that a thread is handed slabs and
 * kept blocks of its own node only, as long as the kernel gives new memory: what was mapped for a node is the node's until it is
 * unmapped.  Nobody asks how many nodes there are: a machine of one just never shows a second. */
#ifndef HAK_NUMA_H
#define HAK_NUMA_H

#include "cc.h"
#include "geometry.h"

HAK_FN unsigned hak_numa_node(void);  /* of the calling thread, below HAK_NODES; with HAKMEM_NUMA=0 always 0 */
HAK_FN unsigned hak_numa_nodes(void); /* that took memory so far */

#endif
