/* SPDX-License-Identifier: MIT */
/* HAKMEM_GUARD_SAMPLE: which allocations are guarded, what is found of them, and that all else works.  Each point runs in a
 * process of its own that begins with the setting.  Links: library. */
#include <hakmem.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "capture.h"
#include "names.h"
#include "resident.h"
#include "tap.h"

#define COUNT 500
#define NOISE 5 /* standard deviations */

void free_sized(void *p, size_t size);
extern const char __ehdr_start[]; /* the linker's: where this program begins */

static size_t page;

static void *again(void *p)
{
	void *volatile same = p;

	return same;
}

/* These stand in the traces. */
__attribute__((noinline)) static char *take(size_t size)
{
	char *p = malloc(size);

	need(p != NULL);
	__asm__ volatile("" : "+r"(p));
	return p;
}

__attribute__((noinline)) static void drop(void *p)
{
	free(p);
	__asm__ volatile("");
}

__attribute__((noinline)) static void change(char *p) { *(volatile char *)p = 1; }
__attribute__((noinline)) static int look(const char *p) { return *(const volatile char *)p; }

/* A guarded block ends at the end of its page, or begins at its start, by chance. */
static char *at_end(size_t size)
{
	for (;;) {
		char *p = take(size);

		if (((uintptr_t)p + size) % page == 0)
			return p;
	}
}

static char *at_start(size_t size)
{
	for (;;) {
		char *p = take(size);

		if ((uintptr_t)p % page == 0)
			return p;
	}
}

static bool is_guarded(void *p, size_t size) { return malloc_usable_size(p) == size; } /* not of a class's size */

static struct hakmem_stats stats(void)
{
	struct hakmem_stats now;

	need(hakmem_stats(&now, sizeof(now)) == 0);
	return now;
}

/* ---- what holds ---- */

/* Of all entries: contents stay, memory of calloc is zero, and alignment is as asked for. */
static void works(void)
{
	static char *blocks[COUNT];
	static size_t sizes[COUNT];
	uint32_t random = 1;

	for (int i = 0; i < 100000; i++) {
		size_t at = (random = random * 1664525 + 1013904223) >> 8, slot = at % COUNT;
		size_t size = at % 97 == 0 ? at % 300000 : at % 2000, align = (size_t)16 << at % 8;

		for (size_t k = 0; k < sizes[slot]; k++)
			hold(blocks[slot][k] == (char)slot);
		switch (at % 4) {
		case 0:
			blocks[slot] = realloc(blocks[slot], size + 1);
			for (size_t k = 0; k <= size && k < sizes[slot]; k++)
				hold(blocks[slot][k] == (char)slot);
			size++;
			break;
		case 1:
			free(blocks[slot]);
			blocks[slot] = calloc(1, size);
			for (size_t k = 0; k < size; k++)
				hold(blocks[slot][k] == 0);
			break;
		case 2:
			free(blocks[slot]);
			blocks[slot] = aligned_alloc(align, size);
			hold((uintptr_t)blocks[slot] % align == 0);
			break;
		default:
			free(blocks[slot]);
			blocks[slot] = malloc(size);
		}
		need(blocks[slot] != NULL);
		hold((uintptr_t)blocks[slot] % 16 == 0 && malloc_usable_size(blocks[slot]) >= size);
		sizes[slot] = malloc_usable_size(blocks[slot]);
		memset(blocks[slot], (int)slot, sizes[slot]);
		if (i % 20000 == 0)
			malloc_trim(0);
	}
	hold(stats().guard_allocs > 0);
}

static void *thread_works(void *nothing)
{
	char *passed[64];

	for (int i = 0; i < 2000; i++) {
		for (int k = 0; k < 64; k++)
			memset(passed[k] = take(100), k, 100);
		for (int k = 0; k < 64; k++) {
			hold(passed[k][99] == (char)k);
			free(passed[k]);
		}
	}
	return nothing;
}

static void works_in_threads(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, thread_works, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	hold(stats().guarded_blocks <= 255);
}

static pthread_key_t late;

