/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

#define VIEW_SCAN ((size_t)64 << 20) /* so much of a file's mappings is searched */
#define VIEW_PIECE ((size_t)1 << 16)
#define VIEW_ROWS 4096u              /* no view has so many places or numbers */
#define VIEW_NAMES ((size_t)1 << 16) /* bytes of a list of names */

static const char *const view_place_names[HAK_VIEW_PLACES] = {
	"self",
	"names",
#define HAK_VIEW_PLACE(name, address) #name,
#include "../../lib/view.def"
};

static const char *const view_number_names[HAK_VIEW_NUMBERS] = {
#define HAK_VIEW_NUMBER(name, number) #name,
#include "../../lib/view.def"
};

/* ---- words ---- */

uint64_t view_take_word(const struct view *view, const char *bytes)
{
	uint64_t word;

	if (view->word == 4)
		return view_take_u32(bytes);
	memcpy(&word, bytes, sizeof(word));
	return word;
}

uint32_t view_take_u32(const char *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

uint16_t view_take_u16(const char *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

uint64_t view_word(const struct view *view, uint64_t at)
{
	char bytes[8] = "";

	return remote_read(view->remote, at, bytes, view->word) ? view_take_word(view, bytes) : 0;
}

uint32_t view_u32(const struct view *view, uint64_t at)
{
	uint32_t value = 0;

	return remote_read(view->remote, at, &value, sizeof(value)) ? value : 0;
}

/* ---- names ---- */

bool view_names_open(const struct view *view, uint64_t at, struct view_names *names)
{
	size_t length;

	memset(names, 0, sizeof(*names));
	names->bytes = calloc(1, VIEW_NAMES + 2);
	if (!names->bytes)
		return false;
	length = remote_read_some(view->remote, at, names->bytes, VIEW_NAMES);
	for (char *name = names->bytes; name < names->bytes + length && *name; name += strlen(name) + 1)
		if (names->count < sizeof(names->name) / sizeof(names->name[0]))
			names->name[names->count++] = name;
	return true;
}

unsigned view_names_find(const struct view_names *names, const char *name)
{
	unsigned i = 0;

	while (i < names->count && strcmp(names->name[i], name) != 0)
		i++;
	return i;
}

void view_names_close(struct view_names *names)
{
	free(names->bytes);
}

static size_t find_name(const char *const *list, size_t count, const char *name)
{
	size_t i = 0;

	while (i < count && strcmp(list[i], name) != 0)
		i++;
	return i;
}

/* ---- the structure ---- */

/* Row by row under the library's names, which may be others than ours. */
static void take_rows(struct view *view, const struct hak_view *head, const char *rows, const char *names,
		      size_t length)
{
	const char *numbers = rows + (size_t)head->places * view->word;
	size_t at = 0;

	for (uint32_t row = 0; row < head->places + head->numbers && at < length; row++, at += strlen(names + at) + 1) {
		size_t known;

		if (row < head->places) {
			known = find_name(view_place_names, HAK_VIEW_PLACES, names + at);
			if (known < HAK_VIEW_PLACES)
				view->place[known] = view_take_word(view, rows + (size_t)row * view->word);
			continue;
		}
		known = find_name(view_number_names, HAK_VIEW_NUMBERS, names + at);
		if (known < HAK_VIEW_NUMBERS) {
			view->number[known] = view_take_u32(numbers + (size_t)(row - head->places) * 4);
			view->has_number[known] = true;
		}
	}
}

static bool take_view(struct view *view, uint64_t at, const struct hak_view *head)
{
	size_t size = (size_t)head->places * head->word + (size_t)head->numbers * 4, length;
	char *rows = malloc(size + 1), *names = calloc(1, VIEW_NAMES + 1);
	bool ok = rows && names && remote_read(view->remote, at + sizeof(*head), rows, size);

	view->word = head->word;
	if (ok && view_take_word(view, rows) == at) {
		length = remote_read_some(view->remote, view_take_word(view, rows + view->word), names, VIEW_NAMES);
		take_rows(view, head, rows, names, length);
		snprintf(view->version, sizeof(view->version), "%.*s", (int)sizeof(head->version) - 1, head->version);
		remote_clean(view->version);
		view->at = at;
	}
	free(rows);
	free(names);
	return view->at != 0;
}

/* Is it the head of one that can be read at all? */
static bool is_head(const struct hak_view *head)
{
	return memcmp(head->magic, HAK_VIEW_MAGIC, sizeof(head->magic)) == 0 && head->layout == HAK_VIEW_LAYOUT &&
	       (head->word == 4 || head->word == 8) && head->places >= 2 && head->places < VIEW_ROWS &&
	       head->numbers < VIEW_ROWS;
}

static bool scan_mapping(struct view *view, const struct mapping *mapping)
{
	static char piece[VIEW_PIECE];
	struct hak_view head;

	for (uint64_t at = mapping->start, size; at < mapping->end; at += size) {
		size = mapping->end - at < VIEW_PIECE ? mapping->end - at : VIEW_PIECE;
		size_t got = remote_read_some(view->remote, at, piece, (size_t)size);

		for (size_t i = 0; i + sizeof(head) <= got; i += HAK_VIEW_ALIGN) {
			memcpy(&head, piece + i, sizeof(head));
			if (is_head(&head) && take_view(view, at + i, &head))
				return true;
		}
	}
	return false;
}

/* The mappings of one file that are its own and not code. */
static bool scan_file(struct view *view, uint64_t inode)
{
	uint64_t scanned = 0;

	for (size_t i = 0; i < view->remote->mapping_count; i++) {
		const struct mapping *mapping = &view->remote->mappings[i];

		if (mapping->inode != inode || mapping->access[0] != 'r' || mapping->access[3] != 'p')
			continue;
		scanned += mapping->end - mapping->start;
		if (scanned > VIEW_SCAN)
			return false;
		if (scan_mapping(view, mapping))
			return true;
	}
	return false;
}

static bool is_in_use(const struct view *view)
{
	if (view_lacks(view, "heap_") != NULL || view_u32(view, PLACE(view, heap_count)) > 0)
		return true;
	return view_lacks(view, "guard") == NULL && view_u32(view, PLACE(view, guard) + NUMBER(view, guard_count)) > 0;
}

/* The libraries of that name first, then the program's own file, which is the first that is mapped. */
static bool find_view(struct view *view, const struct remote *remote, bool *is_idle)
{
	uint64_t last = 0, program = 0;

	*is_idle = false;
	for (size_t i = 0; i < remote->mapping_count; i++) {
		const struct mapping *mapping = &remote->mappings[i];

		if (mapping->inode && !program)
			program = mapping->inode;
		if (!mapping->inode || mapping->inode == last || !mapping->path || !library_is_named(mapping->path))
			continue;
		last = mapping->inode;
		if (scan_file(view, mapping->inode)) {
			if (is_in_use(view))
				return true;
			*is_idle = true;
			view->at = 0;
		}
	}
	if (scan_file(view, program))
		*is_idle = !is_in_use(view);
	return view->at != 0 && !*is_idle;
}

static const char *explain_absence(const struct remote *remote)
{
	char byte;

	if (!remote_read(remote, remote->mappings[0].start, &byte, 1) && remote_find(remote, remote->mappings[0].start))
		return remote_refused(remote);
	for (size_t i = 0; i < remote->mapping_count; i++)
		if (remote->mappings[i].path && remote->mappings[i].inode && library_is_named(remote->mappings[i].path))
			return "its libhakmem is of a version that cannot be looked at from outside";
	return "it is not on HAKMEM ('hakmem check' with its process id says why)";
}

const char *view_find(struct view *view, const struct remote *remote)
{
	bool is_idle;

	memset(view, 0, sizeof(*view));
	view->remote = remote;
	if (find_view(view, remote, &is_idle))
		return NULL;
	return is_idle ? "libhakmem is in it, but has served nothing so far ('hakmem check' with its process id says "
			 "more)"
		       : explain_absence(remote);
}

static bool begins_with_one(const char *name, const char *words)
{
	while (*words) {
		size_t length = strcspn(words, " ");

		if (strncmp(name, words, length) == 0)
			return true;
		words += length + (words[length] == ' ');
	}
	return false;
}

const char *view_lacks(const struct view *view, const char *words)
{
	for (size_t i = 0; i < HAK_VIEW_PLACES; i++)
		if (!view->place[i] && i >= 2 && begins_with_one(view_place_names[i], words))
			return view_place_names[i];
	for (size_t i = 0; i < HAK_VIEW_NUMBERS; i++)
		if (!view->has_number[i] && begins_with_one(view_number_names[i], words))
			return view_number_names[i];
	return NULL;
}
