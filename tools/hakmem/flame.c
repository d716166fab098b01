/* SPDX-License-Identifier: MIT */
#include "flame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

#define FLAME_WIDTH 1200.0
#define FLAME_ROW 17.0
#define FLAME_HEAD 40.0
#define FLAME_LEAST 0.5 /* of a box: what is narrower is left out */
#define FLAME_LETTER 6.6

/* A function in the place where it was called from. */
struct box {
	char *name;
	double bytes;
	struct box *inside, *next; /* what it called; its caller's next one */
};

static struct box *new_box(const char *name)
{
	struct box *box = calloc(1, sizeof(*box));

	if (box && !(box->name = strdup(name))) {
		free(box);
		return NULL;
	}
	return box;
}

static void free_box(struct box *box)
{
	while (box) {
		struct box *next = box->next;

		free_box(box->inside);
		free(box->name);
		free(box);
		box = next;
	}
}

/* In the order of names, as a merged picture wants it. */
static struct box *get_inside(struct box *box, const char *name)
{
	struct box **at = &box->inside, *found;

	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	if (*at && strcmp((*at)->name, name) == 0)
		return *at;
	found = new_box(name);
	if (found) {
		found->next = *at;
		*at = found;
	}
	return found;
}

static bool add_stack(struct gather const *gather, struct box *root, const struct stack *stack)
{
	struct box *box = root;
	struct unwind_place places[UNWIND_INLINED];

	root->bytes += stack->bytes;
	if (stack->is_cut && (box = get_inside(box, "[deeper]")) != NULL)
		box->bytes += stack->bytes;
	for (unsigned i = stack->count; box && i-- > 0;) {
		for (unsigned n = unwind_names(gather->unwind, stack->frames[i], places); box && n-- > 0;)
			if ((box = get_inside(box, places[n].function)) != NULL)
				box->bytes += stack->bytes;
	}
	return box != NULL;
}

static unsigned depth_of(const struct box *box, double scale)
{
	unsigned most = 0;

	for (const struct box *inside = box->inside; inside; inside = inside->next) {
		unsigned depth = inside->bytes * scale < FLAME_LEAST ? 0 : depth_of(inside, scale);

		most = depth > most ? depth : most;
	}
	return most + 1;
}

static void put_text(FILE *file, const char *text, size_t most)
{
	for (size_t i = 0; text[i] && i < most; i++) {
		if (text[i] == '&')
			fputs("&amp;", file);
		else if (text[i] == '<')
			fputs("&lt;", file);
		else if ((unsigned char)text[i] >= ' ')
			fputc(text[i], file);
	}
}

/* Warm, and the same for the same name. */
static unsigned colour_of(const char *name)
{
	unsigned hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return (205 + hash % 50) << 16 | (90 + hash / 64 % 130) << 8 | (20 + hash / 8192 % 50);
}

static void put_box(FILE *file, const struct box *box, double whole, double x, double y)
{
	double scale = FLAME_WIDTH / whole, width = box->bytes * scale;
	char bytes[WORDS_SIZE];

	if (width < FLAME_LEAST)
		return;
	fputs("<g><title>", file);
	put_text(file, box->name, 1000);
	fprintf(file,
		": %s, %.1f %%</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#%06x\"/>",
		words_bytes((uint64_t)box->bytes, bytes), box->bytes / whole * 100, x, y, width, FLAME_ROW - 1,
		colour_of(box->name));
	if (width > 3 * FLAME_LETTER) {
		fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">", x + 2, y + FLAME_ROW - 5);
		put_text(file, box->name, (size_t)(width / FLAME_LETTER));
		fputs("</text>", file);
	}
	fputs("</g>\n", file);
	for (const struct box *inside = box->inside; inside; x += inside->bytes * scale, inside = inside->next)
		put_box(file, inside, whole, x, y - FLAME_ROW);
}

static bool put_picture(FILE *file, const struct box *root, const char *title)
{
	double whole = root->bytes > 0 ? root->bytes : 1;
	double height = FLAME_HEAD + depth_of(root, FLAME_WIDTH / whole) * FLAME_ROW;

	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"monospace\" "
		"font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"8\" y=\"20\" "
		"font-size=\"14\">",
		FLAME_WIDTH, height + 8);
	put_text(file, title, 1000);
	fputs("</text>\n", file);
	put_box(file, root, whole, 0, height - FLAME_ROW);
	fputs("</svg>\n", file);
	return !ferror(file);
}

bool flame_write(const struct gather *gather, const char *title, const char *path)
{
	struct box *root = new_box("all");
	FILE *file = fopen(path, "we");
	bool ok = root && file;

	for (size_t i = 0; i < gather->stack_count && ok; i++)
		ok = add_stack(gather, root, &gather->stacks[i]);
	ok = ok && put_picture(file, root, title);
	if (file && fclose(file) != 0)
		ok = false;
	free_box(root);
	return ok;
}
