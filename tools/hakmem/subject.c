/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "command.h"

#define SUBJECT_SCRIPTS 4 /* a script's interpreter may be a script: as deep as the kernel goes */

/* ---- a process ---- */

static void subject_proc(const struct subject *subject, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "/proc/%ld/%s", (long)subject->pid, name);
}

/* A file of /proc as a whole, with a NUL behind; NULL and errno if that fails. */
static char *subject_read(const struct subject *subject, const char *name, size_t *length)
{
	size_t room = 1 << 16;
	char path[PATH_MAX], *bytes = malloc(room), *more;
	ssize_t got = 0;
	int file;

	subject_proc(subject, name, path);
	file = open(path, O_RDONLY | O_CLOEXEC);
	*length = 0;
	while (bytes && file >= 0 && (got = read(file, bytes + *length, room - *length - 1)) > 0) {
		*length += (size_t)got;
		if (*length < room / 2)
			continue;
		more = realloc(bytes, room *= 2);
		if (!more)
			got = -1;
		bytes = more ? more : bytes;
		if (got < 0)
			break;
	}
	if (file >= 0)
		close(file);
	if (!bytes || file < 0 || got < 0) {
		free(bytes);
		return NULL;
	}
	bytes[*length] = '\0';
	return bytes;
}

/* Texts with a NUL behind each, into an array that ends with NULL. */
static char **split_environment(char *bytes, size_t length)
{
	size_t count = 0;
	char **list;

	for (size_t i = 0; i < length; i++)
		count += bytes[i] == '\0';
	list = calloc(count + 2, sizeof(*list));
	if (!list)
		return NULL;
	list[0] = bytes; /* which is freed by it, if there is no entry either */
	count = 0;
	for (char *at = bytes; at < bytes + length; at += strlen(at) + 1)
		list[count++] = at;
	return list;
}

static bool subject_read_environment(struct subject *subject)
{
	size_t length;
	char *bytes = subject_read(subject, "environ", &length);

	subject->environment = bytes ? split_environment(bytes, length) : NULL;
	return subject->environment != NULL;
}

