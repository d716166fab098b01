/* SPDX-License-Identifier: MIT */
/* A block is freed here, and by another thread.
 *
 * 1 2 guard: free(*): double free of a block of 112 bytes
 * 0 3: free(*): double free of a block of 128 bytes
 * guard: it was done: drop run
 * guard: it was allocated: take main
 * guard: it was freed: drop main */
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

	drop(p);
	if (pthread_create(&thread, NULL, run, p) != 0)
		return 2;
	pthread_join(thread, NULL);
	for (int i = 0; i < 200; i++)
		take(112);
	return 0;
}
