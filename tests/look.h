/* SPDX-License-Identifier: MIT */
/* look: what another process does by hakmem_view, done by a test to its own: finding rows by their names, and starving. */
#ifndef LOOK_H
#define LOOK_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "tap.h"
#ifdef HAK_ROOMS
#include "view.h"
#else
#define HAK_ROOMS /* declarations only */
#include "view.h"
#undef HAK_ROOMS
#endif

extern const struct hak_view hakmem_view;

/* The rows lie behind the head, which is all that the compiler knows of. */
static inline const uintptr_t *look_places(void)
{
	const struct hak_view *view = &hakmem_view;

	__asm__("" : "+r"(view));
	return (const void *)(view + 1);
}

static inline unsigned look_row(const char *name)
{
	const char *at = (const char *)look_places()[HAK_VIEW_PLACE_names];
	unsigned n = 0;

	while (n < hakmem_view.places + hakmem_view.numbers && strcmp(at, name) != 0) {
		at += strlen(at) + 1;
		n++;
	}
	need(n < hakmem_view.places + hakmem_view.numbers);
	return n;
}

static inline uintptr_t look_place(const char *name) { return look_places()[look_row(name)]; }

static inline uint32_t look_number(const char *name)
{
	const uint32_t *numbers = (const void *)(look_places() + hakmem_view.places);

	return numbers[look_row(name) - hakmem_view.places];
}

static inline size_t look_word(uintptr_t address)
{
	size_t word;

	memcpy(&word, (const void *)address, sizeof(word));
	return word;
}

/* reason: "starve_profile"; as tools/hakmem/starve.c does it. */
static inline void look_starve(const char *reason, bool on)
{
	_Atomic unsigned char *byte = (_Atomic unsigned char *)(look_place("starve") + look_number(reason));
	_Atomic size_t *shown = (_Atomic size_t *)(look_place("registry") + look_number("registry_shown"));

	atomic_store(byte, on ? 0xff : 0);
	if (on)
		atomic_store(shown, 0);
}

/* Somebody reads: without that sampling ends by itself after ten seconds. */
static inline void look_alive(void)
{
	atomic_fetch_add((_Atomic uint32_t *)(look_place("sample") + look_number("sample_alive")), 1);
}

/* As tools/hakmem/samples.c does it; 0: no samples any more. */
static inline void look_sample(size_t distance)
{
	uintptr_t control = look_place("sample");

	look_alive();
	atomic_store((_Atomic size_t *)(control + look_number("sample_distance")), distance);
	look_starve("starve_profile", distance != 0);
}

#endif
