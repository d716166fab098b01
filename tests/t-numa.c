/* SPDX-License-Identifier: MIT */
/* The room numa, and all that keeps to a node: with 2 and 4 faked nodes no thread is handed memory of another one's, whatever
 * the threads do with it, until the kernel gives no more; with one node, or HAKMEM_NUMA=0, all is everybody's.  Links: rooms. */
#include "names.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "bigcache.h"
#include "check.h"
#include "emulator.h"
#include "fails.h"
#include "numa.h"
#include "os.h"
#include "random.h"
#include "superslab.h"
#include "tap.h"
#include "tunables.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum { places = 200, exchanged = 64, most_nodes = 4, each = 3, rounds = 3000 };

static unsigned nodes; /* faked */
static _Atomic(void *) exchange[exchanged];
static _Atomic size_t handed, crossed;

static struct hak_slot *slot_of(const void *p) { return hak_registry_slot(hak_registry_number(p) / HAK_SS_SLABS); }
static uint32_t node_of(const void *p) { return slot_of(p)->node; }
static void move_to(uintptr_t node) { hak_os_fake_node = (uint32_t)node + 1; }

/* ---- the machine's own ---- */

static void check_real(void)
{
	cpu_set_t before, one;
	bool same = sched_getaffinity(0, sizeof(before), &before) == 0;

	for (size_t cpu = 0; same && cpu < CPU_SETSIZE; cpu++) {
		unsigned node = 0;

		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		same = sched_setaffinity(0, sizeof(one), &one) == 0 && syscall(SYS_getcpu, NULL, &node, NULL) == 0 &&
		       (hak_os_node() == node || hak_os_node() == 0); /* 0 where it cannot be told */
	}
	sched_setaffinity(0, sizeof(before), &before);
	ok(same, "on every processor the node that the kernel names");
}

/* ---- threads that do everything ---- */

static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state);

	return 1 + (size_t)(r % 64 == 0 ? r / 64 % (6 * MIB) : r % 8 == 0 ? r / 8 % (700 * KIB) : r / 8 % (20 * KIB));
}

static void *check_node(void *p)
{
	if (p) {
		handed++;
		crossed += node_of(p) != hak_os_node();
		*(char *)p = 1;
	}
	return p;
}

/* Blocks are freed by threads of all nodes. */
static void pass_on(void *p, uint64_t *state)
{
	if (next_random(state) % 2 == 0)
		p = atomic_exchange(&exchange[next_random(state) % exchanged], p);
	free(p);
}

static void *churn(void *with)
{
	uint64_t state = (uintptr_t)with * 7919 + 1;
	void *mine[places] = { NULL };

	move_to((uintptr_t)with % nodes);
	for (int round = 0; round < rounds; round++) {
		size_t i = (size_t)(next_random(&state) % places), size = some_size(&state);

		if (mine[i] && next_random(&state) % 4 == 0) {
			mine[i] = check_node(realloc(mine[i], size));
			continue;
		}
		pass_on(mine[i], &state);
		mine[i] = check_node(next_random(&state) % 4 ? malloc(size) : calloc(1, size));
	}
	for (int i = 0; i < places; i++)
		free(mine[i]);
	return NULL;
}

/* Threads of all nodes at a time, one generation after another. */
static void check_churn(unsigned n)
{
	pthread_t thread[most_nodes * each];

	nodes = n;
	handed = crossed = 0;
	for (uintptr_t generation = 0; generation < 4; generation++) {
		for (uintptr_t i = 0; i < n * each; i++)
			need(pthread_create(&thread[i], NULL, churn, (void *)(generation * 1000 * n + i)) == 0);
		for (unsigned i = 0; i < n * each; i++)
			pthread_join(thread[i], NULL);
	}
	for (int i = 0; i < exchanged; i++)
		free(atomic_exchange(&exchange[i], NULL));
	note("%zu blocks", (size_t)handed);
	ok(crossed == 0 && handed > 0, "%u nodes: no thread is handed another node's memory", n);
	is(hak_check_pool(), 0);
}

/* ---- one at a time ---- */

static void *small[1000], *other;

static void *take_small(void *with)
{
	move_to((uintptr_t)with);
	for (size_t i = 0; i < HAK_COUNT_OF(small); i++)
		small[i] = malloc(8000);
	return NULL;
}

static void *free_small(void *with)
{
	move_to((uintptr_t)with);
	for (size_t i = 0; i < HAK_COUNT_OF(small); i++)
		free(small[i]);
	return NULL;
}

