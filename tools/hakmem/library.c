/* SPDX-License-Identifier: MIT */
#include "library.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define STAGED_NAME "libhakmem-preload.so" /* the copy that hakmem-preload(8) makes */

const char *library_find(const char *named)
{
	const char *path = named ? named : HAKMEM_LIBRARY;
	char *real = realpath(path, NULL); /* the loader takes words without a slash for names to search */

	if (real && access(real, R_OK) == 0)
		return named ? real : path;
	complain("%s: %s%s", path, strerror(errno), named ? "" : " (is libhakmem installed? --library names another file)");
	return NULL;
}

bool library_is_named(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return strncmp(name, LIBRARY_NAME, strlen(LIBRARY_NAME)) == 0 || strcmp(name, STAGED_NAME) == 0;
}
