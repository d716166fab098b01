/* SPDX-License-Identifier: MIT */
/* view: what the library in a process tells about itself (lib/view.h), and reading by it.
 *
 * The process runs on meanwhile, and its memory may be garbage: nothing that is read is trusted to be an address or a
 * count before it was bounded. */
#ifndef COMMAND_VIEW_H
#define COMMAND_VIEW_H

#include "../../lib/view.h"
#include "remote.h"

struct view {
	const struct remote *remote;
	uint64_t at;                 /* of hakmem_view */
	unsigned word;               /* bytes of its words: 4 or 8 */
	char version[32];
	uint64_t place[HAK_VIEW_PLACES];   /* 0: not told */
	uint32_t number[HAK_VIEW_NUMBERS];
	bool has_number[HAK_VIEW_NUMBERS];
};

#define PLACE(view, name) ((view)->place[HAK_VIEW_PLACE_##name])
#define NUMBER(view, name) ((view)->number[HAK_VIEW_NUMBER_##name])

/* NULL, or why the process is not on HAKMEM, or cannot be read. */
const char *view_find(struct view *view, const struct remote *remote);

/* The first name that begins with one of the words and that the library does not tell: it is of another version.  NULL:
 * it tells all.  Words are separated by blanks. */
const char *view_lacks(const struct view *view, const char *words);

/* Does what lies at the offset that the library tells, `bytes` of it, end within the structure?  Offsets are garbage too. */
static inline bool view_fits(const struct view *view, enum hak_view_number offset, uint64_t bytes, uint64_t size)
{
	return bytes <= size && view->number[offset] <= size - bytes;
}

/* One word of the process; 0 if it cannot be read. */
uint64_t view_word(const struct view *view, uint64_t at);
uint32_t view_u32(const struct view *view, uint64_t at);

/* Out of a piece that was read before. */
uint64_t view_take_word(const struct view *view, const char *bytes);
uint32_t view_take_u32(const char *bytes);
uint16_t view_take_u16(const char *bytes);

/* Texts with a NUL behind each, an empty one at the end; view_names_close afterwards. */
struct view_names {
	char *bytes;
	unsigned count;
	const char *name[64];
};
bool view_names_open(const struct view *view, uint64_t at, struct view_names *names);
unsigned view_names_find(const struct view_names *names, const char *name); /* count: there is none */
void view_names_close(struct view_names *names);

#endif
