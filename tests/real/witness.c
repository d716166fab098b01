/*
 * witness - another preloaded library, the first, that writes down, for every process started, whose malloc it really uses.
 *
 * It lies in a directory of its own and appends one line per program start to "witness.log" beside itself:
 *
 *     PID PROGRAM LIBRARY        e.g.  4711 sqlite3 /tmp/.../libhakmem.so
 *
 * LIBRARY is where malloc, free and the rest of the family resolve for that program, or "mixed" if they do not agree.  No file
 * stays open, nothing is allocated, and the environment is not read, so the program does not notice.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *library_at(const void *address)
{
	Dl_info found;

	return dladdr(address, &found) != 0 && found.dli_fname != NULL ? found.dli_fname : "unknown";
}

/*
 * Where a call of this function goes.  In a program at a fixed address the function's address may be a stub of the program, a
 * symbol that it does not define; the definition is then the next one after this library, which is the first one preloaded.
 */
static const char *library_of(const char *function)
{
	const void *address = dlsym(RTLD_DEFAULT, function);
	void *extra = NULL;
	Dl_info found;

	int known = dladdr1(address, &found, &extra, RTLD_DL_SYMENT);
	const ElfW(Sym) *symbol = extra;
	if (known != 0 && symbol != NULL && symbol->st_shndx == SHN_UNDEF)
		address = dlsym(RTLD_NEXT, function);
	return library_at(address);
}

static const char *library_of_malloc(void)
{
	static const char *const family[] = {
		"malloc", "calloc", "realloc", "free", "aligned_alloc", "memalign", "posix_memalign", "malloc_usable_size",
	};
	const char *library = library_of(family[0]);

	for (size_t i = 1; i < sizeof family / sizeof *family; i++)
		if (strcmp(library_of(family[i]), library) != 0)
			return "mixed";
	return library;
}

__attribute__((constructor)) static void testify(void)
{
	char path[4096], program[1024], line[8192];
	const char *own = library_at((const void *)&testify);
	const char *slash = strrchr(own, '/');
	int directory = slash == NULL ? 0 : (int)(slash - own);

	if (slash == NULL || snprintf(path, sizeof path, "%.*s/witness.log", directory, own) >= (int)sizeof path)
		return;
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	if (length <= 0)
		return;
	program[length] = '\0';
	const char *name = strrchr(program, '/');
	int size = snprintf(line, sizeof line, "%d %s %s\n", (int)getpid(), name == NULL ? program : name + 1, library_of_malloc());
	int log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (log < 0)
		return;
	if (write(log, line, (size_t)size) != size)
		_exit(111);
	close(log);
}
