/* SPDX-License-Identifier: MIT */
/* For tests/record.sh: `recorded MODE [N]`, which says on descriptor 5, if that is open, how many calls it made of which kind.
 *
 * threads N   four threads make N calls each, and free each other's blocks
 * known       calls whose trace is known line by line
 * fork        a child allocates, and forks another without handlers
 * exec        executes itself with `known`
 * closed      closes all descriptors first, and has a file of its own where the trace's was
 * killed      is killed while two threads allocate */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 500

static _Atomic(void *) slots[SLOTS];
static atomic_uint mallocs, callocs, aligneds, reallocs, frees;

static unsigned next(unsigned *seed)
{
	return *seed = *seed * 1103515245u + 12345u, *seed >> 8;
}

static void release(void *p)
{
	if (p)
		atomic_fetch_add(&frees, 1);
	free(p);
}

static void put(unsigned *seed, void *p)
{
	memset(p, 1, 8);
	release(atomic_exchange(&slots[next(seed) % SLOTS], p));
}

static void step(unsigned *seed)
{
	size_t size = 8 + next(seed) % (next(seed) % 50 ? 700u : 150000u);
	void *p, *q;

	switch (next(seed) % 4) {
	case 0:
		atomic_fetch_add(&mallocs, 1);
		put(seed, malloc(size));
		break;
	case 1:
		atomic_fetch_add(&callocs, 1);
		put(seed, calloc(1, size));
		break;
	case 2:
		atomic_fetch_add(&aligneds, 1);
		put(seed, memalign(256, size));
		break;
	default:
		p = atomic_exchange(&slots[next(seed) % SLOTS], NULL);
		if (!p)
			break;
		atomic_fetch_add(&reallocs, 1);
		q = realloc(p, size);
		put(seed, q);
	}
}

static unsigned count;

static void *run(void *number)
{
	unsigned seed = (unsigned)(uintptr_t)number;

	for (unsigned i = 0; i < count; i++)
		step(&seed);
	return NULL;
}

static void empty(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		release(atomic_exchange(&slots[i], NULL));
}

static void tell(void)
{
	char text[200];
	int length = snprintf(text, sizeof(text), "malloc %u\ncalloc %u\naligned %u\nrealloc %u\nfree %u\n", mallocs,
			      callocs, aligneds, reallocs, frees);

	if (write(5, text, (size_t)length) < 0)
		return;
}

static void ignore(int signal)
{
	(void)signal;
}

static void start(pthread_t *threads, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)(i + 1)) != 0)
			_exit(9);
}

/* Under a shower of signals. */
static void threads_run(void)
{
	struct itimerval often = {{0, 300}, {0, 300}};
	pthread_t threads[4];

	signal(SIGPROF, ignore);
	setitimer(ITIMER_PROF, &often, NULL);
	start(threads, 4);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	empty();
	tell();
}

static void known(void)
{
	char *p = malloc(100), *q = calloc(3, 50), *r = memalign(4096, 77), *s;

	s = realloc(p, 3000);
	s = realloc(s, 2900);
	free(q);
	q = malloc(5000000);
	q = realloc(q, 6000000);
	s = realloc(s, 0);
	p = malloc(0);
	free(NULL);
	free(r);
	free(q);
	(void)!p;
	(void)!s;
}

static void forks(void)
{
	int status;
	pid_t child;

	free(malloc(1111));
	child = fork();
	if (child == 0) {
		free(malloc(2222));
		if (syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L) == 0) {
			free(malloc(3333));
			_exit(0);
		}
		wait(&status);
		_exit(0);
	}
	waitpid(child, &status, 0);
	free(malloc(4444));
}

static void closes(void)
{
	int file;

	count = 20000;
	free(malloc(1));
	for (int i = 3; i < 2000; i++)
		close(i);
	file = open("/dev/null", O_RDWR);
	for (int i = file + 1; i < 2000; i++)
		dup2(file, i);
	run((void *)1);
	free(malloc(54321));
}

static void killed(void)
{
	pthread_t threads[2];

	count = UINT32_MAX;
	start(threads, 2);
	usleep(100000);
	kill(getpid(), SIGKILL);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	count = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	if (strcmp(mode, "threads") == 0)
		threads_run();
	else if (strcmp(mode, "known") == 0)
		known();
	else if (strcmp(mode, "fork") == 0)
		forks();
	else if (strcmp(mode, "exec") == 0)
		execl("/proc/self/exe", argv[0], "known", (char *)NULL);
	else if (strcmp(mode, "closed") == 0)
		closes();
	else if (strcmp(mode, "killed") == 0)
		killed();
	return 0;
}
