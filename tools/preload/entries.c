/* SPDX-License-Identifier: MIT */
#include "entries.h"

#include <stdlib.h>
#include <string.h>

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == ':';
}

static size_t skip_comment(const struct text *text, size_t at)
{
	while (at < text->length && text->bytes[at] != '\n')
		at++;
	return at;
}

bool entries_next(const struct text *text, size_t *at, struct entry *entry)
{
	size_t start = *at;
	size_t end;

	while (start < text->length && (is_separator(text->bytes[start]) || text->bytes[start] == '#'))
		start = text->bytes[start] == '#' ? skip_comment(text, start) : start + 1;
	for (end = start; end < text->length && !is_separator(text->bytes[end]) && text->bytes[end] != '#';)
		end++;
	*entry = (struct entry){text->bytes + start, end - start};
	*at = end;
	return end > start;
}

bool entries_is_ours(const struct entry *entry)
{
	static const char ours[] = "libhakmem";
	const char *slash = memrchr(entry->name, '/', entry->length);
	const char *base = slash != NULL ? slash + 1 : entry->name;
	size_t length = entry->length - (size_t)(base - entry->name);

	return length >= sizeof(ours) - 1 && memcmp(base, ours, sizeof(ours) - 1) == 0;
}

static void cut(struct text *text, size_t start, size_t end)
{
	memmove(text->bytes + start, text->bytes + end, text->length - end + 1);
	text->length -= end - start;
}

/* Cuts a name with the separators that only it needed. */
static void cut_name(struct text *text, size_t start, size_t end)
{
	size_t left = start;
	size_t right = end;

	while (left > 0 && is_separator(text->bytes[left - 1]) && text->bytes[left - 1] != '\n')
		left--;
	while (right < text->length && is_separator(text->bytes[right]) && text->bytes[right] != '\n')
		right++;
	if (left > 0 && text->bytes[left - 1] != '\n')
		/* Something is before it: that keeps its distance from what follows. */
		cut(text, right < text->length && text->bytes[right] != '\n' ? start : left, right);
	else
		cut(text, left, right < text->length && text->bytes[right] == '\n' ? right + 1 : right);
}

void entries_remove(struct text *text)
{
	struct entry entry;
	size_t at = 0;

	while (entries_next(text, &at, &entry)) {
		if (!entries_is_ours(&entry))
			continue;
		cut_name(text, at - entry.length, at);
		at = 0;
	}
}

bool entries_add(struct text *text, const char *line)
{
	bool open_end = text->length > 0 && text->bytes[text->length - 1] != '\n';
	size_t added = open_end + strlen(line) + 1;
	char *bytes = realloc(text->bytes, text->length + added + 1);

	if (bytes == NULL)
		return false;
	text->bytes = bytes;
	bytes += text->length;
	if (open_end)
		*bytes++ = '\n';
	strcpy(stpcpy(bytes, line), "\n");
	text->length += added;
	return true;
}

bool entries_is_blank(const struct text *text)
{
	for (size_t i = 0; i < text->length; i++) {
		if (!is_separator(text->bytes[i]))
			return false;
	}
	return true;
}
