/* SPDX-License-Identifier: MIT */
/* policy: which settings a program gets, and from where, by the library's own parsers.
 *
 * The values are in the tables of this process afterwards (tunables.h), so there is one policy per run of the command. */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>

struct policy {
	const char *root;         /* before the names of files: "" or "/proc/PID/root" */
	const char *program;      /* the executable; "": none that a section could mean */
	char **environment;
	bool is_secure;           /* its environment does not count */
};

/* Reads the files and the environment as the library does at start.  False: there is no file. */
bool policy_read(const struct policy *policy);
/* Reads this file and its directory, for nobody.  False: it cannot be read. */
bool policy_read_file(const char *path);

const char *policy_path(void); /* of the main file; NULL: none is to be read */
/* "default", "environment" or "/etc/hakmem.conf:12". */
const char *policy_place(unsigned setting, char *buffer, size_t size);
unsigned policy_complain(void); /* says what is ignored, to standard error; returns how many things that are */

#endif
