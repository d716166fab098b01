/* SPDX-License-Identifier: MIT */
/* misuse: what the programs in this directory share.  Each commits one fault, and ends with status 0 if nobody stops it.  The
 * names of these functions stand in the reports of guarded blocks. */
#ifndef MISUSE_H
#define MISUSE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART static __attribute__((noinline, unused))
#define HERE __asm__ volatile("" ::: "memory") /* what comes before is no tail call */

#define MANY 64 /* blocks; some of them end where their page ends */

PART char *take(size_t size)
{
	char *p = malloc(size);

	__asm__ volatile("" : "+r"(p)); /* the compiler knows nothing of it */
	return p;
}

PART void drop(void *p)
{
	free(p);
	HERE;
}

PART void change(char *p)
{
	*(volatile char *)p = 0x76; /* even: no byte of the canaries' pattern is */
	HERE;
}

PART int says(const char *words) { return write(STDERR_FILENO, words, strlen(words)) < 0 ? 2 : 1; }

PART int look(const char *p)
{
	int c = *(const volatile char *)p;

	HERE;
	return c;
}

#endif
