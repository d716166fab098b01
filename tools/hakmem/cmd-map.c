/* SPDX-License-Identifier: MIT */
/* hakmem map: a picture of a process's heap: each SuperSlab a row of 32 slabs, each slab with its class, how full it is,
 * and how much of it is present. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "process.h"
#include "slots.h"
#include "words.h"

#define MAP_CELL 24    /* width of a slab, in the picture's units */
#define MAP_ROW 18     /* height of a SuperSlab */
#define MAP_LEFT 150   /* room for addresses */
#define MAP_TOP 96     /* room for the legend */
#define MAP_PAGES 512u /* of a slab, at most */
#define MAP_CLASSES 256u

static const struct option_help map_help[] = {
	{ "--output FILE", "write the picture there (SVG); -o for short; without it, to standard output" },
	PROCESS_CORE_HELP,
	{ "PID", "this process" },
	{ NULL, NULL },
};

struct map {
	FILE *file;
	const struct view *view;
	struct slots slots;
	uint32_t sizes[MAP_CLASSES];  /* of blocks, by class */
	uint32_t blocks[MAP_CLASSES]; /* in a span */
	unsigned class_count;
	bool by_pages; /* what is present is known */
};

/* ---- what there is ---- */

static const char *take_classes(struct map *map)
{
	const struct view *view = map->view;
	char row[256];

	if (view_lacks(view, "classes class_") || NUMBER(view, class_row) > sizeof(row) ||
	    NUMBER(view, class_count) > MAP_CLASSES || NUMBER(view, class_size) > 248 ||
	    NUMBER(view, class_blocks) > 248)
		return "its table of classes cannot be read: its library is of another version than this hakmem";
	map->class_count = NUMBER(view, class_count);
	memset(row, 0, sizeof(row));
	for (unsigned c = 0; c < map->class_count; c++) {
		if (!remote_read(view->remote, PLACE(view, classes) + (uint64_t)c * NUMBER(view, class_row), row,
				 NUMBER(view, class_row)))
			return remote_refused(view->remote);
		map->sizes[c] = view_take_u32(row + NUMBER(view, class_size));
		map->blocks[c] = view_take_u16(row + NUMBER(view, class_blocks));
	}
	return NULL;
}

/* Free blocks of the span that the slab is in, by its head; blocks in caches count as used. */
static unsigned free_blocks(const struct map *map, const struct slot *slot, unsigned slab)
{
	const struct view *view = map->view;
	uint64_t head = slot->heads + (uint64_t)slab * NUMBER(view, slab_size);
	uint32_t first = view_u32(view, head + NUMBER(view, slab_number)) % SLOT_SLABS;

	head = slot->heads + (uint64_t)first * NUMBER(view, slab_size);
	return view_u32(view, head + NUMBER(view, slab_free)) & UINT16_MAX;
}

/* 0 to 1; below 0: not known. */
static double present_part(struct map *map, uint64_t at, uint64_t bytes)
{
	bool present[MAP_PAGES];
	size_t page = remote_page(), pages = (size_t)(bytes / page), count = 0;

	if (!map->by_pages || pages == 0 || pages > MAP_PAGES ||
	    !remote_present(map->view->remote, at, pages, present)) {
		map->by_pages = false;
		return -1;
	}
	for (size_t i = 0; i < pages; i++)
		count += present[i];
	return (double)count / (double)pages;
}

static bool is_in_huge_pages(const struct map *map, const struct slot *slot)
{
	const struct mapping *mapping = remote_find(map->view->remote, slot->address);

	return mapping && mapping->huge > 0;
}

/* ---- the picture ---- */

/* From blue (small) over green to red (64 KiB). */
static unsigned hue_of_class(const struct map *map, unsigned class)
{
	return map->class_count > 1 ? 230 - 230 * class / (map->class_count - 1) : 230;
}

static void draw_box(struct map *map, double x, double y, double width, const char *style, const char *title)
{
	fprintf(map->file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" %s><title>%s</title></rect>\n", x,
		y, width, MAP_ROW - 3, style, title);
}

