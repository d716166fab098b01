/* SPDX-License-Identifier: MIT */
/* Promises 15, 19, 31: signals may arrive at any time.  Eight threads allocate while signals interrupt them; handlers fork, with
 * the libraries' handlers and without, and allocate; threads are cancelled; processes fork while others flush. */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "promise.h"

#ifndef sigev_notify_thread_id /* older glibc has the field, and no name for it */
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { threads = 8, places = 64, exchanged = 256 };

static atomic_bool stop, fast;
static atomic_uint handled, forked, bad_children;
static _Atomic(unsigned char *) exchange[exchanged];
static __thread bool in_handler;

static size_t some_size(uint64_t *state)
{
	uint64_t r = next_random(state);

	return r % 1024 == 0 ? 2 * MIB + r / 1024 % MIB : r % 64 == 0 ? r / 64 % (200 * KIB) : r / 64 % 1500;
}

/* Blocks that change hands: every cold path is taken, all of the time. */
static void churn_once(unsigned char **mine, uint64_t *state)
{
	size_t place = next_random(state) % places, size = some_size(state) + 2;
	unsigned char *p = malloc(size), *old;

	need(p != NULL);
	p[0] = (unsigned char)size;
	p[size - 1] = (unsigned char)~size;
	old = mine[place];
	mine[place] = p;
	if (next_random(state) % 4 == 0)
		old = atomic_exchange(&exchange[next_random(state) % exchanged], old);
	free(old);
}

/* Signals at 10 kHz for this thread alone; interval timers are no faster than the kernel's tick. */
static bool begin_ticking(timer_t *timer)
{
	struct itimerspec every = { { 0, 100000 }, { 0, 100000 } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 && timer_settime(*timer, 0, &every, NULL) == 0;
}

static void *churn(void *with)
{
	unsigned char *mine[places] = { NULL };
	uint64_t state = (uintptr_t)with * 7919 + 1;
	timer_t timer;
	bool is_ticking = atomic_load(&fast) && begin_ticking(&timer);

	while (!atomic_load(&stop))
		churn_once(mine, &state);
	if (is_ticking)
		timer_delete(timer);
	for (int i = 0; i < places; i++)
		free(mine[i]);
	return NULL;
}

/* Threads that end all the time: the heaps' list, and destructors, are interrupted too. */
static void *brief(void *with)
{
	unsigned char *mine[places] = { NULL };
	uint64_t state = (uintptr_t)with * 104729 + 3;

	for (int i = 0; i < 100; i++)
		churn_once(mine, &state);
	for (int i = 0; i < places; i++)
		free(mine[i]);
	return NULL;
}

static void *spawn(void *with)
{
	for (uintptr_t i = 1; !atomic_load(&stop); i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, brief, (void *)i) == 0)
			pthread_join(thread, NULL);
	}
	return with;
}

static void count_only(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

/* This is the program's bug: malloc is not for handlers.  It may be found and reported, but it does not hang. */
static void allocate(int number)
{
	int error = errno;
	uint64_t state = atomic_fetch_add(&handled, 1) * 31 + 7;

	(void)number;
	for (int i = 0; i < 3; i++) {
		unsigned char *p = malloc(some_size(&state) + 1);

		if (p != NULL)
			p[0] = 1;
		free(p);
	}
	errno = error;
}

static void wait_for(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0)
		atomic_fetch_add(&bad_children, 1);
	atomic_fetch_add(&forked, 1);
}

static void work_in_child(void)
{
	uint64_t state = 9;
	unsigned char *mine[places] = { NULL };

	alarm(120);
	for (int i = 0; i < 300; i++)
		churn_once(mine, &state);
	_exit(0);
}

#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
#define bare_fork() _Fork()
#else
#define bare_fork() ((pid_t)syscall(SYS_fork))
#endif

static void fork_now_and_then(bool is_bare)
{
	int error = errno;
	pid_t child;

	if (atomic_fetch_add(&handled, 1) % 64 == 0 && !in_handler) {
		in_handler = true;
		child = is_bare ? bare_fork() : fork();
		if (child == 0)
			work_in_child();
		if (child > 0)
			wait_for(child);
		in_handler = false;
	}
	errno = error;
}

/* fork in a handler: the child may allocate. */
static void fork_here(int number)
{
	(void)number;
	fork_now_and_then(false);
}

/* _Fork: no handlers of ours run, and other threads may have been anywhere.  The child should not allocate, but does. */
static void bare_fork_here(int number)
{
	(void)number;
	fork_now_and_then(true);
}

