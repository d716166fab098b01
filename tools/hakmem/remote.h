/* SPDX-License-Identifier: MIT */
/* remote: another process's memory and mappings.  It is read and written with process_vm_readv and process_vm_writev: no
 * code runs in it, it is not stopped, and gets no signal.  Or a core file of one (core.h). */
#ifndef REMOTE_H
#define REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A line of /proc/PID/smaps and what stands below it; sizes are bytes. */
struct mapping {
	uint64_t start, end, inode;
	char access[5];              /* "rw-p" */
	uint64_t resident, swapped, huge;
	char *path;                  /* "/usr/lib/x.so", "[stack]" or "" */
};

struct remote {
	pid_t pid;
	char name[64]; /* of the program, without control characters */
	struct mapping *mappings;
	size_t mapping_count;
	uint64_t rss;  /* VmRSS, with sizes; 0: not told */
	int pagemap;   /* -1: it cannot be opened */
	struct core *core; /* NULL: it is a process.  Of a core file, what is resident is what was saved */
};

/* Every function that returns a text returns NULL, or why it failed and what can be done. */

/* with_sizes: fills in resident, swapped and huge, which takes the kernel longer.  remote_close afterwards in any case. */
const char *remote_open(struct remote *remote, pid_t pid, bool with_sizes);
bool remote_has_changed(const struct remote *remote); /* has it executed another program since? */
void remote_close(struct remote *remote);

bool remote_read(const struct remote *remote, uint64_t at, void *to, size_t size); /* all of it, or false */
size_t remote_read_some(const struct remote *remote, uint64_t at, void *to, size_t size); /* up to what is mapped */
bool remote_write(const struct remote *remote, uint64_t at, const void *from, size_t size);
const char *remote_refused(const struct remote *remote); /* why memory could not be read or written, from errno */

/* Which pages of [at, at + count * page) are in memory; page_bytes is the kernel's.  False: it is not told. */
bool remote_present(const struct remote *remote, uint64_t at, size_t count, bool *present);
size_t remote_page(void);

const struct mapping *remote_find(const struct remote *remote, uint64_t at); /* NULL: nothing lies there */
uint64_t remote_status(pid_t pid, const char *name); /* a number of /proc/PID/status; 0: not told */
bool remote_is_filtered(pid_t pid);  /* by a filter of system calls (seccomp) */
uint64_t remote_rss(pid_t pid);      /* VmRSS now, bytes; 0: not told */
bool remote_is_there(pid_t pid); /* it has not ended */

/* Of a text that a process has made: what a terminal might obey becomes '?'. */
static inline void remote_clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* The pid of a word of the command line; 0: it is none. */
pid_t remote_pid(const char *word);

#endif