static void *take_other(void *with)
{
	move_to((uintptr_t)with);
	other = malloc(8000);
	return NULL;
}

static void *free_other(void *with)
{
	move_to((uintptr_t)with);
	free(other);
	return NULL;
}

static void in_thread(void *(*run)(void *), uintptr_t node)
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, run, (void *)node) == 0 && pthread_join(thread, NULL) == 0);
}

/* Freed by another node's thread, slabs are still their own node's. */
static void check_home(void)
{
	in_thread(take_small, 5);
	ok(node_of(small[0]) == 5 && node_of(small[999]) == 5, "the node of who takes");
	in_thread(free_small, 6);
	in_thread(take_other, 6);
	is(node_of(other), 6);
	in_thread(free_other, 5);
	in_thread(take_small, 5);
	hold(node_of(small[0]) == 5 && node_of(small[999]) == 5);
	in_thread(free_small, 5);
	is(hak_check_pool(), 0);
}

static void *note_heap(void *with)
{
	move_to((uintptr_t)with);
	free(malloc(10));
	other = hak_thread.own;
	return NULL;
}

static void check_heaps(void)
{
	void *first, *second;

	in_thread(note_heap, 10);
	first = other;
	in_thread(note_heap, 11);
	second = other;
	ok(first != second, "an idle heap of another node is left alone");
	in_thread(note_heap, 10);
	ok(other == first, "one of the own node is adopted");
	in_thread(note_heap, 11);
	ok(other == second, "and so on each");
}

static void check_large(void)
{
	void *p, *q;

	malloc_trim(0);
	need(hak_tunables_set_value(HAK_TUNABLE_ID_elo_threshold, PTRDIFF_MAX) == 0);
	move_to(12);
	need((other = malloc(64 * MIB)) != NULL); /* what is kept is no more than what is used */
	need((p = malloc(10 * MIB)) != NULL);
	memset(p, 1, 10 * MIB);
	free(p);
	ok(hak_bigcache_slots() > 0, "a freed large block is kept");
	move_to(13);
	q = malloc(10 * MIB);
	ok(node_of(q) == 13 && hak_bigcache_slots() > 0, "and not for another node");
	q = realloc(q, 30 * MIB);
	ok(node_of(q) == 13 && hak_bigcache_slots() > 0, "nor to grow a block of one");
	move_to(12);
	p = malloc(10 * MIB);
	ok(node_of(p) == 12 && hak_bigcache_slots() == 0, "but for its own");
	move_to(13);
	p = realloc(p, 400 * MIB);
	is(node_of(p), 12); /* its pages moved */
	free(p);
	free(q);
	free(other);
	malloc_trim(0);
}

/* ---- when the kernel gives no more ---- */

static void *take_refused(void *with)
{
	void *kept[4];

	move_to((uintptr_t)with);
	free(malloc(16)); /* a heap */
	fail_mappings(1, UINT32_MAX);
	kept[0] = malloc(500);
	kept[1] = malloc(10000);
	kept[2] = malloc(300 * KIB);
	kept[3] = malloc(5000 * MIB);
	fail_none();
	ok(kept[0] && kept[1] && kept[2], "another node's slabs, before a request fails");
	ok(!kept[3], "which it does at last");
	for (size_t i = 0; i < HAK_COUNT_OF(kept); i++)
		free(kept[i]);
	return NULL;
}

static void check_refused(void)
{
	move_to(14);
	need((other = malloc(16)) != NULL);
	need(hak_superslab_grow(14, false));
	in_thread(take_refused, 15);
	free(other);
}

static void check_off(void)
{
	need(hak_tunables_set_value(HAK_TUNABLE_ID_numa, 0) == 0);
	in_thread(take_small, 1);
	hold(node_of(small[0]) == 0 && node_of(small[999]) == 0);
	in_thread(free_small, 2);
	ok(failures() == 0, "HAKMEM_NUMA=0: no nodes");
	need(hak_tunables_set_value(HAK_TUNABLE_ID_numa, 1) == 0);
}

int main(void)
{
	if (is_emulated())
		skip("the node that the kernel names: not under an emulator");
	else
		check_real();
	move_to(HAK_NODES);
	is(hak_numa_node(), 0); /* more nodes than there is room for */
	free(malloc(1));
	is(hak_numa_nodes(), 1);
	check_churn(1);
	is(hak_numa_nodes(), 1);
	check_churn(2);
	check_churn(4);
	is(hak_numa_nodes(), 4);
	check_home();
	check_heaps();
	check_large();
	check_refused();
	check_off();
	is(hak_check_pool(), 0);
	return done();
}