/* A slab of blocks: the darker part of its height is what is in use. */
static void draw_small(struct map *map, const struct slot *slot, unsigned slab, double x, double y, double present)
{
	uint32_t tag = slot->tags[slab];
	unsigned class = slots_class(&map->slots, tag), free = free_blocks(map, slot, slab);
	unsigned blocks = class < map->class_count ? map->blocks[class] : 0, hue = hue_of_class(map, class);
	double used = blocks > 0 && free <= blocks ? (double)(blocks - free) / blocks : 0;
	char style[160], title[256];

	if (class >= map->class_count)
		return;
	snprintf(title, sizeof(title),
		 "%#" PRIx64 ": blocks of %" PRIu32 " bytes, heap %" PRIu32
		 ", %u of %u used or cached, %.0f %% present",
		 slot->address + ((uint64_t)slab << NUMBER(map->view, slab_shift)), map->sizes[class],
		 slots_owner(&map->slots, tag), blocks - (free <= blocks ? free : 0), blocks,
		 present < 0 ? 0 : 100 * present);
	snprintf(style, sizeof(style), "fill=\"hsl(%u,70%%,82%%)\"", hue);
	draw_box(map, x, y, MAP_CELL - 1, style, title);
	fprintf(map->file,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"hsl(%u,70%%,45%%)\" "
		"pointer-events=\"none\"/>\n",
		x, y + (MAP_ROW - 3) * (1 - used), MAP_CELL - 1, (MAP_ROW - 3) * used, hue);
}

static void draw_slab(struct map *map, const struct slot *slot, unsigned slab, double y)
{
	static const char *const styles[] = {
		[SLAB_ABSENT] = NULL,
		[SLAB_SMALL] = NULL,
		[SLAB_MID] = "fill=\"#555\"",
		[SLAB_MID_INNER] = "fill=\"#777\"",
		[SLAB_DIRTY] = "fill=\"#c9a86a\"",
		[SLAB_CLEAN] = "fill=\"#fff\" stroke=\"#bbb\"",
	};
	static const char *const words[] = {
		"", "", "a block above 64 KiB", "the same block", "free, dirty", "free, purged or new"
	};
	enum slab_kind kind = slots_slab(&map->slots, slot, slab);
	uint64_t bytes = UINT64_C(1) << NUMBER(map->view, slab_shift), at = slot->address + slab * bytes;
	double x = MAP_LEFT + (double)slab * MAP_CELL, present;
	char title[160];

	if (kind == SLAB_ABSENT)
		return;
	present = present_part(map, at, bytes);
	if (kind == SLAB_SMALL) {
		draw_small(map, slot, slab, x, y, present);
	} else {
		snprintf(title, sizeof(title), "%#" PRIx64 ": %s, %.0f %% present", at, words[kind],
			 present < 0 ? 0 : 100 * present);
		draw_box(map, x, y, MAP_CELL - 1, styles[kind], title);
	}
	if (present > 0)
		fprintf(map->file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"2\" fill=\"#000\"/>\n", x,
			y + MAP_ROW - 3, present * (MAP_CELL - 1));
}

static void draw_large(struct map *map, const struct slot *slot, double y)
{
	char title[160], size[WORDS_SIZE];

	snprintf(title, sizeof(title), "%#" PRIx64 ": %s of %s", slot->address,
		 slot->is_kept                   ? "a freed large block that is kept, a part"
		 : slot->kind == SLOT_GUARD_KIND ? "guarded blocks, in a range"
						 : "a large block",
		 words_bytes(slot->is_kept ? UINT64_C(1) << NUMBER(map->view, superslab_shift) : slot->usable, size));
	draw_box(map, MAP_LEFT, y, SLOT_SLABS * MAP_CELL - 1, slot->is_kept ? "fill=\"#e6d9b8\"" : "fill=\"#9ab\"",
		 title);
}

/* A row for each slot, but for those that only continue a large block. */
static bool is_drawn(const struct slot *slot)
{
	return slot->is_kept || slot->kind == SLOT_SLABS_KIND || slot->kind == SLOT_LARGE_KIND ||
	       slot->kind == SLOT_GUARD_KIND;
}

static void draw_slot(struct map *map, const struct slot *slot, double y)
{
	fprintf(map->file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%#" PRIx64 "%s</text>\n", MAP_LEFT - 6,
		y + MAP_ROW - 6, slot->address,
		slot->kind == SLOT_SLABS_KIND && slot->huge ? is_in_huge_pages(map, slot) ? " H" : " h" : "");
	if (slot->kind != SLOT_SLABS_KIND) {
		draw_large(map, slot, y);
		return;
	}
	for (unsigned slab = 0; slab < SLOT_SLABS; slab++)
		draw_slab(map, slot, slab, y);
}

