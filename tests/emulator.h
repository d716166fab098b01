/* SPDX-License-Identifier: MIT */
/* emulator: what is different where tests run under qemu-user, by `make check RUNNER='qemu-... '`.  Allocates nothing.
 *
 * It is told by RUNNER, as the emulator does what it can not to be noticed. */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <unistd.h>

#include "tap.h"

static inline bool is_emulated(void)
{
	const char *runner = getenv("RUNNER");

	return runner != NULL && strstr(runner, "qemu") != NULL;
}

/* Cuts off what the emulator itself says of a program that was killed; it comes last. */
static inline void emulator_cut_words(char *words)
{
	char *own = is_emulated() ? strstr(words, "qemu: uncaught target signal") : NULL;

	if (own != NULL)
		*own = '\0';
}

/* execve that works for a program of the emulated machine: RUNNER's words go before it.  Returns if it fails. */
static inline void emulator_exec(char **words, char *const *settings)
{
	static char line[512];
	char *all[16], *rest = line;
	const char *runner = getenv("RUNNER");
	size_t n = 0;

	need(runner == NULL || strlen(runner) < sizeof(line));
	strcpy(line, runner != NULL ? runner : "");
	while (n < 8 && (all[n] = strtok_r(rest, " ", &rest)) != NULL)
		n++;
	for (size_t i = 0; i < 7 && words[i] != NULL; i++)
		all[n++] = words[i];
	all[n] = NULL;
	execvpe(all[0], all, settings);
}

/* This program again, with those words behind its name.  What an emulator is by /proc/self/exe is not it, but its name is. */
static inline void emulator_exec_self(char **words)
{
	static char name[4096];
	ssize_t length = readlink("/proc/self/exe", name, sizeof(name) - 1);

	need(length > 0);
	words[0] = name;
	emulator_exec(words, environ);
}

/* The same in a forked child, with one word and one setting more.  Returns, with a point that fails, unless an emulator does not
 * start programs of its kind. */
static inline void emulator_exec_again(char *word, const char *setting, const char *value)
{
	char *words[] = { NULL, word, NULL };

	need(setenv(setting, value, 1) == 0);
	emulator_exec_self(words);
	hold(errno == ENOEXEC);
}

#endif
