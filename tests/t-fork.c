/* SPDX-License-Identifier: MIT */
/* fork while other threads are inside the allocator.  Links: library, rooms.
 *
 * HAK_LONG=1 in the environment: ten times as many forks. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/wait.h>

#include "names.h"
#include "random.h"
#include "resident.h"
#include "tap.h"

#define KIB ((size_t)1 << 10)
#define CHILD_MAY_HAVE_THREADS RESIDENT_MEANS_SOMETHING /* ThreadSanitizer does not let it */

enum { churners = 3, shared_count = 32, handler_blocks = 8 };

static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state);

	if (r % 512 == 0)
		return (size_t)(65 * KIB + r / 512 % (3000 * KIB)); /* mid and large */
	return (size_t)(r % 16 == 0 ? r / 16 % (60 * KIB) : r / 16 % 700);
}

static unsigned char *make(size_t size, unsigned char byte)
{
	unsigned char *p = malloc(size + 1);

	need(p != NULL);
	p[0] = p[size] = byte;
	return p;
}

/* ---- threads that never rest ---- */

static _Atomic(unsigned char *) shared[shared_count]; /* blocks that change hands */
static unsigned char *kept[churners][shared_count];   /* blocks that their makers keep until the end */
static atomic_bool stop;
static atomic_uint ready;

static void *churn(void *with)
{
	size_t me = (uintptr_t)with;
	uint64_t state = me * 7919 + 1;

	for (int i = 0; i < shared_count; i++)
		kept[me][i] = make(some_size(&state), (unsigned char)me);
	atomic_fetch_add(&ready, 1);
	for (unsigned i = 1; !atomic_load(&stop); i++) {
		unsigned char *p = make(some_size(&state), 1);

		p = atomic_exchange(&shared[next_random(&state) % shared_count], p);
		p = realloc(p, some_size(&state) + 1);
		free(p);
		if (i % 64 == 0)
			usleep(20); /* or nobody else gets a processor */
	}
	return NULL;
}

/* Threads that come and go: the list of idle heaps is in motion. */
static void *come(void *with)
{
	free(make(100, 1));
	return with;
}

static void *come_and_go(void *with)
{
	while (!atomic_load(&stop)) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, come, with) == 0)
			pthread_join(thread, NULL);
		usleep(100);
	}
	return NULL;
}

/* ---- handlers of other libraries, registered before and after ours ---- */

static unsigned char *in_handler[handler_blocks];
static int handler_calls, handler_sets = 1;

static void handle(void)
{
	for (int i = 0; i < handler_blocks; i++) {
		free(in_handler[i]);
		in_handler[i] = make((size_t)(i * i * i) * 997, (unsigned char)i); /* to 340 KB */
	}
	in_handler[0] = realloc(in_handler[0], 5000);
	handler_calls++;
}

/* glibc's dynamic linker runs this before the constructors of libraries, musl's does not. */
static void register_early(int count, char **arguments, char **environment)
{
	(void)count, (void)arguments, (void)environment;
	pthread_atfork(handle, handle, handle);
	handler_sets++;
}

#ifdef __ELF__
__attribute__((section(".preinit_array"), used)) static void (*const early)(int, char **, char **) = register_early;
#endif

/* ---- the child ---- */

static void free_inherited(void)
{
	for (int t = 0; t < churners; t++)
		for (int i = 0; i < shared_count; i++) {
			if (kept[t][i] == NULL)
				continue;
			hold(kept[t][i][0] == t);
			free(kept[t][i]);
		}
	for (int i = 0; i < shared_count; i++)
		free(atomic_exchange(&shared[i], NULL));
}

static void work(uint64_t seed, int rounds)
{
	unsigned char *mine[50] = {NULL};

	for (int i = 0; i < rounds; i++) {
		unsigned char **place = &mine[next_random(&seed) % 50];
		size_t size = some_size(&seed);

		if (*place != NULL)
			hold(**place == 7);
		free(*place);
		*place = make(size, 7);
	}
	for (int i = 0; i < 50; i++)
		free(mine[i]);
}

