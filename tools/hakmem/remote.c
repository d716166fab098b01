/* SPDX-License-Identifier: MIT */
#include "remote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core.h"

#define REMOTE_PAGES 512 /* pages asked about at a time */
#define REMOTE_DENIED                                                                                              \
	"it may not be looked at: it is another user's, or runs with other rights than yours; run hakmem as that " \
	"user or as "                                                                                              \
	"root (in a container, with CAP_SYS_PTRACE; see also /proc/sys/kernel/yama/ptrace_scope)"

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	return fopen(path, "re");
}

static const char *explain_errno(void)
{
	if (errno == ENOENT || errno == ESRCH)
		return "there is no such process";
	if (errno == EACCES || errno == EPERM)
		return REMOTE_DENIED;
	return strerror(errno);
}

static void read_name(struct remote *remote)
{
	FILE *file = open_proc(remote->pid, "comm");

	if (!file || !fgets(remote->name, sizeof(remote->name), file))
		snprintf(remote->name, sizeof(remote->name), "?");
	remote->name[strcspn(remote->name, "\n")] = '\0';
	remote_clean(remote->name);
	if (file)
		fclose(file);
}

/* ---- mappings ---- */

static struct mapping *add_mapping(struct remote *remote)
{
	size_t count = remote->mapping_count;
	struct mapping *more;

	if ((count & (count - 1)) == 0) {
		more = realloc(remote->mappings, (count ? 2 * count : 1) * sizeof(*more));
		if (!more)
			return NULL;
		remote->mappings = more;
	}
	memset(&remote->mappings[count], 0, sizeof(*remote->mappings));
	remote->mapping_count++;
	return &remote->mappings[count];
}

/* "5581f0000000-5581f0021000 rw-p 00000000 08:01 1234    /path"; false: no such line. */
static bool take_head(struct remote *remote, char *line)
{
	uint64_t start, end, inode;
	char access[5];
	struct mapping *mapping;
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %n", &start, &end, access, &inode, &at) !=
		    4 ||
	    at == 0)
		return false;
	mapping = add_mapping(remote);
	if (!mapping)
		return true;
	line[strcspn(line, "\n")] = '\0';
	mapping->start = start;
	mapping->end = end;
	mapping->inode = inode;
	memcpy(mapping->access, access, sizeof(access));
	mapping->path = strdup(line + at);
	return true;
}

/* "Rss:        12 kB" */
static void take_size(struct remote *remote, const char *line)
{
	struct mapping *last = remote->mapping_count > 0 ? &remote->mappings[remote->mapping_count - 1] : NULL;
	uint64_t kib;

	if (!last)
		return;
	if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
		last->resident = kib << 10;
	else if (sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1)
		last->swapped = kib << 10;
	else if (sscanf(line, "AnonHugePages: %" SCNu64 " kB", &kib) == 1)
		last->huge = kib << 10;
}

static const char *read_mappings(struct remote *remote, bool with_sizes)
{
	FILE *file = open_proc(remote->pid, with_sizes ? "smaps" : "maps");
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return explain_errno();
	errno = 0;
	while (getline(&line, &room, file) > 0)
		if (!take_head(remote, line))
			take_size(remote, line);
	free(line);
	if (remote->mapping_count > 0)
		errno = 0;
	fclose(file);
	if (remote->mapping_count > 0)
		return NULL;
	return errno ? explain_errno() : "it has no memory: it has ended, or is a kernel thread";
}

uint64_t remote_status(pid_t pid, const char *name)
{
	FILE *file = open_proc(pid, "status");
	size_t length = strlen(name);
	char line[256];
	uint64_t value = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, length) == 0 && sscanf(line + length, ": %" SCNu64, &value) == 1)
			break;
	if (file)
		fclose(file);
	return value;
}

/* A thread may have one of its own. */
bool remote_is_filtered(pid_t pid)
{
	char path[64];
	DIR *threads;
	struct dirent *entry;
	bool is_filtered = remote_status(pid, "Seccomp") != 0;

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	threads = opendir(path);
	while (threads && !is_filtered && (entry = readdir(threads)) != NULL) {
		pid_t thread = remote_pid(entry->d_name);

		is_filtered = thread != 0 && remote_status(thread, "Seccomp") != 0;
	}
	if (threads)
		closedir(threads);
	return is_filtered;
}

