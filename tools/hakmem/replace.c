/* SPDX-License-Identifier: MIT */
#include "replace.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

static char replace_path[PATH_MAX];

static bool fail(const char *path)
{
	complain("%s: %s", path, strerror(errno));
	if (replace_path[0])
		unlink(replace_path);
	return false;
}

/* In the same directory, or the name could not be moved.  node_exporter reads files whose names end with .prom only. */
bool replace_begin(const char *path)
{
	mode_t mask = umask(0);
	int file;

	umask(mask);
	snprintf(replace_path, sizeof(replace_path), "%s.XXXXXX", path);
	file = mkstemp(replace_path);
	if (file < 0) {
		replace_path[0] = '\0';
		return fail(path);
	}
	if (fchmod(file, 0666 & ~mask) != 0 || dup2(file, STDOUT_FILENO) < 0)
		return fail(path);
	close(file);
	return true;
}

bool replace_end(const char *path, bool is_good)
{
	if (!is_good) {
		unlink(replace_path);
		return true;
	}
	if (fflush(stdout) != 0 || ferror(stdout) || rename(replace_path, path) != 0)
		return fail(path);
	return true;
}
