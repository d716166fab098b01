/* atomic: the only use of <stdatomic.h>.  Floor 0.
 *
 * Every operation names its order; every order beyond relaxed names its partner where it stands.
 * With HAK_MODEL each operation is a place where the explorer may switch to another thread. */
#ifndef HAK_ATOMIC_H
#define HAK_ATOMIC_H

#include <stdatomic.h>

#include "cc.h"

#ifdef HAK_MODEL
void hak_model_step(void);
#else
#define hak_model_step() ((void)0)
#endif

/* What a signal handler of this thread sees is in this order; no instruction. */
#define hak_signal_fence() atomic_signal_fence(memory_order_seq_cst)

#define hak_load(p, order) (hak_model_step(), atomic_load_explicit((p), memory_order_##order))
#define hak_store(p, v, order) (hak_model_step(), atomic_store_explicit((p), (v), memory_order_##order))
#define hak_swap(p, v, order) (hak_model_step(), atomic_exchange_explicit((p), (v), memory_order_##order))
#define hak_fetch_add(p, v, order) (hak_model_step(), atomic_fetch_add_explicit((p), (v), memory_order_##order))
#define hak_fetch_sub(p, v, order) (hak_model_step(), atomic_fetch_sub_explicit((p), (v), memory_order_##order))
#define hak_fetch_or(p, v, order) (hak_model_step(), atomic_fetch_or_explicit((p), (v), memory_order_##order))
#define hak_fetch_xor(p, v, order) (hak_model_step(), atomic_fetch_xor_explicit((p), (v), memory_order_##order))
#define hak_fetch_and(p, v, order) (hak_model_step(), atomic_fetch_and_explicit((p), (v), memory_order_##order))
/* On failure *expected is reloaded with relaxed order. */
#define hak_cas(p, expected, v, order)                                                              \
	(hak_model_step(), atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_##order, \
	                                                           memory_order_relaxed))
#define hak_cas_acquire_both(p, expected, v, order)                                                 \
	(hak_model_step(), atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_##order, \
	                                                           memory_order_acquire))

/* A relaxed load that the compiler may fold into another instruction; TSan sees an atomic one. */
#if HAK_TSAN
#define hak_peek(type, p) hak_load((p), relaxed)
#else
#define hak_peek(type, p) (*(const type *)(uintptr_t)(p))
#endif

#endif