static void check_handler(const char *name, void (*handler)(int))
{
	struct itimerval every = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	size_t milliseconds = short_or_long(500, 20000);
	pthread_t thread[threads], spawner;

	atomic_store(&stop, false);
	atomic_store(&handled, 0);
	atomic_store(&forked, 0);
	atomic_store(&bad_children, 0);
	need(sigaction(SIGPROF, &action, NULL) == 0);
	for (uintptr_t i = 0; i < threads; i++)
		need(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
	need(pthread_create(&spawner, NULL, spawn, NULL) == 0);
	need(setitimer(ITIMER_PROF, &every, NULL) == 0);
	for (double end = seconds() + (double)milliseconds / 1000; seconds() < end;) {
		for (int i = 0; i < threads; i++)
			pthread_kill(thread[i], SIGPROF);
		usleep(500);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	pthread_join(spawner, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	signal(SIGPROF, SIG_IGN);
	if (handler == allocate) {
		hold(atomic_load(&handled) > 10);
		return;
	}
	ok(atomic_load(&handled) > 10 && atomic_load(&bad_children) == 0, "%s: %u signals, %u children", name,
	   atomic_load(&handled), atomic_load(&forked));
}

static void allocate_in_handlers(size_t with)
{
	(void)with;
	need(freopen("/dev/null", "w", stderr) != NULL);
	check_handler("", allocate);
}

/* ---- cancellation ---- */

static void forget(void *p) { free(p); }

static void *be_cancelled(void *with)
{
	uint64_t state = (uintptr_t)with + 11;

	for (;;) {
		void *p = malloc(some_size(&state) + 1);

		pthread_cleanup_push(forget, p);
		pthread_testcancel();
		pthread_cleanup_pop(1);
	}
	return NULL;
}

/* The cancellation is pending already: a cancellation point within malloc or free would act on it. */
static void *be_cancelled_before(void *with)
{
	bool *is_through = with;
	uint64_t state = 17;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (int i = 0; i < 2000; i++)
		free(malloc(some_size(&state)));
	free(calloc(1, 5 * MIB));
	free(aligned_alloc(4 * MIB, 4 * MIB));
	malloc_trim(0);
	*is_through = true;
	return NULL;
}

static void check_cancellation(size_t n)
{
	bool is_through = false;
	size_t before;
	pthread_t thread;

	need(pthread_create(&thread, NULL, be_cancelled_before, &is_through) == 0);
	pthread_join(thread, NULL);
	ok(is_through, "no cancellation point inside the allocator");
	before = resident();
	for (size_t i = 0; i < n; i++) {
		void *result;

		need(pthread_create(&thread, NULL, be_cancelled, (void *)i) == 0);
		for (size_t k = next_random(&(uint64_t){ i + 99 }) % 20; k > 0; k--)
			sched_yield();
		pthread_cancel(thread);
		pthread_join(thread, &result);
		hold(result == PTHREAD_CANCELED);
	}
	resident_within(before, 16);
}

/* ---- fork against a flush ---- */

static void *flush(void *with)
{
	FILE *out = fopen("/dev/null", "w");

	need(out != NULL);
	for (uintptr_t i = 0; !atomic_load(&stop); i++) {
		fprintf(out, "%zu %p\n", (size_t)i, with);
		if (i % 8 == 0)
			fflush(NULL);
	}
	fclose(out);
	return NULL;
}

static void check_flush(size_t n)
{
	pthread_t thread[3];
	bool good = true;

	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++)
		need(pthread_create(&thread[i], NULL, flush, NULL) == 0);
	need(pthread_create(&thread[2], NULL, churn, NULL) == 0);
	for (size_t i = 0; i < n && good; i++) {
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			alarm(120);
			fclose(fopen("/dev/null", "w"));
			work_in_child();
		}
		need(child > 0 && waitpid(child, &status, 0) == child);
		good = hold(status == 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ok(good, "%zu forks while stdio flushes", n);
}

int main(void)
{
	int status;

	alarm((unsigned)short_or_long(400, 900)); /* what hangs dies */
	atomic_store(&fast, true);
	check_handler("handlers that only count, at 10 kHz in each thread", count_only);
	atomic_store(&fast, false);
	status = in_child(allocate_in_handlers, 0);
	ok(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT), "handlers that allocate do not hang");
	check_handler("fork in handlers", fork_here);
	check_handler("fork without handlers of libraries, in handlers", bare_fork_here);
	check_cancellation(short_or_long(500, 20000));
	if (is_emulated())
		skip("forks while stdio flushes: the emulator's own locks do not survive a fork among threads");
	else
		check_flush(short_or_long(80, 5000));
	return done();
}