static void draw_legend(struct map *map)
{
	static const struct {
		const char *style, *text;
	} entries[] = {
		{ "fill=\"hsl(230,70%,45%)\"", "blocks: 16 B (blue) .." },
		{ "fill=\"hsl(0,70%,45%)\"", ".. 64 KiB (red); dark: used" },
		{ "fill=\"#555\"", "64 KiB to 2 MiB" },
		{ "fill=\"#c9a86a\"", "free, dirty" },
		{ "fill=\"#fff\" stroke=\"#bbb\"", "free, purged" },
		{ "fill=\"#9ab\"", "above 2 MiB" },
		{ "fill=\"#e6d9b8\"", "kept" },
	};
	double x = 10;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		draw_box(map, x, 46, 20, entries[i].style, entries[i].text);
		fprintf(map->file, "<text x=\"%.1f\" y=\"58\">%s</text>\n", x + 24, entries[i].text);
		x += 36 + 6.2 * (double)strlen(entries[i].text);
	}
	fprintf(map->file,
		"<text x=\"10\" y=\"82\">Black below a slab: how much of it is present.%s H: in huge pages, h: they "
		"were asked "
		"for.</text>\n",
		map->by_pages ? "" : " (The kernel does not tell.)");
}

static void draw(struct map *map)
{
	const struct remote *remote = map->view->remote;
	double y = MAP_TOP;
	size_t rows = 0;

	for (size_t s = 0; s < map->slots.count; s++)
		rows += is_drawn(&map->slots.slot[s]);
	fprintf(map->file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%zu\" font-family=\"monospace\" "
		"font-size=\"10\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		MAP_LEFT + SLOT_SLABS * MAP_CELL + 20, MAP_TOP + rows * MAP_ROW + 20);
	fprintf(map->file,
		"<text x=\"10\" y=\"24\" font-size=\"15\">Heap of process %ld, HAKMEM %.16s: %zu rows of 2 MiB, 32 "
		"slabs each</text>\n",
		(long)remote->pid, map->view->version, rows);
	for (size_t s = 0; s < map->slots.count; s++)
		if (is_drawn(&map->slots.slot[s])) {
			draw_slot(map, &map->slots.slot[s], y);
			y += MAP_ROW;
		}
	draw_legend(map);
	fprintf(map->file, "</svg>\n");
}

static const char *map_process(const struct process *process, FILE *file)
{
	struct map map = { .file = file, .view = &process->view, .by_pages = true };
	const char *error = slots_take(&map.slots, &process->view);

	if (!error)
		error = take_classes(&map);
	if (!error)
		draw(&map);
	slots_close(&map.slots);
	return error;
}

/* The file is only made when the process can be looked at. */
static int map_to(const struct process *process, const char *path)
{
	FILE *file = path ? fopen(path, "we") : stdout;
	const char *error;
	int status = STATUS_OK;

	if (!file) {
		complain("%s: %s", path, strerror(errno));
		return STATUS_NO;
	}
	error = map_process(process, file);
	if (error)
		status = process_complain_of(process, error);
	if (path && (ferror(file) | fclose(file)) != 0) {
		complain("cannot write %s", path);
		status = STATUS_NO;
	}
	return status;
}

int command_map(int argc, char **argv)
{
	static const struct option options[] = { { "output", required_argument, NULL, 'o' },
						 { "help", no_argument, NULL, 'h' },
						 PROCESS_CORE_OPTIONS,
						 { NULL, 0, NULL, 0 } };
	struct core_files files = { NULL, NULL, NULL };
	struct process process;
	const char *path = NULL;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":ho:", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("map", map_help);
		if (option == 'o')
			path = optarg;
		else if (!process_take_option(&files, option, optarg))
			return complain_of_option("map", option, argv);
	}
	status = process_open_one(&process, "map", &files, argc - optind, argv + optind, true);
	if (status != STATUS_OK)
		return status;
	status = map_to(&process, path);
	process_close(&process);
	return status;
}
