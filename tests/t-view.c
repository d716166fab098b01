/* SPDX-License-Identifier: MIT */
/* The view: the exported structure says the truth about the library, by names, and a wish to trim is obeyed. */
#include <hakmem.h>
#include <stdlib.h>
#include <string.h>

#include "look.h"
#include "tap.h"

enum { blocks = 4096, block_size = 8192, cold_calls = 4096 };

static void test_head(void)
{
	is((uintptr_t)&hakmem_view % HAK_VIEW_ALIGN, 0);
	ok(memcmp(hakmem_view.magic, HAK_VIEW_MAGIC, sizeof(hakmem_view.magic)) == 0, "magic");
	is(hakmem_view.layout, HAK_VIEW_LAYOUT);
	is(hakmem_view.word, sizeof(void *));
	is_text(hakmem_view.version, hakmem_version());
	ok(look_places()[HAK_VIEW_PLACE_self] == (uintptr_t)&hakmem_view, "the first place is its own address");
}

/* Counted in the structures as the library itself does. */
static void test_truth(void)
{
	struct hakmem_stats stats;
	struct hakmem_class_stats last;
	uintptr_t names = look_place("process_counter_names"), at = look_place("process_counts");

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	is(hakmem_stats_class(look_number("class_count") - 1, &last, sizeof(last)), 0);
	is(hakmem_stats_class(look_number("class_count"), &last, sizeof(last)), ENOENT);
	is_text((const char *)names, "superslab_maps");
	is(look_word(at), stats.superslab_maps);
	is(look_word(look_place("large_use") + look_number("large_blocks")), stats.large_blocks);
	is(*(const uint32_t *)look_place("heap_count"), stats.heaps_live + stats.heaps_idle + stats.heaps_lost);
	ok(look_word(look_place("registry") + look_number("registry_high")) >= stats.superslabs, "slots in use lie below `high`");
}

static void test_trim(void)
{
	_Atomic uint32_t *asked = (_Atomic uint32_t *)(look_place("trim") + look_number("trim_asked"));
	_Atomic uint32_t *done_one = (_Atomic uint32_t *)(look_place("trim") + look_number("trim_done"));
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
	free(malloc(1));
	test_head();
	test_truth();
	test_trim();
	return done();
}
