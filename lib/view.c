#include "view.h"

#include <hakmem.h>

#include "bigcache.h"
#include "guard.h"
#include "heap.h"
#include "journal.h"
#include "large.h"
#include "meta.h"
#include "policy.h"
#include "sample.h"
#include "starve.h"
#include "tunables.h"

_Static_assert(sizeof(HAK_VIEW_MAGIC) == 16, "the magic fills its place");
_Static_assert(sizeof(struct hak_view) == HAK_VIEW_ALIGN, "places begin at a multiple of a word");

HAK_DEF struct hak_view_trim hak_view_trim;

#define VIEW_NAME(name, ...) #name "\0"

static const char view_names[] = "self\0names\0"
#define HAK_VIEW_PLACE VIEW_NAME
#include "view.def"
#define HAK_VIEW_NUMBER VIEW_NAME
#include "view.def"
	;

static const char view_bin_counters[] =
#define HAK_BIN_COUNTER VIEW_NAME
#include "stats.def"
	;
static const char view_heap_counters[] =
#define HAK_HEAP_COUNTER VIEW_NAME
#include "stats.def"
	;
static const char view_process_counters[] =
#define HAK_PROCESS_COUNTER VIEW_NAME
#include "stats.def"
	;

/* On the page of .dynamic and .got: no page more becomes the process's own. */
struct view_whole {
	struct hak_view head;
	const volatile void *places[HAK_VIEW_PLACES];
	uint32_t numbers[HAK_VIEW_NUMBERS];
};

extern const struct view_whole hakmem_view;
HAK_API const struct view_whole hakmem_view HAK_ALIGNED(HAK_VIEW_ALIGN)
	HAK_SECTION(".data.rel.ro.hakmem_view") = {
	.head = { HAK_VIEW_MAGIC, HAK_VIEW_LAYOUT, sizeof(void *), HAK_VIEW_PLACES, HAK_VIEW_NUMBERS, HAKMEM_VERSION },
	.places = {
		&hakmem_view,
		view_names,
#define HAK_VIEW_PLACE(name, address) address,
#include "view.def"
	},
	.numbers = {
#define HAK_VIEW_NUMBER(name, number) (uint32_t)(number),
#include "view.def"
	},
};

HAK_FN bool hak_view_take_trim(uint32_t *wish)
{
	uint32_t taken = hak_load(&hak_view_trim.taken, relaxed);

	*wish = hak_load(&hak_view_trim.asked, relaxed);
	return taken != *wish && hak_cas(&hak_view_trim.taken, &taken, *wish, relaxed);
}
