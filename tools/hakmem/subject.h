/* SPDX-License-Identifier: MIT */
/* subject: a process, or a program that could be started, as `hakmem check` looks at it. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "image.h"

struct subject {
	pid_t pid;           /* 0: a program that does not run */
	char path[PATH_MAX];  /* of the executable; of a script, of its interpreter */
	char script[PATH_MAX]; /* "": it is no script */
	char **environment;  /* its own, or ours */
	bool is_secure;      /* it gets more rights than its caller has: AT_SECURE */
	char *maps;          /* /proc/PID/maps; NULL: it does not run */
	struct image image;
};

/* False, with a complaint, if it cannot be looked at.  Afterwards subject_close, in any case. */
bool subject_of_process(struct subject *subject, pid_t pid);
bool subject_of_program(struct subject *subject, const char *name); /* found as a shell does */
void subject_close(struct subject *subject);

const char *subject_getenv(const struct subject *subject, const char *name);
bool subject_has_mapped(const struct subject *subject, const char *path); /* the file, by whatever name */
void subject_file(const struct subject *subject, const char *path, char file[PATH_MAX]); /* as its root has it */

#endif
