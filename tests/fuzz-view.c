/* SPDX-License-Identifier: MIT */
/* hakmem stat, map, set and profile read another process: whatever they find there, they end in order.
 *
 * The other process is this one, with a few blocks in it; the input says which words are not what they are: those of the
 * view itself, of the tables that it leads to, and of the kernel's list of mappings. */
#include "fuzz.h"

#include <stdio.h>
#include <sys/uio.h>

#include "malloc_abi.h"
#include "sample.h"
#include "../lib/starve.h"

#define HAKMEM_LIBRARY ""
#define usleep(time) ((void)(time))
#include "../tools/hakmem/census.c"
#include "../tools/hakmem/library.c"
#include "../tools/hakmem/resident.c"
#include "../tools/hakmem/samples.c"
#include "../tools/hakmem/slots.c"
#include "../tools/hakmem/starve.c"
#include "../tools/hakmem/view.c"

enum { most_patches = 32, most_reads = 4000, most_mappings = 16, page_bytes = 4096 };

extern const char hakmem_view[];

void complain(const char *format, ...)
{
	(void)format;
}

/* ---- the process ---- */

static struct {
	uint64_t at, value;
	size_t size;
} patches[most_patches];

static unsigned patch_count, reads;
static struct view as_it_is; /* without patches */
static struct mapping mappings[most_mappings];
static struct remote remote = {.name = "program", .mappings = mappings, .pagemap = -1};

static void patch(uint64_t at, size_t size, uint64_t value)
{
	if (patch_count == most_patches)
		return;
	patches[patch_count].at = at;
	patches[patch_count].size = size;
	patches[patch_count++].value = value;
}

static uint64_t place_at(unsigned row)
{
	return as_it_is.at + sizeof(struct hak_view) + row * sizeof(void *);
}

static uint64_t number_at(unsigned row)
{
	return place_at(HAK_VIEW_PLACES) + row * UINT64_C(4);
}

static void apply_patches(uint64_t at, char *to, size_t size)
{
	for (unsigned i = 0; i < patch_count; i++)
		for (size_t byte = 0; byte < patches[i].size; byte++)
			if (patches[i].at + byte - at < size)
				memcpy(to + (patches[i].at + byte - at), (char *)&patches[i].value + byte, 1);
}

/* A process that changes all the time ends at last. */
size_t remote_read_some(const struct remote *from, uint64_t at, void *to, size_t size)
{
	struct iovec here = {to, size}, there = {(void *)(uintptr_t)at, size};
	ssize_t got = reads++ < most_reads && (uintptr_t)at == at ? process_vm_readv(from->pid, &here, 1, &there, 1, 0) : 0;

	if (got <= 0)
		return 0;
	apply_patches(at, to, (size_t)got);
	return (size_t)got;
}

bool remote_read(const struct remote *from, uint64_t at, void *to, size_t size)
{
	return remote_read_some(from, at, to, size) == size;
}

bool remote_write(const struct remote *to, uint64_t at, const void *from, size_t size)
{
	(void)to, (void)at, (void)from, (void)size;
	return true;
}

bool remote_present(const struct remote *of, uint64_t at, size_t count, bool *present)
{
	(void)of;
	for (size_t i = 0; i < count; i++)
		present[i] = (at / page_bytes + i) % 3 != 0;
	reads += (unsigned)count / 32 + 1;
	return reads < most_reads;
}

const struct mapping *remote_find(const struct remote *of, uint64_t at)
{
	for (size_t i = 0; i < of->mapping_count; i++)
		if (of->mappings[i].start <= at && at < of->mappings[i].end)
			return &of->mappings[i];
	return NULL;
}

uint64_t core_saved_end(const struct core *core, uint64_t at) { return (void)core, at; }
const char *remote_refused(const struct remote *of) { return (void)of, "refused"; }
size_t remote_page(void) { return page_bytes; }
bool remote_is_filtered(pid_t pid) { return (void)pid, false; }
bool remote_is_there(pid_t pid) { return (void)pid, true; }

static void add_mapping(uint64_t at, uint64_t size, uint64_t inode, const char *path)
{
	static char names[most_mappings][32];
	size_t i = remote.mapping_count++;

	snprintf(names[i], sizeof names[i], "%s", path);
	mappings[i] = (struct mapping){.start = at & ~(uint64_t)(page_bytes - 1),
				       .end = (at + size + page_bytes - 1) & ~(uint64_t)(page_bytes - 1),
				       .inode = inode,
				       .access = "rw-p",
				       .resident = size / 2,
				       .path = names[i]};
}

/* Its mappings as the kernel lists them: the library's data, where its own tables are, and the heap. */
static void reset_process(void)
{
	patch_count = reads = 0;
	remote.pid = getpid();
	remote.mapping_count = 0;
	add_mapping((uintptr_t)hakmem_view, 4096, 7, "/lib/libhakmem.so.1");
	if (as_it_is.at == 0)
		return;
	add_mapping(PLACE(&as_it_is, trim), 4096, 0, "");
	add_mapping(view_word(&as_it_is, PLACE(&as_it_is, registry) + NUMBER(&as_it_is, registry_base)), 4 << 20, 0, "");
	add_mapping(view_word(&as_it_is, PLACE(&as_it_is, meta_current)), 1 << 16, 0, "");
	add_mapping((uintptr_t)&patch_count, 4096, 0, "[stack]");
	patch(number_at(HAK_VIEW_NUMBER_sample_live_bytes), 4, 4096); /* of a table that is read as a whole */
}

