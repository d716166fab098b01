/* SPDX-License-Identifier: MIT */
/* resident: how much memory the process has.  Allocates nothing. */
#ifndef RESIDENT_H
#define RESIDENT_H

#include <fcntl.h>

#include "emulator.h"
#include "tap.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define IS_UNDER_TSAN 1
#else
#define IS_UNDER_TSAN 0
#endif

/* A sanitizer's shadow is memory too: then figures say nothing. */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define RESIDENT_MEANS_SOMETHING 0
#else
#define RESIDENT_MEANS_SOMETHING (!IS_UNDER_TSAN)
#endif

/* The field of /proc/self/statm, in bytes: 0 all addresses, 1 what is in memory. */
static inline size_t resident_field(int field)
{
	char text[128] = "", *at = text;
	int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t got = read(file, text, sizeof(text) - 1);

	need(got > 0);
	close(file);
	while (field-- > 0)
		strtoul(at, &at, 10);
	/* an emulator's are those of the machine it runs on, whatever it tells the program */
	return strtoul(at, NULL, 10) * (is_emulated() ? 4096 : (size_t)sysconf(_SC_PAGESIZE));
}

static inline size_t resident(void)
{
	return resident_field(1);
}

/* A point: not more than this many MiB above `before`. */
#define resident_within(before, mib)                                                                   \
	do {                                                                                           \
		size_t now = resident(), grown = now > (before) ? now - (before) : 0;                  \
		if (!RESIDENT_MEANS_SOMETHING)                                                         \
			skip("memory is a sanitizer's too");                                           \
		else if (is_emulated())                                                                \
			skip("memory is the emulator's too");                                          \
		else                                                                                   \
			ok(grown <= (size_t)(mib) << 20, "grown by %zu KiB, at most %zu", grown >> 10, \
			   (size_t)(mib) << 10);                                                       \
	} while (0)

#endif