/* In the last rounds the thread has no heap any more: each call borrows one, which has never had blocks of some of these sizes. */
static void allocate_late(void *round)
{
	if ((uintptr_t)round < 4)
		pthread_setspecific(late, (char *)round + 1);
	for (size_t size = 1; size <= 1024; size += 16) {
		char *p = take(size);

		memset(p, 1, size);
		drop(p);
	}
}

static void *thread_ends_late(void *nothing)
{
	drop(take(10));
	pthread_setspecific(late, (void *)(uintptr_t)1);
	return nothing;
}

static void works_at_the_end(void)
{
	need(pthread_key_create(&late, allocate_late) == 0);
	for (int i = 0; i < 50; i++) {
		pthread_t thread;

		need(pthread_create(&thread, NULL, thread_ends_late, NULL) == 0);
		pthread_join(thread, NULL);
	}
}

static void *thread_frees(void *p)
{
	free(p);
	return take(100); /* which outlives the thread */
}

static void lives_across_threads(void)
{
	for (int i = 0; i < 300; i++) {
		pthread_t thread;
		void *p;

		need(pthread_create(&thread, NULL, thread_frees, take(100)) == 0);
		pthread_join(thread, &p);
		hold(is_guarded(p, 100));
		memset(p, 1, 100);
		free(p);
	}
}

/* Parent and child have each a block of their own at that address. */
static void lives_across_fork(void)
{
	char *p = take(100);
	int status = -1;
	pid_t child;

	*p = 1;
	child = fork();
	need(child >= 0);
	if (child == 0) {
		hold(*p == 1);
		*p = 2;
		free(p);
		hold(is_guarded(take(100), 100));
		_exit(failures());
	}
	need(waitpid(child, &status, 0) == child);
	hold(status == 0 && *p == 1);
	free(p);
}

static void knows_sizes(void)
{
	for (size_t size = 1; size <= page; size += size / 7 + 1) {
		char *p = take(size);

		hold(malloc_usable_size(p) == size);
		memset(p, 1, size);
		free_sized(p, size);
	}
	free(again(malloc(0)));
}

/* The page that was freed last is used last. */
static void reuses_late(void)
{
	uint64_t theirs = stats().guarded_blocks; /* the C library's: musl keeps one */
	char *p = take(100);
	unsigned others = 0;

	drop(p);
	for (;; others++) {
		char *q = take(100);

		drop(q);
		if ((uintptr_t)q / page == (uintptr_t)p / page)
			break;
	}
	hold(others == 14 - theirs);
}

/* What does not fit goes without guard; freed pages go back. */
static void is_bounded(void)
{
	enum { MANY = 20000 };
	static char *blocks[MANY];
	uint64_t theirs = stats().guarded_blocks, their_bytes = stats().guarded_bytes;
	size_t before;

	for (int i = 0; i < MANY; i++)
		*(blocks[i] = take(32)) = 1;
	hold(stats().guarded_blocks == 255 && stats().guarded_bytes == (255 - theirs) * 32 + their_bytes);
	hold(stats().guard_full > MANY / 2);
	for (int i = 0; i < MANY; i++)
		free(blocks[i]);
	hold(stats().guarded_blocks == theirs);
	before = resident();
	for (int i = 0; i < MANY; i++)
		{
		char *p = take(page);

		memset(p, 1, page);
		free(p);
	}
	hold(resident() < before + 1000000); /* of 80 MB */
}

/* ---- the rate ---- */

#define RATE 100

/* The number of samples in so many allocations is within its noise: distances are uniform, so their variance is N^2 / 3. */
static void is_rate(const char *what, unsigned allocations, uint64_t before)
{
	struct hakmem_stats now = stats();
	int64_t off = (int64_t)(now.guard_allocs + now.guard_full - before) - (int64_t)allocations / RATE;

	if (!hold(off * off * 3 * RATE <= (int64_t)NOISE * NOISE * (int64_t)allocations))
		note("%s: off by %ld of %u", what, (long)off, allocations / RATE);
}

static uint64_t samples(void) { return stats().guard_allocs + stats().guard_full; }

static void pairs(size_t size)
{
	uint64_t before = samples();

	for (int i = 0; i < 200000; i++)
		drop(take(size));
	is_rate("pairs", 200000, before);
}

