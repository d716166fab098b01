/* SPDX-License-Identifier: MIT */
#include "figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "words.h"

const struct figures_part figures_parts[PART_COUNT] = {
	[PART_SMALL] = { "slabs", "slabs of blocks up to 64 KiB" },
	[PART_MID] = { "mid", "blocks up to 2 MiB" },
	[PART_DIRTY] = { "dirty", "free slabs, dirty" },
	[PART_CLEAN] = { "purged", "free slabs, purged or new" },
	[PART_LARGE] = { "large", "blocks above 2 MiB" },
	[PART_KEPT] = { "large_kept", "freed ones that are kept" },
	[PART_GUARD] = { "guarded", "guarded blocks" },
	[PART_TABLES] = { "tables", "heaps and tables" },
	[PART_LIBRARY] = { "library", "code and data of libhakmem" },
	[PART_FILES] = { "files", "code and files" },
	[PART_STACKS] = { "stacks", "stacks" },
	[PART_ANONYMOUS] = { "anonymous", "other memory without a file" },
	[PART_SHARED] = { "shared", "shared memory" },
};

/* ---- numbers that JSON and metrics share ---- */

struct figures_number {
	const char *name, *text;
	uint64_t value;
};

#define FIGURES_NUMBERS 21

static void list_numbers(const struct census *census, struct figures_number numbers[FIGURES_NUMBERS])
{
	const struct figures_number list[FIGURES_NUMBERS] = {
		{ "live_blocks", "blocks that the program holds", census->live_blocks },
		{ "live_bytes", "their sum", census->live_bytes },
		{ "small_blocks", "of these, blocks up to 64 KiB", census->small_blocks },
		{ "small_bytes", "their sum", census->small_bytes },
		{ "mid_blocks", "of these, blocks up to 2 MiB", census->mid_blocks },
		{ "mid_bytes", "their sum", census->mid_bytes },
		{ "large_blocks", "of these, blocks above", census->large_blocks },
		{ "large_bytes", "their sum", census->large_bytes },
		{ "guarded_blocks", "of these, guarded blocks", census->guarded_blocks },
		{ "guarded_bytes", "their sum, as asked for", census->guarded_bytes },
		{ "cached_bytes", "free blocks in caches of threads", census->cached_bytes },
		{ "parcel_bytes", "free blocks on the way between threads", census->parcel_bytes },
		{ "slab_bytes", "what is free in slabs that heaps hold", census->slab_bytes },
		{ "large_cached_bytes", "freed large blocks kept for reuse", census->kept_bytes },
		{ "superslab_bytes", "SuperSlabs mapped", census->superslab_bytes },
		{ "heaps_live", "heaps in the hands of a thread", census->heaps_live },
		{ "heaps_idle", "heaps that wait for a thread", census->heaps_idle },
		{ "elo_threshold", "freed blocks of that size go straight back", census->elo_threshold },
		{ "decisions", "decisions of ACE and ELO", census->decisions },
		{ "resident_bytes", "present by the kernel's list of mappings", census->sum },
		{ "vmrss_bytes", "present by the kernel's counter", census->rss },
	};

	memcpy(numbers, list, sizeof(list));
}

/* ---- JSON ---- */

static void print_json_class(const struct census_class *class)
{
	printf("{\"size\":%" PRIu32 ",\"live_blocks\":%" PRIu64 ",\"cached_blocks\":%" PRIu64
	       ",\"parcel_blocks\":%" PRIu64 ",\"slab_blocks\":%" PRIu64 ",\"refill_inbox\":%" PRIu64
	       ",\"refill_warm\":%" PRIu64 ",\"refill_pool\":%" PRIu64 ",\"refill_map\":%" PRIu64
	       ",\"flushes\":%" PRIu64 ",\"carved\":%" PRIu64 ",\"put\":%" PRIu64 "}",
	       class->size, class->live, class->cached, class->parcel, class->slab, class->refill_inbox,
	       class->refill_warm, class->refill_pool, class->refill_map, class->flushes, class->carved, class->put);
}

void figures_json(const struct process *process, const struct census *census)
{
	struct figures_number numbers[FIGURES_NUMBERS];
	const char *comma = "";

	printf("{\"pid\":%ld,\"name\":", (long)process->remote.pid);
	words_quote(process->remote.name);
	printf(",\"version\":");
	words_quote(process->view.version);
	list_numbers(census, numbers);
	for (unsigned i = 0; i < FIGURES_NUMBERS; i++)
		printf(",\n\"%s\":%" PRIu64, numbers[i].name, numbers[i].value);
	for (unsigned i = 0; i < census->process_names.count; i++) {
		printf(",\n");
		words_quote(census->process_names.name[i]);
		printf(":%" PRIu64, census->process_counts[i]);
	}
	printf(",\n\"present\":{");
	for (unsigned i = 0; i < PART_COUNT; i++, comma = ",")
		printf("%s\"%s\":%" PRIu64, comma, figures_parts[i].name, census->memory[i].present);
	printf("},\n\"classes\":[");
	comma = "";
	for (unsigned c = 0; c < census->class_count; c++)
		if (census->classes[c].carved) {
			fputs(comma, stdout);
			print_json_class(&census->classes[c]);
			comma = ",\n";
		}
	printf("]}");
}

/* ---- OpenMetrics ---- */

static void print_labels(const struct process *process, const char *part)
{
	printf("{pid=\"%ld\",name=", (long)process->remote.pid);
	words_quote(process->remote.name);
	if (part)
		printf(",part=\"%s\"", part);
	printf("}");
}

/* All of one metric must stand together. */
void figures_metrics(struct figures **found, size_t count)
{
	struct figures_number numbers[FIGURES_NUMBERS];

	for (unsigned n = 0; n < FIGURES_NUMBERS; n++)
		for (size_t i = 0; i < count; i++) {
			list_numbers(&found[i]->census, numbers);
			if (i == 0)
				printf("# TYPE hakmem_%s gauge\n# HELP hakmem_%s %s\n", numbers[n].name,
				       numbers[n].name, numbers[n].text);
			printf("hakmem_%s", numbers[n].name);
			print_labels(&found[i]->process, NULL);
			printf(" %" PRIu64 "\n", numbers[n].value);
		}
	printf("# TYPE hakmem_present_bytes gauge\n# HELP hakmem_present_bytes memory of the process, by what it is "
	       "for\n");
	for (size_t i = 0; i < count; i++)
		for (unsigned part = 0; part < PART_COUNT; part++) {
			printf("hakmem_present_bytes");
			print_labels(&found[i]->process, figures_parts[part].name);
			printf(" %" PRIu64 "\n", found[i]->census.memory[part].present);
		}
	printf("# EOF\n");
}
