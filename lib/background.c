#include "background.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "batch.h"
#include "bits.h"
#include "large.h"
#include "os.h"
#include "policy.h"
#include "superslab.h"
#include "tunables.h"

#define BACKGROUND_AFTER_MS 100u
#define BACKGROUND_TICK_MS 100
#define BACKGROUND_STACK ((size_t)256 << 10) /* mapped; glibc wants 128 KiB on some machines */

enum background_state { BACKGROUND_OFF, BACKGROUND_WAITING, BACKGROUND_MADE };

static _Atomic uint32_t background_state;
static uint32_t background_began;

/* The program grows: it needed a SuperSlab since the last look, and has less than one left. */
static void background_provide(size_t *seen)
{
	size_t count = hak_superslab_count();

	if (count > *seen)
		hak_superslab_ahead();
	*seen = hak_superslab_count();
}

static void *background_run(void *nothing)
{
	const struct timespec tick = { 0, BACKGROUND_TICK_MS * 1000000L };
	size_t seen = hak_superslab_count();

	hak_policy_set_tended(true);
	for (;;) {
		nanosleep(&tick, NULL);
		hak_batch_tick();
		hak_large_tick();
		background_provide(&seen);
	}
	return nothing;
}

/* A refusal (RLIMIT_NPROC, no memory for the stack) is no error: the program goes on without. */
static HAK_COLD void background_make(void)
{
	int saved = errno;
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	if (pthread_attr_init(&attributes) != 0) {
		errno = saved;
		return;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_attr_setstacksize(&attributes, BACKGROUND_STACK) == 0)
		pthread_create(&thread, &attributes, background_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	errno = saved;
}

HAK_FN void hak_background_start(void)
{
	if (!hak_setting(batch_bg) || hak_os_is_secure())
		return;
	background_began = hak_os_now();
	hak_store(&background_state, BACKGROUND_WAITING, release); /* partner: hak_background_poke */
}

HAK_FN void hak_background_poke(void)
{
	uint32_t waiting = BACKGROUND_WAITING;

	if (hak_likely(hak_load(&background_state, acquire) != BACKGROUND_WAITING) || /* partner: hak_background_start */
	    hak_elapsed(hak_os_now(), background_began) < BACKGROUND_AFTER_MS || !hak_os_is_main_thread())
		return;
	if (hak_cas(&background_state, &waiting, BACKGROUND_MADE, relaxed))
		background_make();
}

HAK_FN void hak_background_after_fork(void)
{
	hak_store(&background_state, BACKGROUND_OFF, relaxed);
	hak_policy_set_tended(false);
}
