/* SPDX-License-Identifier: MIT */
/* A signal handler that allocates, at every instruction of malloc and free.  That is the program's bug, and it may get a block
 * twice by it; but the allocator's own structures stay whole, what it says is a message of its own, and no heap gets lost.
 * With HAKMEM_SECURE=1 no hit can be interrupted: there nothing at all may be wrong.  With HAKMEM_GUARD_SAMPLE hits of malloc
 * take from caches of their own.
 * Links: all rooms.
 *
 * The processor's trap flag makes a signal after each instruction; the handler counts them, and at the one that is tried
 * does what the case says.  A child tries one instruction after the other; when it dies, another goes on behind. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "alloc.h"
#include "capture.h"
#include "check.h"
#include "names.h"
#include "refill.h"
#include "tap.h"

#if defined(__x86_64__) && defined(__LP64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define CAN_STEP 1
#else
#define CAN_STEP 0
#endif

enum { block = 64, kept_most = 400, dense = 45, dense_secured = 130, full = 1000 };

static volatile unsigned steps_left; /* 0: not stepping, or done */
static volatile bool is_stepping;
static void (*interruption)(void);
static bool is_secured, is_again; /* is_again: with a setting */
static volatile bool is_disturbed; /* what was interrupted is inside of another heap than before */

static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info;
#if CAN_STEP
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	if (is_stepping && (steps_left == 0 || --steps_left > 0)) {
		*flags |= 0x100;
		return;
	}
	*flags &= ~(greg_t)0x100;
	if (is_stepping) {
		struct hak_heap *inside = hak_thread.inside;

		interruption();
		is_disturbed = is_disturbed || hak_thread.inside != inside;
	}
#else
	(void)context;
#endif
}

/* From here on, after `steps` instructions, `what` comes between. */
static void interrupt_after(unsigned steps, void (*what)(void))
{
	interruption = what;
	steps_left = steps;
	is_stepping = true;
#if CAN_STEP
	__asm__ volatile("int3" ::: "memory");
#endif
}

/* False: what was interrupted had ended before. */
static bool was_interrupted(void)
{
	bool was = steps_left == 0;

	is_stepping = false;
	return was;
}

/* ---- what comes between ---- */

static void *spare[kept_most]; /* blocks of the program's that a handler may free */
static unsigned spares, keeps;
static void *kept[kept_most * 4];

static void keep(void *p)
{
	for (unsigned i = 0; i < keeps; i++)
		if (kept[i] == p)
			return; /* twice: the known limit */
	if (p != NULL && keeps < kept_most * 4)
		kept[keeps++] = p;
}

static void allocate(unsigned n)
{
	while (n-- > 0)
		keep(malloc(block));
}

static void give(unsigned n)
{
	while (n-- > 0 && spares > 0)
		free(spare[--spares]);
}

static void allocate_one(void) { allocate(1); }
static void give_one(void) { give(1); }
static void allocate_many(void) { allocate(40); }
static void give_many(void) { give(40); }

static void allocate_and_free(void)
{
	void *p = malloc(block), *other = malloc(3000);

	free(p);
	free(other);
}

/* Overflow and underflow take turns: the cache grows, and has another array. */
static void grow(void)
{
	for (int round = 0; round < 4; round++) {
		give(60);
		allocate(60);
	}
}

/* ---- one try ---- */

struct trial {
	const char *name;
	void (*between)(void);
	bool is_balanced; /* what it takes it gives back: then nothing at all may be wrong */
};

static const struct trial trials[] = {
	{ "malloc", allocate_one, false },          { "free", give_one, false },
	{ "malloc and free", allocate_and_free, true }, { "40 of malloc", allocate_many, false },
	{ "40 of free", give_many, false },         { "both, until the cache grows", grow, false },
};

