#include "sample.h"

#include <string.h>

#include "bits.h"
#include "os.h"
#include "probe.h"

#define SAMPLE_DISTANCE_MOST (UINT64_C(1) << 40)
#define SAMPLE_LN2 45426u /* ln 2 * 2^16 */

HAK_DEF struct hak_sample_control hak_sample;

/* Of threads that have no heap of their own: they borrow one call by call. */
static _Atomic size_t sample_left, sample_distance;

/* ---- chance ---- */

/* splitmix64. */
static uint64_t sample_random(void)
{
	static _Atomic uint64_t state;
	uint64_t x = hak_fetch_add(&state, UINT64_C(0x9e3779b97f4a7c15), relaxed);

	return hak_mix(x + ((uint64_t)(uintptr_t)&hak_sample ^ (uint64_t)hak_os_now() << 32));
}

/* -log2(x / 2^64) * 2^16, by squaring: each square tells one more bit. */
static uint64_t sample_log2(uint64_t x)
{
	unsigned whole = hak_highest_bit(x | 1);
	uint64_t y = (x | 1) << (63 - whole) >> 32, fraction = 0; /* 1 <= y < 2, as 31 bits behind the point */

	for (unsigned i = 0; i < 16; i++) {
		y = y * y >> 31;
		fraction = fraction << 1 | y >> 32;
		y >>= y >> 32;
	}
	return ((uint64_t)(64 - whole) << 16) - fraction;
}

