/* SPDX-License-Identifier: MIT */
/* The room pages: which memory is advised to be in huge pages under never, auto and always, and what is made present
 * ahead of need, also where the kernel refuses.  Links: rooms. */
#include "pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "capture.h"
#include "fails.h"
#include "os.h"
#include "resident.h"
#include "stats.h"
#include "tunables.h"

#define MIB ((size_t)1 << 20)

enum thp { THP_NEVER, THP_AUTO, THP_ALWAYS };
enum prefault { PREFAULT_OFF, PREFAULT_POPULATE, PREFAULT_TOUCH, PREFAULT_AUTO };

static void set(unsigned id, size_t value)
{
	need(hak_tunables_set_value(id, value) == 0);
}

/* A slot, mapped. */
static size_t map_slot(void)
{
	size_t slot = hak_registry_map(1, HAK_SS_SIZE);

	need(slot != HAK_NO_SLOT);
	return slot;
}

static char *address(size_t slot)
{
	return hak_registry_address(slot * HAK_SS_SLABS);
}

/* ---- what the kernel says ---- */

static char smaps[1 << 20];

/* The line "VmFlags:" of the mapping in which `at` lies. */
static const char *flags_of(const char *at)
{
	int file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t now;
	bool found = false;

	need(file >= 0);
	while (used < sizeof(smaps) - 1 && (now = read(file, smaps + used, sizeof(smaps) - 1 - used)) > 0)
		used += (size_t)now;
	close(file);
	smaps[used] = '\0';
	for (char *line = strtok(smaps, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long from = 0, to = 0;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			found = (uintptr_t)at >= from && (uintptr_t)at < to;
		if (found && strncmp(line, "VmFlags:", 8) == 0)
			return line;
	}
	return "";
}

enum advice { ADVICE_NONE, ADVICE_HUGE, ADVICE_NEVER };

static enum advice advice(const char *at)
{
	const char *flags = flags_of(at);

	return strstr(flags, " hg") ? ADVICE_HUGE : strstr(flags, " nh") ? ADVICE_NEVER : ADVICE_NONE;
}

static size_t pages_present(char *at, size_t bytes)
{
	static unsigned char in[HAK_SS_SIZE / 4096];
	size_t n = 0, count = bytes / hak_registry.page;

	need(bytes <= HAK_SS_SIZE && mincore(at, bytes, in) == 0);
	for (size_t i = 0; i < count; i++)
		n += in[i] & 1;
	return n;
}

static size_t populated(void)
{
	return hak_load(&hak_process_counts.populated_bytes, relaxed);
}

/* ---- huge pages ---- */

static void superslab(enum thp thp, size_t superslabs, bool dense, bool huge)
{
	size_t slot = map_slot();

	set(HAK_TUNABLE_ID_thp, thp);
	hak_pages_superslab(slot, superslabs, dense);
	ok(advice(address(slot)) == (huge ? ADVICE_HUGE : ADVICE_NEVER) &&
		   advice(address(slot) + HAK_SS_SIZE - 1) == advice(address(slot)) &&
		   hak_registry_slot(slot)->huge == huge,
	   "thp %d, SuperSlab number %zu of a heap that is %s: %s", thp, superslabs, dense ? "dense" : "not dense",
	   huge ? "huge" : "not");
}

static void check_superslabs(void)
{
	for (int dense = 0; dense < 2; dense++) {
		superslab(THP_NEVER, 100, dense, false);
		superslab(THP_AUTO, 0, dense, false);
		superslab(THP_AUTO, HAK_HARD_OR(15, 1), dense, false);
		superslab(THP_AUTO, 16, dense, dense);
		superslab(THP_AUTO, 1000, dense, dense);
		superslab(THP_ALWAYS, 0, dense, true);
		ok(hak_pages_is_always(), "always");
	}
	set(HAK_TUNABLE_ID_thp, THP_AUTO);
	ok(!hak_pages_is_always(), "or not");
}

/* Part of it went back: no huge page comes again, nor to its neighbours, by one call. */
static void check_broken(void)
{
	size_t slot = hak_registry_map(3, 3 * HAK_SS_SIZE);

	need(slot != HAK_NO_SLOT);
	set(HAK_TUNABLE_ID_thp, THP_AUTO);
	for (size_t i = 0; i < 3; i++)
		hak_pages_superslab(slot + i, 1000, true);
	need(advice(address(slot)) == ADVICE_HUGE);
	hak_pages_broken(slot + 1);
	for (size_t i = 0; i < 3; i++)
		hold(advice(address(slot + i)) == ADVICE_NEVER && (hak_registry_slot(slot + i)->huge == 0) == (i == 1));
	need(hak_os_advise_huge(address(slot), 3 * HAK_SS_SIZE, true));
	for (size_t i = 0; i < 3; i++)
		hak_pages_broken(slot + i);
	hold(advice(address(slot)) == ADVICE_HUGE && hak_registry_slot(slot)->huge == 0);
	ok(failures() == 0, "what went back in part gets no huge page, with its neighbours");
	set(HAK_TUNABLE_ID_thp, THP_ALWAYS);
	hak_pages_superslab(slot, 0, false);
	hak_pages_broken(slot);
	ok(advice(address(slot)) == ADVICE_HUGE && hak_registry_slot(slot)->huge == 0, "unless the user asks for them");
}

static void large(enum thp thp, size_t mib, enum advice wanted)
{
	size_t slot = hak_registry_map((mib + 1) / 2, mib * MIB - 8192);

	need(slot != HAK_NO_SLOT);
	set(HAK_TUNABLE_ID_thp, thp);
	hak_pages_large(address(slot), mib * MIB - 8192);
	ok(advice(address(slot)) == wanted &&
		   advice(address(slot) + mib * MIB - 8193) == advice(address(slot)), /* all of it alike */
	   "thp %d, %zu MiB less two pages: advice %d", thp, mib, wanted);
	need(hak_os_unmap(address(slot), mib * MIB - 8192));
	hak_registry_unclaim(slot, (mib + 1) / 2);
}

/* auto leaves large ones to the setting of the system. */
static void check_large(void)
{
	large(THP_NEVER, 40, ADVICE_NEVER);
	large(THP_AUTO, 4, ADVICE_NONE);
	large(THP_AUTO, 90, ADVICE_NONE);
	large(THP_ALWAYS, 3, ADVICE_HUGE);
}

/* A kernel without huge pages says EINVAL once; it is not asked again, and nothing is amiss. */
static void unknown_advice(const void *with)
{
	size_t slot = map_slot();

	(void)with;
	set(HAK_TUNABLE_ID_thp, THP_ALWAYS);
	hak_pages_large(address(map_slot()) + 1, HAK_SS_SIZE / 2); /* not a page's start: EINVAL */
	hak_pages_superslab(slot, 0, true);
	hold(advice(address(slot)) == ADVICE_NONE);
}

static void check_refused_advice(void)
{
	size_t slot = map_slot();

	fail_mappings(1, 1);
	set(HAK_TUNABLE_ID_thp, THP_ALWAYS);
	hak_pages_superslab(slot, 0, true);
	fail_none();
	is(advice(address(slot)), ADVICE_NONE);
	superslab(THP_ALWAYS, 0, true, true); /* it is asked again: no memory was the reason */
	capture_silent("a kernel that does not know the advice", unknown_advice, NULL);
}

/* ---- pages ahead of need ---- */

static void present(enum prefault how, bool wanted)
{
	size_t slot = map_slot(), before = populated();

	set(HAK_TUNABLE_ID_ss_prefault, how);
	hak_pages_present(address(slot) + MIB, MIB / 2);
	hold(pages_present(address(slot) + MIB, MIB / 2) == (wanted ? MIB / 2 / hak_registry.page : 0));
	hold(pages_present(address(slot), MIB) == 0);
	hold(pages_present(address(slot) + MIB * 3 / 2, MIB / 2) == 0);
	hold(how == PREFAULT_TOUCH || populated() == before + (wanted ? MIB / 2 : 0));
	hold(address(slot)[MIB] == 0);
}

static void presents(const void *with)
{
	(void)with;
	present(PREFAULT_OFF, false);
	present(PREFAULT_POPULATE, true);
	present(PREFAULT_TOUCH, true);
	present(PREFAULT_AUTO, false);
}

static size_t growing(enum prefault how, uint32_t slabs, bool huge)
{
	size_t slot = map_slot();
	uint32_t told;

	set(HAK_TUNABLE_ID_ss_prefault, how);
	hak_store(&hak_registry_slot(slot)->huge, huge, relaxed);
	told = hak_pages_growing(slot, slabs);
	for (unsigned i = 0; i < 32; i++)
		hold((told >> i & 1) == (pages_present(address(slot) + i * HAK_SLAB_SIZE, HAK_SLAB_SIZE) > 0));
	hold((told & ~slabs) == 0);
	return pages_present(address(slot), HAK_SS_SIZE);
}

static void growings(const void *with)
{
	size_t slab = HAK_SLAB_SIZE / hak_registry.page, before = populated();

	(void)with;
	hold(growing(PREFAULT_AUTO, 0, false) == 0);
	hold(growing(PREFAULT_AUTO, 0x1, false) == slab);
	hold(growing(PREFAULT_AUTO, 0x80000001, false) == 2 * slab);
	hold(growing(PREFAULT_AUTO, 0x0ff0f0f1, false) == 17 * slab);
	hold(populated() == before + 20 * HAK_SLAB_SIZE);
	hold(growing(PREFAULT_AUTO, UINT32_MAX, true) == 0); /* a huge page comes as a whole */
	hold(growing(PREFAULT_OFF, UINT32_MAX, false) == 0);
	hold(growing(PREFAULT_POPULATE, 0xff, false) == 0); /* they were populated when they were mapped */
}

/* Memory is short for a moment. */
static void refused(const void *with)
{
	(void)with;
	fail_mappings(2, 1); /* the first is the slot's own */
	hold(growing(PREFAULT_AUTO, 0xff, false) == 0);
	fail_none();
	hold(growing(PREFAULT_AUTO, 0xff, false) == 8 * HAK_SLAB_SIZE / hak_registry.page);
}

/* A kernel before 5.14: what was asked for is touched; what was the allocator's own idea is left alone. */
static void unknown(const void *with)
{
	size_t before = populated();

	(void)with;
	hak_pages_ready(address(map_slot()) + 1, 1); /* not a page's start: EINVAL */
	hold(growing(PREFAULT_AUTO, 0xff, false) == 0); /* not asked again */
	hold(populated() == before);
	for (int i = 0; i < 2; i++) {
		size_t slot = map_slot();

		set(HAK_TUNABLE_ID_ss_prefault, PREFAULT_POPULATE);
		hak_pages_present(address(slot), MIB);
		hold(pages_present(address(slot), HAK_SS_SIZE) == MIB / hak_registry.page);
	}
	hold(populated() == before);
}

int main(void)
{
	need(hak_registry_start());
	if (hak_registry.follow)
		skip_all("the kernel chooses the addresses here");
	for (int i = 0; i < 8; i++)
		map_slot(); /* the heap is not tiny */
	set(HAK_TUNABLE_ID_thp, THP_NEVER);
	if (madvise(address(0), HAK_SS_SIZE, MADV_NOHUGEPAGE) != 0 || advice(address(0)) != ADVICE_NEVER) {
		skip("this kernel has no huge pages, or does not say which there are");
	} else {
		check_superslabs();
		check_broken();
	check_large();
		check_refused_advice();
	}
	set(HAK_TUNABLE_ID_thp, THP_NEVER);
	if (is_emulated()) {
		skip("pages ahead of need: the emulator nods at any advice");
		return done();
	}
	capture_silent("new memory", presents, NULL);
	capture_silent("slabs of a class that grows", growings, NULL);
	capture_silent("a kernel that refuses once", refused, NULL);
	capture_silent("a kernel that cannot", unknown, NULL);
	return done();
}
