/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <dirent.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf.h"

#define LIVE_PREFIX "/usr/$LIB/hakmem/live/"
#define LIVE_FILE "/libhakmem-preload.so"

static void live_path(const char *lib, const struct live *live, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "/usr/%s/hakmem/live/%s" LIVE_FILE, lib, live->name);
}

void live_line(const struct live *live, char line[LIVE_LINE])
{
	snprintf(line, LIVE_LINE, LIVE_PREFIX "%s" LIVE_FILE, live->name);
}

bool live_of_entry(const struct entry *entry, struct live *live)
{
	size_t around = sizeof(LIVE_PREFIX) - 1 + sizeof(LIVE_FILE) - 1;
	size_t length = entry->length - around;

	if (entry->length <= around || length >= sizeof(live->name) ||
	    memcmp(entry->name, LIVE_PREFIX, sizeof(LIVE_PREFIX) - 1) != 0 ||
	    memcmp(entry->name + entry->length - (sizeof(LIVE_FILE) - 1), LIVE_FILE, sizeof(LIVE_FILE) - 1) != 0)
		return false;
	snprintf(live->name, sizeof(live->name), "%.*s", (int)length, entry->name + sizeof(LIVE_PREFIX) - 1);
	return strchr(live->name, '/') == NULL;
}

/* FNV-1a: to notice another or a damaged file, not to withstand an attacker, who would need to be root. */
static uint64_t hash(const struct text *file)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < file->length; i++)
		value = (value ^ (unsigned char)file->bytes[i]) * 0x100000001b3;
	return value;
}

static void live_of_text(const struct text *library, struct live *live)
{
	snprintf(live->name, sizeof(live->name), "%s-%016" PRIx64, PACKAGE_VERSION, hash(library));
}

static bool read_library(const char *path, struct text *library)
{
	if (!file_read(path, library))
		return false;
	if (library->bytes == NULL)
		warnx("%s is missing", path);
	return library->bytes != NULL;
}

bool live_of_library(const struct machine *machine, struct live *live)
{
	struct text library;

	if (!read_library(machine->library, &library))
		return false;
	live_of_text(&library, live);
	free(library.bytes);
	return true;
}

static bool live_write(const char *lib, const struct live *live, const struct text *content)
{
	char path[PATH_MAX];

	live_path(lib, live, path);
	return file_make_parents(path) && file_replace(path, content);
}

/* The 32-bit library itself where its package is installed. */
static bool stage_small(const char *lib, const struct live *live)
{
	char path[PATH_MAX];
	struct text library;
	bool done;

	snprintf(path, sizeof(path), "/usr/%s/libhakmem.so.1", lib);
	if (!elf_is_small(path)) {
		struct text stub = elf_stub();

		return live_write(lib, live, &stub);
	}
	done = read_library(path, &library) && live_write(lib, live, &library);
	free(library.bytes);
	return done;
}

bool live_stage(const struct machine *machine, struct live *live)
{
	struct text library;
	bool done;

	if (!read_library(machine->library, &library))
		return false;
	live_of_text(&library, live);
	done = live_write(machine->lib, live, &library);
	free(library.bytes);
	for (const char *const *lib = machine->small; done && *lib != NULL; lib++)
		done = stage_small(*lib, live);
	return done;
}

const char *live_fault(const struct machine *machine, const struct live *live)
{
	const char *dash = strrchr(live->name, '-');
	char path[PATH_MAX];
	char expected[24];
	struct text copy;

	live_path(machine->lib, live, path);
	if (access(path, F_OK) != 0)
		return "the copy of the library is missing";
	if (!file_is_public(path))
		return "the copy of the library cannot be read by everybody";
	if (!file_read(path, &copy) || copy.bytes == NULL)
		return "the copy of the library cannot be read";
	snprintf(expected, sizeof(expected), "-%016" PRIx64, hash(&copy));
	free(copy.bytes);
	return dash != NULL && strcmp(dash, expected) == 0 ? NULL : "the copy of the library was changed";
}

static DIR *open_live(const char *lib)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/usr/%s/hakmem/live", lib);
	return opendir(path);
}

static bool is_named(const struct live *live, const char *name)
{
	return live != NULL && strcmp(live->name, name) == 0;
}

bool live_find_other(const struct machine *machine, const struct live *live, struct live *other)
{
	DIR *directory = open_live(machine->lib);
	bool found = false;

	for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.' || is_named(live, entry->d_name) || strlen(entry->d_name) >= sizeof(other->name))
			continue;
		strcpy(other->name, entry->d_name);
		found = true;
	}
	if (directory != NULL)
		closedir(directory);
	return found;
}

/* How many empty directories above a copy go with it: live and hakmem, and a directory for 32-bit libraries that nobody
 * else uses.  A link to that, as /lib32, would dangle. */
static int levels_above(const char *lib)
{
	char path[PATH_MAX];
	char target[1];

	snprintf(path, sizeof(path), "/%s", lib);
	return readlink(path, target, sizeof(target)) < 0 ? 3 : 2;
}

static void prune(const char *lib, const struct live *keep, const struct live *keep_too)
{
	DIR *directory = open_live(lib);

	for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.' || is_named(keep, entry->d_name) || is_named(keep_too, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/usr/%s/hakmem/live/%s", lib, entry->d_name);
		file_remove_directory(path, levels_above(lib));
	}
	if (directory != NULL)
		closedir(directory);
}

void live_prune(const struct live *keep, const struct live *keep_too)
{
	for (const char *const *lib = machine_places; *lib != NULL; lib++)
		prune(*lib, keep, keep_too);
}
