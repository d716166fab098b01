/* SPDX-License-Identifier: MIT */
/* The room guard where the kernel refuses, and at the edges of its pool: no page is lost and no block is open that should be
 * closed.  Links: rooms.  Each point runs in a process of its own. */
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "attach.h"
#include "capture.h"
#include "fails.h"
#include "os.h"
#include "say.h"
#include "segv.h"
#include "tap.h"
#include "tunables.h"

enum { pages = 3 };

static bool start(size_t count)
{
	need(hak_tunables_set_value(HAK_TUNABLE_ID_guard_pages, count) == 0 && hak_attach_start());
	return hak_guard_start();
}

/* All pages of the pool can be taken, used and given back. */
static void use_all(void)
{
	char *p[pages];
	size_t bytes;

	for (int i = 0; i < pages; i++) {
		p[i] = hak_guard_alloc(64, 1);
		if (hold(p[i] != NULL))
			memset(p[i], i, 64);
	}
	hold(hak_guard_blocks(&bytes) == pages && bytes == pages * 64);
	hold(hak_guard_alloc(64, 1) == NULL);
	for (int i = 0; i < pages; i++)
		hak_guard_free("free", p[i]);
	hold(hak_guard_blocks(&bytes) == 0 && bytes == 0);
}

/* ---- at the start ---- */

/* The tables, then the pages: each mapping that it needs is refused once. */
static void no_memory(const void *with)
{
	unsigned after = 0;

	(void)with;
	need(hak_attach_start());
	do {
		hold(after == 0 || (hak_guard.count == 0 && hak_guard_sample(64, HAK_CLASS_COUNT, 1) == NULL));
		fail(HAK_FAULT_MAP, ENOMEM, ++after, 1);
	} while (!start(65535) && after < 20);
	hold(after >= 3 && hak_guard.count == 65535);
}

static void none_wanted(const void *with)
{
	(void)with;
	hold(!start(0) && hak_guard.count == 0);
}

/* Pages that cannot be closed are not handed out. */
static void none_closed(const void *with)
{
	(void)with;
	need(hak_attach_start());
	refuse(HAK_FAULT_ADVISE | HAK_FAULT_PROTECT, EPERM);
	hold(!start(pages) && hak_guard.count == 0);
	hold(hak_guard_sample(64, HAK_CLASS_COUNT, 1) == NULL);
}

static void closed_by_mprotect(const void *with)
{
	(void)with;
	need(hak_attach_start());
	refuse(HAK_FAULT_ADVISE, EINVAL);
	hold(start(pages));
	use_all();
	use_all();
}

/* ---- later ---- */

static void too_large(const void *with)
{
	(void)with;
	need(start(pages));
	hold(hak_guard_alloc(hak_guard.page + 1, 1) == NULL && hak_guard_alloc(1, 2 * hak_guard.page) == NULL);
	use_all();
}

/* Which calls open and close pages: mprotect where there are no guards, or none are wanted. */
static unsigned start_closing(const void *by_mprotect)
{
	size_t page = hak_os_page_size();
	bool has_guards = hak_os_guard(hak_os_map(page), page);

	if (by_mprotect)
		refuse(HAK_FAULT_ADVISE, EINVAL);
	need(start(pages));
	fail_none();
	return has_guards && !by_mprotect ? HAK_FAULT_ADVISE : HAK_FAULT_PROTECT;
}

/* The call gets an ordinary block, and the page is free as before. */
static void stays_closed(const void *by_mprotect)
{
	fail(start_closing(by_mprotect), ENOMEM, 1, 1);
	hold(hak_guard_alloc(64, 1) == NULL);
	use_all();
}

/* The next that has the page finds nothing of it. */
static void stays_open(const void *by_mprotect)
{
	unsigned calls = start_closing(by_mprotect);
	char *p = hak_guard_alloc(64, 1);

	need(p != NULL);
	memset(p, 7, 64);
	fail(calls, ENOMEM, 1, 1);
	hak_guard_free("free", p);
	hold(*(volatile char *)p == 0);
	use_all();
	use_all();
}

/* ---- what dies ---- */

static void frees_nothing(const void *with)
{
	(void)with;
	need(start(pages));
	hak_guard_free("free", hak_guard.base + hak_guard.page);
}

static void touches_nothing(const void *with)
{
	(void)with;
	need(start(pages));
	hak_segv_start();
	*(volatile char *)(hak_guard.base + hak_guard.page) = 1;
}

/* /proc is not there: the report says so, and the rest of it. */
static void frees_twice_without_proc(const void *with)
{
	char *p;

	(void)with;
	need(start(pages) && (p = hak_guard_alloc(64, 1)) != NULL);
	hak_guard_free("free", p);
	refuse(HAK_FAULT_FILE, ENOENT);
	hak_guard_free("free", p);
}

static void check_dies(const char *name, void (*run)(const void *), int number, const char *words, const char *more)
{
	struct capture child;

	capture(&child, run, NULL);
	if (!ok(WIFSIGNALED(child.status) && WTERMSIG(child.status) == number && strstr(child.words, words) &&
	                strstr(child.words, more), "%s", name))
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

int main(void)
{
	need(hak_tunables_set_value(HAK_TUNABLE_ID_guard_pages, pages) == 0); /* mprotect may be refused later */
	capture_silent("no memory for one thing or another", no_memory, NULL);
	capture_silent("HAKMEM_GUARD_PAGES=0", none_wanted, NULL);
	capture_silent("nothing closes a page", none_closed, NULL);
	capture_silent("mprotect closes them", closed_by_mprotect, NULL);
	capture_silent("more than a page", too_large, NULL);
	capture_silent("a page that does not open", stays_closed, NULL);
	capture_silent("a page that does not close", stays_open, NULL);
	capture_silent("one that does not open, by mprotect", stays_closed, "");
	capture_silent("one that does not close, by mprotect", stays_open, "");
	check_dies("free where no block ever was", frees_nothing, SIGABRT,
	           "): the pointer leads into memory that is not handed out\n", "  it was done by thread ");
	check_dies("a write where no block ever was", touches_nothing, SIGSEGV, ": between the pages of guarded blocks\n", "");
	check_dies("a report without /proc", frees_twice_without_proc, SIGABRT, "free(", "    (not known)\n");
	return done();
}
