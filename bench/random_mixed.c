/* SPDX-License-Identifier: MIT */
/* Random sizes in random slots: the classic first benchmark of an allocator.
 *
 * Each operation picks a slot: a full one is freed, an empty one gets a block of random size whose first and last byte are
 * written. After about two operations a slot half of the slots are full and stay so. */
#include "bench.h"

#define USAGE "[--phase] ITERS SLOTS SEED [MIN MAX]"

struct work {
	char **slots;
	size_t count;
	size_t smallest;
	size_t spread;
	uint64_t random;
};

static void operate(struct work *work, uint64_t operations)
{
	uint64_t random = work->random;

	for (; operations > 0; operations--) {
		uint64_t number = bench_random(&random);
		char **slot = &work->slots[bench_pick_high(number, work->count)];

		if (*slot != NULL) {
			free(*slot);
			*slot = NULL;
		} else {
			*slot = bench_block(work->smallest + bench_pick_low(number, work->spread), number);
		}
	}
	work->random = random;
}

/* What a stretch of the work took. */
struct cost {
	uint64_t operations;
	struct bench_span span;
	long faults, peak_kb;
};

static struct cost measured(struct work *work, uint64_t operations)
{
	long faults = bench_faults();
	struct bench_span begin = bench_span_begin();

	operate(work, operations);
	struct bench_span span = bench_span_end(begin);
	return (struct cost){operations, span, bench_faults() - faults, bench_peak_kb()};
}

static void report(const struct cost *start, const struct cost *rest, size_t slots, long own_faults)
{
	uint64_t operations = start->operations + rest->operations;
	double seconds = start->span.wall + rest->span.wall;

	bench_print("random_mixed iters=%" PRIu64 " slots=%zu ops_per_s=%.0f ns_per_op=%.2f peak_kb=%ld faults=%ld",
		    operations, slots, (double)operations / seconds, seconds * 1e9 / (double)operations,
		    bench_peak_kb(), bench_faults() - own_faults);
}

static void report_phases(const struct cost *start, const struct cost *rest)
{
	double steady = rest->operations > 0 ? rest->span.wall * 1e9 / (double)rest->operations : 0;

	bench_print(" start_s=%.6f start_cpu_s=%.6f start_ns_per_op=%.2f start_faults=%ld start_peak_kb=%ld",
		    start->span.wall, start->span.cpu, start->span.wall * 1e9 / (double)start->operations,
		    start->faults, start->peak_kb);
	bench_print(" steady_s=%.6f steady_ns_per_op=%.2f steady_faults=%ld", rest->span.wall, steady, rest->faults);
}

int main(int argc, char **argv)
{
	bool phase = bench_flag(&argc, argv, "--phase");
	struct work work;

	bench_usage(argc, argv, 3, 5, USAGE);
	uint64_t operations = bench_number("ITERS", argv[1], 1, UINT64_MAX / 2);
	work.count = (size_t)bench_number("SLOTS", argv[2], 1, 1u << 30);
	work.random = bench_seed(bench_number("SEED", argv[3], 0, UINT64_MAX));
	work.smallest = (size_t)bench_argument(argc, argv, 4, "MIN", 16, 1, 1u << 30);
	size_t largest = (size_t)bench_argument(argc, argv, 5, "MAX", work.smallest > 1040 ? work.smallest : 1040,
						work.smallest, 1u << 30);
	work.spread = largest - work.smallest + 1;
	long own_faults = bench_faults();
	work.slots = bench_map(work.count, sizeof *work.slots);
	own_faults = bench_faults() - own_faults;

	/* With n operations on s slots a part (1 - exp(-2n/s)) / 2 of them is full: 49 % after two a slot. */
	struct cost start = measured(&work, 2 * work.count < operations ? 2 * work.count : operations);
	struct cost rest = measured(&work, operations - start.operations);
	report(&start, &rest, work.count, own_faults);
	if (phase)
		report_phases(&start, &rest);
	bench_print("\n");

	for (size_t i = 0; i < work.count; i++)
		free(work.slots[i]);
	return 0;
}