static void *work_in_thread(void *with)
{
	work((uintptr_t)with, 30);
	return NULL;
}

static void child(int number)
{
	pthread_t thread;

	alarm(240); /* a child that hangs dies */
	tap_failed = 0;
	if (number % 2 == 0)
		free_inherited();
	work((uint64_t)number * 31 + 1, 30);
	if (number % 8 == 1 && CHILD_MAY_HAVE_THREADS &&
	    pthread_create(&thread, NULL, work_in_thread, (void *)(uintptr_t)(number + 1)) == 0)
		pthread_join(thread, NULL);
	if (number % 16 == 3) { /* a grandchild */
		pid_t pid = fork();
		int status = 0;

		if (pid == 0) {
			tap_failed = 0;
			free_inherited();
			work((uint64_t)number, 30);
			_exit(failures());
		}
		hold(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
	_exit(failures());
}

static bool fork_once(int number)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		child(number);
	need(pid > 0);
	free(make(3000, 1));
	need(waitpid(pid, &status, 0) == pid);
	if (status != 0)
		note("child %d: status 0x%x", number, (unsigned)status);
	return status == 0;
}

/* ---- points ---- */

static void check_forks(int count)
{
	pthread_t threads[churners + 1];
	int good = 0;

	for (uintptr_t i = 0; i < churners; i++)
		need(pthread_create(&threads[i], NULL, churn, (void *)i) == 0);
	need(pthread_create(&threads[churners], NULL, come_and_go, NULL) == 0);
	while (atomic_load(&ready) < churners)
		sched_yield();
	for (int i = 0; i < count && good == i; i++)
		good += fork_once(i);
	atomic_store(&stop, true);
	for (int i = 0; i <= churners; i++)
		pthread_join(threads[i], NULL);
	is(good, count);
	ok(failures() == 0, "%d forks under way in %d threads", count, (int)churners);
	free_inherited();
}

/* A server that forks a worker from a worker, long: nothing must pile up.  Each one frees what it inherits. */
static void check_lineage(int depth)
{
	unsigned char *many[100];
	size_t before = resident();
	int status = 0;

	for (int i = 0; i < 100; i++)
		many[i] = make(5000, 3);
	for (int level = 0; level < depth; level++) {
		pid_t pid = fork();

		need(pid >= 0);
		if (pid > 0) {
			need(waitpid(pid, &status, 0) == pid);
			if (level > 0)
				_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
			break;
		}
		for (int i = 0; i < 100; i++) {
			hold(many[i][0] == 3);
			free(many[i]);
			many[i] = make(5000 + (size_t)level, 3);
		}
		if (level == depth - 1) {
			if (RESIDENT_MEANS_SOMETHING)
				hold(resident() < before + ((size_t)8 << 20));
			_exit(failures());
		}
	}
	for (int i = 0; i < 100; i++)
		free(many[i]);
	ok(status == 0, "%d generations of processes", depth);
}

/* A child that has only one thread goes on as a child: its memory is bounded too. */
static void check_child_memory(void)
{
	size_t before = resident();
	int status = 0;
	pid_t pid = fork();

	need(pid >= 0);
	if (pid == 0) {
		work(5, 20000);
		if (RESIDENT_MEANS_SOMETHING)
			hold(resident() < before + ((size_t)128 << 20));
		_exit(failures());
	}
	need(waitpid(pid, &status, 0) == pid);
	ok(status == 0, "a child works on");
}

int main(void)
{
	const char *is_long = getenv("HAK_LONG");
	int forks = (RESIDENT_MEANS_SOMETHING ? 2000 : 200) * (is_long != NULL && *is_long == '1' ? 10 : 1);

	if (is_emulated())
		skip_all("the emulator's own locks do not survive a fork among threads");
	pthread_atfork(handle, handle, handle);
	check_forks(forks);
	ok(handler_calls >= 2 * handler_sets * forks, "handlers that allocate, before ours and after: %d calls",
	   handler_calls);
	check_lineage(50);
	check_child_memory();
	for (int i = 0; i < handler_blocks; i++)
		free(in_handler[i]);
	return done();
}
