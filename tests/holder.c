/* SPDX-License-Identifier: MIT */
/* Holds blocks of all tiers in two threads, says what the library itself counts, and sleeps.  work: goes on for ever.
 * scribble SEED: spoils the library's tables first. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <hakmem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define HAK_ROOMS
#include "view.h"
static char *kept[3000];
static void scribble(char *at, size_t bytes, int rarely)
{
	for (size_t i = 0; i < bytes; i++)
		if (rand() % rarely == 0)
			at[i] = (char)rand();
}
static void spoil(void *view)
{
	void **places = (void **)((struct hak_view *)view + 1);
	unsigned *numbers = (unsigned *)(places + ((struct hak_view *)view)->places);
	char *registry = places[HAK_VIEW_PLACE_registry], ***heaps = places[HAK_VIEW_PLACE_heap_directory];
	char *slots = *(char **)(registry + numbers[HAK_VIEW_NUMBER_registry_slots]);
	scribble(slots - 4096, 4096, 20);
	scribble(slots, 4096, 20);
	for (unsigned id = 2; id < 4; id++)
		scribble(heaps[0][id], numbers[HAK_VIEW_NUMBER_heap_size], 40);
	scribble(places[HAK_VIEW_PLACE_journal], 4096, 20);
	scribble(places[HAK_VIEW_PLACE_bigcache], 512, 4);
	scribble(places[HAK_VIEW_PLACE_setting_live], 64, 2);
	if (rand() % 4 == 0)
		scribble(registry, 64, 16);
}
static void fill(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		size_t size = i % 100 == 0 ? 200000 : i % 501 == 7 ? 5 << 20 : 16 + i * 7 % 5000;
		kept[i] = memset(malloc(size), 1, size);
	}
	for (unsigned i = from; i < to; i += 3) {
		free(kept[i]);
		kept[i] = NULL;
	}
}
static pthread_barrier_t barrier;
static void *run(void *from)
{
	fill((unsigned)(size_t)from, (unsigned)(size_t)from + 1500);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}
int main(int argc, char **argv)
{
#ifdef IS_STATIC
	int (*stats)(struct hakmem_stats *, size_t) = hakmem_stats;
#else
	int (*stats)(struct hakmem_stats *, size_t) = (int (*)(struct hakmem_stats *, size_t))dlsym(RTLD_DEFAULT, "hakmem_stats");
#endif
	struct hakmem_stats s;
	pthread_t thread;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, run, (void *)1500);
	setvbuf(stdout, malloc(4096), _IOFBF, 4096);
	fill(0, 1500);
	pthread_barrier_wait(&barrier);
	if (stats == NULL || stats(&s, sizeof s) != 0)
		return 1;
	printf("live_blocks %llu live_bytes %llu mid_bytes %llu large_bytes %llu cached_bytes %llu slab_bytes %llu superslab_bytes %llu heaps_live %llu \n",
	       (unsigned long long)s.live_blocks, (unsigned long long)s.live_bytes, (unsigned long long)s.mid_bytes,
	       (unsigned long long)s.large_bytes, (unsigned long long)s.cached_bytes, (unsigned long long)s.slab_bytes,
	       (unsigned long long)s.superslab_bytes, (unsigned long long)s.heaps_live);
	fflush(stdout);
	if (argc > 2) {
		srand(atoi(argv[2]));
		spoil(dlsym(RTLD_DEFAULT, "hakmem_view"));
		for (;;)
			pause();
	}
	while (argc > 1 && argv[1][0] == 'w')
		fill(0, 1500);
	for (;;)
		pause();
}
