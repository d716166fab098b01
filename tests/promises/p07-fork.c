/* SPDX-License-Identifier: MIT */
/* Promises 7, 19: fork from any state: with timers, while threads allocate, start and end; vfork, posix_spawn and clone; a child
 * can allocate, in threads too; what it frees does not copy pages. */
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "promise.h"

enum { shared_count = 512 };

static _Atomic(unsigned char *) shared[shared_count];
static atomic_bool stop;
static atomic_uint ticks;

static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state);

	return r % 512 == 0 ? r / 512 % (3 * MIB) : r % 16 == 0 ? r / 16 % (60 * KIB) : r / 16 % 700;
}

static void exchange_one(uint64_t *state)
{
	size_t size = some_size(state) + 2;
	unsigned char *p = malloc(size);

	need(p != NULL);
	p[0] = p[size - 1] = 1;
	free(atomic_exchange(&shared[next_random(state) % shared_count], p));
}

static void *churn(void *with)
{
	uint64_t state = (uintptr_t)with * 7919 + 1;

	for (unsigned i = 0; !atomic_load(&stop); i++) {
		exchange_one(&state);
		if (i % 64 == 0)
			usleep(50);
	}
	return NULL;
}

static void *brief(void *with)
{
	uint64_t state = (uintptr_t)with + 5;

	for (int i = 0; i < 50; i++)
		exchange_one(&state);
	return NULL;
}

static void *come_and_go(void *with)
{
	for (uintptr_t i = 0; !atomic_load(&stop); i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, brief, (void *)i) == 0)
			pthread_join(thread, NULL);
	}
	return with;
}

static void tick(int number)
{
	(void)number;
	atomic_fetch_add(&ticks, 1);
}

static void free_shared(void)
{
	for (int i = 0; i < shared_count; i++)
		free(atomic_exchange(&shared[i], NULL));
}

__attribute__((noreturn)) static void be_child(size_t number)
{
	uint64_t state = number * 31 + 1;
	pthread_t thread[2];

	alarm(240);
	if (number % 2 == 0)
		free_shared();
	for (int i = 0; i < 100; i++)
		exchange_one(&state);
	if (number % 8 == 1) {
		for (uintptr_t i = 0; i < 2; i++)
			need(pthread_create(&thread[i], NULL, brief, (void *)i) == 0);
		for (int i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
	}
	if (number % 16 == 3)
		malloc_trim(0);
	free_shared();
	_exit(0);
}

static void wait_for(pid_t child, unsigned *bad)
{
	int status = -1;

	need(child > 0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	*bad += status != 0;
}

static pid_t clone_bare(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

/* The four ways to run a program: the child of vfork shares our memory for a moment. */
static void run_programs(size_t number, unsigned *bad)
{
	static char *arguments[] = { (char *)(uintptr_t)"/bin/true", NULL }, *environment[] = { NULL };
	pid_t child = -1;

	if (number % 3 == 0) {
		need(posix_spawn(&child, arguments[0], NULL, NULL, arguments, environment) == 0);
	} else if (number % 3 == 1) {
		child = vfork();
		if (child == 0) {
			execve(arguments[0], arguments, environment);
			_exit(127);
		}
	} else {
		child = clone_bare();
		if (child == 0) {
			execve(arguments[0], arguments, environment);
			_exit(127);
		}
	}
	wait_for(child, bad);
}

static void check_forks(size_t forks, unsigned churners)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
	pthread_t *thread = map_table((churners + 2) * sizeof(*thread));
	unsigned bad = 0;

	signal(SIGALRM, tick);
	for (uintptr_t i = 0; i < churners; i++)
		need(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
	for (unsigned i = 0; i < 2; i++)
		need(pthread_create(&thread[churners + i], NULL, come_and_go, NULL) == 0);
	setitimer(ITIMER_REAL, &every, NULL);
	for (size_t i = 0; i < forks && bad == 0; i++) {
		pid_t child = fork();

		if (child == 0) {
			signal(SIGALRM, SIG_DFL);
			be_child(i);
		}
		wait_for(child, &bad);
		if (i % 10 == 0)
			run_programs(i / 10, &bad);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < churners + 2; i++)
		pthread_join(thread[i], NULL);
	free_shared();
	ok(bad == 0, "%zu forks among %u busy threads, %u timer signals", forks, churners, atomic_load(&ticks));
}

/* ---- inherited pages ---- */

static size_t private_dirty(void)
{
	char text[4096], *at;
	int file = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t got = read(file, text, sizeof(text) - 1);

	if (got <= 0)
		return 0;
	close(file);
	text[got] = '\0';
	at = strstr(text, "Private_Dirty:");
	return at ? strtoul(at + 14, NULL, 10) * KIB : 0;
}

static void check_inherited(size_t bytes)
{
	enum { size = 200 };
	size_t n = bytes / size;
	void **blocks = map_table(n * sizeof(*blocks));
	unsigned bad = 0;
	pid_t child;

	for (size_t i = 0; i < n; i++)
		blocks[i] = make(size);
	child = fork();
	if (child == 0) {
		size_t before = private_dirty(), most = before;

		tap_failed = 0;
		for (size_t i = 0; i < n; i++) {
			free(blocks[i]);
			if (i % (n / 20) == 0 && private_dirty() > most)
				most = private_dirty();
		}
		if (!hold((most - before) * 100 < bytes * 5))
			note("%zu of %zu KiB copied", (most - before) / KIB, bytes / KIB);
		_exit(failures());
	}
	wait_for(child, &bad);
	ok(bad == 0, "a child frees %zu MiB of small blocks: less than 5 %% is copied", bytes / MIB);
	for (size_t i = 0; i < n; i++)
		free(blocks[i]);
}

int main(void)
{
	if (is_emulated())
		skip_all("the emulator's own locks do not survive a fork among threads");
	check_inherited(short_or_long(64 * MIB, GIB));
	check_forks(short_or_long(60, 20000), (unsigned)short_or_long(4, 32));
	return done();
}
