/* view: what those who look from outside have to know.  Floor 13.
 *
 * One structure, hakmem_view, says where the allocator's tables and counters lie, and how they are laid out, so that
 * another process (hakmem stat, top, map ..), a debugger, or who reads a core file understands them without running any
 * code here.  It is constant, and costs nothing until somebody looks.
 *
 *     struct hak_view         magic, layout, size of a word, how many places and numbers, version
 *     word  places[]          the first is the structure's own address, the second that of the names
 *     u32   numbers[]         right behind
 *
 * It is found by the symbol hakmem_view, or by its magic at a multiple of 64 bytes in the writable or relocated data of
 * the library (or of the program that contains it); it is the one if its first place is its own address.
 * The names are those of view.def, places first, a NUL behind each.
 *
 * V1  This head and the order of its parts change only with `layout`; what follows is found by name.
 * V2  Whoever looks does not stop the process: what he reads may be changing.  He has to bound every loop, and to check
 *     every address.
 * V3  From outside are written: values of LIVE settings, within their bounds, and their sources; hak_view_trim.asked;
 *     bytes of hak_starve.on, and hak_registry.shown after that.
 * Concurrency: read only, but for hak_view_trim: any thread that passes by obeys. */
#ifndef HAK_VIEW_H
#define HAK_VIEW_H

#include "atomic.h"
#include "cc.h"

#define HAK_VIEW_MAGIC "HAKMEM view 1\n\x1a" /* 16 bytes with its NUL */
#define HAK_VIEW_LAYOUT 1u
#define HAK_VIEW_ALIGN 64u

enum hak_view_place {
	HAK_VIEW_PLACE_self,
	HAK_VIEW_PLACE_names,
#define HAK_VIEW_PLACE(name, address) HAK_VIEW_PLACE_##name,
#include "view.def"
	HAK_VIEW_PLACES
};

enum hak_view_number {
#define HAK_VIEW_NUMBER(name, number) HAK_VIEW_NUMBER_##name,
#include "view.def"
	HAK_VIEW_NUMBERS
};

struct hak_view {
	char magic[16];
	uint32_t layout;
	uint32_t word; /* bytes of a pointer and of a counter */
	uint32_t places, numbers;
	char version[32]; /* of the library: "1.2.3" */
};

/* "Give back what is free": who asks makes `asked` one more.  The next cold call of any thread takes it, does it, and then
 * makes `done` the same. */
struct hak_view_trim {
	_Atomic uint32_t asked;
	_Atomic uint32_t done;
	_Atomic uint32_t taken; /* by who is doing it */
};

HAK_VAR struct hak_view_trim hak_view_trim;

/* Two loads, on cold paths. */
HAK_HOT bool hak_view_is_trim_asked(void)
{
	return hak_load(&hak_view_trim.asked, relaxed) != hak_load(&hak_view_trim.taken, relaxed);
}
HAK_FN bool hak_view_take_trim(uint32_t *wish); /* true: the caller is the one who does it, and says so */
HAK_HOT void hak_view_end_trim(uint32_t wish) { hak_store(&hak_view_trim.done, wish, relaxed); }

#endif
