/* SPDX-License-Identifier: MIT */
/* The view: the exported structure says the truth about the library, by names, and a wish to trim is obeyed. */
#include <hakmem.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#define HAK_ROOMS /* declarations only */
#include "view.h"

enum { blocks = 4096, block_size = 8192, cold_calls = 4096 };

extern const struct hak_view hakmem_view;

static const uintptr_t *places;
static const uint32_t *numbers;

static unsigned row(const char *name)
{
	const char *at = (const char *)places[HAK_VIEW_PLACE_names];
	unsigned n = 0;

	while (n < hakmem_view.places + hakmem_view.numbers && strcmp(at, name) != 0) {
		at += strlen(at) + 1;
		n++;
	}
	need(n < hakmem_view.places + hakmem_view.numbers);
	return n;
}

static uintptr_t place(const char *name) { return places[row(name)]; }
static uint32_t number(const char *name) { return numbers[row(name) - hakmem_view.places]; }

static size_t word_at(uintptr_t address)
{
	size_t word;

	memcpy(&word, (const void *)address, sizeof(word));
	return word;
}

static void test_head(void)
{
	is((uintptr_t)&hakmem_view % HAK_VIEW_ALIGN, 0);
	ok(memcmp(hakmem_view.magic, HAK_VIEW_MAGIC, sizeof(hakmem_view.magic)) == 0, "magic");
	is(hakmem_view.layout, HAK_VIEW_LAYOUT);
	is(hakmem_view.word, sizeof(void *));
	is_text(hakmem_view.version, hakmem_version());
	ok(places[HAK_VIEW_PLACE_self] == (uintptr_t)&hakmem_view, "the first place is its own address");
}

/* Counted in the structures as the library itself does. */
static void test_truth(void)
{
	struct hakmem_stats stats;
	struct hakmem_class_stats last;
	uintptr_t names = place("process_counter_names"), at = place("process_counts");

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	is(hakmem_stats_class(number("class_count") - 1, &last, sizeof(last)), 0);
	is(hakmem_stats_class(number("class_count"), &last, sizeof(last)), ENOENT);
	is_text((const char *)names, "superslab_maps");
	is(word_at(at), stats.superslab_maps);
	is(word_at(place("large_use") + number("large_blocks")), stats.large_blocks);
	is(*(const uint32_t *)place("heap_count"), stats.heaps_live + stats.heaps_idle + stats.heaps_lost);
	ok(word_at(place("registry") + number("registry_high")) >= stats.superslabs, "slots in use lie below `high`");
}

static void test_trim(void)
{
	_Atomic uint32_t *asked = (_Atomic uint32_t *)(place("trim") + number("trim_asked"));
	_Atomic uint32_t *done_one = (_Atomic uint32_t *)(place("trim") + number("trim_done"));
	static char *kept[blocks];
	struct hakmem_stats before, after;

	need(hakmem_option_set("dirty_min", "1G") == 0); /* what is freed stays */
	need(hakmem_option_set("decay_ms", "0") == 0);
	for (unsigned i = 0; i < blocks; i++)
		need((kept[i] = malloc(block_size)) != NULL && memset(kept[i], 1, block_size));
	for (unsigned i = 0; i < blocks; i++)
		free(kept[i]);
	need(hakmem_stats(&before, sizeof(before)) == 0);
	++*asked;
	for (unsigned i = 0; i < cold_calls && *done_one != *asked; i++)
		free(malloc((size_t)100 << 10));
	need(hakmem_stats(&after, sizeof(after)) == 0);
	is(*done_one, *asked);
	ok(before.slabs_dirty >= blocks * block_size / 65536 / 2, "%zu dirty slabs before", (size_t)before.slabs_dirty);
	ok(after.slabs_dirty <= before.slabs_dirty / 16, "%zu after", (size_t)after.slabs_dirty);
}

int main(void)
{
	places = (const void *)(&hakmem_view + 1);
	numbers = (const void *)(places + hakmem_view.places);
	free(malloc(1));
	test_head();
	test_truth();
	test_trim();
	return done();
}
