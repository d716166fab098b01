/* Ulrich Drepper, "Futexes Are Tricky" (2011), mutex 2. */
#include "lock.h"

#include "os.h"

#ifndef LOCK_SPINS
#define LOCK_SPINS 100
#endif

HAK_DEF HAK_TLS bool hak_lock_forking;

#ifdef HAK_ASSERT
static HAK_TLS uint32_t lock_held; /* bit r: a lock of rank r */
#endif

static void lock_wait(struct hak_lock *lock)
{
	/* acquire: partner is the release in hak_lock_release */
	while (hak_swap(&lock->word, 2, acquire) != 0)
		hak_os_wait(&lock->word, 2);
}

HAK_FN void hak_lock_take(struct hak_lock *lock)
{
	uint32_t expected = 0;

	if (hak_lock_forking)
		return;
	for (int i = 0; i < LOCK_SPINS; i++) {
		expected = 0;
		if (hak_cas(&lock->word, &expected, 1, acquire)) /* partner: hak_lock_release */
			break;
		hak_pause();
	}
	if (expected != 0)
		lock_wait(lock);
#ifdef HAK_ASSERT
	hak_assert(lock_held < (1u << lock->rank));
	lock_held |= 1u << lock->rank;
#endif
}

HAK_FN void hak_lock_release(struct hak_lock *lock)
{
	if (hak_lock_forking)
		return;
#ifdef HAK_ASSERT
	lock_held &= ~(1u << lock->rank);
#endif
	/* release: partner are the acquires above */
	if (hak_swap(&lock->word, 0, release) == 2)
		hak_os_wake_one(&lock->word);
}
