/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define PROCESS_TRIES 3u

/* Who was just forked may execute its program while it is looked at: then it is looked at again. */
const char *process_open(struct process *process, pid_t pid, bool with_sizes)
{
	const char *error;
	unsigned tries = PROCESS_TRIES;

	do {
		if (tries < PROCESS_TRIES)
			process_close(process);
		errno = 0;
		error = remote_open(&process->remote, pid, with_sizes);
		if (!error)
			error = view_find(&process->view, &process->remote);
	} while (error && errno == EFAULT && --tries > 0 && remote_has_changed(&process->remote));
	return error;
}

const char *process_open_core(struct process *process, const struct core_files *files)
{
	const char *error = core_open(&process->remote, files);

	if (!error)
		error = view_find(&process->view, &process->remote);
	/* what was not found may be in a file that could not be read */
	return process->remote.core && core_missing(process->remote.core) ? core_missing(process->remote.core) : error;
}

bool process_take_option(struct core_files *files, int option, const char *value)
{
	const char **field = option == 'C' ? &files->core : option == 'E' ? &files->program : &files->library;

	if (option != 'C' && option != 'E' && option != 'L')
		return false;
	*field = value;
	return true;
}

/* A core file, which is named in errors as long as it is open. */
static int open_core(struct process *process, const char *command, const struct core_files *files, int count)
{
	const char *error;

	if (count > 0)
		return complain_of_usage("%s: a process id or --core, not both", command);
	error = process_open_core(process, files);
	if (!error)
		return STATUS_OK;
	complain("%s: %s", files->core, error);
	process_close(process);
	return STATUS_NO;
}

int process_open_one(struct process *process, const char *command, const struct core_files *files, int count, char **words,
		     bool with_sizes)
{
	const char *error;
	pid_t pid;

	if (files->core)
		return open_core(process, command, files, count);
	if (files->program || files->library)
		return complain_of_usage("%s: --exe and --library go with --core", command);
	if (count != 1)
		return complain_of_usage("%s: one process id is wanted", command);
	pid = remote_pid(words[0]);
	if (pid == 0)
		return complain_of_usage("%s: '%s' is no process id", command, words[0]);
	error = process_open(process, pid, with_sizes);
	if (!error)
		return STATUS_OK;
	process_close(process);
	return process_complain(pid, error);
}

void process_close(struct process *process)
{
	remote_close(&process->remote);
}

int process_complain(pid_t pid, const char *reason)
{
	complain("process %ld: %s", (long)pid, reason);
	return STATUS_NO;
}

int process_complain_of(const struct process *process, const char *reason)
{
	if (!process->remote.core)
		return process_complain(process->remote.pid, reason);
	complain("core file of process %ld: %s", (long)process->remote.pid, reason);
	return STATUS_NO;
}

static void add_pid(struct process_list *list, pid_t pid)
{
	pid_t *more = realloc(list->pids, (list->count + 1) * sizeof(*more));

	if (!more)
		return;
	list->pids = more;
	list->pids[list->count++] = pid;
}

void process_find_all(struct process_list *list)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	memset(list, 0, sizeof(*list));
	list->is_all = true;
	while (processes && (entry = readdir(processes)) != NULL) {
		pid_t pid = remote_pid(entry->d_name);
		struct process process;

		if (pid == 0 || pid == getpid())
			continue;
		errno = 0;
		if (!process_open(&process, pid, false))
			add_pid(list, pid);
		else
			list->denied += errno == EACCES || errno == EPERM;
		process_close(&process);
	}
	if (processes)
		closedir(processes);
}

bool process_list(struct process_list *list, const char *command, int count, char **words)
{
	memset(list, 0, sizeof(*list));
	if (count == 0) {
		complain_of_usage("%s: a process id is missing, or the word all", command);
		return false;
	}
	if (count == 1 && strcmp(words[0], "all") == 0) {
		process_find_all(list);
		return true;
	}
	for (int i = 0; i < count; i++) {
		pid_t pid = remote_pid(words[i]);

		if (pid == 0) {
			complain_of_usage("%s: '%s' is no process id", command, words[i]);
			free(list->pids);
			return false;
		}
		add_pid(list, pid);
	}
	return true;
}
