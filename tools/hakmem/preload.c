/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "library.h"

#define PRELOAD_SEPARATORS " :\t\n"

/* What $LIB may stand for; the loader knows which, we take the one that is there. */
static const char *const preload_lib_64[] = { "lib/" MULTIARCH_64, "lib64", "lib", NULL };
static const char *const preload_lib_32[] = { "lib/i386-linux-gnu", "lib32", "lib", NULL };

static void expand(const char *word, const char *token, const char *by, char path[PATH_MAX])
{
	const char *at = strstr(word, token);

	if (at)
		snprintf(path, PATH_MAX, "%.*s%s%s", (int)(at - word), word, by, at + strlen(token));
	else
		snprintf(path, PATH_MAX, "%s", word);
}

static void preload_expand(const struct subject *subject, struct preload *one)
{
	const char *const *lib = subject->image.is_64 ? preload_lib_64 : preload_lib_32;
	const char *token = strstr(one->word, "${LIB}") ? "${LIB}" : "$LIB";
	char file[PATH_MAX];

	for (; *lib; lib++) {
		expand(one->word, token, *lib, one->path);
		subject_file(subject, one->path, file);
		if (!strstr(one->word, token) || access(file, F_OK) == 0)
			return;
	}
}

/* Why the loader would not take it. */
static const char *preload_judge(const struct subject *subject, struct preload *one)
{
	bool has_slash = strchr(one->word, '/') != NULL;
	char file[PATH_MAX];
	struct image image;
	const char *error;

	if (subject->is_secure && strcmp(one->place, PRELOAD_FILE) != 0)
		return "the program gets more rights than its caller, and so LD_PRELOAD is not obeyed";
	if (!has_slash) {
		one->is_hakmem = library_is_named(one->word);
		one->has_malloc = one->is_hakmem;
		return subject->is_secure ? "a name without a slash is not obeyed by programs with more rights" : NULL;
	}
	subject_file(subject, one->path, file);
	error = image_read(file, &image);
	if (!error) {
		one->has_malloc = image.exports_malloc;
		one->is_hakmem = image.has_hakmem;
		if (!image_fits(&image, &subject->image))
			error = image.is_64 != subject->image.is_64
			                ? "wrong ELF class: the library has 64 bits and the program 32, or the reverse"
			                : "it is for another machine";
		else if (image_is_for_musl(&subject->image) && image_needs(&image, "libc.so.6"))
			error = "the program uses musl, and the library glibc";
	}
	image_close(&image);
	return error;
}

static void preload_add(const struct subject *subject, const char *text, const char *place, struct preload *list,
                        unsigned *count)
{
	while (*(text += strspn(text, PRELOAD_SEPARATORS)) && *count < PRELOAD_MOST) {
		struct preload *one = &list[(*count)++];
		size_t length = strcspn(text, PRELOAD_SEPARATORS);

		memset(one, 0, sizeof(*one));
		snprintf(one->word, sizeof(one->word), "%.*s", (int)length, text);
		one->place = place;
		preload_expand(subject, one);
		one->error = preload_judge(subject, one);
		if (one->error && !one->is_hakmem)
			one->is_hakmem = library_is_named(one->word);
		text += length;
	}
}

unsigned preload_list(const struct subject *subject, struct preload *list)
{
	const char *variable = subject_getenv(subject, "LD_PRELOAD");
	char name[PATH_MAX], text[8192];
	unsigned count = 0;
	FILE *file;

	if (variable)
		preload_add(subject, variable, "LD_PRELOAD", list, &count);
	subject_file(subject, PRELOAD_FILE, name);
	file = image_is_for_musl(&subject->image) ? NULL : fopen(name, "re"); /* musl's loader does not read it */
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		preload_add(subject, text, PRELOAD_FILE, list, &count);
		fclose(file);
	}
	return count;
}
