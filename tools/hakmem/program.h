/* SPDX-License-Identifier: MIT */
/* program: starting a program on HAKMEM, for run, record and replay. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <sys/resource.h>

/* As env(1), nice(1) and shells do. */
enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127, STATUS_SIGNAL = 128 };

int program_preload(const char *library); /* into LD_PRELOAD, before what is there; 0, or -1 and errno */

/* Into HAKMEM_TRACE; what an earlier recording left under that name is removed.  False, with a complaint: it is something
 * else. */
bool program_trace(const char *path);

int program_exec(char **argv); /* returns only if it fails: STATUS_CANNOT_RUN or STATUS_NOT_FOUND, with a complaint */

/* Runs it and waits; the terminal's signals are its alone.  Returns what waitpid(2) gives; if it could not be started,
 * *seconds is below 0. */
int program_wait(char **argv, struct rusage *usage, double *seconds);
int program_status(char **argv, int status); /* what to exit with; says which signal it was */
double program_now(void);                    /* seconds since some moment */

#endif
