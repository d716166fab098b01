/* SPDX-License-Identifier: MIT */
#include "starve.h"

#define STARVE_TRIES 100u

static const char *write_byte(const struct view *view, uint32_t reason, uint8_t byte)
{
	if (view_lacks(view, "starve registry_shown"))
		return "its library cannot be made to show each call: it is of another version than this hakmem";
	return remote_write(view->remote, PLACE(view, starve) + reason, &byte, 1) ? NULL : remote_refused(view->remote);
}

/* The flag first: who finds the word 0 without it mends it.  Looks again, as the kernel does not promise to write a word at
 * once, and a thread may be swapping it. */
const char *starve_on(const struct view *view, uint32_t reason)
{
	const char *error = write_byte(view, reason, 0xff);
	uint64_t shown = error ? 0 : PLACE(view, registry) + NUMBER(view, registry_shown), none = 0;

	for (unsigned i = 0; i < STARVE_TRIES && !error; i++) {
		if (!remote_write(view->remote, shown, &none, view->word))
			error = remote_refused(view->remote);
		else if (view_word(view, shown) == 0)
			break;
	}
	return error;
}

const char *starve_off(const struct view *view, uint32_t reason)
{
	return write_byte(view, reason, 0);
}

bool starve_is_on(const struct view *view, uint32_t reason)
{
	uint8_t byte = 0;

	return !view_lacks(view, "starve") && remote_read(view->remote, PLACE(view, starve) + reason, &byte, 1) && byte;
}