/* Bytes to the next point: -ln(u) * distance. */
static size_t sample_draw(uint64_t distance)
{
	uint64_t bytes;

	if (distance > SAMPLE_DISTANCE_MOST)
		distance = SAMPLE_DISTANCE_MOST;
	bytes = (distance * sample_log2(sample_random()) >> 16) * SAMPLE_LN2 >> 16;
	return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* Is there a point in these bytes?  Points lie anew when the distance has changed: the past does not matter to them. */
static bool sample_is_due(_Atomic size_t *left, _Atomic size_t *of, size_t distance, size_t size)
{
	size_t have = hak_load(left, relaxed);

	if (hak_unlikely(hak_load(of, relaxed) != distance)) {
		hak_store(of, distance, relaxed);
		have = sample_draw(distance);
	}
	if (hak_likely(size <= have)) {
		hak_store(left, have - size, relaxed);
		return false;
	}
	hak_store(left, sample_draw(distance), relaxed);
	return true;
}

/* ---- the tables ---- */

static HAK_COLD struct hak_sample_tables *sample_tables(void)
{
	struct hak_sample_tables *tables = hak_load(&hak_sample.tables, acquire), *none = NULL; /* partner: the cas */

	if (tables)
		return tables;
	tables = hak_os_map(sizeof(*tables));
	if (!tables)
		return NULL;
	if (hak_cas_acquire_both(&hak_sample.tables, &none, tables, acq_rel))
		return tables;
	hak_os_unmap(tables, sizeof(*tables));
	return none; /* another thread's */
}

/* The nth of an address's two rows. */
static struct hak_sample_live *sample_row(struct hak_sample_tables *tables, const void *p, unsigned n)
{
	uint64_t x = ((uint64_t)(uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	return tables->live[(n ? x >> 51 : x >> 38) % HAK_SAMPLE_ROWS];
}

static bool sample_list(struct hak_sample_tables *tables, const void *p, uint64_t number)
{
	for (unsigned i = 0; i < 2 * HAK_SAMPLE_ROW; i++) {
		struct hak_sample_live *at = sample_row(tables, p, i / HAK_SAMPLE_ROW) + i % HAK_SAMPLE_ROW;
		uintptr_t none = 0;

		if (hak_load(&at->address, relaxed) == 0 && hak_cas(&at->address, &none, (uintptr_t)p, relaxed)) {
			hak_store(&at->number, (uint32_t)number, relaxed);
			return true;
		}
	}
	return false;
}

HAK_FN void hak_sample_free(const void *p)
{
	struct hak_sample_tables *tables = hak_load(&hak_sample.tables, acquire); /* partner: sample_tables */

	if (!tables || !p)
		return;
	for (unsigned i = 0; i < 2 * HAK_SAMPLE_ROW; i++) {
		struct hak_sample_live *at = sample_row(tables, p, i / HAK_SAMPLE_ROW) + i % HAK_SAMPLE_ROW;

		if (hak_load(&at->address, relaxed) == (uintptr_t)p) {
			hak_store(&at->address, 0, relaxed);
			hak_probe_1(otel_memory, free, p);
		}
	}
}

/* ---- a sample ---- */

/* Who asked has not been heard of for a while: it was killed.  Hits come back. */
static bool sample_is_orphan(uint32_t now)
{
	uint32_t alive = hak_load(&hak_sample.alive, relaxed);

	if (alive != hak_load(&hak_sample.seen, relaxed) || hak_probe_is_watched()) {
		hak_store(&hak_sample.seen, alive, relaxed);
		hak_store(&hak_sample.seen_at, now, relaxed);
		return false;
	}
	return hak_elapsed(now, hak_load(&hak_sample.seen_at, relaxed)) > HAK_SAMPLE_ORPHAN_MS;
}

/* The registers that are not told lie on the stack, at or above its sp, where this function's unwind table says.  Racy: Q1. */
static HAK_NOINLINE HAK_RACY void sample_take(struct hak_sample_tables *tables, const void *p, size_t size, size_t distance)
{
	uint64_t number = hak_fetch_add(&tables->count, 1, relaxed);
	struct hak_sample *slot = &tables->slots[number % HAK_SAMPLE_SLOTS];
	bool is_unfiltered = hak_load(&hak_sample.unfiltered, relaxed) != 0;
	uintptr_t pc, sp, fp;

	hak_save_registers();
	hak_read_registers(pc, sp, fp);
	hak_store(&slot->number, 0, relaxed);
	slot->address = (uintptr_t)p;
	slot->size = size;
	slot->distance = distance;
	slot->pc = pc;
	slot->sp = sp;
	slot->fp = fp;
	slot->time = hak_os_now();
	slot->thread = is_unfiltered ? hak_os_thread() : hak_os_thread_unasked();
	slot->stack_bytes = (uint32_t)(is_unfiltered ? hak_os_copy : hak_os_copy_unasked)(slot->stack, (const void *)sp,
	                                                                                  HAK_SAMPLE_STACK);
	slot->is_listed = sample_list(tables, p, number);
	hak_store(&slot->number, number + 1, release); /* Q1; partner: none here, the reader is outside */
}

/* 1 - exp(-x) from that of x / 256 by its series, which is exact to 2^-40 there, doubled eight times.  No libm. */
static double sample_chance(double x)
{
	double y = x / 256, chance = y * (1 - y / 2 * (1 - y / 3 * (1 - y / 4 * (1 - y / 5))));

	for (unsigned i = 0; i < 8; i++)
		chance *= 2 - chance;
	return chance;
}

/* The bytes that a sample of that size stands for, by its chance to be one. */
static uint64_t sample_weight(size_t size, size_t distance)
{
	double bytes = size ? (double)size : 1, x = bytes / (double)distance;

	return x > 40 || distance == 1 ? size : (uint64_t)(bytes / sample_chance(x) + 0.5);
}

HAK_FN void hak_sample_alloc(void *p, size_t size)
{
	struct hak_heap *own = hak_thread.own;
	bool has_heap = own != &hak_empty_heap;
	size_t distance = hak_load(&hak_sample.distance, relaxed);
	struct hak_sample_tables *tables;

	if (!p || distance == 0)
		return;
	if (distance > 1 && !sample_is_due(has_heap ? &own->sample_left : &sample_left,
	                                   has_heap ? &own->sample_distance : &sample_distance, distance, size ? size : 1))
		return;
	if (sample_is_orphan(hak_os_now())) {
		hak_store(&hak_sample.distance, 0, relaxed);
		hak_store(&hak_sample.unfiltered, 0, relaxed);
		hak_starve_off(HAK_STARVE_PROFILE);
	} else if ((tables = sample_tables()) != NULL) {
		sample_take(tables, p, size, distance);
		hak_probe_3(otel_memory, alloc, p, (uint64_t)size, sample_weight(size, distance));
	}
}

HAK_FN void hak_sample_begin(void)
{
	size_t none = 0;

	hak_cas(&hak_sample.distance, &none, HAK_SAMPLE_DISTANCE, relaxed);
	hak_starve_on(HAK_STARVE_PROFILE);
}

/* ---- the end ---- */

HAK_FN bool hak_sample_is_left(void)
{
	struct hak_sample_tables *tables = hak_load(&hak_sample.tables, acquire); /* partner: sample_tables */

	return tables && !hak_sample_is_on() && hak_load(&tables->count, relaxed) != 0;
}

/* They stay mapped: a thread may be writing a sample still. */
HAK_FN void hak_sample_end(void)
{
	struct hak_sample_tables *tables = hak_load(&hak_sample.tables, acquire); /* partner: sample_tables */

	if (tables && !hak_sample_is_on() && !hak_os_purge(tables, sizeof(*tables)))
		memset(tables->live, 0, sizeof(tables->live));
}

HAK_FN void hak_sample_after_fork(void)
{
	struct hak_sample_tables *tables = hak_load(&hak_sample.tables, relaxed);

	hak_store(&hak_sample.distance, 0, relaxed);
	hak_store(&hak_sample.unfiltered, 0, relaxed);
	hak_store(&hak_sample.tables, NULL, relaxed);
	if (tables)
		hak_os_unmap(tables, sizeof(*tables));
}
