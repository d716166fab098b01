/* probe: places that others can watch from outside, as USDT probes (<sys/sdt.h>; configure --disable-probes).  Floor 0.
 *
 * A probe is one instruction that does nothing, and a note in the file that is not loaded.  Who attaches to it (bpftrace, perf,
 * SystemTap, gdb, the OpenTelemetry profiler) adds one to its semaphore, which is looked at first; so it costs one load on a
 * cold path, and nothing on a hit.
 *
 *   otel_memory:alloc(block, size, weight)  a sampled allocation; it stands for `weight` bytes (sample.h)
 *   otel_memory:free(block)                 a block that was sampled
 *   hakmem:refill(size, blocks)             a cache of blocks of that size was filled with so many
 *   hakmem:flush(size, blocks)              it was full, and so many left it
 *   hakmem:map(address, bytes), hakmem:unmap(address, bytes), hakmem:purge(address, bytes)
 *
 * The first two are OpenTelemetry's (opentelemetry-ebpf-profiler, design-docs/00003-memory-profiling).  As long as somebody
 * is attached to them, allocations are sampled, for which the caches are starved: hak_probe_is_watched. */
#ifndef HAK_PROBE_H
#define HAK_PROBE_H

#include "cc.h"

#ifdef HAK_PROBES

/* Each with its semaphore, which the kernel or a debugger writes; the notes name it. */
#define HAK_PROBE_LIST(X)                                                                                              \
	X(otel_memory, alloc)                                                                                          \
	X(otel_memory, free)                                                                                           \
	X(hakmem, refill)                                                                                              \
	X(hakmem, flush)                                                                                               \
	X(hakmem, map)                                                                                                 \
	X(hakmem, unmap)                                                                                               \
	X(hakmem, purge)

#define HAK_PROBE_DECLARE(provider, name)                                                                              \
	extern __attribute__((visibility("hidden"))) volatile unsigned short provider##_##name##_semaphore;
HAK_PROBE_LIST(HAK_PROBE_DECLARE)
#undef HAK_PROBE_DECLARE

#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#define hak_probe_is_on(provider, name) hak_unlikely(provider##_##name##_semaphore)
#define hak_probe_1(provider, name, a) (hak_probe_is_on(provider, name) ? (void)({ STAP_PROBE1(provider, name, a); }) : (void)0)
#define hak_probe_2(provider, name, a, b)                                                                              \
	(hak_probe_is_on(provider, name) ? (void)({ STAP_PROBE2(provider, name, a, b); }) : (void)0)
#define hak_probe_3(provider, name, a, b, c)                                                                           \
	(hak_probe_is_on(provider, name) ? (void)({ STAP_PROBE3(provider, name, a, b, c); }) : (void)0)
#define hak_probe_is_watched() (hak_probe_is_on(otel_memory, alloc) || hak_probe_is_on(otel_memory, free))

#else
#define hak_probe_is_on(provider, name) false
#define hak_probe_1(provider, name, a) ((void)(a))
#define hak_probe_2(provider, name, a, b) ((void)(a), (void)(b))
#define hak_probe_3(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#define hak_probe_is_watched() false
#endif

#endif
