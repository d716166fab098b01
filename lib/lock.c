/* Ulrich Drepper, "Futexes Are Tricky" (2011), mutex 2; patience is ours. */
#include "lock.h"

#include "os.h"

#ifndef LOCK_SPINS
#define LOCK_SPINS HAK_HARD_OR(100, 1)
#define LOCK_PATIENCE_MS 1000u /* spent waiting in vain until the holder is given up */
#endif
#define LOCK_WAIT_MS 100u

HAK_DEF HAK_TLS uint32_t hak_lock_held, hak_lock_forking;

static bool lock_try(struct hak_lock *lock, uint32_t *word, uint32_t as)
{
	*word = HAK_LOCK_FREE;
	return hak_cas(&lock->word, word, as, acquire); /* partner: the release in hak_lock_release */
}

/* Asleep for a while; the milliseconds spent in vain.  Who is woken too late has not waited for nothing; a wait that a signal
 * ended counts as long as it was; none counts longer than it was meant to be, as the process may have been stopped. */
static uint32_t lock_sleep(struct hak_lock *lock)
{
	uint32_t before = hak_os_now(), waited;

	if (hak_os_wait(&lock->word, HAK_LOCK_WAITED, LOCK_WAIT_MS))
		return 0;
	waited = hak_os_now() - before;
	return waited < LOCK_WAIT_MS ? waited : LOCK_WAIT_MS;
}

static bool lock_wait(struct hak_lock *lock)
{
	uint32_t word;

	for (uint32_t waited = 0; waited < LOCK_PATIENCE_MS;) {
		if (lock_try(lock, &word, HAK_LOCK_WAITED))
			return true;
		if (word == HAK_LOCK_GIVEN_UP)
			return false;
		if (word == HAK_LOCK_WAITED || hak_cas(&lock->word, &word, HAK_LOCK_WAITED, relaxed))
			waited += lock_sleep(lock);
	}
	word = HAK_LOCK_WAITED;
	hak_cas(&lock->word, &word, HAK_LOCK_GIVEN_UP, relaxed);
	return false;
}

static bool lock_acquire(struct hak_lock *lock)
{
	uint32_t word;

	for (int i = 0; i < LOCK_SPINS; i++) {
		if (lock_try(lock, &word, HAK_LOCK_TAKEN))
			return true;
		if (word == HAK_LOCK_GIVEN_UP)
			return false;
		hak_pause();
	}
	return lock_wait(lock);
}

HAK_FN bool hak_lock_take(struct hak_lock *lock)
{
	uint32_t bit = HAK_LOCK_BIT(lock->rank);

	if (hak_lock_held & bit)
		return (hak_lock_forking & bit) != 0;
	hak_assert(hak_lock_held < bit);
	hak_lock_held |= bit; /* first: a signal handler must not take it halfway */
	hak_signal_fence();
	if (lock_acquire(lock))
		return true;
	hak_lock_held &= ~bit;
	return false;
}

HAK_FN void hak_lock_release(struct hak_lock *lock)
{
	uint32_t bit = HAK_LOCK_BIT(lock->rank);

	if (hak_lock_forking & bit)
		return;
	/* release: partner are the acquires above */
	if (hak_swap(&lock->word, HAK_LOCK_FREE, release) != HAK_LOCK_TAKEN)
		hak_os_wake_one(&lock->word);
	hak_signal_fence();
	hak_lock_held &= ~bit;
}