static void in_pairs(void)
{
	pairs(24);
	pairs(1000);
	pairs(3000);
}

static void grows(void)
{
	uint64_t before = samples();

	for (int i = 0; i < 200000; i++)
		hold(take(40) != NULL);
	is_rate("only malloc", 200000, before);
}

static void mixes(void)
{
	static char *blocks[COUNT];
	uint64_t before = samples();
	uint32_t random = 1;

	for (int i = 0; i < 200000; i++) {
		size_t at = (random = random * 1664525 + 1013904223) >> 8;

		free(blocks[at % COUNT]);
		blocks[at % COUNT] = at & 1024 ? calloc(1, at / 4096 % 1500) : aligned_alloc(64, at / 4096 % 1500);
	}
	is_rate("mixed", 200000, before);
}

/* Of a size that is seldom asked for the cache is emptied between two requests. */
static void is_seldom(void)
{
	uint64_t before = samples();

	for (int i = 0; i < 200000; i++) {
		drop(take(2000)); /* each a cold call */
		if (i % 400 == 0)
			drop(take(32));
	}
	is_rate("a size that is seldom asked for", 200500, before);
}

/* Each of the places of a loop that allocate is chosen: no place's turn is tied to the length of a batch. */
static void hits_all_places(void)
{
	enum { PLACES = 32 };
	static unsigned hits[PLACES];

	for (int i = 0; i < 32000; i++) {
		char *p[PLACES];

		for (int k = 0; k < PLACES; k++) {
			p[k] = take(100);
			hits[k] += is_guarded(p[k], 100);
		}
		for (int k = 0; k < PLACES; k++)
			free(p[k]);
	}
	for (int k = 0; k < PLACES; k++)
		if (!hold(hits[k] > 200 && hits[k] < 440)) /* of 320 */
			note("place %d: %u", k, hits[k]);
}

/* ---- what dies ---- */

static void writes_behind(void) { change(at_end(112) + 112); }
static void writes_far_behind(void) { change(at_end(112) + 112 + 100); }
static void reads_behind(void) { hold(look(at_end(112) + 112)); }
static void writes_before(void) { change(at_start(112) - 1); }
static void writes_to_nothing(void) { change(malloc(0)); }

static void writes_freed(void)
{
	char *p = take(112);

	drop(p);
	change(p + 8);
}

static void reads_freed(void)
{
	char *p = take(112);

	drop(p);
	hold(look(p + 111));
}

static void writes_in_gap(void)
{
	char *p = take(100);

	change(p + 100);
	drop(p);
}

static void writes_before_in_page(void)
{
	char *p = at_end(112);

	change(p - 1);
	drop(p);
}

static void frees_twice(void)
{
	char *p = take(112);

	drop(p);
	drop(again(p));
}

static void *thread_drops(void *p)
{
	drop(p);
	return NULL;
}

static void frees_in_thread_and_here(void)
{
	char *p = take(112);
	pthread_t thread;

	need(pthread_create(&thread, NULL, thread_drops, p) == 0);
	pthread_join(thread, NULL);
	drop(again(p));
}

/* Of blocks that are not guarded as much is found as without. */
static void frees_twice_across_trim(void)
{
	char *p = take(112), *other = take(112); /* which keeps the slab */

	drop(p);
	malloc_trim(0);
	drop(again(p));
	for (int i = 0; i < 200; i++)
		hold(take(112) != other);
}

static void frees_inside(void) { drop(again(take(112) + 16)); }
static void resizes_freed(void)
{
	char *p = take(112);

	drop(p);
	p = realloc(again(p), 10);
	need(p != NULL);
}
static void frees_wrong_size(void) { free_sized(take(100), 112); }

/* Of a fault s390x tells no more than the page. */
#ifdef __s390x__
#define KNOWS_BYTE false
#define INTO(bytes) "somewhere in the page of"
#define BEHIND(bytes) "somewhere behind"
#define BEFORE(bytes) "somewhere before"
#else
#define KNOWS_BYTE true
#define INTO(bytes) bytes " into"
#define BEHIND(bytes) bytes " behind"
#define BEFORE(bytes) bytes " before"
#endif