static bool subject_read_secure(struct subject *subject)
{
	size_t length;
	char *bytes = subject_read(subject, "auxv", &length);
	size_t word = subject->image.is_64 ? 8 : 4;

	for (size_t at = 0; bytes && at + 2 * word <= length; at += 2 * word) {
		uint64_t key = 0, value = 0;

		memcpy(&key, bytes + at, word); /* its bytes are in our order: it runs on this machine */
		memcpy(&value, bytes + at + word, word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		key >>= 64 - 8 * word, value >>= 64 - 8 * word;
#endif
		if (key == AT_SECURE)
			subject->is_secure = value != 0;
	}
	free(bytes);
	return bytes != NULL;
}

static bool subject_read_link(struct subject *subject)
{
	char link[PATH_MAX];
	ssize_t length;

	subject_proc(subject, "exe", link);
	length = readlink(link, subject->path, sizeof(subject->path) - 1);
	if (length >= 0)
		subject->path[length] = '\0';
	return length >= 0;
}

bool subject_of_process(struct subject *subject, pid_t pid)
{
	char link[PATH_MAX];
	const char *error = NULL;
	size_t length;

	memset(subject, 0, sizeof(*subject));
	subject->pid = pid;
	subject_proc(subject, "exe", link);
	if (!subject_read_link(subject) || !(subject->maps = subject_read(subject, "maps", &length)))
		error = errno == ENOENT ? "there is no such process, or it is a kernel thread" : strerror(errno);
	else if ((error = image_read(link, &subject->image)) == NULL &&
	         (!subject_read_environment(subject) || !subject_read_secure(subject)))
		error = strerror(errno);
	if (error)
		complain("process %ld: %s", (long)pid, error);
	return !error;
}

/* ---- a program ---- */

/* The file of that name in PATH. */
static bool find_program(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH");
	int length;

	if (strchr(name, '/'))
		return realpath(name, path) != NULL;
	for (list = list ? list : "/usr/bin:/bin";; list += length + 1) {
		char candidate[PATH_MAX];

		length = (int)strcspn(list, ":");
		snprintf(candidate, sizeof(candidate), "%.*s/%s", length ? length : 1, length ? list : ".", name);
		if (access(candidate, X_OK) == 0 && realpath(candidate, path))
			return true;
		if (list[length] == '\0')
			break;
	}
	errno = ENOENT;
	return false;
}

/* Of "#! /usr/bin/env -S python3 -u" the word python3; "" if the file is no script. */
static void read_interpreter(const char *path, char word[PATH_MAX])
{
	FILE *file = fopen(path, "re");
	char line[PATH_MAX] = "", *rest = line + 2, *next;

	word[0] = '\0';
	if (file && fgets(line, sizeof(line), file) && strncmp(line, "#!", 2) == 0)
		while ((next = strtok_r(rest, " \t\r\n", &rest)) != NULL) {
			bool is_env = word[0] != '\0' && strcmp(strrchr(word, '/') ? strrchr(word, '/') + 1 : word, "env") == 0;

			if (word[0] != '\0' && !is_env)
				break;
			if (next[0] != '-' && !strchr(next, '='))
				snprintf(word, PATH_MAX, "%s", next);
		}
	if (file)
		fclose(file);
}

/* Set-user-id, set-group-id and file capabilities; a mount option or a tracer may still take them away. */
static bool is_privileged(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return false;
	return ((status.st_mode & S_ISUID) && status.st_uid != getuid()) ||
	       ((status.st_mode & S_ISGID) && status.st_gid != getgid()) ||
	       (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

bool subject_of_program(struct subject *subject, const char *name)
{
	char word[PATH_MAX];
	const char *error;

	memset(subject, 0, sizeof(*subject));
	subject->environment = environ;
	if (!find_program(name, subject->path)) {
		complain("%s: %s", name, strerror(errno));
		return false;
	}
	for (int depth = 0; depth < SUBJECT_SCRIPTS; depth++) {
		read_interpreter(subject->path, word);
		if (word[0] == '\0')
			break;
		if (depth == 0)
			memcpy(subject->script, subject->path, PATH_MAX);
		if (!find_program(word, subject->path)) {
			complain("%s: its interpreter %s: %s", name, word, strerror(errno));
			return false;
		}
	}
	subject->is_secure = is_privileged(subject->path);
	error = image_read(subject->path, &subject->image);
	if (error)
		complain("%s: %s", subject->path, error);
	return !error;
}

/* ---- both ---- */

void subject_close(struct subject *subject)
{
	image_close(&subject->image);
	if (subject->pid && subject->environment)
		free(subject->environment[0]);
	if (subject->pid)
		free(subject->environment);
	free(subject->maps);
}

const char *subject_getenv(const struct subject *subject, const char *name)
{
	size_t length = strlen(name);

	for (char **entry = subject->environment; entry && *entry; entry++)
		if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
			return *entry + length + 1;
	return NULL;
}

/* Lines of maps say device and inode: "... 08:01 12345   /path". */
bool subject_has_mapped(const struct subject *subject, const char *path)
{
	char file[PATH_MAX];
	struct stat status;

	subject_file(subject, path, file);
	if (!subject->maps || stat(file, &status) != 0)
		return false;
	for (const char *line = subject->maps; *line; line += strcspn(line, "\n"), line += *line != '\0') {
		unsigned device_major, device_minor;
		unsigned long long inode;

		if (sscanf(line, "%*s %*s %*s %x:%x %llu", &device_major, &device_minor, &inode) == 3 &&
		    inode == status.st_ino && inode != 0)
			return true; /* some file systems show another device there than stat does */
	}
	return false;
}

void subject_file(const struct subject *subject, const char *path, char file[PATH_MAX])
{
	if (subject->pid && path[0] == '/')
		snprintf(file, PATH_MAX, "/proc/%ld/root%s", (long)subject->pid, path);
	else
		snprintf(file, PATH_MAX, "%s", path);
}
