/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf.h"

/* Debian has its triplets, Fedora and SUSE lib64 and lib, Arch lib and lib32. */
#if defined(__x86_64__)
static const char *const native_names[] = {"lib/x86_64-linux-gnu", "lib64", "lib", NULL};
static const char *const small_names[] = {"lib/i386-linux-gnu", "lib32", "lib", NULL};
#elif defined(__aarch64__)
static const char *const native_names[] = {"lib/aarch64-linux-gnu", "lib64", "lib", NULL};
static const char *const small_names[] = {"lib/arm-linux-gnueabihf", "lib", NULL};
#elif defined(__i386__)
static const char *const native_names[] = {"lib/i386-linux-gnu", "lib", "lib32", NULL};
static const char *const small_names[] = {NULL};
#else
static const char *const native_names[] = {"lib64", "lib", NULL};
static const char *const small_names[] = {NULL};
#endif

const char *const machine_places[] = {
	"lib/x86_64-linux-gnu", "lib/i386-linux-gnu", "lib/aarch64-linux-gnu", "lib/arm-linux-gnueabihf",
	"lib64", "lib32", "lib", NULL,
};

static bool has_libc(const char *lib)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/usr/%s/libc.so.6", lib);
	if (elf_is_native(path))
		return true;
	snprintf(path, sizeof(path), "/%s/libc.so.6", lib);
	return elf_is_native(path);
}

static bool is_same_directory(const char *one, const char *other)
{
	char path[PATH_MAX];
	struct stat first, second;

	snprintf(path, sizeof(path), "/usr/%s", one);
	if (stat(path, &first) != 0)
		return false;
	snprintf(path, sizeof(path), "/usr/%s", other);
	return stat(path, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* A 32-bit C library may be installed at any time: its programs find something at all the places where they may look. */
static void find_small(struct machine *machine)
{
	int count = 0;

	for (const char *const *name = small_names; *name != NULL; name++) {
		if (count < MACHINE_SMALL && !is_same_directory(*name, machine->lib))
			machine->small[count++] = *name;
	}
}

static bool find_library(struct machine *machine)
{
	snprintf(machine->library, sizeof(machine->library), "%s/libhakmem.so.1", HAK_LIBDIR);
	if (elf_is_native(machine->library))
		return true;
	snprintf(machine->library, sizeof(machine->library), "/usr/%s/libhakmem.so.1", machine->lib);
	return elf_is_native(machine->library);
}

bool machine_find(struct machine *machine)
{
	*machine = (struct machine){0};
	for (const char *const *name = native_names; *name != NULL && machine->lib == NULL; name++) {
		if (has_libc(*name))
			machine->lib = *name;
	}
	if (machine->lib == NULL) {
		warnx("no C library found that reads /etc/ld.so.preload (glibc, libc.so.6)");
		return false;
	}
	find_small(machine);
	if (!find_library(machine)) {
		warnx("HAKMEM is not installed: there is no %s", machine->library);
		return false;
	}
	return true;
}

/* A bare name: the loader would look into its cache; all of that is in one of these as a rule. */
static bool find_bare(const struct machine *machine, const struct entry *entry, char path[PATH_MAX])
{
	static const char *const roots[] = {"/usr", "", "/usr/local"};

	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++) {
		snprintf(path, PATH_MAX, "%s/%s/%.*s", roots[i], machine->lib, (int)entry->length, entry->name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

bool machine_expand(const struct machine *machine, const struct entry *entry, char path[PATH_MAX])
{
	const char *dollar = memchr(entry->name, '$', entry->length);
	size_t before = dollar != NULL ? (size_t)(dollar - entry->name) : entry->length;
	size_t word = dollar == NULL ? 0 : entry->length - before >= 6 && memcmp(dollar, "${LIB}", 6) == 0 ? 6 : 4;
	size_t used = before + word;

	if (entry->length >= PATH_MAX / 2)
		return false;
	if (memchr(entry->name, '/', entry->length) == NULL)
		return find_bare(machine, entry, path);
	if (word == 4 && (entry->length - before < 4 || memcmp(dollar, "$LIB", 4) != 0))
		return false;
	snprintf(path, PATH_MAX, "%.*s%s%.*s", (int)before, entry->name, word != 0 ? machine->lib : "",
		 (int)(entry->length - used), entry->name + used);
	return true;
}
