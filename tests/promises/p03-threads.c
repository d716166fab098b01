/* SPDX-License-Identifier: MIT */
/* Promise 3: when 64 threads have ended, the process has 10 MB. */
#include "promise.h"

enum { threads = 64, most_slots = 1000 };

struct mix {
	const char *name;
	size_t most, slots; /* sizes, and blocks of each thread */
};

static const struct mix mixes[] = {
	{ "16 to 1,000 bytes", 1000, most_slots },
	{ "16 to 8,192 bytes", 8192, 200 },
	{ "16 bytes to 64 KiB", 65536, 64 },
};

struct worker {
	pthread_t id;
	const struct mix *mix;
	uint64_t random;
	void *slots[most_slots];
};

static pthread_barrier_t gate; /* all work, and then all have their blocks, at once */

static size_t below(struct worker *worker, size_t bound) { return next_random(&worker->random) % bound; }

static void swap(struct worker *worker)
{
	void **slot = &worker->slots[below(worker, worker->mix->slots)];

	free(*slot);
	*slot = NULL;
	if (below(worker, 2))
		*slot = make(16 + below(worker, worker->mix->most - 15));
}

static void *work(void *with)
{
	struct worker *worker = with;

	pthread_barrier_wait(&gate);
	for (size_t i = short_or_long(20, 200) * worker->mix->slots; i > 0; i--)
		swap(worker);
	pthread_barrier_wait(&gate);
	for (size_t i = 0; i < worker->mix->slots; i++)
		free(worker->slots[i]);
	return NULL;
}

static void check(size_t number)
{
	struct worker *workers = map_table(threads * sizeof(*workers));

	need(pthread_barrier_init(&gate, NULL, threads) == 0);
	for (size_t i = 0; i < threads; i++) {
		workers[i].mix = &mixes[number];
		workers[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		need(pthread_create(&workers[i].id, NULL, work, &workers[i]) == 0);
	}
	for (size_t i = 0; i < threads; i++)
		need(pthread_join(workers[i].id, NULL) == 0);
	munmap(workers, threads * sizeof(*workers));
	note("%s: %zu KiB when the threads have ended", mixes[number].name, resident() / KIB);
	hold(resident() <= 10 * MIB);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(mixes) / sizeof(*mixes); i++)
		if (is_emulated())
			skip("memory is the emulator's too");
		else
			ok(in_child(check, i) == 0, "%s", mixes[i].name);
	return done();
}