/* ---- what is read of it ---- */

static void see_sample(void *with, const struct sample *sample)
{
	(void)with;
	hold(sample->stack_bytes <= SAMPLES_STACK);
	hold(sample_weight(sample) >= 1);
}

static void see_live(void *with, uint64_t address, uint32_t number)
{
	(void)with, (void)number;
	hold(address != 0);
}

static void see_samples(const struct view *view)
{
	struct samples *samples = malloc(sizeof *samples);

	need(samples != NULL);
	if (samples_begin(samples, view, 0) == NULL) {
		samples->next = 0; /* those that were there before, too */
		samples_read(samples, see_sample, NULL);
		if (samples_read_live(samples))
			samples_each_live(samples, see_live, NULL);
	}
	samples_end(samples);
	free(samples->live);
	free(samples);
}

static void see_census(const struct view *view)
{
	struct census *census = malloc(sizeof *census);
	uint64_t sum = 0;

	need(census != NULL);
	if (census_take(census, view) == NULL) {
		hold(census->class_count <= CENSUS_CLASSES);
		for (unsigned part = 0; part < PART_COUNT; part++)
			sum += census->memory[part].present;
		hold(sum == census->sum);
		census_counter(census, "mmap");
	}
	census_close(census);
	free(census);
}

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static const char *see(void)
{
	struct view view;
	const char *error = view_find(&view, &remote);

	if (error != NULL)
		return error;
	hold(is_printable(view.version));
	see_census(&view);
	see_samples(&view);
	return NULL;
}

/* Blocks of all kinds, of the last of which there are samples. */
static void allocate(void)
{
	size_t count = 0;

	for (size_t size = 1; size < (size_t)8 << 20; size += size / 3 + 1) {
		hak_abi_free(hak_abi_malloc(size));
		count += hak_abi_malloc(size) != NULL;
	}
	hak_store(&hak_sample.alive, 1, relaxed);
	hak_store(&hak_sample.distance, 1, relaxed);
	hak_starve_on(HAK_STARVE_PROFILE);
	hak_abi_free(hak_abi_malloc(1)); /* hits end with this */
	for (size_t size = 16; size < 1024; size *= 2)
		count += hak_abi_malloc(size) != NULL;
	need(count > 10 && hak_load(&hak_sample.tables, acquire) != NULL);
}

/* What the rows of view.def are today no input can know: so each of them is wrong once, in several ways. */
static void see_all_rows(void)
{
	static const uint64_t values[] = {0, 4, 200, 4096, INT32_MAX, UINT32_MAX - 7, UINT32_MAX - 3, UINT32_MAX, UINT64_MAX - 4095};

	for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
		for (unsigned row = 0; row < HAK_VIEW_NUMBERS; row++) {
			reset_process();
			patch(number_at(row), 4, values[i]);
			see();
		}
		for (unsigned row = 0; row < HAK_VIEW_PLACES; row++) {
			reset_process();
			patch(place_at(row), sizeof(void *), values[i]);
			see();
		}
	}
}

static bool make_process(void)
{
	static bool is_made;

	if (!is_made) {
		is_made = true;
		allocate();
		if (hak_registry.follow && sizeof(void *) > 4)
			skip_all("the kernel chooses the addresses here: the tables of each input would be those of terabytes");
		reset_process();
		if (view_find(&as_it_is, &remote) != NULL)
			note("this process cannot be read: %s", strerror(errno)); /* as by qemu-user */
		reset_process();
		hold(as_it_is.at == 0 || see() == NULL);
		if (as_it_is.at != 0)
			see_all_rows();
	}
	return as_it_is.at != 0;
}

/* ---- the input ---- */

/* The word that a place leads to, or one that this leads to, and so on. */
static uint64_t somewhere(struct fuzz_input *input, unsigned depth)
{
	unsigned place = fuzz_byte(input) % HAK_VIEW_PLACES;
	uint64_t at = as_it_is.place[place];

	for (; depth > 0; depth--)
		at = view_word(&as_it_is, at + fuzz_byte(input) * UINT64_C(8));
	return at + fuzz_word(input) * UINT64_C(4);
}

static void spoil(struct fuzz_input *input)
{
	unsigned kind = fuzz_byte(input), row;
	struct mapping *mapping;

	switch (kind & 7) {
	case 0:
	case 1:
		row = fuzz_word(input) % HAK_VIEW_NUMBERS;
		patch(number_at(row), 4, fuzz_number(input));
		break;
	case 2:
		row = fuzz_byte(input) % HAK_VIEW_PLACES;
		patch(place_at(row), sizeof(void *), fuzz_number(input));
		break;
	case 3:
		patch(as_it_is.at + fuzz_byte(input) % sizeof(struct hak_view), 4, fuzz_number(input));
		break;
	case 4:
		mapping = &mappings[fuzz_byte(input) % remote.mapping_count];
		*(kind & 8 ? &mapping->start : kind & 16 ? &mapping->end : &mapping->resident) = fuzz_number(input);
		break;
	default:
		patch(somewhere(input, kind >> 3 & 3), kind & 128 ? 8 : 4, fuzz_number(input));
		break;
	}
}

static void fuzz_one(struct fuzz_input *input)
{
	if (!make_process())
		return;
	reset_process();
	while (!fuzz_is_empty(input) && patch_count < most_patches)
		spoil(input);
	reads = 0;
	see();
}