uint64_t remote_rss(pid_t pid) { return remote_status(pid, "VmRSS") << 10; }

const char *remote_open(struct remote *remote, pid_t pid, bool with_sizes)
{
	const char *error;
	char path[64];

	memset(remote, 0, sizeof(*remote));
	remote->pid = pid;
	read_name(remote);
	snprintf(path, sizeof(path), "/proc/%ld/pagemap", (long)pid);
	remote->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	error = read_mappings(remote, with_sizes);
	remote->rss = with_sizes ? remote_rss(pid) : 0; /* at once: a process that works changes */
	return error;
}

bool remote_has_changed(const struct remote *remote)
{
	int saved = errno;
	struct remote now;
	bool has_changed;

	if (remote->core || remote->mapping_count == 0)
		return false;
	has_changed = !remote_open(&now, remote->pid, false) &&
		      (now.mappings[0].start != remote->mappings[0].start || strcmp(now.name, remote->name) != 0);
	remote_close(&now);
	errno = saved;
	return has_changed;
}

void remote_close(struct remote *remote)
{
	for (size_t i = 0; i < remote->mapping_count; i++)
		free(remote->mappings[i].path);
	free(remote->mappings);
	if (remote->pagemap >= 0)
		close(remote->pagemap);
	core_close(remote->core);
	memset(remote, 0, sizeof(*remote));
	remote->pagemap = -1;
}

const struct mapping *remote_find(const struct remote *remote, uint64_t at)
{
	size_t low = 0, high = remote->mapping_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (remote->mappings[middle].end <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < remote->mapping_count && remote->mappings[low].start <= at ? &remote->mappings[low] : NULL;
}

/* ---- memory ---- */

size_t remote_read_some(const struct remote *remote, uint64_t at, void *to, size_t size)
{
	struct iovec local = { to, size }, there = { (void *)(uintptr_t)at, size };
	ssize_t got;

	if (remote->core)
		return core_read(remote->core, at, to, size);
	got = (uintptr_t)at == at ? process_vm_readv(remote->pid, &local, 1, &there, 1, 0) : 0;
	return got > 0 ? (size_t)got : 0;
}

bool remote_read(const struct remote *remote, uint64_t at, void *to, size_t size)
{
	return remote_read_some(remote, at, to, size) == size;
}

bool remote_write(const struct remote *remote, uint64_t at, const void *from, size_t size)
{
	struct iovec local = { NULL, size }, there = { (void *)(uintptr_t)at, size };

	memcpy(&local.iov_base, &from, sizeof(from)); /* it is only read */
	return process_vm_writev(remote->pid, &local, 1, &there, 1, 0) == (ssize_t)size;
}

const char *remote_refused(const struct remote *remote)
{
	if (remote->core)
		return "what is needed of its memory is not in the core file: it was left out (/proc/PID/coredump_filter, see "
		       "core(5)), or the file was cut off";
	return errno == EFAULT ? "it changed while it was looked at, or its memory is damaged; look again"
			       : explain_errno();
}

size_t remote_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

bool remote_present(const struct remote *remote, uint64_t at, size_t count, bool *present)
{
	uint64_t words[REMOTE_PAGES];
	size_t page = remote_page();

	for (size_t i = 0; remote->core && i < count; i++)
		present[i] = core_has(remote->core, at + i * page);
	while (!remote->core && count > 0) {
		size_t n = count < REMOTE_PAGES ? count : REMOTE_PAGES;

		if (pread(remote->pagemap, words, n * sizeof(*words), (off_t)(at / page * sizeof(*words))) !=
		    (ssize_t)(n * sizeof(*words)))
			return false;
		for (size_t i = 0; i < n; i++)
			present[i] = words[i] >> 63;
		at += n * page;
		present += n;
		count -= n;
	}
	return true;
}

bool remote_is_there(pid_t pid)
{
	FILE *file = open_proc(pid, "stat");
	char line[512], *last;
	bool is_there = file && fgets(line, sizeof(line), file) && (last = strrchr(line, ')')) != NULL &&
			last[1] == ' ' && last[2] != 'Z' && last[2] != 'X';

	if (file)
		fclose(file);
	return is_there;
}

pid_t remote_pid(const char *word)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(word, &end, 10);
	return errno || *end || end == word || pid <= 0 || pid > INT32_MAX ? 0 : (pid_t)pid;
}
