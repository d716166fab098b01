/* SPDX-License-Identifier: MIT */
/* capture: runs a function in a forked child and keeps how it ended and what it wrote to standard error.
 *
 * For what can be done once in a process only, and for what ends it.  The child exits with failures(), so
 * hold() works in it.  Nothing here allocates. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulator.h"
#include "tap.h"

struct capture {
	int status; /* as wait(2) gives it */
	char words[4096];
};

__attribute__((noreturn)) static inline void capture_child(int words, void (*run)(const void *), const void *with)
{
	struct rlimit none = {0, 0};

	tap_failed = 0; /* the parent's do not count here */
	setrlimit(RLIMIT_CORE, &none);
	if (dup2(words, STDERR_FILENO) < 0)
		_exit(99);
	run(with);
	_exit(failures());
}

static inline void capture_words(struct capture *into, int from)
{
	size_t used = 0;
	ssize_t now;

	while ((now = read(from, into->words + used, sizeof(into->words) - 1 - used)) > 0)
		used += (size_t)now;
	into->words[used] = '\0';
	emulator_cut_words(into->words);
}

static inline void capture(struct capture *into, void (*run)(const void *), const void *with)
{
	int ends[2] = {-1, -1};
	pid_t child;

	need(pipe(ends) == 0);
	child = fork();
	need(child >= 0);
	if (child == 0)
		capture_child(ends[1], run, with);
	close(ends[1]);
	capture_words(into, ends[0]);
	close(ends[0]);
	need(waitpid(child, &into->status, 0) == child);
}

/* A point: all of its hold()s held and it wrote no words. */
static inline void capture_silent(const char *name, void (*run)(const void *), const void *with)
{
	struct capture child;

	capture(&child, run, with);
	ok(child.status == 0 && child.words[0] == '\0', "%s", name);
	if (child.words[0] != '\0')
		note("%s", child.words);
}

#endif
