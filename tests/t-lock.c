/* SPDX-License-Identifier: MIT */
/* The room lock: one at a time, by rank, and not at all in a thread that forks.  All schedules: t-model-lock.
 * Links: rooms. */
#include "lock.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "capture.h"
#include "tap.h"

enum { threads = 4, rounds = 50000 };

static struct hak_lock low = HAK_LOCK_INIT(HAK_RANK_INIT), high = HAK_LOCK_INIT(HAK_RANK_LARGE);
static unsigned long counted; /* under the lock, without an atomic */

static void *count(void *with)
{
	for (int i = 0; i < rounds; i++) {
		hak_lock_take(&low);
		counted++;
		hak_lock_release(&low);
	}
	return with;
}

static void *take_late(void *with)
{
	hak_lock_take(&low);
	counted = 1;
	hak_lock_release(&low);
	return with;
}

static void check_exclusion(void)
{
	pthread_t thread[threads];

	for (int i = 0; i < threads; i++)
		need(pthread_create(&thread[i], NULL, count, NULL) == 0);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	is(counted, (unsigned long)threads * rounds);
	is(low.word, 0);
}

/* Who waits long sleeps, and is woken. */
static void check_sleep(void)
{
	pthread_t thread;

	counted = 0;
	hak_lock_take(&low);
	need(pthread_create(&thread, NULL, take_late, NULL) == 0);
	usleep(50000);
	ok(counted == 0 && low.word == 2, "a waiter sleeps");
	hak_lock_release(&low);
	pthread_join(thread, NULL);
	ok(counted == 1 && low.word == 0, "and is woken");
}

static void check_forking(void)
{
	hold(hak_lock_take(&low));
	hak_lock_forking = HAK_LOCK_BIT(HAK_RANK_INIT);
	ok(hak_lock_take(&low), "a handler of another library may go in while its thread forks");
	hak_lock_release(&low);
	is(low.word, HAK_LOCK_TAKEN);
	hak_lock_forking = 0;
	hak_lock_release(&low);
	is(low.word, HAK_LOCK_FREE);
}

/* A signal handler that interrupts the holder. */
static bool handler_took;

static void take_in_handler(int number)
{
	(void)number;
	handler_took = hak_lock_take(&low);
}

static void check_handler(void)
{
	signal(SIGUSR1, take_in_handler);
	handler_took = true;
	hold(hak_lock_take(&low));
	raise(SIGUSR1);
	hak_lock_release(&low);
	ok(!handler_took && low.word == HAK_LOCK_FREE, "not by who interrupted the holder: he would wait for himself");
	raise(SIGUSR1);
	ok(handler_took, "else it can");
	hak_lock_release(&low);
	signal(SIGUSR1, SIG_DFL);
}

static volatile unsigned ignored;

static void ignore(int number)
{
	(void)number;
	ignored = ignored + 1;
}

/* A thread that is not there, as in a process made without fork's handlers. */
static void check_patience(void)
{
	low.word = HAK_LOCK_TAKEN;
	ok(!hak_lock_take(&low) && low.word == HAK_LOCK_GIVEN_UP && hak_lock_held == 0, "nobody waits for ever");
	ok(!hak_lock_take(&low), "nor again");
	hak_lock_held = HAK_LOCK_BIT(HAK_RANK_INIT);
	hak_lock_release(&low);
	ok(hak_lock_take(&low), "until the holder comes after all");
	hak_lock_release(&low);
}

/* Signals that end every wait do not make it longer. */
static void check_patience_among_signals(void)
{
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };

	low.word = HAK_LOCK_TAKEN;
	signal(SIGALRM, ignore);
	setitimer(ITIMER_REAL, &every, NULL);
	ok(!hak_lock_take(&low) && ignored > 10, "nor among signals: %u came", ignored);
	setitimer(ITIMER_REAL, &never, NULL);
	low.word = HAK_LOCK_FREE;
}

static void take_in_order(const void *with)
{
	(void)with;
	hak_lock_take(&low);
	hak_lock_take(&high);
	hak_lock_release(&high);
	hak_lock_release(&low);
}

static void take_out_of_order(const void *with)
{
	(void)with;
	hak_lock_take(&high);
	hak_lock_take(&low);
}

int main(void)
{
	struct capture child;

	check_exclusion();
	check_sleep();
	check_forking();
	check_handler();
	check_patience();
	check_patience_among_signals();
	capture_silent("ranks rise", take_in_order, NULL);
	capture(&child, take_out_of_order, NULL);
#ifdef HAK_ASSERT
	ok(WIFSIGNALED(child.status) || WEXITSTATUS(child.status) != 0, "a rank that falls is found");
#endif
	return done();
}