enum { IN_TAKE = 1, IN_DROP = 2, IN_CHANGE = 4, IN_LOOK = 8, IN_FREE_TOO = 16, NOWHERE = 32 };

static const struct point {
	const char *name;
	void (*run)(void);
	const char *sample, *pages; /* settings */
	const char *says;           /* the first line, * for an address; NULL: it lives, and is silent */
	int traces;                 /* in which functions the last calls were */
} points[] = {
	{ "all entries work", works, "1", "255", NULL, 0 },
	{ "all entries work, one in 50", works, "50", "255", NULL, 0 },
	{ "all entries work in threads", works_in_threads, "7", "255", NULL, 0 },
	{ "all works at a thread's end", works_at_the_end, "50", "255", NULL, 0 },
	{ "blocks go from thread to thread", lives_across_threads, "1", "255", NULL, 0 },
	{ "a forked child has its own", lives_across_fork, "1", "255", NULL, 0 },
	{ "usable sizes are exact", knows_sizes, "1", "255", NULL, 0 },
	{ "pages are reused in the order of frees", reuses_late, "1", "15", NULL, 0 },
	{ "memory is bounded", is_bounded, "1", "255", NULL, 0 },
	{ "one in 100 of pairs of malloc and free", in_pairs, "100", "255", NULL, 0 },
	{ "one in 100 of blocks that stay", grows, "100", "255", NULL, 0 },
	{ "one in 100 of random blocks", mixes, "100", "255", NULL, 0 },
	{ "one in 100 though a cache is emptied unused", is_seldom, "100", "255", NULL, 0 },
	{ "all places of a loop", hits_all_places, "100", "255", NULL, 0 },
	{ "a write behind", writes_behind, "1", "255", "write at *: overflow, " BEHIND("0 bytes") " a block of 112 bytes at *",
	  IN_CHANGE | IN_TAKE },
	{ "a read behind", reads_behind, "1", "255", "read at *: overflow, " BEHIND("0 bytes") " a block of 112 bytes at *",
	  IN_LOOK | IN_TAKE },
	{ "a write far behind", writes_far_behind, "1", "255",
	  "write at *: overflow, " BEHIND("100 bytes") " a block of 112 bytes at *", IN_CHANGE | IN_TAKE },
	{ "a write before", writes_before, "1", "255", "write at *: underflow, " BEFORE("1 byte") " a block of 112 bytes at *",
	  IN_CHANGE | IN_TAKE },
	{ "a write to a block of no bytes", writes_to_nothing, "1", "255",
	  "write at *: overflow, " BEHIND("0 bytes") " a block of 0 bytes at *", IN_CHANGE },
	{ "a write after free", writes_freed, "1", "255", "write at *: use after free, " INTO("8 bytes") " a block of 112 bytes at *",
	  IN_CHANGE | IN_TAKE | IN_DROP | IN_FREE_TOO },
	{ "a read after free", reads_freed, "1", "255", "read at *: use after free, " INTO("111 bytes") " a block of 112 bytes at *",
	  IN_LOOK | IN_TAKE | IN_DROP | IN_FREE_TOO },
	{ "a write behind within the page", writes_in_gap, "1", "255",
	  "free(*): the program wrote behind the end of the block of 100 bytes", IN_DROP | IN_TAKE },
	{ "a write before within the page", writes_before_in_page, "1", "255",
	  "free(*): the program wrote before the start of the block of 112 bytes", IN_DROP | IN_TAKE },
	{ "a double free", frees_twice, "1", "255", "free(*): double free of a block of 112 bytes",
	  IN_DROP | IN_TAKE | IN_FREE_TOO },
	{ "a double free in two threads", frees_in_thread_and_here, "1", "255", "free(*): double free of a block of 112 bytes",
	  IN_DROP | IN_TAKE | IN_FREE_TOO },
	{ "a double free of a block that is not guarded", frees_twice_across_trim, "1000000", "255",
	  "free(*): double free of a block of 112 bytes", NOWHERE },
	{ "free of a pointer inside", frees_inside, "1", "255",
	  "free(*): the pointer leads into a block of 112 bytes, not to its start", IN_DROP | IN_TAKE },
	{ "realloc after free", resizes_freed, "1", "255", "realloc(*): the block of 112 bytes is free",
	  IN_TAKE | IN_FREE_TOO },
	{ "a wrong size", frees_wrong_size, "1", "255", "free_sized(*): the size is wrong: the block has 100 bytes", IN_TAKE },
};

