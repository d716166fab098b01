#include "probe.h"

#ifdef HAK_PROBE_LIST
#define PROBE_DEFINE(provider, name)                                                                                   \
	__attribute__((section(".probes"), used)) volatile unsigned short provider##_##name##_semaphore;
HAK_PROBE_LIST(PROBE_DEFINE)
#endif
