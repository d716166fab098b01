/* SPDX-License-Identifier: MIT */
/* malloc and free of one size in a tight loop: the length of the fast path.
 *
 * Under callgrind, (count(2N) - count(N)) / N is the cost of a pair with its share of the loop; the same with --empty is the
 * share of the loop. The slots are volatile, so no compiler can drop a pair or keep a block in a register. */
#include "bench.h"

#define USAGE "[--empty] [ITERS] [SIZE] [BATCH]"

enum { most_in_a_batch = 1 << 20 };

static void *volatile slots[most_in_a_batch];
static char spare[16];
static char *volatile stand_in = spare;

__attribute__((always_inline)) static inline void loop(uint64_t rounds, size_t size, size_t batch, bool empty)
{
	for (; rounds > 0; rounds--) {
		for (size_t i = 0; i < batch; i++) {
			char *block = empty ? stand_in : malloc(size);

			if (__builtin_expect(block == NULL, 0))
				bench_die("malloc of %zu bytes failed", size);
			*block = 1;
			slots[i] = block;
		}
		for (size_t i = 0; i < batch; i++) {
			void *block = slots[i];

			if (!empty)
				free(block);
		}
	}
}

__attribute__((noinline)) static void pairs(uint64_t rounds, size_t size, size_t batch)
{
	loop(rounds, size, batch, false);
}

__attribute__((noinline)) static void no_pairs(uint64_t rounds, size_t size, size_t batch)
{
	loop(rounds, size, batch, true);
}

int main(int argc, char **argv)
{
	bool empty = bench_flag(&argc, argv, "--empty");

	bench_usage(argc, argv, 0, 3, USAGE);
	uint64_t wanted = bench_argument(argc, argv, 1, "ITERS", 100000000, 1, UINT64_MAX / 2);
	size_t size = (size_t)bench_argument(argc, argv, 2, "SIZE", 64, 1, 1u << 30);
	size_t batch = (size_t)bench_argument(argc, argv, 3, "BATCH", 1, 1, most_in_a_batch);
	uint64_t rounds = (wanted + batch - 1) / batch;
	uint64_t done = rounds * batch;

	double start = bench_seconds();
	(empty ? no_pairs : pairs)(rounds, size, batch);
	double seconds = bench_seconds() - start;
	bench_print("tiny_hot iters=%" PRIu64
		    " size=%zu batch=%zu ops_per_s=%.0f ns_per_op=%.2f peak_kb=%ld faults=%ld\n",
		    done, size, batch, (double)done / seconds, seconds * 1e9 / (double)done, bench_peak_kb(),
		    bench_faults());
	return 0;
}
