/* SPDX-License-Identifier: MIT */
/* window: a registry that chooses its addresses: for tests that know where memory comes from. */
#ifndef WINDOW_H
#define WINDOW_H

#include "registry.h"
#include "tap.h"

static inline void start_window(void)
{
	need(hak_registry_start());
	if (hak_registry.follow)
		skip_all("the kernel chooses the addresses here");
}

#endif