/* ---- one point, in a process of its own ---- */

static void start(const void *with)
{
	const struct point *point = with;
	char text[24];

	snprintf(text, sizeof(text), "%zu", (size_t)(point - points));
	setenv("HAKMEM_GUARD_PAGES", point->pages, 1);
	emulator_exec_again(text, "HAKMEM_GUARD_SAMPLE", point->sample);
	_exit(99);
}

/* A * stands for an address.  Whether it was a read or a write is known on x86. */
static bool matches(const char *text, const char *pattern)
{
#if !(defined(__x86_64__) || (defined(__i386__) && defined(__GLIBC__)))
	if (strncmp(text, "access at", 9) == 0 && strstr(pattern, " at *:")) {
		text += 6;
		pattern = strchr(pattern, ' ');
	}
#endif
	for (; *pattern; pattern++) {
		if (*pattern != '*') {
			if (*text++ != *pattern)
				return false;
			continue;
		}
		if (text[0] != '0' || text[1] != 'x')
			return false;
		text += 2 + strspn(text + 2, "0123456789abcdef");
	}
	return *text == '\n';
}

/* Has the section below `title` a call in the function?  Its lines end with FILE+0xOFFSET. */
static bool has_call(const char *words, const char *title, const void *function)
{
	uintptr_t from = ((uintptr_t)function & ~(uintptr_t)1) - (uintptr_t)__ehdr_start; /* Thumb's are odd */
	const char *at = strstr(words, title);

	for (at = at ? strchr(at, '\n') : NULL; at && strstr(at, "\nhakmem:     #") == at; at = strchr(at + 1, '\n')) {
		const char *offset = strstr(at, "t-guard+0x"), *end = strchr(at + 1, '\n');

		if (offset && end && offset < end && strtoul(offset + 8, NULL, 16) - from < 200)
			return true;
	}
	return false;
}

static bool has_traces(const char *words, int traces)
{
	const char *done = "  it was done by thread ", *taken = "  it was allocated by thread ", *freed = "  it was freed by thread ";
	bool good = !(traces & IN_TAKE) || has_call(words, taken, (const void *)(uintptr_t)take);

	if (traces & NOWHERE)
		return strstr(words, done) == NULL;
	if (traces & IN_FREE_TOO)
		good &= has_call(words, freed, (const void *)(uintptr_t)drop);
	else
		good &= strstr(words, freed) == NULL;
	if (traces & IN_CHANGE)
		return good && has_call(words, done, (const void *)(uintptr_t)change);
	if (traces & IN_LOOK)
		return good && has_call(words, done, (const void *)(uintptr_t)look);
	if (traces & IN_DROP)
		return good && has_call(words, done, (const void *)(uintptr_t)drop);
	return good && strstr(words, done) != NULL;
}

static void try(const struct point *point)
{
	struct capture child;
	int signal_number = point->says && strstr(point->says, " at ") ? SIGSEGV : SIGABRT;
	bool is_good;

	capture(&child, start, point);
	if (!point->says)
		is_good = child.status == 0 && child.words[0] == '\0';
	else
		is_good = WIFSIGNALED(child.status) && WTERMSIG(child.status) == signal_number &&
			  strncmp(child.words, "hakmem: ", 8) == 0 && matches(child.words + 8, point->says) &&
			  has_traces(child.words, point->traces);
	if (!ok(is_good, "%s", point->name))
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

int main(int argc, char **argv)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	if (argc == 2) {
		points[strtoul(argv[1], NULL, 10)].run();
		return failures() != 0;
	}
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (points[i].run == writes_before && !KNOWS_BYTE)
			skip("%s: the page between two blocks may be the other one's", points[i].name);
		else
			try(&points[i]);
	return done();
}
