/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_LIMIT = 64 << 20 };

/* Returns false if the file is larger than it was, which is an error too. */
static bool file_read_all(int fd, struct text *into)
{
	struct stat about;

	if (fstat(fd, &about) != 0)
		return false;
	if (!S_ISREG(about.st_mode) || about.st_size > FILE_LIMIT) {
		errno = S_ISREG(about.st_mode) ? EFBIG : EINVAL;
		return false;
	}
	into->length = (size_t)about.st_size;
	into->bytes = calloc(1, into->length + 1);
	for (size_t got = 0; into->bytes != NULL && got < into->length;) {
		ssize_t now = read(fd, into->bytes + got, into->length - got);

		if (now <= 0)
			return false;
		got += (size_t)now;
	}
	return into->bytes != NULL;
}

bool file_read(const char *path, struct text *into)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done;

	*into = (struct text){0};
	if (fd < 0 && errno == ENOENT)
		return true;
	done = fd >= 0 && file_read_all(fd, into);
	if (!done)
		warn("cannot read %s", path);
	if (fd >= 0)
		close(fd);
	return done;
}

bool file_is_public(const char *path)
{
	struct stat about;

	return stat(path, &about) == 0 && (about.st_mode & 0444) == 0444;
}

static bool file_sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Some file systems know no fsync of a directory, and lose nothing by it. */
	bool done = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);

	if (!done)
		warn("cannot sync %s", path);
	if (fd >= 0)
		close(fd);
	return done;
}

static bool parent_of(const char *path, char parent[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t length = slash != NULL ? (size_t)(slash - path) : 0;

	if (slash == NULL || length >= PATH_MAX)
		return false;
	memcpy(parent, path, length);
	strcpy(parent + length, length == 0 ? "/" : "");
	return true;
}

bool file_sync_parent(const char *path)
{
	char parent[PATH_MAX];

	return parent_of(path, parent) && file_sync_directory(parent);
}

bool file_make_parents(const char *path)
{
	char parent[PATH_MAX];

	if (!parent_of(path, parent) || access(parent, F_OK) == 0)
		return true;
	if (!file_make_parents(parent))
		return false;
	/* The mode must not depend on the umask: others have to get through. */
	if ((mkdir(parent, 0755) != 0 && errno != EEXIST) || chmod(parent, 0755) != 0) {
		warn("cannot make %s", parent);
		return false;
	}
	return file_sync_parent(parent);
}

static bool file_write_all(int fd, const struct text *content)
{
	for (size_t sent = 0; sent < content->length;) {
		ssize_t now = write(fd, content->bytes + sent, content->length - sent);

		if (now < 0 && errno != EINTR)
			return false;
		sent += now > 0 ? (size_t)now : 0;
	}
	return fchmod(fd, 0644) == 0 && fsync(fd) == 0;
}

/* The temporary file is beside the real one: a rename from elsewhere would be a copy. */
static bool file_write_beside(const char *path, const char *beside, const struct text *content)
{
	int fd;

	unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	if (file_write_all(fd, content) && close(fd) == 0 && rename(beside, path) == 0)
		return true;
	unlink(beside);
	return false;
}

bool file_replace(const char *path, const struct text *content)
{
	char real[PATH_MAX];
	char beside[PATH_MAX + 8];

	if (realpath(path, real) == NULL)
		snprintf(real, sizeof(real), "%s", path);
	snprintf(beside, sizeof(beside), "%s.new", real);
	if (!file_write_beside(real, beside, content)) {
		warn("cannot write %s", real);
		return false;
	}
	return file_sync_parent(real);
}

void file_remove_directory(const char *path, int up)
{
	DIR *directory = opendir(path);
	char parent[PATH_MAX];

	for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
		unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory != NULL)
		closedir(directory);
	for (snprintf(parent, sizeof(parent), "%s", path); up >= 0 && rmdir(parent) == 0; up--)
		*strrchr(parent, '/') = '\0';
}
