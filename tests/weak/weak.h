/* SPDX-License-Identifier: MIT */
/* weak: what the programs of this directory share.  They run the rooms' own code under the memory model of C (RC11), by GenMC,
 * which tries every execution that the orders allow, and finds data races:
 *
 *	tests/weak/run PATH_OF_GENMC
 *
 * Each program is run as it is, where nothing may be found, and once for each of its controls (CONTROL=1 ..), where something
 * must be: an order made too weak.  GenMC 0.10 and 0.11 are not in distributions: https://github.com/MPI-SWS/genmc. */
#ifndef WEAK_H
#define WEAK_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../lib/geometry.h"

#undef HAK_TLS /* GenMC knows no structures that are each thread's; nothing here looks at them */
#define HAK_TLS

/* GenMC's variables lie at addresses of 64 bits. */
#undef HAK_ADDRESS_BITS
#define HAK_ADDRESS_BITS 63

/* As lib/atomic.h, but that a control can weaken one function's orders. */
#define HAK_ATOMIC_H
#define hak_signal_fence() ((void)0)
#define hak_peek(type, p) hak_load((p), relaxed)
#define hak_load(p, order) atomic_load_explicit((p), memory_order_##order)
#define hak_store(p, v, order) atomic_store_explicit((p), (v), memory_order_##order)
#define hak_swap(p, v, order) atomic_exchange_explicit((p), (v), memory_order_##order)
#define hak_fetch_add(p, v, order) atomic_fetch_add_explicit((p), (v), memory_order_##order)
#define hak_fetch_sub(p, v, order) atomic_fetch_sub_explicit((p), (v), memory_order_##order)
#define hak_fetch_or(p, v, order) atomic_fetch_or_explicit((p), (v), memory_order_##order)
#define hak_fetch_and(p, v, order) atomic_fetch_and_explicit((p), (v), memory_order_##order)
#define hak_cas(p, expected, v, order) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_##order, memory_order_relaxed)
/* GenMC 0.10 takes no order of its own for failure: where that is acquire, success is so too. */
#define weak_both_release memory_order_acq_rel
#define weak_both_acquire memory_order_acquire
#define weak_both_acq_rel memory_order_acq_rel
#define hak_cas_acquire_both(p, expected, v, order) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), weak_both_##order, memory_order_acquire)

#ifndef CONTROL
#define CONTROL 0
#endif

/* No more memory for structures than a program has itself. */
void *hak_meta_alloc(size_t size, size_t align)
{
	(void)size, (void)align;
	return NULL;
}

static pthread_t weak_thread[4];

#define begin(n, run) pthread_create(&weak_thread[n], NULL, (run), NULL)
#define end(n) pthread_join(weak_thread[n], NULL)

#endif
