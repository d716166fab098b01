/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "trace.h"
#include "tunables.h"

/* Ours comes first: of two allocators the first counts. */
int program_preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *list = NULL;

	if (!others || !*others)
		return setenv("LD_PRELOAD", library, true);
	if (asprintf(&list, "%s:%s", library, others) < 0 || setenv("LD_PRELOAD", list, true) != 0)
		return -1;
	free(list);
	return 0;
}

/* ---- traces ---- */

static void remove_old(const char *path)
{
	char *pattern = NULL;
	glob_t found;

	unlink(path);
	if (asprintf(&pattern, "%s.[0-9]*", path) < 0)
		return;
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (trace_is_one(found.gl_pathv[i]))
				unlink(found.gl_pathv[i]);
		globfree(&found);
	}
	free(pattern);
}

bool program_trace(const char *path)
{
	FILE *file;

	if (access(path, F_OK) == 0 && !trace_is_one(path)) {
		complain("%s: it is no trace, and is not overwritten", path);
		return false;
	}
	remove_old(path);
	file = fopen(path, "wxe"); /* can it be made? */
	if (!file) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	fclose(file);
	unlink(path);
	return setenv(HAK_TUNABLES_TRACE, path, true) == 0;
}

/* ---- the program ---- */

int program_exec(char **argv)
{
	execvp(argv[0], argv);
	complain("%s: %s", argv[0], strerror(errno));
	return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

double program_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int could_not_start(double *seconds)
{
	complain("the program cannot be started: %s", strerror(errno));
	*seconds = -1;
	return STATUS_CANNOT_RUN << 8;
}

int program_wait(char **argv, struct rusage *usage, double *seconds)
{
	double begun = program_now();
	pid_t child = fork();
	int status;

	if (child < 0)
		return could_not_start(seconds);
	if (child == 0)
		_exit(program_exec(argv));
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	while (wait4(child, &status, 0, usage) < 0)
		if (errno != EINTR)
			return could_not_start(seconds);
	*seconds = program_now() - begun;
	return status;
}

int program_status(char **argv, int status)
{
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	complain("%s: %s", argv[0], strsignal(WTERMSIG(status)));
	return STATUS_SIGNAL + WTERMSIG(status);
}
