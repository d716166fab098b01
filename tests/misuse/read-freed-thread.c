/* SPDX-License-Identifier: MIT */
/* A block is read that another thread has freed.
 *
 * guard: read at *: use after free, 0 bytes into a block of 112 bytes at *
 * guard: it was done: look main
 * guard: it was allocated: take main
 * guard: it was freed: drop run */
#include <pthread.h>

#include "misuse.h"

static void *run(void *p)
{
	drop(p);
	return NULL;
}

int main(void)
{
	char *p = take(112);
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, p) != 0)
		return 2;
	pthread_join(thread, NULL);
	look(p);
	return 0;
}