/* The cache of `block` has `level` blocks; full: it is full, full - 1: but for one. */
static void prepare_cache(unsigned level)
{
	struct hak_cache *cache;
	void *own[40];

	for (unsigned i = 0; i < 40; i++)
		own[i] = malloc(block);
	for (unsigned i = 0; i < kept_most; i++)
		spare[i] = malloc(block);
	spares = kept_most;
	for (unsigned i = 0; i < 40; i++)
		free(own[i]);
	cache = &hak_thread.own->caches[hak_class_of(block)];
	while (hak_heap_cached(hak_thread.own, hak_class_of(block)) > level)
		keep(malloc(block));
	while (hak_heap_cached(hak_thread.own, hak_class_of(block)) < level && !hak_cache_is_full(cache))
		free(spare[--spares]);
	if (level == full - 1)
		keep(malloc(block));
}

/* What was off by a place or two does not go further. */
static bool is_within_bounds(void)
{
	struct hak_heap *heap = hak_thread.own;
	unsigned class = hak_class_of(block);
	void **top = heap->caches[class].top, **array = heap->bins[class].array;

	return top >= array - HAK_CACHE_SPARE && top <= array + heap->bins[class].capacity + HAK_CACHE_SPARE;
}

/* Cold calls of the class, and everything goes back. */
static void use_up(void)
{
	for (int round = 0; round < 3; round++) {
		void *p[100];

		for (int i = 0; i < 100; i++)
			p[i] = malloc(i % 2 ? block : 700);
		for (int i = 0; i < 100; i++)
			keep(p[i]);
	}
	while (keeps > 0)
		free(kept[--keeps]);
	give(kept_most);
}

static bool is_whole(enum hak_check got, bool is_balanced)
{
	return got == HAK_CHECK_OK || (!is_balanced && !is_secured && (got == HAK_CHECK_CACHE_TWICE || got == HAK_CHECK_CACHE_BLOCK));
}

/* In the child; 0: good, 1: bad, 2: it was over before. */
static int try_once(const struct trial *trial, bool is_free, unsigned level, unsigned step)
{
	void *given, *got = NULL;
	bool was;

	prepare_cache(level);
	given = spare[--spares];
	interrupt_after(step, trial->between);
	if (is_free)
		free(given);
	else
		got = malloc(block);
	was = was_interrupted();
	if (!was)
		return 2;
	keep(got);
	for (int i = 0; i < 20; i++) {
		if (is_free)
			give(1);
		else
			keep(malloc(block));
		if (!is_within_bounds())
			return 1;
	}
	if (is_disturbed)
		return 1;
	use_up();
	if (!is_whole(hak_check_heap(hak_thread.own), trial->is_balanced))
		return 1;
	malloc_trim(0);
	return hak_check_pool() != HAK_CHECK_OK;
}

static unsigned *step_tried; /* shared with the child */

static void try_all(const struct trial *trial, bool is_free, unsigned level)
{
	int got = 0;

	alarm(240);
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	while (got == 0) {
		*step_tried += *step_tried < (is_secured ? dense_secured : dense) ? 1 : *step_tried / 2;
		got = try_once(trial, is_free, level, *step_tried);
	}
	_exit(got);
}

/* From the instruction after the last one that was tried; what waitpid says. */
static int in_process(const struct trial *trial, bool is_free, unsigned level)
{
	int status = -1;
	pid_t child = fork();

	need(child >= 0);
	if (child == 0)
		try_all(trial, is_free, level);
	need(waitpid(child, &status, 0) == child);
	return status;
}

static bool is_over(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 2; }

/* The library found what the handler did, and said so. */
static bool is_found(const struct trial *trial, int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && !trial->is_balanced && !is_secured;
}

