/* SPDX-License-Identifier: MIT */
/* fails: makes system calls fail, in programs that are linked with the rooms (lib/fault.h). */
#ifndef FAILS_H
#define FAILS_H

#include <errno.h>

#include "fault.h"

/* Of these calls the one that is the `after`th from now on, and so many in a row. */
static inline void fail(unsigned calls, int error, unsigned after, unsigned count)
{
	hak_os_fail_calls = calls;
	hak_os_fail_error = (unsigned)error;
	hak_os_fail_count = count;
	hak_os_fail_after = after;
}

/* Memory is short. */
static inline void fail_mappings(unsigned after, unsigned count) { fail(HAK_FAULT_MAPPINGS, ENOMEM, after, count); }

/* All of these calls, from now on. */
static inline void refuse(unsigned calls, int error) { fail(calls, error, 1, 1u << 30); }

static inline void fail_none(void) { fail_mappings(0, 0); }

#endif
