#include "fault.h"

#ifdef HAK_CAN_FAIL

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

HAK_DEF _Atomic unsigned hak_os_fail_calls = HAK_FAULT_MAPPINGS;
HAK_DEF _Atomic unsigned hak_os_fail_error = ENOMEM;
HAK_DEF _Atomic unsigned hak_os_fail_after, hak_os_fail_count, hak_os_fail_period;
static _Atomic unsigned fault_calls;

#ifdef HAK_FAULTS
/* At the first call, unless that comes before the C library knows the environment. */
static void fault_read(void)
{
	static _Atomic unsigned *const fields[] = { &hak_os_fail_calls, &hak_os_fail_error, &hak_os_fail_after,
	                                            &hak_os_fail_count, &hak_os_fail_period };
	static _Atomic bool is_read;
	const char *at;

	if (hak_load(&is_read, relaxed) || !environ)
		return;
	hak_store(&is_read, true, relaxed);
	at = getenv("HAK_FAULTS");
	for (size_t i = 0; at && *at && i < HAK_COUNT_OF(fields); i++) {
		char *end;
		unsigned long number = strtoul(at, &end, 10);

		if (end != at)
			hak_store(fields[i], (unsigned)number, relaxed);
		at = *end == ':' ? end + 1 : NULL;
	}
}
#else
static void fault_read(void) {}
#endif

static bool fault_is_due(void)
{
	unsigned after = hak_load(&hak_os_fail_after, relaxed), next, period = hak_load(&hak_os_fail_period, relaxed);

	do {
		if (after == 0)
			return period && hak_fetch_add(&fault_calls, 1, relaxed) % period == period - 1;
		next = after > 1 ? after - 1 : hak_load(&hak_os_fail_count, relaxed) > 1;
	} while (!hak_cas(&hak_os_fail_after, &after, next, relaxed));
	if (after == 1 && next == 1)
		hak_fetch_sub(&hak_os_fail_count, 1, relaxed);
	return after == 1;
}

HAK_FN bool hak_fault(enum hak_fault_call call)
{
	int saved = errno;

	fault_read();
	errno = saved;
	if (!(hak_load(&hak_os_fail_calls, relaxed) & (unsigned)call) || !fault_is_due())
		return false;
	errno = (int)hak_load(&hak_os_fail_error, relaxed);
	return true;
}

#endif