/* At each instruction of a hit, and at some of a miss. */
static void check_trial(const struct trial *trial, bool is_free)
{
	static const unsigned levels[] = { 0, 1, full - 1, full };
	unsigned found = 0, bad = 0;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		int status = 0;

		*step_tried = 0;
		while (!is_over(status = in_process(trial, is_free, levels[i])) && bad < 5) {
			if (is_found(trial, status)) {
				found++;
				continue;
			}
			bad++;
			note("%u blocks cached, instruction %u: status 0x%x", levels[i], *step_tried, (unsigned)status);
		}
	}
	if (is_again)
		hold(bad == 0);
	else
		ok(bad == 0, "%s in the midst of %s; %u were found", trial->name, is_free ? "free" : "malloc", found);
}

static void check_trials(void)
{
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		check_trial(&trials[i], false);
		check_trial(&trials[i], true);
	}
}

static void start_again(const void *setting)
{
	const char *const *pair = setting;
	char word[] = "again";

	emulator_exec_again(word, pair[0], pair[1]);
}

static void check_again(const char *name, const char *value, const char *what)
{
	const char *pair[] = { name, value };
	struct capture child;

	capture(&child, start_again, pair);
	if (!ok(child.status == 0, "%s=%s: %s", name, value, what))
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

/* ---- with other threads ---- */

/* Counts heaps that a thread has. */
static unsigned live_heaps(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < hak_heap_count(); i++)
		n += hak_heap_find(HAK_OWNER_FIRST + i)->state == HAK_HEAP_LIVE;
	return n;
}

static volatile bool thread_was_interrupted;

static void *begin(void *with)
{
	void *p;

	interrupt_after(*(unsigned *)with, allocate_and_free);
	p = malloc(block);
	thread_was_interrupted = was_interrupted();
	free(p);
	return NULL;
}

/* A thread gets its heap, and a handler that comes between wants one too. */
static void check_beginning(void)
{
	unsigned tried = 0, before;

	free(malloc(block));
	before = live_heaps();
	for (unsigned step = 1;; step += 1 + step / 32, tried++) {
		pthread_t thread;

		need(pthread_create(&thread, NULL, begin, &step) == 0);
		pthread_join(thread, NULL);
		if (!hold(live_heaps() == before))
			note("instruction %u", step);
		if (!thread_was_interrupted || failures() > 0)
			break;
	}
	ok(failures() == 0 && tried > 20, "a thread's first malloc: no heap gets lost");
}

/* Somebody empties the heap's inbox; the handler takes the cold path. */
static void check_visit(void)
{
	struct hak_heap *own = hak_thread.own;
	unsigned tried = 0;

	for (unsigned step = 1; step < 1000; step++, tried++) {
		void *p;

		prepare_cache(5);
		need(hak_heap_visit(own));
		interrupt_after(step, grow);
		p = malloc(block);
		if (!was_interrupted())
			step = 1000;
		hold(hak_thread.own == own && hak_heap_visit_end(own));
		keep(p);
		use_up();
		hold(hak_check_heap(own) != HAK_CHECK_CACHE_PLACE);
	}
	ok(failures() == 0 && tried > 10, "a hit while a visitor is in the heap: it stays the thread's own");
}

extern char __ubsan_handle_add_overflow[] __attribute__((weak));

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };

	(void)argv;
	is_again = argc > 1;
	is_secured = hak_setting(secure) != 0;
	if (!CAN_STEP)
		skip_all("this processor, or this build, is not stepped through");
	if (__ubsan_handle_add_overflow)
		skip_all("the undefined sanitizer puts steps of its own between those of a hit");
	sigaction(SIGTRAP, &action, NULL);
	step_tried = mmap(NULL, sizeof(*step_tried), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(step_tried != MAP_FAILED);
	need(is_again == (is_secured || hak_setting(guard_sample) != 0));
	check_trials();
	if (is_again)
		return failures() != 0;
	check_again("HAKMEM_SECURE", "1", "all of that, and nothing is wrong");
	check_again("HAKMEM_GUARD_SAMPLE", "1000000", "all of that");
	check_beginning();
	check_visit();
	return done();
}
