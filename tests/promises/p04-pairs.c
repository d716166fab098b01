/* SPDX-License-Identifier: MIT */
/* Promise 4: a thread that only allocates, or only frees, does not make memory grow: pairs of a producer and a consumer. */
#include <sched.h>
#include <stdatomic.h>

#include "promise.h"

enum { pairs = 2, queue = 1024 };

struct pair {
	_Atomic(void *) place[queue];
	size_t blocks;
	unsigned kind;
};

static struct pair pair[pairs];

static size_t some_size(unsigned kind, uint64_t *state)
{
	size_t r = next_random(state);

	return kind == 0 ? 16 + r % 1000 : r % 100 == 0 ? r % (300 * KIB) : r % (8 * KIB);
}

static void *produce(void *with)
{
	struct pair *p = with;
	uint64_t state = p->kind + 77;

	for (size_t i = 0; i < p->blocks; i++) {
		void *block = make(some_size(p->kind, &state) + 1), *none = NULL;

		while (!atomic_compare_exchange_weak(&p->place[i % queue], &none, block)) {
			none = NULL;
			sched_yield();
		}
	}
	return NULL;
}

static void *consume(void *with)
{
	struct pair *p = with;

	for (size_t i = 0; i < p->blocks; i++) {
		void *block;

		while ((block = atomic_exchange(&p->place[i % queue], NULL)) == NULL)
			sched_yield();
		free(block);
	}
	return NULL;
}

static void run(size_t blocks)
{
	pthread_t thread[2 * pairs];

	for (int i = 0; i < pairs; i++) {
		pair[i].blocks = blocks;
		pair[i].kind = (unsigned)i % 2;
		need(pthread_create(&thread[2 * i], NULL, produce, &pair[i]) == 0);
		need(pthread_create(&thread[2 * i + 1], NULL, consume, &pair[i]) == 0);
	}
	for (int i = 0; i < 2 * pairs; i++)
		pthread_join(thread[i], NULL);
}

static size_t peak(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (size_t)use.ru_maxrss * KIB;
}

int main(void)
{
	size_t blocks = short_or_long(200000, 5000000), before, after;

	run(blocks / 2);
	before = peak();
	run(blocks * 2);
	after = peak();
	/* what the pairs need at once depends on who runs when; what they passed on would be far more */
	ok(after - before <= 8 * MIB || after <= 24 * MIB, "%zu blocks more: peak %zu MB, before that %zu MB", pairs * blocks * 2, after / MIB, before / MIB);
	return done();
}
